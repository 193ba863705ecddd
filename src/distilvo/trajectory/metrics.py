"""How far an estimated trajectory is from the truth: RPE, ATE and the two KITTI measures. Pure numpy.

Trajectories are camera-to-world poses (N, 4, 4), metres. Every function raises DistilvoError where lengths do not fit,
a number is not finite, or there are too few frames. What each measure is, and what other tools call it, is in
docs/metrics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats, between, rotation_angle
from distilvo.settings import Alignment, RpeUnit, Scoring
from distilvo.trajectory.alignment import align, align_with_scale, check_pair, check_poses
from distilvo.trajectory.segments import KITTI_LENGTHS_M, KITTI_STEP, Indices, pairs_apart, segments, travelled

_ABSENT = -1
_PAPER = Scoring()


@dataclass(frozen=True)
class Deviations:
    """Every single error of an estimate, from which the statistics are made.

    rpe_t_m, rpe_r_deg                   (P,) of each pair of frames
    rpe_ends                             (P,) the frame at which each pair ends
    ate_m                                (M,) of each pose
    kitti_percent, kitti_deg_per_100m    (S,) of each segment of 100 to 800 m
    paths_m                              true length that the estimate covers, of each sequence
    ate_scales                           by what the alignment of the ATE scaled the estimate, of each sequence
    """

    rpe_t_m: Floats
    rpe_r_deg: Floats
    rpe_ends: Indices
    ate_m: Floats
    kitti_percent: Floats
    kitti_deg_per_100m: Floats
    paths_m: tuple[float, ...]
    ate_scales: tuple[float, ...]

    @staticmethod
    def pooled(parts: Sequence[Deviations]) -> Deviations:
        """Those of several sequences together: each pair, pose and segment counts as much as any other."""

        def joined(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        return Deviations(
            rpe_t_m=joined("rpe_t_m"),
            rpe_r_deg=joined("rpe_r_deg"),
            rpe_ends=joined("rpe_ends"),
            ate_m=joined("ate_m"),
            kitti_percent=joined("kitti_percent"),
            kitti_deg_per_100m=joined("kitti_deg_per_100m"),
            paths_m=tuple(path for part in parts for path in part.paths_m),
            ate_scales=tuple(scale for part in parts for scale in part.ate_scales),
        )

    @property
    def ate_scale(self) -> float | None:
        """By what the alignment of the ATE scaled the estimate; None for several sequences: each has its own."""
        return self.ate_scales[0] if len(self.ate_scales) == 1 else None

    @property
    def short(self) -> bool:
        """Whether no sequence is longer than the shortest segment that the KITTI measures are taken over."""
        return max(self.paths_m) <= KITTI_LENGTHS_M[0]

    def statistics(self) -> dict[str, float | None]:
        """The measures by the name that tables, JSON and documents use; None where there is nothing to measure."""
        return {
            "t_rel_percent": _or_none(_mean, self.kitti_percent),
            "r_rel_deg_per_100m": _or_none(_mean, self.kitti_deg_per_100m),
            "ate_m": _rms(self.ate_m),
            "mean_ate_m": _mean(self.ate_m),
            "median_ate_m": _median(self.ate_m),
            "rms_rpe_t_m": _or_none(_rms, self.rpe_t_m),
            "rms_rpe_r_deg": _or_none(_rms, self.rpe_r_deg),
            "mean_rpe_t_m": _or_none(_mean, self.rpe_t_m),
            "mean_rpe_r_deg": _or_none(_mean, self.rpe_r_deg),
            "median_rpe_t_m": _or_none(_median, self.rpe_t_m),
            "median_rpe_r_deg": _or_none(_median, self.rpe_r_deg),
        }


@dataclass(frozen=True)
class Errors:
    """The errors of one trajectory, or of several pooled. RPE over consecutive frames, unaligned; ATE after Sim(3).

    rms_rpe_t_m, rms_rpe_r_deg          root mean square of the relative error, m and degrees a frame
    mean_rpe_t_m, mean_rpe_r_deg        its mean
    ate_m                               root mean square of the absolute error, m, Sim(3)
    ate_scale                           by what Sim(3) scaled the estimate; None for several trajectories
    t_rel_percent, r_rel_deg_per_100m   KITTI: over segments of 100 to 800 m; None if no path is longer than 100 m
    """

    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    mean_rpe_t_m: float
    mean_rpe_r_deg: float
    ate_m: float
    ate_scale: float | None
    t_rel_percent: float | None
    r_rel_deg_per_100m: float | None

    @classmethod
    def of(cls, singles: Deviations) -> Errors:
        """From every single error, at least one pair of frames and one pose."""
        return cls(
            rms_rpe_t_m=_rms(singles.rpe_t_m),
            rms_rpe_r_deg=_rms(singles.rpe_r_deg),
            mean_rpe_t_m=_mean(singles.rpe_t_m),
            mean_rpe_r_deg=_mean(singles.rpe_r_deg),
            ate_m=_rms(singles.ate_m),
            ate_scale=singles.ate_scale,
            t_rel_percent=_or_none(_mean, singles.kitti_percent),
            r_rel_deg_per_100m=_or_none(_mean, singles.kitti_deg_per_100m),
        )

    def to_dict(self) -> dict[str, float | None]:
        """The fields by name, ready for JSON."""
        return asdict(self)


def deviations(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    how: Scoring = _PAPER,
    frames: NDArray[Any] | None = None,
    times: NDArray[Any] | None = None,
    numbers: NDArray[Any] | None = None,
    *,
    by_time: bool = False,
) -> Deviations:
    """Every error of an estimate (M, 4, 4), M >= 2, against the truth (N, 4, 4).

    ``frames`` (M,) are the frames of the truth that the poses belong to, in order; without them M = N. The relative
    error is taken over the poses that are estimated, as by :func:`rpe`. KITTI's segments lie on the whole path of the
    truth, and those count that have an estimate at both ends, as in the published KITTI scorer; or, where poses were
    matched ``by_time``, on the true poses that were matched. ``times`` (N,), in seconds, of the truth are needed where
    the relative error is taken over seconds, and its frame ``numbers`` (N,) where it is taken over frames of the truth
    and they are not 0, 1, 2, ...
    """
    estimate, truth = check_poses("estimate", estimate), check_poses("truth", truth)
    frames = _checked_frames(frames, len(estimate), len(truth))
    if len(estimate) < 2:
        raise DistilvoError("the estimate has one pose; expected at least two poses, motion lies between them")
    true = truth[frames]
    aligned = align(estimate, true, how.relative_alignment)
    numbers = frames if numbers is None else np.asarray(numbers)[frames]
    starts, ends = pairs_apart(true, how.delta, how.unit, None if times is None else np.asarray(times)[frames], numbers)
    rpe_t, rpe_r = _differences(aligned, true, starts, ends)
    percent, deg_per_100m, _ = _of_segments(aligned, truth, frames, KITTI_LENGTHS_M, by_time)
    placed, scale = align_with_scale(estimate, true, how.ate_alignment)
    way = travelled(truth[:, :3, 3])
    return Deviations(
        rpe_t_m=rpe_t,
        rpe_r_deg=np.rad2deg(rpe_r),
        rpe_ends=frames[ends],
        ate_m=np.linalg.norm(placed[:, :3, 3] - true[:, :3, 3], axis=1),
        kitti_percent=percent,
        kitti_deg_per_100m=deg_per_100m,
        paths_m=(float(way[frames[-1]] - way[frames[0]]),),
        ate_scales=(scale,),
    )


def errors_by_length(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    lengths: Sequence[float],
    how: Scoring = _PAPER,
    frames: NDArray[Any] | None = None,
    *,
    by_time: bool = False,
) -> tuple[Floats, Floats, Floats]:
    """KITTI's errors of each segment (S,): % and degrees per 100 m, and the segment's nominal length in m.

    Segments of ``lengths`` (m) begin at every ``KITTI_STEP``-th frame; the others are as in :func:`deviations`.
    """
    estimate, truth = check_poses("estimate", estimate), check_poses("truth", truth)
    frames = _checked_frames(frames, len(estimate), len(truth))
    aligned = align(estimate, truth[frames], how.relative_alignment)
    return _of_segments(aligned, truth, frames, lengths, by_time)


def errors(estimate: NDArray[Any], truth: NDArray[Any]) -> Errors:
    """The paper's measures of an estimate (N, 4, 4) against the truth (N, 4, 4), N >= 2, and the KITTI measures."""
    return Errors.of(deviations(estimate, truth))


