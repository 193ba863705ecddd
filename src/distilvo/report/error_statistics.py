"""Statistics of many drives together: errors of single pairs of frames, errors by the length of the segment."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from distilvo.report.results import DriveResult
from distilvo.settings import Scoring
from distilvo.trajectory.metrics import errors_by_length
from distilvo.trajectory.segments import KITTI_LENGTHS_M, travelled

Spread = dict[str, NDArray[np.float64]]
"""Errors (P,) of single pairs of frames, by model."""

_SEGMENTS = len(KITTI_LENGTHS_M)


def spread(drives: list[DriveResult], how: Scoring) -> tuple[Spread, Spread]:
    """Relative errors of all drives by model: translation (m), rotation (degrees); models without any are left out."""
    pooled: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for drive in drives:
        for model in drive.estimates if drive.has_poses else ():
            errors = drive.deviations(model, how)
            if len(errors.rpe_t_m):
                pooled.setdefault(model, []).append((errors.rpe_t_m, errors.rpe_r_deg))
    translation, rotation = (
        {m: np.concatenate([pair[k] for pair in pairs]) for m, pairs in pooled.items()} for k in (0, 1)
    )
    return translation, rotation


def length_grid(drives: list[DriveResult]) -> tuple[float, ...]:
    """Lengths (m) of the segments to draw: KITTI's where a path is longer than 200 m, else eight that fit into it."""
    longest = max((travelled(drive.way)[-1] for drive in drives if drive.has_poses), default=0.0)
    if longest > 2 * KITTI_LENGTHS_M[0]:
        return tuple(float(length) for length in KITTI_LENGTHS_M)
    if longest <= 0:
        return ()
    size = 10.0 ** math.floor(math.log10(longest / _SEGMENTS))
    step = max(size * digit for digit in (1, 2, 5) if size * digit <= longest / _SEGMENTS)
    return tuple(step * k for k in range(1, _SEGMENTS + 1))


def by_length(
    drives: list[DriveResult], how: Scoring, lengths: tuple[float, ...]
) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """By model: lengths that have segments, and the means of their errors in % and in degrees per 100 m."""
    segments: dict[str, list[NDArray[np.float64]]] = {}
    for drive in drives:
        for model, estimate in drive.estimates.items() if drive.has_poses else ():
            assert drive.truth is not None
            errors = errors_by_length(
                estimate.poses, drive.truth, lengths, how, estimate.frames, by_time=estimate.by_time
            )
            segments.setdefault(model, []).append(np.stack(errors))
    lines = {}
    for model, parts in segments.items():
        percent, degrees, metres = np.concatenate(parts, axis=1)
        measured = [length for length in lengths if (metres == length).any()]
        if measured:
            means = [[float(errors[metres == length].mean()) for length in measured] for errors in (percent, degrees)]
            lines[model] = measured, means[0], means[1]
    return lines
