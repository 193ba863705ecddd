"""Which true pose belongs to which estimated pose, or to which image: by frame number, by time, or one by one."""

from __future__ import annotations

import warnings

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.segments import Indices, nearest

TOLERANCE_S = 0.02
"""An image farther than this from every pose has none; the tools of the TUM benchmark use the same value."""

Match = tuple[Floats, Floats | None, Indices, Indices]
"""True poses (N, 4, 4), their times (N,) s; of each matched pose (M,) its index in the truth and in the estimate."""


def associate(estimate: Trajectory, truth: Trajectory, tolerance_s: float) -> Match:
    """Match by the frame numbers of the estimate; else by times, where both have them; else one by one.

    Raises:
        DistilvoError: they do not fit each other.
    """
    everything = np.arange(len(estimate.poses))
    numbers = np.arange(len(truth.poses)) if truth.frames is None else truth.frames
    for k in np.flatnonzero(np.diff(numbers) != 1)[:1]:
        raise DistilvoError(f"the ground truth skips the frame {numbers[k] + 1}; expected all of them")
    if estimate.frames is not None:
        return truth.poses, truth.times, _places(estimate.frames, numbers), everything
    if estimate.times is not None and truth.times is not None:
        return _by_time(estimate.times, truth, truth.times, tolerance_s)
    if len(estimate.poses) != len(truth.poses):
        advice = (
            "the ground truth has no times to match its own with; give it as a TUM file"
            if estimate.times is not None
            else "expected one for each frame; where it skips some, give the frame number as a first column"
        )
        raise DistilvoError(f"{len(estimate.poses)} poses, but {len(truth.poses)} in the ground truth; {advice}")
    return truth.poses, truth.times, everything, everything


def _places(frames: Indices, numbers: Indices) -> Indices:
    """Where in the truth, whose frames are called ``numbers`` (N,), the frames (M,) are."""
    for frame in frames[(frames < numbers[0]) | (frames > numbers[-1])][:1]:
        raise DistilvoError(
            f"holds the frame {frame}, but the ground truth has {numbers[0]} to {numbers[-1]}; "
            "check that both belong to one sequence and count frames from 0"
        )
    return (frames - numbers[0]).astype(np.intp)


def _by_time(times: Floats, truth: Trajectory, true_times: Floats, tolerance_s: float) -> Match:
    """Each pose goes with the true pose closest in time, if it is itself the closest to that one."""
    for k in np.flatnonzero(np.diff(times) == 0)[:1]:
        raise DistilvoError(f"two poses at {times[k]:.6f} s; expected each time once")
    closest = nearest(true_times, times)
    close = np.abs(true_times[closest] - times) <= tolerance_s
    kept = np.flatnonzero(close & (nearest(times, true_times[closest]) == np.arange(len(times))))
    if len(kept) < 2:
        raise DistilvoError(
            f"{len(kept)} of {len(times)} poses ({times[0]:.3f} to {times[-1]:.3f} s) lie within {tolerance_s:g} s of "
            f"a true one ({true_times[0]:.3f} to {true_times[-1]:.3f} s); check both clocks, or use --tolerance"
        )
    frames = closest[kept]
    if np.median(np.diff(frames)) >= 2:  # the truth has a higher rate: frames are those of the estimate
        return truth.poses[frames], true_times[frames], np.arange(len(frames)), kept
    return truth.poses, true_times, frames, kept


def poses_of_images(name: str, times: Floats, truth_times: Floats) -> tuple[Indices, Indices]:
    """Indices of the images (K,) that have a pose, and of their poses (K,): the nearest in time, within 0.02 s.

    ``times`` (N,) and ``truth_times`` (M,) are ascending, in seconds of one clock. Images without a pose are left
    out with a warning that counts them; DistilvoError where none is left.
    """
    closest = nearest(truth_times, times)
    kept = np.flatnonzero(np.abs(times - truth_times[closest]) <= TOLERANCE_S + 1e-9)
    images, poses = (f"{span[0]:.3f} to {span[-1]:.3f} s" for span in (times, truth_times))
    spans = f"images span {images}, ground truth {poses}"
    if not len(kept):
        raise DistilvoError(f"{name}: no image within {TOLERANCE_S:g} s of a pose; {spans}; are they of one drive?")
    if len(kept) < len(times):
        warnings.warn(
            f"{name}: {len(times) - len(kept)} of {len(times)} images have no pose within {TOLERANCE_S:g} s and are "
            f"left out; {spans}",
            stacklevel=3,
        )
    return kept, closest[kept]
