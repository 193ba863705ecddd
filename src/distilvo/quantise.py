"""An exported network with its convolutions in int8, and what that costs on drives that it was not calibrated on.

Static quantisation in ONNX Runtime's QDQ format: weights with a scale for each output channel, activations in ranges
seen on real frames, both symmetric. Only convolutions: they take most of the time, and other layers suffer more than
they gain (benchmarks/README.md, "Export and int8").
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
from rich import box
from rich.table import Table

from distilvo import evaluation, machine
from distilvo.bench import TIMER
from distilvo.bench.engines import Engine, OnnxEngine, TorchEngine
from distilvo.bench.timing import take_turns
from distilvo.clips import FrameStore, open_store
from distilvo.errors import DistilvoError
from distilvo.export import onnx_motions
from distilvo.files import atomic_path, write_json
from distilvo.models.files import load_model
from distilvo.models.network import Architecture
from distilvo.progress import console, progress
from distilvo.runtime import StepModel
from distilvo.sequences import choose

LIMIT_PERCENT = 3.0
"""So much may int8 add to each error, of that of the fp32 file; else it is not recommended."""

CALIBRATION_FRAMES = 200
OPTIONS: dict[str, Any] = {
    "op_types_to_quantize": ["Conv"],
    "per_channel": True,
    "activation_type": QuantType.QInt8,
    "weight_type": QuantType.QInt8,
    # The rarest activations are left out: extremes grow with every frame, and their ranges cost more.
    "calibrate_method": CalibrationMethod.Percentile,
    "extra_options": {
        "CalibPercentile": 99.99,
        "CalibStridedMinMax": 1,  # one frame at a time, see _Streams
        "ActivationSymmetric": True,  # zero is 0, which ARM wants
    },
}
"""What ``benchmarks/int8.py`` found to be best, for ``onnxruntime.quantization.quantize_static``."""

STREETS = range(9_000_000, 9_000_012)
"""Seeds of the streets that are rendered where there is no data set; nothing of the package trains on them."""
STREET_FRAMES = 100
ROUNDS, WARMUP = 200, 20

_MEASURES = {"RMS-RPE trans": "rms_rpe_t_m", "RMS-RPE rot": "rms_rpe_r_deg", "ATE": "ate_m"}


@dataclass(frozen=True)
class Drives:
    """``calibration`` and ``check``: drives of different sequences."""

    calibration: FrameStore
    check: FrameStore


@dataclass(frozen=True)
class Variant:
    """One row of the table: the network in one precision and runtime.

    Attributes:
        name: which one.
        file_bytes: of its weights' file.
        latency_ms: median of one step, one thread, all variants in turns.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: errors over all frames of the check drives, as in ``evaluation``.
    """

    name: str
    file_bytes: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float


def open_drives(config: dict[str, Any], data: Path | None, names: tuple[str, ...], scratch: Path) -> Drives:
    """The first quarter of the sequences to calibrate on, the rest to measure on; rendered ones without ``data``.

    Args:
        config: of the model folder.
        data: data set; the built-in world where None.
        names: its sequences; all where empty.
        scratch: folder for what is rendered and decoded.

    Raises:
        DistilvoError: there is no data set, or fewer than two sequences with poses.
    """
    form = Architecture.from_dict(config["architecture"]).frame_format
    if data is None:
        from distilvo.world.dataset import render_streets

        data = scratch / "streets"
        render_streets(data, STREETS, STREET_FRAMES, form.size)
    sequences = choose(data, tuple(dict.fromkeys(names)))
    if len(sequences) < 2:
        raise DistilvoError(
            f"{data}: 1 sequence ({sequences[0].name}); expected two or more, since int8 is calibrated on some and "
            "measured on others; give another --data or more --sequences"
        )
    first = max(1, len(sequences) // 4)
    return Drives(*(open_store(part, form, scratch / "cache") for part in (sequences[:first], sequences[first:])))


def quantise(model: Path, path: Path, drives: FrameStore, options: dict[str, Any] = OPTIONS) -> None:
    """Write ``model`` with int8 convolutions as ``path``: one file with the same inputs, outputs and metadata.

    Args:
        model: ONNX file of ``export_onnx``.
        path: the file to write.
        drives: what the ranges of activations are taken from.
        options: how, as ``OPTIONS``.
    """
    calibrate.print = lambda *_: None  # type: ignore[attr-defined]  # it tells of each histogram, across our own bar
    with tempfile.TemporaryDirectory() as scratch, atomic_path(path) as temporary:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)  # all shapes are known; it folds constants
        quantize_static(
            prepared,
            temporary,
            _Streams(model, drives),
            quant_format=QuantFormat.QDQ,
            **options,
        )
        quantised = onnx.load(temporary)
        onnx.helper.set_model_props(quantised, {p.key: p.value for p in onnx.load(model).metadata_props})
        onnx.checker.check_model(quantised)
        onnx.save(quantised, temporary)


class _Streams(CalibrationDataReader):  # type: ignore[misc]
    """Frames spread over drives, each with the state that the fp32 network has there: zeros would be no example.

    They are handed out one at a time, since histograms are taken of all that is handed out at once.
    """

    def __init__(self, model: Path, drives: FrameStore) -> None:
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


def compare(model: Path, exported: Path, quantised: Path, drives: Drives) -> dict[str, Any]:
    """Size, latency and errors of the network in torch, in ONNX, and in int8; see ``publish`` for what is in it."""
    network, _ = load_model(model)
    check = drives.check
    found = {
        "fp32 torch": (model / "model.safetensors", evaluation.network_motions(network)),
        "fp32 ONNX": (exported, _file_motions(exported)),
        "int8 ONNX": (quantised, _file_motions(quantised)),
    }
    errors = [evaluation.evaluate(predict, check, name) for name, (_, predict) in found.items()]
    engines: list[Engine] = [TorchEngine(model), OnnxEngine(exported), OnnxEngine(quantised)]
    with progress("latency", len(engines) * (ROUNDS + WARMUP)) as bar:
        times = take_turns([engine.stepper(1) for engine in engines], ROUNDS, WARMUP, bar=bar)
    rows = [
        Variant(name, path.stat().st_size, float(ms), e.rms_rpe_t_m, e.rms_rpe_r_deg, e.ate_m)
        for (name, (path, _)), e, ms in zip(found.items(), errors, 1000 * np.median(times, axis=0), strict=True)
    ]
    _, fp32, int8 = rows
    cost = {name: 100 * (getattr(int8, field) / getattr(fp32, field) - 1) for name, field in _MEASURES.items()}
    return {
        "file": str(quantised),
        "variants": [asdict(row) for row in rows],
        "cost_percent": cost,
        "speedup": fp32.latency_ms / int8.latency_ms,
        "recommended": max(cost.values()) <= LIMIT_PERCENT and int8.latency_ms < fp32.latency_ms,
        "calibration": [drive.name for drive in drives.calibration.drives],
        "check": [drive.name for drive in check.drives],
        "machine": machine.describe() | {"load_average": machine.load_average()},
    }


def publish(result: dict[str, Any], path: Path) -> None:
    """Print the table of ``compare`` and whether int8 is worth it here, and write all as JSON."""
    write_json(path, result)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("variant")
    for header in ("size\nMB", "latency\nms", "RMS-RPE\nm trans,\nunaligned", "RMS-RPE\ndeg rot,\nunaligned"):
        table.add_column(header, justify="right")
    table.add_column("ATE (m,\nSim(3))", justify="right")
    for row in map(lambda values: Variant(**values), result["variants"]):
        cells = f"{row.file_bytes / 1e6:.2f}", f"{row.latency_ms:.2f}", f"{row.rms_rpe_t_m:.4f}"
        table.add_row(row.name, *cells, f"{row.rms_rpe_r_deg:.4f}", f"{row.ate_m:.3f}")
    console.print(table)
    console.print(
        f"Errors on {len(result['check'])} sequences; {len(result['calibration'])} others calibrated int8. {TIMER} "
        "That of torch is eager."
    )
    console.print(_verdict(result), markup=False)


def _verdict(result: dict[str, Any]) -> str:
    cost = result["cost_percent"]
    costs = ", ".join(f"{name} {percent:+.1f} %" for name, percent in cost.items())
    line = f"{result['file']}: {result['speedup']:.2f} x as fast as fp32 ONNX; errors {costs}"
    if worse := [name for name, percent in cost.items() if percent > LIMIT_PERCENT]:
        return f"{line}. Not recommended: more than {LIMIT_PERCENT:g} % in {', '.join(worse)}; use the fp32 file"
    if not result["recommended"]:
        return f"{line}. Not recommended: it is not faster on this machine; use the fp32 file"
    return f"{line}. Within {LIMIT_PERCENT:g} % in each: recommended on a machine like this one"


def _file_motions(path: Path) -> evaluation.Predict:
    return lambda store, index: onnx_motions(path, store.drive_frames(index))
