"""The statuses of the frames of a tracked drive: counted, listed, written; and errors of drives in several segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.files import write_text
from distilvo.runtime import Status
from distilvo.trajectory.alignment import align_with_scale, poses_of_positions
from distilvo.trajectory.metrics import Deviations, Errors, deviations

_LISTED = 8  # runs of frames
_DEVIATIONS = [f"deviation_{part}" for part in ("tx_m", "ty_m", "tz_m", "rx_rad", "ry_rad", "rz_rad")]


def counts(statuses: Sequence[Status]) -> dict[str, int]:
    """How many frames have each status, ``ok`` first."""
    return {"ok": 0} | Counter(statuses)


def doubted_runs(statuses: Sequence[Status]) -> str:
    """Which frames cannot be trusted: ``20-39 (no texture), 70 (gap)``; empty where there are none."""
    runs = []
    for status, group in groupby(range(len(statuses)), key=lambda frame: statuses[frame]):
        frames = list(group)
        if status != "ok":
            runs.append(f"{frames[0]}{f'-{frames[-1]}' if len(frames) > 1 else ''} ({status})")
    return ", ".join(runs[:_LISTED]) + (f", and {len(runs) - _LISTED} more" if len(runs) > _LISTED else "")


def write_statuses(
    path: Path,
    times: NDArray[np.float64],
    statuses: Sequence[Status],
    segments: NDArray[np.int64],
    deviations: NDArray[np.float32] | None = None,
) -> None:
    """Write a CSV file with frame, time in s, status and segment of each frame, and (N, 6) deviations of its motion."""
    stated: NDArray[np.float32] = np.empty((len(times), 0), np.float32) if deviations is None else deviations
    rows = zip(times, statuses, segments, stated, strict=True)
    lines = [
        ",".join([str(frame), f"{time:.9f}", status, str(segment), *(f"{value:.6g}" for value in deviation)])
        for frame, (time, status, segment, deviation) in enumerate(rows)
    ]
    names = ["frame", "time_s", "status", "segment", *(_DEVIATIONS if stated.size else [])]
    write_text(path, "\n".join([",".join(names), *lines]) + "\n")


def segment_slices(segments: NDArray[np.int64]) -> list[slice]:
    """The frames of each segment that has a motion: two frames or more."""
    edges = np.flatnonzero(np.diff(segments, prepend=-1, append=-1))
    return [slice(int(a), int(b)) for a, b in pairwise(edges) if b - a > 1]


def segment_errors(poses: NDArray[np.float64], truth: NDArray[np.float64], segments: NDArray[np.int64]) -> Errors:
    """Errors of poses (N, 4, 4): each segment (N,) is aligned by itself, and no pair of frames lies in two of them."""
    parts = [deviations(poses[part], truth[part]) for part in segment_slices(segments)]
    return Errors.of(Deviations.pooled(parts))


def gps_rms(
    poses: NDArray[np.float64], positions: NDArray[np.float64], segments: NDArray[np.int64]
) -> tuple[float, float | None]:
    """RMS distance (m) of poses (N, 4, 4) from positions (N, 3) east, north, up of a GPS, after Sim(3), and its scale.

    Each segment (N,) is aligned by itself; the scale is None where there are several.
    """
    reference = poses_of_positions(positions)
    parts = segment_slices(segments)
    moved = [align_with_scale(poses[part], reference[part], "sim3") for part in parts]
    apart = [(one - reference[part])[:, :3, 3] for (one, _), part in zip(moved, parts, strict=True)]
    rms = float(np.sqrt(np.square(np.concatenate(apart)).sum(axis=1).mean()))
    return rms, moved[0][1] if len(moved) == 1 else None
