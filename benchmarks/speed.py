"""Networks at the paper's image size for ``distilvo bench``, and the plot of latency against error.

    python benchmarks/speed.py make FOLDER
    distilvo bench FOLDER/* --against paper --baselines --rounds 40 --json > benchmarks/bench.json
    python benchmarks/speed.py draw benchmarks/bench.json benchmarks/study.json docs/images/pareto.png

The networks have random weights, since times do not depend on weights: students of the paper's (192 x 640 RGB) and the
students made for speed (luminance), these in int8 too. The errors are those of the study's students of the same shape,
at the study's image size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

ROWS = {"paper-student": "aht-ail", "nano": "nano", "small": "small", "base": "base"}  # the study's, of the same shape
RUNTIME = "onnxruntime"
STREETS = range(9_000_000, 9_000_003)  # seeds of those that int8 is calibrated on, as in distilvo export


def main() -> None:
    """Make the networks, or draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("make").add_argument("folder", type=Path)
    drawing = verbs.add_parser("draw")
    for name in ("bench", "study", "image"):
        drawing.add_argument(name, type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "make":
        make(arguments.folder)
        return
    models = json.loads(arguments.bench.read_text())["models"]
    draw(models, json.loads(arguments.study.read_text()), arguments.image)


def make(folder: Path) -> None:
    """Model folders, and int8 files of the students made for speed, calibrated on rendered streets."""
    from distilvo.data import open_cache
    from distilvo.models.fast_student import FAMILY, fast_architecture
    from distilvo.models.model_folder import load_model, save_model
    from distilvo.models.network import PoseNetwork
    from distilvo.models.onnx_export import export_onnx
    from distilvo.models.quantisation import quantise
    from distilvo.models.student import student
    from distilvo.sequences import open_dataset
    from distilvo.world.dataset import render_streets

    torch.manual_seed(0)
    save_model(student(92.95, "paper"), folder / "paper-student", {})
    for rate in (72.88, 79.69):
        save_model(student(rate, "paper"), folder / f"paper-{rate}", {})
    with tempfile.TemporaryDirectory() as name_of_scratch:
        scratch, preprocessing = Path(name_of_scratch), fast_architecture("nano").preprocessing
        render_streets(scratch / "streets", STREETS, 100, preprocessing.size)
        drives = open_cache(open_dataset(scratch / "streets"), preprocessing, scratch / "cache")
        for name in FAMILY:
            save_model(PoseNetwork(fast_architecture(name)), folder / name, {})
            network, config = load_model(folder / name)
            exported = scratch / f"{name}.onnx"
            export_onnx(network, config, exported, drives.drive_frames(0)[:10])
            quantise(exported, folder / f"{name}-int8.onnx", drives)


def draw(models: list[dict[str, Any]], cells: list[dict[str, Any]], path: Path) -> None:
    """Draw error against latency in ONNX Runtime, one thread: for each student a point with an interval over seeds."""
    from matplotlib import pyplot

    from distilvo.study.statistics import mean_interval

    latencies = {
        model["name"]: model["latency_ms_median"]
        for model in models
        if model["runtime"] == RUNTIME and model["threads"] == 1 and model["name"] in ROWS
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    parts = zip(axes, ("rms_rpe_t_m", "rms_rpe_r_deg"), ("translation (m)", "rotation (deg)"), strict=True)
    for part, measure, unit in parts:
        for name, latency in latencies.items():
            errors = mean_interval([cell[measure] for cell in cells if cell["row"] == ROWS[name]])
            part.errorbar(latency, errors.mean, errors.half, fmt="o", markersize=7, capsize=4, label=name)
        part.set(xscale="log", xlabel="ms a frame, 192 x 640, ONNX Runtime, one thread", ylabel=f"RMS-RPE {unit}")
        part.set_ylim(bottom=0, top=1.15 * part.get_ylim()[1])
        part.margins(x=0.25)
        part.grid(alpha=0.3)
    axes[0].legend(loc="lower right")
    figure.suptitle("Students of one teacher: latency at 192 x 640, held-out error at 48 x 160 (five seeds, 95 %)")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
