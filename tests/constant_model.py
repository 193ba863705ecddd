"""A step model that always gives the same motion: an ONNX file written by hand, of any shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FRAME, STATES = (1, 1, 16, 48), ((1, 4, 8, 24), (1, 1, 4), (1, 1, 4))
MOTION = (1, 6)


def write_onnx(
    path: Path,
    frame: Any = FRAME,
    states: Any = STATES,
    motion: Any = MOTION,
    kind: int = TensorProto.FLOAT,
    names: str = "state_{}",
    config: str = "{}",
    value: Any = 0.5,
    deviation: Any = None,
    deviation_shape: Any = MOTION,
) -> Path:
    """Its motion is ``value``, its deviation, where there is one, ``deviation``; its states stay as they are."""
    inputs = [helper.make_tensor_value_info("frame", kind, frame)]
    inputs += [helper.make_tensor_value_info(names.format(k), kind, shape) for k, shape in enumerate(states)]
    constants = {"motion": (value, motion)} | ({} if deviation is None else {"deviation": (deviation, deviation_shape)})
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in constants.items()]
    outputs += [helper.make_tensor_value_info(f"next_{k}", kind, shape) for k, shape in enumerate(states)]
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.full(shape, filled, np.float32)))
        for name, (filled, shape) in constants.items()
    ]
    nodes += [helper.make_node("Identity", [names.format(k)], [f"next_{k}"]) for k in range(len(states))]
    graph = helper.make_graph(nodes, "step", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"distilvo": config})
    onnx.save(model, path)
    return path
