"""How far an estimated trajectory is from the truth: RPE, ATE and the two KITTI figures. Pure numpy.

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

from distilvo.alignment import align, check_pair, check_poses, poses_of_positions
from distilvo.errors import DistilvoError
from distilvo.pairs import KITTI_LENGTHS_M, KITTI_STEP, Indices, pairs_apart, stretches, travelled
from distilvo.poses import Floats, between, rotation_angle
from distilvo.settings import Alignment, RpeUnit, Scoring

_ABSENT = -1
_PAPER = Scoring()


@dataclass(frozen=True)
class Errors:
    """The errors of one trajectory. RPE is over consecutive frames, not aligned; ATE is after Sim(3) alignment.

    rms_rpe_t_m, rms_rpe_r_deg    root mean square of the relative error, m and degrees a frame
    mean_rpe_t_m, mean_rpe_r_deg  its mean
    ate_m                         root mean square of the absolute error, m, Sim(3)
    t_rel, r_rel                  KITTI: % and degrees per 100 m over 100 to 800 m; None if shorter than 100 m
    """

    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    mean_rpe_t_m: float
    mean_rpe_r_deg: float
    ate_m: float
    t_rel: float | None
    r_rel: float | None

    def to_dict(self) -> dict[str, float | None]:
        """The fields by name, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Deviations:
    """Every single error of an estimate, from which the figures are made.

    rpe_t_m, rpe_r_deg                   (P,) of each pair of frames
    rpe_ends                             (P,) the frame at which each pair ends
    ate_m                                (M,) of each pose
    kitti_percent, kitti_deg_per_100m    (S,) of each stretch of 100 to 800 m
    paths_m                              true length that the estimate covers, of each sequence
    """

    rpe_t_m: Floats
    rpe_r_deg: Floats
    rpe_ends: Indices
    ate_m: Floats
    kitti_percent: Floats
    kitti_deg_per_100m: Floats
    paths_m: tuple[float, ...]

    @staticmethod
    def pooled(parts: Sequence[Deviations]) -> Deviations:
        """Those of several sequences together: each pair, pose and stretch counts as much as any other."""

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
        )

    @property
    def short(self) -> bool:
        """Whether no sequence is longer than the shortest stretch that the KITTI figures are taken over."""
        return max(self.paths_m) <= KITTI_LENGTHS_M[0]

    def figures(self) -> dict[str, float | None]:
        """The figures by name, ready for JSON; None where there is nothing to take one of."""
        return {
            "t_rel_percent": _known(_mean, self.kitti_percent),
            "r_rel_deg_per_100m": _known(_mean, self.kitti_deg_per_100m),
            "ate_rms_m": _rms(self.ate_m),
            "ate_mean_m": _mean(self.ate_m),
            "ate_median_m": _median(self.ate_m),
            "rms_rpe_t_m": _known(_rms, self.rpe_t_m),
            "rms_rpe_r_deg": _known(_rms, self.rpe_r_deg),
            "rpe_mean_t_m": _known(_mean, self.rpe_t_m),
            "rpe_mean_r_deg": _known(_mean, self.rpe_r_deg),
            "rpe_median_t_m": _known(_median, self.rpe_t_m),
            "rpe_median_r_deg": _known(_median, self.rpe_r_deg),
        }


def deviations(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    how: Scoring = _PAPER,
    frames: NDArray[Any] | None = None,
    times: NDArray[Any] | None = None,
) -> Deviations:
    """Every error of an estimate (M, 4, 4), M >= 2, against the truth (N, 4, 4).

    ``frames`` (M,) says which frame of the truth each pose belongs to, in order; without it M = N. Only pairs and
    stretches both of whose ends are estimated count, as in the published KITTI scorer. ``times`` (N,), in seconds, of
    the truth are needed where the relative error is taken over seconds.
    """
    estimate, truth = check_poses("estimate", estimate), check_poses("truth", truth)
    frames = _checked_frames(frames, len(estimate), len(truth))
    if len(estimate) < 2:
        raise DistilvoError("the estimate has one pose; expected at least two, motion lies between frames")
    place = np.full(len(truth), _ABSENT)
    place[frames] = np.arange(len(frames))
    aligned = align(estimate, truth[frames], how.relative_alignment)
    starts, ends = pairs_apart(truth, how.delta, how.unit, times)
    there = _estimated(place, starts, ends)
    rpe_t, rpe_r = _differences(aligned, truth, place, starts[there], ends[there])
    percent, deg_per_100m, _ = _of_stretches(aligned, truth, place, KITTI_LENGTHS_M, KITTI_STEP)
    placed = align(estimate, truth[frames], how.ate_alignment)
    way = travelled(truth[:, :3, 3])
    return Deviations(
        rpe_t_m=rpe_t,
        rpe_r_deg=np.rad2deg(rpe_r),
        rpe_ends=ends[there],
        ate_m=np.linalg.norm(placed[:, :3, 3] - truth[frames, :3, 3], axis=1),
        kitti_percent=percent,
        kitti_deg_per_100m=deg_per_100m,
        paths_m=(float(way[frames[-1]] - way[frames[0]]),),
    )


