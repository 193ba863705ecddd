"""Latency of exported models, side by side in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distilvo.runtime import StepModel

TIMER = (
    "Latency: median of one step of the network in ONNX Runtime, batch 1, one thread, from a frame already decoded and "
    "scaled in memory to the motion; the models take turns."
)


def latencies_ms(models: Sequence[Path], rounds: int = 200, warmup: int = 20) -> list[float]:
    """Median milliseconds of one step of each ONNX file; see ``TIMER`` for what the timer holds."""
    loaded = [StepModel(path) for path in models]
    rng = np.random.default_rng(0)
    shapes = [(model.config["architecture"]["channels"], *model.config["architecture"]["size"]) for model in loaded]
    frames = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    times = np.empty((rounds + warmup, len(loaded)))
    for turn in range(rounds + warmup):
        for index, (model, frame) in enumerate(zip(loaded, frames, strict=True)):
            begin = time.perf_counter()
            model.step(frame)
            times[turn, index] = time.perf_counter() - begin
    return [float(value) for value in 1000 * np.median(times[warmup:], axis=0)]
