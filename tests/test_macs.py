"""Multiplications counted: of ONNX files and of torch modules, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from distilvo.bench.contestants import gather
from distilvo.bench.macs import onnx_macs, torch_macs
from distilvo.geometry.preprocessing import Preprocessing


def _save(path: Path, nodes: list[Any], inputs: dict[str, list[int]], weights: dict[str, np.ndarray]) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", values, [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def _floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_macs_of_convolutions_by_hand(tmp_path: Path) -> None:
    grouped = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=2)
    weights = {"w": _floats(6, 2, 3, 3), "b": _floats(6)}
    path = _save(tmp_path / "m.onnx", [grouped], {"x": [1, 4, 8, 10]}, weights)
    # The output is 6 x 4 x 5, and each value takes 2 channels of its group, 3 x 3 each.
    assert onnx_macs(path) == 6 * 4 * 5 * 2 * 3 * 3 == 2160


def test_macs_of_products_by_hand(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),  # (2, 3, 5) @ (5, 7)
        helper.make_node("Reshape", ["h", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v", "c"], ["y"], transB=1),  # (2, 21) @ (21, 4)
    ]
    weights = {"w": _floats(5, 7), "shape": np.array([2, 21]), "v": _floats(4, 21), "c": _floats(4)}
    path = _save(tmp_path / "m.onnx", nodes, {"x": [2, 3, 5]}, weights)
    assert onnx_macs(path) == 2 * 3 * 5 * 7 + 2 * 21 * 4 == 378


def test_macs_of_an_lstm_by_hand(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)
    weights = {"w": _floats(1, 12, 5), "r": _floats(1, 12, 3)}
    path = _save(tmp_path / "m.onnx", [node], {"x": [4, 2, 5]}, weights)
    assert onnx_macs(path) == 4 * 2 * (4 * 3 * 5 + 4 * 3 * 3) == 768  # 4 steps, batch 2, 4 gates


def test_quantised_forms_count_as_what_they_stand_for(tmp_path: Path) -> None:
    scale, zero = np.array(0.1, np.float32), np.array(0, np.uint8)
    weights = {"s": scale, "z": zero, "w": np.ones((3, 2, 3, 3), np.uint8)}
    x = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"])
    back = helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["y"])
    whole = helper.make_node("QLinearConv", ["xq", "s", "z", "w", "s", "z", "s", "z"], ["yq"])
    pairs = [
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"]),
        helper.make_node("Conv", ["xf", "wf"], ["y"]),
    ]
    for name, nodes in {"qlinear": [x, whole, back], "qdq": [x, *pairs]}.items():
        path = _save(tmp_path / f"{name}.onnx", nodes, {"x": [1, 2, 5, 6]}, weights)
        assert onnx_macs(path) == (3 * 3 * 4) * (2 * 3 * 3) == 648


def test_torch_macs_by_hand() -> None:
    class Network(nn.Module):
        preprocessing = Preprocessing((8, 10), 4)

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(4, 6, 3, 2, 1, groups=2)
            self.lstm, self.fc = nn.LSTM(120, 3, batch_first=True), nn.Linear(3, 2)

        def start(self, frame: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return ()

        def step(
            self, frame: torch.Tensor, state: tuple[torch.Tensor, ...]
        ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            return self.fc(self.lstm(self.convolution(frame).flatten(1)[:, None])[0][:, 0]), state

    assert torch_macs(Network()) == 2160 + 4 * 3 * (120 + 3) + 3 * 2


def test_both_counts_agree_on_a_network_with_lstm_layers(tmp_path: Path, lstm_teacher: Path) -> None:
    onnx_row, torch_row = gather((lstm_teacher,), None, False, tmp_path)[0]
    assert onnx_row.macs == torch_row.macs
    assert onnx_row.macs is not None and onnx_row.macs > 30_000_000
    assert onnx_row.parameters == torch_row.parameters == 1_512_870
