"""Multiply-accumulate operations (MACs) of one step: of convolutions, matrix products and LSTM layers.

They are counted while the model runs: from the shapes in ONNX Runtime's profile, or by torch's own counter. As is
usual, nothing else counts: no sums, comparisons, averages, batch norm, activations or biases.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distilvo.bench.engines import StepNetwork

Shape = list[int]

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}
_KERNEL_AT = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul")
_LSTMS = ("LSTM", "DynamicQuantizeLSTM")


def onnx_macs(path: Path) -> int:
    """MACs of one run of an ONNX file; free dimensions are taken as 1. The ``onnx`` package is not needed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    # The graph runs as it is in the file: fused and prepacked nodes hide their shapes.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory() as folder:
        options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, {value.name: _zeros(value) for value in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum(
        _node_macs(event["args"]["op_name"], _shapes(event["args"], "input"), _shapes(event["args"], "output"))
        for event in events
        if event["name"].endswith("_kernel_time")
    )


def torch_macs(network: StepNetwork) -> int:
    """MACs of one step of a torch network."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    frame = torch.zeros(1, network.preprocessing.channels, *network.preprocessing.size)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the switch warns about GPUs
        # oneDNN runs an LSTM as one operation, which the counter does not count.
        with torch.backends.mkldnn.flags(enabled=False):
            state = network.start(frame)
            with FlopCounterMode(display=False) as counter:
                network.step(frame, state)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition as two


def _zeros(value: onnxruntime.NodeArg) -> NDArray[Any]:
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    return np.zeros(shape, _DTYPES.get(value.type, np.int64))


def _shapes(args: dict[str, Any], side: str) -> list[Shape]:
    return [shape for typed in args[f"{side}_type_shape"] for shape in typed.values()]


def _node_macs(op: str, inputs: list[Shape], outputs: list[Shape]) -> int:
    if op in _KERNEL_AT:
        return prod(outputs[0]) * prod(inputs[_KERNEL_AT[op]][1:])  # a kernel is (out, in / groups, rows, columns)
    if op in _PRODUCTS:
        return prod(outputs[0]) * inputs[0][-1]
    if op in ("Gemm", "QGemm"):
        return prod(inputs[0]) * outputs[0][1]  # either factor may be transposed
    if op in _LSTMS:
        time, batch, _ = inputs[0]
        return time * batch * (prod(inputs[1]) + prod(inputs[2]))
    return 0