def errors_by_length(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    lengths: Sequence[float],
    how: Scoring = _PAPER,
    frames: NDArray[Any] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """KITTI's errors of each stretch (S,): % and degrees per 100 m, and the stretch's nominal length in m.

    Stretches of ``lengths`` (m) begin at every ``KITTI_STEP``-th frame; ``frames`` as in :func:`deviations`.
    """
    estimate, truth = check_poses("estimate", estimate), check_poses("truth", truth)
    frames = _checked_frames(frames, len(estimate), len(truth))
    place = np.full(len(truth), _ABSENT)
    place[frames] = np.arange(len(frames))
    aligned = align(estimate, truth[frames], how.relative_alignment)
    return _of_stretches(aligned, truth, place, lengths, KITTI_STEP)


def errors(estimate: NDArray[Any], truth: NDArray[Any]) -> Errors:
    """The paper's measures of an estimate (N, 4, 4) against the truth (N, 4, 4), N >= 2, and the KITTI figures."""
    found = deviations(estimate, truth)
    return Errors(
        rms_rpe_t_m=_rms(found.rpe_t_m),
        rms_rpe_r_deg=_rms(found.rpe_r_deg),
        mean_rpe_t_m=_mean(found.rpe_t_m),
        mean_rpe_r_deg=_mean(found.rpe_r_deg),
        ate_m=_rms(found.ate_m),
        t_rel=_known(_mean, found.kitti_percent),
        r_rel=_known(_mean, found.kitti_deg_per_100m),
    )


def rpe(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    delta: float = 1,
    unit: RpeUnit = "frames",
    times: NDArray[Any] | None = None,
) -> tuple[Floats, Floats]:
    """Relative pose error over ``delta``, of every pair (P,): translation in m and rotation in rad.

    Each is of ``inv(inv(Q_i) Q_j) @ inv(P_i) P_j``, Q the truth and P the estimate, both (N, 4, 4). Frame j comes

    frames  exactly so many frames after i
    m       first of those that lie at least so far on along the true path
    s       closest to that time after i, and within a tenth of ``delta`` of it; ``times`` (N,) in seconds are needed
    """
    estimate, truth = _pair(estimate, truth)
    how = Scoring(delta=delta, unit=unit)
    starts, ends = pairs_apart(truth, delta, unit, times)
    if len(starts) == 0:
        raise DistilvoError(
            f"the relative pose error over {how.over}: no two of the {len(truth)} poses lie so far apart; "
            "score a longer trajectory or a shorter step"
        )
    return _differences(estimate, truth, np.arange(len(truth)), starts, ends)


def ate(estimate: NDArray[Any], truth: NDArray[Any], alignment: Alignment) -> Floats:
    """Absolute trajectory error: distance of each position (N,) in m, after :func:`distilvo.alignment.align`."""
    estimate, truth = _pair(estimate, truth)
    distance: Floats = np.linalg.norm(align(estimate, truth, alignment)[:, :3, 3] - truth[:, :3, 3], axis=1)
    return distance


def gps_rms(estimate: NDArray[Any], positions: NDArray[Any]) -> float:
    """RMS distance (m) of an estimate (N, 4, 4) from positions (N, 3) east, north, up of a GPS, aligned by Sim(3)."""
    return _rms(ate(estimate, poses_of_positions(positions), "sim3"))


def kitti_errors(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    lengths: Sequence[float] = KITTI_LENGTHS_M,
    step: int = KITTI_STEP,
) -> tuple[float, float] | None:
    """The KITTI benchmark's figures: translation error in % and rotation error in degrees per 100 m, not aligned.

    Means over all stretches of the given lengths (m, along the true path) that begin at every ``step``-th frame; None
    when the path is too short for any.
    """
    estimate, truth = _pair(estimate, truth)
    percent, deg_per_100m, _ = _of_stretches(estimate, truth, np.arange(len(truth)), lengths, step)
    return (_mean(percent), _mean(deg_per_100m)) if len(percent) else None


def _of_stretches(
    estimate: Floats, truth: Floats, place: Indices, lengths: Sequence[float], step: int
) -> tuple[Floats, Floats, Floats]:
    """Of each stretch (S,) with both ends estimated: % and degrees per 100 m, and its length in m; see ``place``
    in :func:`_differences`.
    """
    starts, ends, metres = stretches(truth, lengths, step)
    there = _estimated(place, starts, ends)
    translation, rotation = _differences(estimate, truth, place, starts[there], ends[there])
    per_100m = 100.0 / metres[there]
    return translation * per_100m, np.rad2deg(rotation) * per_100m, metres[there]


def _estimated(place: Indices, starts: Indices, ends: Indices) -> NDArray[np.bool_]:
    """Of which pairs (P,) both frames are estimated."""
    return (place[starts] != _ABSENT) & (place[ends] != _ABSENT)


def _differences(
    estimate: Floats, truth: Floats, place: Indices, starts: Indices, ends: Indices
) -> tuple[Floats, Floats]:
    """Translation (P,) in m and rotation (P,) in rad by which the motions from starts to ends (P,) differ.

    ``place`` (N,): where in the estimate (M, 4, 4) each frame of the truth (N, 4, 4) is.
    """
    moved = between(estimate[place[starts]], estimate[place[ends]])
    difference = between(between(truth[starts], truth[ends]), moved)
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


def _known(figure: Callable[[Floats], float], values: Floats) -> float | None:
    """A figure of values (K,), None where there are none."""
    return figure(values) if len(values) else None


def _rms(values: Floats) -> float:
    return math.sqrt(float(np.square(values).mean()))


def _mean(values: Floats) -> float:
    return float(values.mean())


def _median(values: Floats) -> float:
    return float(np.median(values))
