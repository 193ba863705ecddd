"""Which of many values are shown, where all of them would be too many. Pure numpy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from distilvo.trajectory.segments import Indices


def evenly_spread(count: int, most: int) -> Indices:
    """Which of ``count`` values to show, (K,): at most ``most``, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))


def with_gaps(kept: Indices, values: NDArray[np.float64]) -> Indices:
    """``kept``, and where runs of values (P,) that are not known begin, so that a line is broken there.

    No more runs than are kept; of more, some that are evenly spread.
    """
    begins = np.flatnonzero(np.diff(np.isnan(values).astype(np.int8), prepend=0) == 1)
    return np.union1d(kept, begins[evenly_spread(len(begins), len(kept))] if len(begins) else begins)


def peaks(values: NDArray[np.float64], most: int) -> Indices:
    """Which of the values (P,) to show, (K,): at most ``most``; of each run of equal length the largest known one."""
    if len(values) <= most:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), most + 1).round().astype(np.intp)
    known = np.where(np.isnan(values), -np.inf, values)
    return np.array([first + int(np.argmax(known[first:last])) for first, last in pairwise(edges)])
