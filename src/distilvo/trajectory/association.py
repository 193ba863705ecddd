"""Which true pose belongs to which estimated pose, or to which image: by frame number, by time, or one by one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.trajectory import clocks
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.segments import Indices, nearest

TOLERANCE_S = 0.02
"""An image farther than this from every pose has none; the tools of the TUM benchmark use the same value."""

_FEWEST_INSIDE = 0.5
"""Share of the poses in the time that both cover, of the estimate or of the truth, that must be matched."""

_FEWEST = 0.05
"""Share of all poses, of the estimate or of the truth, that must be matched."""


@dataclass(frozen=True)
class Match:
    """Which poses go together.

    Attributes:
        frames: (M,) the place in the truth of each pose that is matched.
        kept: (M,) its place in the estimate.
        notes: what the user should know, in sentences.
        by_time: whether times decide; then the poses that are matched are the frames, as other tools have it, since the
            truth may have any rate. Else the true poses are.
    """

    frames: Indices
    kept: Indices
    notes: list[str] = field(default_factory=list)
    by_time: bool = False


def associate(estimate: Trajectory, truth: Trajectory, tolerance_s: float, offset_s: float = 0.0) -> Match:
    """Match by the frame numbers of the estimate; else by times, where both have them; else one by one.

    ``offset_s`` is added to the times of the estimate. Raises DistilvoError where they do not fit each other, and where
    so few poses match that it may be by chance.
    """
    for name, one in (("estimate", estimate), ("ground truth", truth)):
        if len(one.poses) < 2:
            raise DistilvoError(f"the {name} has one pose; expected at least two poses, motion lies between them")
    if estimate.frames is None and estimate.times is not None and truth.times is not None:
        return _by_time(estimate.times + offset_s, truth, truth.times, tolerance_s, estimate.source)
    match = _by_order(estimate, truth) if estimate.frames is None else _by_number(estimate.frames, estimate, truth)
    if offset_s:
        match.notes.append("--offset is not used: poses are not matched by their times")
    return match


def _by_time(times: Floats, truth: Trajectory, true_times: Floats, tolerance_s: float, source: str) -> Match:
    """Each pose goes with the true pose closest in time, if it is itself the closest to that one."""
    for k in np.flatnonzero(np.diff(times) == 0)[:1]:
        raise DistilvoError(f"two poses at {times[k]:.6f} s; expected each time once")
    closest = nearest(true_times, times)
    close = np.abs(true_times[closest] - times) <= tolerance_s
    kept = np.flatnonzero(close & (nearest(times, true_times[closest]) == np.arange(len(times))))
    begin, end = max(times[0], true_times[0]) - tolerance_s, min(times[-1], true_times[-1]) + tolerance_s
    inside, true_inside = (int(((one >= begin) & (one <= end)).sum()) for one in (times, true_times))
    counts = (
        f"{len(kept)} of {len(times)} poses ({times[0]:.3f} to {times[-1]:.3f} s) lie within {tolerance_s:g} s of a "
        f"true one of their own ({len(true_times)}, {true_times[0]:.3f} to {true_times[-1]:.3f} s)"
    )
    if _few(len(kept), inside, true_inside, len(times), len(true_times)):
        names = source or "the estimate", truth.source or "the ground truth"
        raise DistilvoError(f"{counts}, too few to be scored; {clocks.advice(times, true_times, *names)}")
    notes = [f"{counts} and are scored"] if len(kept) < len(times) else []
    if clocks.in_nanoseconds(times):
        notes.append("times look like nanoseconds: multiply by 1e-9; --tolerance and seconds are taken in their unit")
    return Match(closest[kept], kept, notes, by_time=True)


def _by_number(frames: Indices, estimate: Trajectory, truth: Trajectory) -> Match:
    """Poses with the frame numbers (M,), ascending, go with the true poses of the same numbers."""
    numbers = np.arange(len(truth.poses)) if truth.frames is None else truth.frames
    if (rows := estimate.frame_count) is not None and not _fits(rows, truth):
        raise _of_other_length(rows, estimate, truth)
    kept = np.flatnonzero(np.isin(frames, numbers))
    matched = frames[kept]
    notes = []
    if len(kept) < len(frames):
        foreign = int(np.setdiff1d(frames, matched)[0])
        gaps = " with gaps" if (np.diff(numbers) != 1).any() else ""
        counts = (
            f"{len(frames) - len(kept)} of {len(frames)} poses are of frames that the ground truth lacks: the first is "
            f"frame {foreign}, but the ground truth has {numbers[0]} to {numbers[-1]}{gaps}"
        )
        inside, true_inside = (
            int(((one >= max(frames[0], numbers[0])) & (one <= min(frames[-1], numbers[-1]))).sum())
            for one in (frames, numbers)
        )
        if _shifted(frames, numbers) or _few(len(kept), inside, true_inside, len(frames), len(numbers)):
            raise DistilvoError(f"{counts}; check that both belong to one sequence and count frames from 0")
        notes.append(f"{counts}; they are left out")
    if truth.frames is None and truth.times is not None:
        notes.append("the ground truth has times but no frame numbers: its rows are taken as the frames 0, 1, 2, ...")
    return Match(np.searchsorted(numbers, matched), kept, notes)


def _by_order(estimate: Trajectory, truth: Trajectory) -> Match:
    """Row by row; where the truth has frame numbers, rows may be all frames or those that the truth has."""
    count, everything = len(estimate.poses), np.arange(len(estimate.poses))
    gaps = truth.frames is not None and bool((np.diff(truth.frames) != 1).any())
    lost = estimate.left_out > 0 or (truth.left_out > 0 and truth.frames is None)
    if gaps and count != len(truth.poses) and estimate.times is None and _fits(count, truth):
        match = _by_number(everything, estimate, truth)
        match.notes.append(f"its {count} rows are taken as the frames 0 to {count - 1}; the ground truth skips some")
        return match
    if count != len(truth.poses) or lost:
        raise _of_other_length(count, estimate, truth)
    notes = ["its rows are taken as those frames that the ground truth has"] if gaps else []
    if (estimate.times is None) != (truth.times is None):
        side = "estimate" if estimate.times is None else "ground truth"
        notes.append(f"the {side} has no measured times: the {count} poses of both are paired one by one")
    return Match(everything, everything, notes)


def _fits(rows: int, truth: Trajectory) -> bool:
    """Whether an estimate of so many rows may have one for each frame of the truth."""
    if truth.frame_count is not None or truth.frames is None:
        return rows == (truth.frame_count or len(truth.poses))
    return rows > truth.frames[-1]


def _of_other_length(rows: int, estimate: Trajectory, truth: Trajectory) -> DistilvoError:
    """What to say where poses cannot be paired row by row."""
    lost, truth_lost = (f" ({n} rows left out)" if (n := one.left_out) else "" for one in (estimate, truth))
    if estimate.times is not None:
        advice = (
            "the ground truth has no measured times to match its own with; add times.txt to the data set, give the "
            "ground truth as a TUM file, or the estimate with frame numbers (13 columns)"
        )
    elif truth.times is not None:
        advice = "it has no times to match; give it as a TUM file, or with a frame number as first column (13 columns)"
    else:
        advice = "expected one for each frame; where it skips some, give the frame number as first column (13 columns)"
    return DistilvoError(f"{rows} poses{lost}, but {len(truth.poses)}{truth_lost} in the ground truth; {advice}")


def _few(matched: int, inside: int, true_inside: int, count: int, true_count: int) -> bool:
    """Whether so few poses match, of those in what both cover and of all, that it may be by chance."""
    if matched < 2:
        return True
    return matched < _FEWEST_INSIDE * min(inside, true_inside) or matched < _FEWEST * min(count, true_count)


def _shifted(frames: Indices, numbers: Indices) -> bool:
    """Whether the estimate seems to count the same frames from another one: both ends are off alike."""
    first, last = frames[0] - numbers[0], frames[-1] - numbers[-1]
    return bool(first == last != 0)


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
