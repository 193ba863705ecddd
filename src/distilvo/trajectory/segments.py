"""Pairs of frames that are compared: some frames, metres or seconds apart, or the ends of KITTI's segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.settings import RpeUnit

KITTI_LENGTHS_M = (100, 200, 300, 400, 500, 600, 700, 800)
KITTI_STEP = 10

Indices = NDArray[np.intp]

# How far from the wanted time, as a share of it, a frame may lie.
_TIME_TOLERANCE = 0.1


def pairs_apart(
    truth: Floats,
    delta: float,
    unit: RpeUnit,
    times: NDArray[Any] | None = None,
    numbers: NDArray[Any] | None = None,
) -> tuple[Indices, Indices]:
    """First and last place (P,) of every pair that lies ``delta`` apart among true poses (N, 4, 4) that are scored.

    ``times`` (N,) s and frame ``numbers`` (N,), ascending, are those of the poses; numbers are 0, 1, 2, ... where not
    given. See ``metrics.rpe`` for the units.
    """
    starts = np.arange(len(truth))
    if unit == "frames":
        ends = starts + int(min(delta, len(truth)))
        kept = ends < len(truth)
    elif unit == "truth-frames":
        numbers = starts if numbers is None else numbers
        ends = nearest(numbers, numbers + int(min(delta, 2**53)))
        kept = numbers[ends] - numbers == delta
    elif unit == "m":
        way = travelled(truth[:, :3, 3])
        # A sum of steps may miss a round length by its last digit.
        ends = np.maximum(np.searchsorted(way, way + delta * (1 - 1e-9)), starts + 1)
        kept = ends < len(truth)
    else:
        times = _checked_times(times, len(truth))
        ends = nearest(times, times + delta)
        kept = (ends > starts) & (np.abs(times[ends] - times - delta) <= _TIME_TOLERANCE * delta)
    return starts[kept], ends[kept]


def segments(truth: Floats, lengths: Sequence[float], step: int) -> tuple[Indices, Indices, Floats]:
    """First and last frame and nominal length in m, (S,) each, of KITTI's segments."""
    way = travelled(truth[:, :3, 3])
    starts, metres = (grid.ravel() for grid in np.meshgrid(np.arange(0, len(truth), step), lengths, indexing="ij"))
    # The first frame strictly beyond the length, as in the benchmark's own program.
    ends = np.searchsorted(way, way[starts] + metres, side="right")
    inside = ends < len(truth)
    return starts[inside], ends[inside], metres[inside].astype(np.float64)


def nearest(sorted_values: NDArray[Any], wanted: NDArray[Any]) -> Indices:
    """Index (K,) of the value closest to each wanted (K,) among sorted values (N,), N >= 1."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, max(1, len(sorted_values) - 1))
    if len(sorted_values) == 1:
        return np.zeros(len(wanted), dtype=np.intp)
    left_is_closer = wanted - sorted_values[right - 1] <= sorted_values[right] - wanted
    return np.where(left_is_closer, right - 1, right)


def travelled(positions: Floats) -> Floats:
    """Length of the path from the first position to each of (N, 3), (N,) in m."""
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _checked_times(times: NDArray[Any] | None, count: int) -> Floats:
    if times is None:
        raise DistilvoError(
            "the relative pose error over seconds needs the times of the truth; give it as a TUM file, or take frames"
        )
    times = np.asarray(times, dtype=np.float64)
    if times.shape != (count,) or not (np.diff(times) >= 0).all():
        raise DistilvoError(f"times: expected {count} times in order, one for each pose of the truth")
    return times
