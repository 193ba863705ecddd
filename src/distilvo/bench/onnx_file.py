"""The weights of an ONNX file, counted without the ``onnx`` package, which running a model does not need.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the encoding is protobuf's
(https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_OP = 1, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME = 1, 2, 8
_PRECISIONS = {3: "int8", 2: "int8", 10: "fp16", 1: "fp32"}  # TensorProto.DataType; the first one found counts
_INT32 = 6
_SCALES_AT = {
    b"QuantizeLinear": (1, 2),
    b"DequantizeLinear": (1, 2),
    b"QLinearConv": (1, 2, 4, 5, 6, 7),
    b"QLinearMatMul": (1, 2, 4, 5, 6, 7),
}  # inputs that are scales and zero points


@dataclass(frozen=True)
class OnnxWeights:
    """``parameters``: values stored; ``precision``: int8, fp16 or fp32, of the smallest of them."""

    parameters: int
    precision: str


def read_weights(path: Path) -> OnnxWeights:
    """Count the weights of an ONNX file that can be loaded.

    Shapes and indices do not count, nor do the scales and zero points of a quantised model. What the export has
    folded into others (batch norm) is not there any more.
    """
    graph = _only(memoryview(path.read_bytes()), _GRAPH)
    scales: set[bytes] = set()
    for node in _all(graph, _NODE):
        places = _SCALES_AT.get(bytes(_only(node, _NODE_OP)), ())
        names = [bytes(name) for name in _all(node, _NODE_INPUT)]
        scales.update(names[place] for place in places if place < len(names))
    kept = [tensor for tensor in _all(graph, _INITIALIZER) if bytes(_only(tensor, _TENSOR_NAME)) not in scales]
    sized = [(_number(tensor, _TENSOR_TYPE), prod(_numbers(tensor, _TENSOR_DIMS))) for tensor in kept]
    found = {kind for kind, _ in sized}
    precision = next((name for kind, name in _PRECISIONS.items() if kind in found), "fp32")
    return OnnxWeights(sum(size for kind, size in sized if kind in _PRECISIONS or kind == _INT32), precision)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        value: int | memoryview
        if wire == 0:
            value, at = _varint(data, at)
        else:
            length, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _all(data: memoryview, field: int) -> list[memoryview]:
    return [value for number, value in _fields(data) if number == field and isinstance(value, memoryview)]


def _only(data: memoryview, field: int) -> memoryview:
    return next(iter(_all(data, field)), memoryview(b""))


def _numbers(data: memoryview, field: int) -> list[int]:
    """A repeated number, packed or not."""
    found: list[int] = []
    for number, value in _fields(data):
        if number == field and isinstance(value, int):
            found.append(value)
        elif number == field and isinstance(value, memoryview):
            at = 0
            while at < len(value):
                one, at = _varint(value, at)
                found.append(one)
    return found


def _number(data: memoryview, field: int) -> int:
    return next(iter(_numbers(data, field)), 0)
