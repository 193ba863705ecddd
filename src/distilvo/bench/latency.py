"""Latency of several ONNX files, side by side in one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from distilvo.bench.engines import OnnxEngine
from distilvo.bench.timing import take_turns

TIMER = (
    "Latency: median of one step of the network in ONNX Runtime, batch 1, one thread, from a frame already decoded and "
    "scaled in memory to the motion; the models take turns, and at each turn the second of two steps is timed."
)


def latencies_ms(models: Sequence[Path], rounds: int = 200, warmup: int = 20) -> list[float]:
    """Median milliseconds of one step of each ONNX file; see ``TIMER`` for what the timer holds."""
    times = take_turns([OnnxEngine(path).stepper(1) for path in models], rounds, warmup)
    return [float(value) for value in 1000 * np.median(times, axis=0)]
