"""Latency at the paper's size: the paper's teacher and student, and the students made for speed, in turns, one thread.

    python benchmarks/speed.py [STUDY] [--json FILE] [--picture FILE]

Random weights at 192 x 640: RGB for the paper's networks, luminance for the others. One step, batch 1: frame in
memory to motion; decoding and scaling are not in the timer. With the folder of a finished study the errors of its
students are put beside (at the study's own picture size), and the Pareto picture is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilvo.export import export_onnx
from distilvo.models import student, teacher
from distilvo.models.fast import FAMILY, fast_architecture
from distilvo.models.network import PoseNetwork
from distilvo.runtime import StepModel
from distilvo.study.run import about_machine

ROUNDS, WARM_UP = 40, 3
ROWS = {"student 92.95 %": "aht-ail", **{name: name for name in FAMILY}}  # the study's rows of the same shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks = {"teacher": teacher("paper").eval(), "student 92.95 %": student(92.95, "paper").eval()}
    networks |= {name: PoseNetwork(fast_architecture(name)).eval() for name in FAMILY}
    models = measure(networks)
    if arguments.study:
        add_errors(models, json.loads((arguments.study / "study.json").read_text()))
    for model in models:
        print(
            f"{model['name']:16} {model['runtime']:12} {model['parameters']:>11,} parameters "
            f"{model['latency_ms_median']:7.2f} ms, 99 % {model['latency_ms_p99']:7.2f} ms; "
            f"{model['speedup_same_runtime']:6.1f} x the teacher in the same runtime, "
            f"{model['speedup']:6.1f} x the teacher in eager PyTorch"
        )
    if arguments.json:
        machine = about_machine() | {"load_average": os.getloadavg()[0], "command": "python benchmarks/speed.py"}
        arguments.json.write_text(json.dumps({"machine": machine, "models": models}, indent=1) + "\n")
    if arguments.picture:
        draw(models, arguments.picture)


def measure(networks: dict[str, PoseNetwork]) -> list[dict[str, Any]]:
    """Every network in both runtimes, in turns."""
    steps, found = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks.items():
            shape = network.architecture
            frames = torch.randint(0, 256, (3, shape.channels, *shape.size), dtype=torch.uint8)
            path = Path(folder) / f"{len(steps)}.onnx"
            export_onnx(network, {"architecture": shape.to_dict()}, path, frames)
            steps[name, "onnxruntime"] = partial(StepModel(path).step, frames[1].numpy())
            steps[name, "torch eager"] = partial(network.step, frames[1:2], network.start(frames[:1]))
            size = path.stat().st_size
            for runtime in ("onnxruntime", "torch eager"):
                count = sum(parameter.numel() for parameter in network.parameters())
                entry = {"name": name, "runtime": runtime, "threads": 1, "parameters": count, "file_bytes": size}
                found.append(entry)
        times: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
        with torch.no_grad():
            for _ in range(ROUNDS + WARM_UP):
                for key, step in steps.items():
                    begin = time.perf_counter()
                    step()
                    times[key].append(1000 * (time.perf_counter() - begin))
    median = {key: statistics.median(values[WARM_UP:]) for key, values in times.items()}
    for model in found:
        key = model["name"], model["runtime"]
        model["latency_ms_median"] = median[key]
        model["latency_ms_p99"] = float(np.percentile(times[key][WARM_UP:], 99))
        model["speedup"] = median["teacher", "torch eager"] / median[key]
        model["speedup_same_runtime"] = median["teacher", model["runtime"]] / median[key]
    return found


def add_errors(models: list[dict[str, Any]], cells: list[dict[str, Any]]) -> None:
    """Mean errors over the study's seeds."""
    for model in models:
        own = [cell for cell in cells if cell["row"] == ROWS.get(model["name"])]
        for name in ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m"):
            if own:
                model[name] = statistics.mean(cell[name] for cell in own)


def draw(models: list[dict[str, Any]], path: Path) -> None:
    """Error against latency, a point for each student."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for part, name, unit in zip(
        axes, ("rms_rpe_t_m", "rms_rpe_r_deg"), ("translation (m)", "rotation (deg)"), strict=True
    ):
        for model in models:
            if model["runtime"] == "onnxruntime" and name in model:
                part.scatter(model["latency_ms_median"], model[name], s=60, alpha=0.8, label=model["name"])
        part.set(xscale="log", xlabel="ms a frame, 192 x 640, ONNX Runtime, one thread", ylabel=f"RMS-RPE {unit}")
        part.set_ylim(bottom=0, top=1.15 * part.get_ylim()[1])
        part.margins(x=0.25, y=0.15)
        part.grid(alpha=0.3)
    axes[0].legend(loc="lower right")
    figure.suptitle("Students of one teacher: latency at 192 x 640, held-out error at 48 x 160, mean of five seeds")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
