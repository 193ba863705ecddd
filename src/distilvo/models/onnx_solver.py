"""How ``torch.linalg.solve_ex`` becomes ONNX: by ONNX Runtime's own operator ``Inverse``, as ONNX has no solver.

Written out in ONNX's operators, an elimination takes some 50 nodes, each with a microsecond or two of overhead, and a
network that sees flow first solves six times.
"""

from __future__ import annotations

from typing import Any

import onnx
import torch
from onnx.defs import OpSchema
from onnxscript import opset18
from onnxscript.values import Opset

_DOMAIN, _NAME = "com.microsoft", "Inverse"


def translations() -> dict[Any, Any]:
    """For ``torch.onnx.export(custom_translation_table=...)``."""
    if not onnx.defs.has(_NAME, _DOMAIN):
        matrix, kinds = OpSchema.FormalParameter, [("T", ["tensor(float)"], "")]
        schema = OpSchema(
            _NAME, _DOMAIN, 1, inputs=[matrix("X", "T")], outputs=[matrix("Y", "T")], type_constraints=kinds
        )
        onnx.defs.register_schema(schema)
    return {torch.ops.aten._linalg_solve_ex.default: _solve}


def _solve(matrix: Any, right: Any, left: bool = True, check_errors: bool = False) -> tuple[Any, Any, Any, Any]:
    """The solution; nobody takes the other three outputs, factors and flags, but each must be a value of its own."""
    solution = opset18.MatMul(Opset(_DOMAIN, 1).Inverse(matrix), right)
    return solution, opset18.Identity(matrix), opset18.Identity(matrix), opset18.Identity(matrix)
