"""Latency of several models, side by side in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.se3 import Floats
from distilvo.models.step_model import StepModel
from distilvo.progress import Bar

TIMER = (
    "Latency: median of one step of the network in ONNX Runtime, batch 1, one thread, from a frame already decoded and "
    "scaled in memory to the motion; the models are interleaved, and the second of two steps is timed."
)

Step = Callable[[], object]


def interleaved(
    steps: Sequence[Step], rounds: int, warmup: int = 2, pause_s: float = 0.0, bar: Bar | None = None
) -> Floats:
    """Time several steps in one run, one after the other in each round, so that a busy moment slows all of them alike.

    Each step runs twice in a round, and the second run is timed. The first one brings the model's weights back into the
    caches, where they stay in a stream of frames.

    Args:
        steps: functions without arguments.
        rounds: timed runs of each.
        warmup: rounds before them that do not count.
        pause_s: seconds of rest before each run: the threads of the model before it wait actively for a while.
        bar: progress bar, advanced after each run.

    Returns:
        (rounds, len(steps)) seconds.
    """
    times = np.empty((warmup + rounds, len(steps)))
    for run in range(warmup + rounds):
        for index, step in enumerate(steps):
            if pause_s:
                time.sleep(pause_s)
            step()
            begin = time.perf_counter()
            step()
            times[run, index] = time.perf_counter() - begin
            if bar is not None:
                bar.advance()
    return times[warmup:]


def latencies_ms(models: Sequence[Path], rounds: int = 200, warmup: int = 20) -> list[float]:
    """Median milliseconds of one step of each ONNX file; ``TIMER`` says what is timed."""
    if not models:
        return []
    times = interleaved([onnx_step(path, threads=1) for path in models], rounds, warmup)
    return [float(value) for value in 1000 * np.median(times, axis=0)]


def onnx_step(path: Path, threads: int) -> Step:
    """One step of an ONNX file, from a decoded and scaled frame to the motion."""
    model = StepModel(path, threads)
    frame = noise((model.channels, *model.size))
    return lambda: model.step(frame)


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Pseudo-random grey values, uint8, always the same; by arithmetic, so that a child process imports no more."""
    count = np.arange(int(np.prod(shape)), dtype=np.uint64)
    return (count * np.uint64(2654435761) >> np.uint64(13)).astype(np.uint8).reshape(shape)
