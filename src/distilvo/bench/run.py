"""``distilvo bench``: every model in every runtime, at one thread and at all of them, in turns."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from distilvo import machine
from distilvo.bench.child import start
from distilvo.bench.contestants import Contestant, gather
from distilvo.bench.engines import Track
from distilvo.bench.pictures import CAMERA, street
from distilvo.bench.rivals import there_and_back
from distilvo.bench.timing import Step, take_turns
from distilvo.errors import DistilvoError
from distilvo.progress import Bar, console, progress, silence
from distilvo.sequences.base import Frame

STARTS = 3
WARMUP = 2
PAUSE_S = 0.005
"""Rest before each turn where several threads work: those of the last model spin on for a while."""
BUSY = 0.95


@dataclass(frozen=True)
class Row:
    """One model in one runtime at one number of threads; docs/bench.md says what each holds."""

    name: str
    runtime: str
    threads: int
    precision: str
    parameters: int
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


def run_bench(models: tuple[Path, ...], against: str | None, rivals: bool, rounds: int, as_json: bool) -> None:
    """Measure and print a table, or one JSON object.

    Raises:
        DistilvoError: something is no model, or ``rounds`` is below 2.
    """
    from distilvo.bench.table import print_result

    if rounds < 2:
        raise DistilvoError(f"bench: --rounds {rounds}; expected at least 2, and 100 for a p99 that means something")
    if as_json:
        silence()
    with tempfile.TemporaryDirectory() as scratch:
        result = bench(gather(models, against, rivals, Path(scratch)), rounds)
    if as_json:
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        print_result(result, console)


def bench(groups: list[list[Contestant]], rounds: int) -> dict[str, Any]:
    """Measure all contestants; those of the first group are what the others are compared with."""
    contestants = [row for group in groups for row in group]
    threads = sorted({1, machine.usable_cores()})
    described: dict[str, Any] = machine.describe() | {"load_start": machine.load_average()}
    pictures = street(10)
    coded = [np.asarray(cv2.imencode(".png", picture)[1], np.uint8) for picture in pictures]
    whole = max(2, rounds // 4)
    total = len(threads) * len(contestants) * (rounds + 2 * whole + 3 * WARMUP + STARTS)
    rows: list[Row] = []
    with progress("bench", total) as bar:
        for count in threads:
            measured, share = _measure(contestants, count, rounds, whole, pictures, coded, bar)
            if count == 1:
                described["cpu_share"] = round(share, 3)
            rows += _rows(contestants, count, measured, reference=groups[0])
    described |= {"load_end": machine.load_average(), "busy": described["cpu_share"] < BUSY}
    size = f"{CAMERA.width}x{CAMERA.height} grey, PNG of {len(coded[0])} bytes"
    places = {(c.name, c.runtime): place for place, c in enumerate(contestants)}
    rows.sort(key=lambda row: (places[row.name, row.runtime], row.threads))
    return {
        "machine": described,
        "rounds": rounds,
        "picture": size,
        "against": groups[0][0].name,
        "models": [asdict(row) for row in rows],
    }


@dataclass(frozen=True)
class _Measured:
    """Seconds of each contestant; arrays are (rounds, contestants)."""

    steps: Any
    tracked: Any
    decoded: Any
    starts: list[list[tuple[float, float | None]]]


def _measure(
    contestants: list[Contestant],
    threads: int,
    rounds: int,
    whole: int,
    pictures: list[Frame],
    coded: list[Frame],
    bar: Bar,
) -> tuple[_Measured, float]:
    """All times at one number of threads, and the share of a core that this process got while it was timing steps."""
    pause = PAUSE_S if threads > 1 else 0.0
    cv2.setNumThreads(threads)
    steps = [contestant.engine.stepper(threads) for contestant in contestants]
    wall, own = time.perf_counter(), time.process_time()
    stepped = take_turns(steps, rounds, WARMUP, pause, bar)
    share = (time.process_time() - own) / (time.perf_counter() - wall)
    del steps
    plain = [_plain(c.engine.tracker(threads, CAMERA), pictures) for c in contestants]
    tracked = take_turns(plain, whole, WARMUP, pause, bar)
    del plain
    decoding = [_decoding(c.engine.tracker(threads, CAMERA), coded) for c in contestants]
    decoded = take_turns(decoding, whole, WARMUP, pause, bar)
    del decoding
    starts: list[list[tuple[float, float | None]]] = [[] for _ in contestants]
    for _ in range(STARTS):
        for index, contestant in enumerate(contestants):
            starts[index].append(start(contestant.kind, contestant.path, threads))
            bar.advance()
    return _Measured(stepped, tracked, decoded, starts), share


def _plain(track: Track, pictures: list[Frame]) -> Step:
    stream = there_and_back(pictures)
    return lambda: track(next(stream))


def _decoding(track: Track, coded: list[Frame]) -> Step:
    stream = there_and_back(coded)
    return lambda: track(np.asarray(cv2.imdecode(next(stream), cv2.IMREAD_GRAYSCALE), np.uint8))


def _rows(contestants: list[Contestant], threads: int, measured: _Measured, reference: list[Contestant]) -> list[Row]:
    medians = [float(value) for value in 1000 * np.median(measured.steps, axis=0)]
    of_reference = {c.runtime: m for c, m in zip(contestants, medians, strict=True) if c in reference}
    rows = []
    for index, contestant in enumerate(contestants):
        same = contestant.runtime if contestant.runtime in of_reference else next(iter(of_reference))
        eager = of_reference.get("torch eager")
        peaks = [peak for _, peak in measured.starts[index] if peak is not None]
        rows.append(
            Row(
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
