"""An exported network with its convolutions in int8; ``bench.int8_comparison`` measures what that costs.

Static quantisation in ONNX Runtime's QDQ format: weights with a scale for each output channel, activations in ranges
measured on frames, both symmetric. Weights have 7 bits: on x86 without VNNI sums of two products of 8 bits saturate in
silence, and rotation errors were 60 % larger. Convolutions only, and not those that give maps: they take most of the
time, and other layers lose more accuracy than they gain speed (benchmarks/speed.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    calibrate,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from distilvo.data import FrameCache
from distilvo.files import atomic_path
from distilvo.models.step_model import StepModel
from distilvo.progress import progress

CALIBRATION_FRAMES = 200
_ACTIVATIONS = {"LeakyRelu", "Relu", "BatchNormalization"}
OPTIONS: dict[str, Any] = {
    "op_types_to_quantize": ["Conv"],
    "per_channel": True,
    "reduce_range": True,  # weights from -64 to 64
    "activation_type": QuantType.QInt8,
    "weight_type": QuantType.QInt8,
    # Without the rarest activations: extremes grow with every frame, and their ranges cost more accuracy.
    "calibrate_method": CalibrationMethod.Percentile,
    "extra_options": {
        "CalibPercentile": 99.99,
        "CalibStridedMinMax": 1,  # one frame at a time, see _Streams
        "ActivationSymmetric": True,  # the zero point is 0, as ARM needs it
    },
}
"""Arguments of ``onnxruntime.quantization.quantize_static``; the best ones in ``benchmarks/int8.py``."""


def quantise(model: Path, path: Path, drives: FrameCache, options: dict[str, Any] = OPTIONS) -> None:
    """Write ``model`` with int8 convolutions as ``path``: one file with the same inputs and outputs.

    The metadata are the same but for ``precision``, which is ``int8``.

    Args:
        model: ONNX file of ``export_onnx``.
        path: the file to write.
        drives: frames on which the ranges of activations are measured.
        options: arguments of ``quantize_static``; see ``OPTIONS``.
    """
    # It prints a line for each histogram, through our progress bar.
    calibrate.print = lambda *_: None  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as scratch, atomic_path(path) as temporary:
        prepared = Path(scratch) / "prepared.onnx"
        # All shapes are fixed; this computes constant parts.
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            temporary,
            _Streams(model, drives),
            quant_format=QuantFormat.QDQ,
            nodes_to_exclude=last_convolutions(onnx.load(prepared).graph),
            **options,
        )
        quantised = onnx.load(temporary)
        metadata = {p.key: p.value for p in onnx.load(model).metadata_props} | {"precision": "int8"}
        onnx.helper.set_model_props(quantised, metadata)
        onnx.checker.check_model(quantised)
        onnx.save(quantised, temporary)


def last_convolutions(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions without an activation behind them: they give maps in units of their own, side by side.

    One range for all of them leaves the smallest ones a few steps: inverse depths in int8 made lengths 8 % longer.
    """
    activated = {name for node in graph.node if node.op_type in _ACTIVATIONS for name in node.input}
    return [node.name for node in graph.node if node.op_type == "Conv" and activated.isdisjoint(node.output)]


class _Streams(CalibrationDataReader):  # type: ignore[misc]
    """Frames spread over drives, each with the state that the fp32 network has there; a state of zeros is never real.

    They come one at a time: ONNX Runtime takes one histogram of all frames that it gets at once.
    """

    def __init__(self, model: Path, drives: FrameCache) -> None:
        pairs = [(index, n) for index, drive in enumerate(drives.drives) for n in range(1, drive.frames)]
        self._chosen = pairs[:: -(-len(pairs) // CALIBRATION_FRAMES)]
        self._model, self._drives = StepModel(model), drives
        self._feeds, self._left = self._run(), 0

    def __len__(self) -> int:
        return len(self._chosen)

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = end_index - start_index

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        if self._left == 0:
            return None
        self._left -= 1
        return next(self._feeds)

    def _run(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        chosen = set(self._chosen)
        with progress("calibrate", len(chosen)) as bar:
            for index in range(len(self._drives.drives)):
                self._model.reset()
                for number, frame in enumerate(self._drives.drive_frames(index).numpy()):
                    if (index, number) in chosen:
                        yield self._model.inputs(frame)
                        bar.advance()
                    self._model.step(frame)