def rpe(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    delta: float = 1,
    unit: RpeUnit = "frames",
    times: NDArray[Any] | None = None,
) -> tuple[Floats, Floats]:
    """Relative pose error over ``delta``, of every pair (P,): translation in m and rotation in rad.

    Each is of ``inv(inv(Q_i) Q_j) @ inv(P_i) P_j``, Q the truth and P the estimate, both (N, 4, 4). Frame j comes

    frames        exactly so many of the N poses after i; truth-frames are the same where none is missing
    m             first of those that lie at least so far on along the true path
    s             closest to that time after i, and within a tenth of ``delta`` of it; ``times`` (N,) in s are needed
    """
    estimate, truth = _pair(estimate, truth)
    how = Scoring(delta=delta, unit=unit)
    starts, ends = pairs_apart(truth, delta, unit, times)
    if len(starts) == 0:
        raise DistilvoError(
            f"the relative pose error over {how.over}: no two of the {len(truth)} poses lie so far apart; "
            "score a longer trajectory or a shorter step"
        )
    return _differences(estimate, truth, starts, ends)


def ate(estimate: NDArray[Any], truth: NDArray[Any], alignment: Alignment) -> Floats:
    """Absolute trajectory error: distance of each position (N,) in m, after ``alignment.align``."""
    estimate, truth = _pair(estimate, truth)
    distance: Floats = np.linalg.norm(align(estimate, truth, alignment)[:, :3, 3] - truth[:, :3, 3], axis=1)
    return distance


