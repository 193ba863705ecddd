"""What int8 costs: a network in torch, in ONNX and in int8, on drives that did not calibrate int8."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from distilvo import environment
from distilvo.bench.engines import Engine, OnnxEngine, TorchEngine
from distilvo.bench.latency import interleaved
from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model
from distilvo.models.onnx_export import onnx_motions
from distilvo.pipeline.evaluation import Predict, evaluate, network_motions
from distilvo.progress import progress
from distilvo.sequences import choose

LIMIT_PERCENT = 3.0
"""int8 is recommended where it makes no error larger than that of the fp32 file by more than this."""

ROUNDS, WARMUP = 200, 20

_MEASURES = {"RMS-RPE trans": "rms_rpe_t_m", "RMS-RPE rot": "rms_rpe_r_deg", "ATE": "ate_m"}


@dataclass(frozen=True)
class Drives:
    """Drives of different sequences: int8 is calibrated on ``calibration`` and measured on ``check``."""

    calibration: FrameCache
    check: FrameCache


@dataclass(frozen=True)
class Variant:
    """One row of the table: the network in one precision and runtime.

    Attributes:
        name: which one.
        file_bytes: size of the file that holds the weights.
        latency_ms: median of one step, one thread, all variants interleaved.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: errors over all frames of the check drives, as in ``evaluation``.
    """

    name: str
    file_bytes: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float


def open_drives(preprocessing: Preprocessing, data: Path, names: tuple[str, ...], scratch: Path) -> Drives:
    """The first quarter of the sequences to calibrate on, the rest to measure on.

    Args:
        preprocessing: of the model.
        data: data set.
        names: its sequences; all where empty.
        scratch: folder for the decoded frames.

    Raises:
        DistilvoError: there is no data set, or fewer than two sequences with poses.
    """
    sequences = choose(data, tuple(dict.fromkeys(names)))
    if len(sequences) < 2:
        raise DistilvoError(
            f"{data}: 1 sequence ({sequences[0].name}); expected two or more, since int8 is calibrated on some and "
            "measured on others; give another --data or more --sequences"
        )
    first = max(1, len(sequences) // 4)
    return Drives(
        *(open_cache(part, preprocessing, scratch / "cache") for part in (sequences[:first], sequences[first:]))
    )


def compare(model: Path, exported: Path, quantised: Path, drives: Drives) -> dict[str, Any]:
    """Size, latency and errors of the network in torch, in ONNX, and in int8; as JSON can hold it."""
    network, _ = load_model(model)
    check = drives.check
    variants = {
        "fp32 torch": (model / "model.safetensors", network_motions(network)),
        "fp32 ONNX": (exported, _file_motions(exported)),
        "int8 ONNX": (quantised, _file_motions(quantised)),
    }
    errors = [evaluate(predict, check, name).total for name, (_, predict) in variants.items()]
    engines: list[Engine] = [TorchEngine(model), OnnxEngine(exported), OnnxEngine(quantised)]
    with progress("latency", len(engines) * (ROUNDS + WARMUP)) as bar:
        times = interleaved([engine.stepper(1) for engine in engines], ROUNDS, WARMUP, bar=bar)
    rows = [
        Variant(
            name=name,
            file_bytes=path.stat().st_size,
            latency_ms=float(ms),
            rms_rpe_t_m=error.rms_rpe_t_m,
            rms_rpe_r_deg=error.rms_rpe_r_deg,
            ate_m=error.ate_m,
        )
        for (name, (path, _)), error, ms in zip(variants.items(), errors, 1000 * np.median(times, axis=0), strict=True)
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
        "machine": environment.describe() | {"load_average": environment.load_average()},
    }


def comparison_table(result: dict[str, Any]) -> Table:
    """The table of :func:`compare` for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("variant")
    for header in ("size\nMB", "latency\nms", "RMS-RPE\nm trans,\nunaligned", "RMS-RPE\ndeg rot,\nunaligned"):
        table.add_column(header, justify="right")
    table.add_column("ATE (m,\nSim(3))", justify="right")
    for row in map(lambda values: Variant(**values), result["variants"]):
        cells = f"{row.file_bytes / 1e6:.2f}", f"{row.latency_ms:.2f}", f"{row.rms_rpe_t_m:.4f}"
        table.add_row(row.name, *cells, f"{row.rms_rpe_r_deg:.4f}", f"{row.ate_m:.3f}")
    return table


def verdict(result: dict[str, Any]) -> str:
    """Whether int8 is worth it on this machine, in a line."""
    cost = result["cost_percent"]
    costs = ", ".join(f"{name} {percent:+.1f} %" for name, percent in cost.items())
    line = f"{result['file']}: {result['speedup']:.2f} x as fast as fp32 ONNX; errors {costs}"
    if worse := [name for name, percent in cost.items() if percent > LIMIT_PERCENT]:
        return f"{line}. Not recommended: more than {LIMIT_PERCENT:g} % in {', '.join(worse)}; use the fp32 file"
    if not result["recommended"]:
        return f"{line}. Not recommended: it is not faster on this machine; use the fp32 file"
    return f"{line}. Within {LIMIT_PERCENT:g} % in each: recommended on a machine like this one"


def _file_motions(path: Path) -> Predict:
    return lambda cache, index: onnx_motions(path, cache.drive_frames(index))
