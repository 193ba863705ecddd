"""Every model in every runtime, at one thread and at all of them, interleaved."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from distilvo import environment
from distilvo.bench.child import start
from distilvo.bench.contestants import Contestant
from distilvo.bench.engines import FrameToPose
from distilvo.bench.latency import Step, interleaved
from distilvo.bench.sample_drive import street, there_and_back
from distilvo.geometry.camera import KITTI_00, Frame
from distilvo.geometry.se3 import Floats
from distilvo.progress import Bar, progress

STARTS = 3
WARMUP = 2
PAUSE_S = 0.005
"""Rest before each run with several threads: the threads of the model before it wait actively for a while."""
BUSY = 0.95


@dataclass(frozen=True)
class BenchRow:
    """One model in one runtime at one number of threads; docs/bench.md explains the fields."""

    name: str
    runtime: str
    threads: int
    precision: str | None
    parameters: int | None
    macs: int | None
    file_bytes: int
    latency_ms_median: float
    latency_ms_p99: float
    frames_per_second: float
    frames_per_second_with_decode: float
    peak_rss_mb: float | None
    cold_start_s: float
    speedup: float
    speedup_against: str
    speedup_over_eager: float | None
    note: str


def bench(groups: list[list[Contestant]], rounds: int) -> dict[str, Any]:
    """Measure all contestants and compare them with those of the first group; returns what JSON can hold."""
    contestants = [row for group in groups for row in group]
    threads = sorted({1, environment.usable_cores()})
    machine: dict[str, Any] = environment.describe() | {"load_start": environment.load_average()}
    images = street(10)
    coded = [np.asarray(cv2.imencode(".png", image)[1], np.uint8) for image in images]
    whole = max(2, rounds // 4)
    total = len(threads) * len(contestants) * (rounds + 2 * whole + 3 * WARMUP + STARTS)
    rows: list[BenchRow] = []
    with progress("bench", total) as bar:
        for count in threads:
            measured, share = _measure(
                contestants, threads=count, rounds=rounds, whole=whole, images=images, coded=coded, bar=bar
            )
            if count == 1:
                machine["cpu_share"] = round(share, 3)
            rows += _rows(contestants, count, measured, reference=groups[0])
    machine |= {"load_end": environment.load_average(), "busy": machine["cpu_share"] < BUSY}
    size = f"{KITTI_00.width}x{KITTI_00.height} grey, PNG of {len(coded[0])} bytes"
    places = {(c.name, c.runtime): place for place, c in enumerate(contestants)}
    rows.sort(key=lambda row: (places[row.name, row.runtime], row.threads))
    return {
        "machine": machine,
        "rounds": rounds,
        "image": size,
        "against": groups[0][0].name,
        "models": [asdict(row) for row in rows],
    }


@dataclass(frozen=True)
class _Measured:
    """Seconds of each contestant; arrays are (rounds, contestants).

    Attributes:
        steps: one step of the network.
        tracked: from an image to the pose.
        decoded: from a PNG to the pose.
        starts: by contestant: seconds to the first pose of a fresh process, and its peak of memory in bytes.
    """

    steps: Floats
    tracked: Floats
    decoded: Floats
    starts: list[list[tuple[float, float | None]]]


def _measure(
    contestants: list[Contestant],
    *,
    threads: int,
    rounds: int,
    whole: int,
    images: list[Frame],
    coded: list[Frame],
    bar: Bar,
) -> tuple[_Measured, float]:
    """All times at one number of threads, and the share of a core that this process had while it timed the steps."""
    pause = PAUSE_S if threads > 1 else 0.0
    cv2.setNumThreads(threads)
    steps = [contestant.engine.stepper(threads) for contestant in contestants]
    wall, own = time.perf_counter(), time.process_time()
    stepped = interleaved(steps, rounds, WARMUP, pause, bar)
    share = (time.process_time() - own) / (time.perf_counter() - wall)
    del steps
    plain = [_plain(c.engine.tracker(threads, KITTI_00), images) for c in contestants]
    tracked = interleaved(plain, whole, WARMUP, pause, bar)
    del plain
    decoding = [_decoding(c.engine.tracker(threads, KITTI_00), coded) for c in contestants]
    decoded = interleaved(decoding, whole, WARMUP, pause, bar)
    del decoding
    starts: list[list[tuple[float, float | None]]] = [[] for _ in contestants]
    for _ in range(STARTS):
        for index, contestant in enumerate(contestants):
            starts[index].append(start(contestant.kind, contestant.path, threads))
            bar.advance()
    return _Measured(stepped, tracked, decoded, starts), share


def _plain(track: FrameToPose, images: list[Frame]) -> Step:
    stream = there_and_back(images)
    return lambda: track(next(stream))


def _decoding(track: FrameToPose, coded: list[Frame]) -> Step:
    stream = there_and_back(coded)
    return lambda: track(np.asarray(cv2.imdecode(next(stream), cv2.IMREAD_GRAYSCALE), np.uint8))


def _rows(
    contestants: list[Contestant], threads: int, measured: _Measured, reference: list[Contestant]
) -> list[BenchRow]:
    medians = [float(value) for value in 1000 * np.median(measured.steps, axis=0)]
    of_reference = {c.runtime: m for c, m in zip(contestants, medians, strict=True) if c in reference}
    rows = []
    for index, contestant in enumerate(contestants):
        same = contestant.runtime if contestant.runtime in of_reference else next(iter(of_reference))
        eager = of_reference.get("torch eager")
        peaks = [peak for _, peak in measured.starts[index] if peak is not None]
        rows.append(
            BenchRow(
                name=contestant.name,
                runtime=contestant.runtime,
                threads=threads,
                precision=contestant.precision,
                parameters=contestant.parameters,
                macs=contestant.macs,
                file_bytes=contestant.file_bytes,
                latency_ms_median=medians[index],
                latency_ms_p99=float(1000 * np.percentile(measured.steps[:, index], 99)),
                frames_per_second=float(1 / np.median(measured.tracked[:, index])),
                frames_per_second_with_decode=float(1 / np.median(measured.decoded[:, index])),
                peak_rss_mb=statistics.median(peaks) / 1e6 if peaks else None,
                cold_start_s=statistics.median(seconds for seconds, _ in measured.starts[index]),
                speedup=of_reference[same] / medians[index],
                speedup_against=f"{reference[0].name}, {same}, {threads} thread{'s' if threads > 1 else ''}",
                speedup_over_eager=None if eager is None else eager / medians[index],
                note=contestant.note,
            )
        )
    return rows