def _of_segments(
    estimate: Floats, truth: Floats, frames: Indices, lengths: Sequence[float], by_time: bool
) -> tuple[Floats, Floats, Floats]:
    """Of each segment (S,) with both ends estimated: % and degrees per 100 m, and its length in m."""
    true = truth[frames]
    if by_time:
        truth, frames = true, np.arange(len(frames))
    place = np.full(len(truth), _ABSENT)  # of each true pose: where its estimate is
    place[frames] = np.arange(len(frames))
    starts, ends, metres = segments(truth, lengths, KITTI_STEP)
    there = (place[starts] != _ABSENT) & (place[ends] != _ABSENT)
    per_100m = 100.0 / metres[there]
    translation, rotation = _differences(estimate, true, place[starts[there]], place[ends[there]])
    return translation * per_100m, np.rad2deg(rotation) * per_100m, metres[there]


def _differences(estimate: Floats, truth: Floats, starts: Indices, ends: Indices) -> tuple[Floats, Floats]:
    """Translation (P,) in m and rotation (P,) in rad by which the motions from starts to ends (P,) differ."""
    difference = between(between(truth[starts], truth[ends]), between(estimate[starts], estimate[ends]))
    return np.linalg.norm(difference[:, :3, 3], axis=1), rotation_angle(difference[:, :3, :3])


def _checked_frames(frames: NDArray[Any] | None, poses: int, count: int) -> Indices:
    if frames is None:
        if poses != count:
            raise DistilvoError(
                f"the estimate has {poses} poses and the truth {count}; expected one for each frame in both"
            )
        return np.arange(poses)
    frames = np.asarray(frames)
    in_order = frames.shape == (poses,) and frames.dtype.kind in "iu" and bool((np.diff(frames) > 0).all())
    if not in_order or frames[0] < 0 or frames[-1] >= count:
        raise DistilvoError(f"frames: expected {poses} frame numbers in order, each once, from 0 to {count - 1}")
    return frames.astype(np.intp)


def _pair(estimate: NDArray[Any], truth: NDArray[Any]) -> tuple[Floats, Floats]:
    estimate, truth = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    check_pair(estimate, truth)
    return estimate, truth


def _or_none(statistic: Callable[[Floats], float], values: Floats) -> float | None:
    """A statistic of values (K,), None where there are none."""
    return statistic(values) if len(values) else None


def _rms(values: Floats) -> float:
    return math.sqrt(float(np.square(values).mean()))


def _mean(values: Floats) -> float:
    return float(values.mean())


def _median(values: Floats) -> float:
    return float(np.median(values))
