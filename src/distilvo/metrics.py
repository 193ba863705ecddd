"""How far an estimated trajectory is from the truth: RPE, ATE and the two KITTI figures. Pure numpy.

Trajectories are camera-to-world poses (N, 4, 4), metres, frame k of the estimate belonging to frame k of the truth.
Every function raises DistilvoError where the lengths differ, a number is not finite, or there are too few frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import Floats, between, rotation_angle
from distilvo.trajectories import Alignment, align, check_pair

KITTI_LENGTHS_M = (100, 200, 300, 400, 500, 600, 700, 800)


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


def errors(estimate: NDArray[Any], truth: NDArray[Any]) -> Errors:
    """Every measure of an estimate (N, 4, 4) against the truth (N, 4, 4), N >= 2."""
    translation, rotation = rpe(estimate, truth)
    rotation = np.rad2deg(rotation)
    t_rel, r_rel = kitti_errors(estimate, truth) or (None, None)
    return Errors(
        rms_rpe_t_m=_rms(translation),
        rms_rpe_r_deg=_rms(rotation),
        mean_rpe_t_m=float(translation.mean()),
        mean_rpe_r_deg=float(rotation.mean()),
        ate_m=_rms(ate(estimate, truth, "sim3")),
        t_rel=t_rel,
        r_rel=r_rel,
    )


def rpe(estimate: NDArray[Any], truth: NDArray[Any], delta: int = 1) -> tuple[Floats, Floats]:
    """Relative pose error over ``delta`` frames: translation (N-delta,) in m and rotation (N-delta,) in rad.

    Each pair is ``inv(inv(Q_i) Q_{i+delta}) @ inv(P_i) P_{i+delta}``, Q the truth and P the estimate.
    """
    estimate, truth = _pair(estimate, truth)
    if not 1 <= delta < len(truth):
        raise DistilvoError(
            f"the relative pose error over {delta} frames needs 1 <= delta < {len(truth)}, the number of poses; "
            "score a longer trajectory or a shorter step"
        )
    return _differences(estimate, truth, np.arange(len(truth) - delta), np.arange(delta, len(truth)))


def ate(estimate: NDArray[Any], truth: NDArray[Any], alignment: Alignment) -> Floats:
    """Absolute trajectory error: distance of each position (N,) in m, after :func:`distilvo.trajectories.align`."""
    estimate, truth = _pair(estimate, truth)
    distance: Floats = np.linalg.norm(align(estimate, truth, alignment)[:, :3, 3] - truth[:, :3, 3], axis=1)
    return distance


def kitti_errors(
    estimate: NDArray[Any],
    truth: NDArray[Any],
    lengths: Sequence[float] = KITTI_LENGTHS_M,
    step: int = 10,
) -> tuple[float, float] | None:
    """The KITTI benchmark's figures: translation error in % and rotation error in degrees per 100 m, not aligned.

    Means over all stretches of the given lengths (m, along the true path) that begin at every ``step``-th frame; None
    when the path is too short for any.
    """
    estimate, truth = _pair(estimate, truth)
    steps = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    starts, metres = (grid.ravel() for grid in np.meshgrid(np.arange(0, len(truth), step), lengths, indexing="ij"))
    # The first frame strictly beyond the length, as in the benchmark's own program.
    ends = np.searchsorted(travelled, travelled[starts] + metres, side="right")
    inside = ends < len(truth)
    if not inside.any():
        return None
    translation, rotation = _differences(estimate, truth, starts[inside], ends[inside])
    per_metre = 100.0 / metres[inside]
    return float((translation * per_metre).mean()), float((np.rad2deg(rotation) * per_metre).mean())


def _differences(
    estimate: Floats, truth: Floats, starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Translation (M,) in m and rotation (M,) in rad by which the motions from starts to ends (M,) differ."""
    difference = between(between(truth[starts], truth[ends]), between(estimate[starts], estimate[ends]))
    return np.linalg.norm(difference[:, :3, 3], axis=1), rotation_angle(difference[:, :3, :3])


def _pair(estimate: NDArray[Any], truth: NDArray[Any]) -> tuple[Floats, Floats]:
    estimate, truth = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    check_pair(estimate, truth)
    return estimate, truth


def _rms(values: Floats) -> float:
    return math.sqrt(float(np.square(values).mean()))
