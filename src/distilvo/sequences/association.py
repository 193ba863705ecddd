"""Pictures and ground truth that were taken by two clocks' ticks: matched by the nearest time."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import Floats

TOLERANCE_S = 0.02
"""Farther than this from every pose a picture has none; the TUM benchmark's own tools use the same."""


def match(name: str, times: Floats, truth_times: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the pictures (K,) that have a pose, and of their poses (K,): the nearest in time, within 0.02 s.

    ``times`` (N,) and ``truth_times`` (M,) are ascending, in seconds of one clock. Pictures without a pose are left
    out with a warning that counts them; DistilvoError where none is left.
    """
    after = np.clip(np.searchsorted(truth_times, times), 1, max(1, len(truth_times) - 1))
    before = after - 1
    after = np.minimum(after, len(truth_times) - 1)
    nearest = np.where(times - truth_times[before] <= truth_times[after] - times, before, after)
    kept = np.flatnonzero(np.abs(times - truth_times[nearest]) <= TOLERANCE_S + 1e-9)
    pictures, poses = (f"{known[0]:.3f} to {known[-1]:.3f} s" for known in (times, truth_times))
    spans = f"pictures span {pictures}, ground truth {poses}"
    if not len(kept):
        raise DistilvoError(f"{name}: no picture within {TOLERANCE_S:g} s of a pose; {spans}; are they of one drive?")
    if len(kept) < len(times):
        left_out = len(times) - len(kept)
        warnings.warn(
            f"{name}: {left_out} of {len(times)} pictures have no pose within {TOLERANCE_S:g} s and are left out; "
            + spans,
            stacklevel=3,
        )
    return kept, nearest[kept]
