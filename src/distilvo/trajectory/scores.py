"""Scores: the errors of one estimate of one sequence, or of several sequences together."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.settings import Scoring
from distilvo.trajectory.association import associate
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.metrics import Deviations, deviations
from distilvo.trajectory.segments import KITTI_LENGTHS_M, Indices

_LEFT_OUT = ("left_out", "truth_left_out")


@dataclass(frozen=True)
class Compared:
    """The poses that a score was made of.

    Attributes:
        estimate: (M, 4, 4) camera-to-world, as estimated.
        truth: (N, 4, 4).
        frames: (M,) which of the truth each pose of the estimate goes with.
        times: (N,) of the truth, s, where it has times.
        numbers: (N,) frame numbers of the truth, where it has such.
        by_time: whether times decide what is compared: see ``association.Match``.
    """

    estimate: Floats
    truth: Floats
    frames: Indices
    times: Floats | None
    numbers: NDArray[np.int64] | None
    by_time: bool


@dataclass(frozen=True)
class Score:
    """The errors of one estimate of one sequence, or of several sequences together.

    Attributes:
        name: of the estimate.
        sequence: name of the drive.
        deviations: every single error.
        how: alignment, and what the relative error is taken over.
        left_out: how many poses of the estimate are not scored: they have no true pose, no finite numbers, or the time
            of another one.
        truth_left_out: how many true poses between the first and the last that are scored have no estimate.
        compared: the poses; None for several drives together.
    """

    name: str
    sequence: str
    deviations: Deviations
    how: Scoring
    left_out: int = 0
    truth_left_out: int = 0
    compared: Compared | None = None

    @property
    def poses(self) -> int:
        """How many poses are scored."""
        return len(self.deviations.ate_m)

    @property
    def rpe_pairs(self) -> int:
        """How many pairs of poses the relative error is made of."""
        return len(self.deviations.rpe_t_m)

    @property
    def missing_kitti(self) -> str:
        """The reason why there is no t_rel and no r_rel, in a word or two; empty where there are both."""
        if len(self.deviations.kitti_percent):
            return ""
        return "short" if self.deviations.short else "no pair"

    @property
    def missing_rpe(self) -> str:
        """The reason why there is no relative pose error; empty where there is one."""
        return "" if self.rpe_pairs else "no pair"

    def note(self) -> str | None:
        """What was left out, and the reason why numbers are missing, in a sentence; None where there is neither."""
        reasons = []
        counts = (self.left_out, "poses of the estimate"), (self.truth_left_out, "true poses between those scored")
        if left_out := [f"{count} {poses}" for count, poses in counts if count]:
            reasons.append(f"left out: {', '.join(left_out)}")
        if self.missing_kitti:
            paths = self.deviations.paths_m
            which = "path" if len(paths) == 1 else "longest path"
            length = f"the {which} is {max(paths):.1f} m long, not more than {KITTI_LENGTHS_M[0]} m"
            gaps = f"no segment of {KITTI_LENGTHS_M[0]} m or more has an estimate at both ends"
            reasons.append(f"no t_rel and r_rel: {length if self.deviations.short else gaps}")
        if self.missing_rpe:
            reasons.append(f"no RPE: no two poses that are scored lie {self.how.over} apart")
        return "; ".join(reasons) or None

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` and ``scores.json`` have it; None for a measure that cannot be taken."""
        return {
            "estimate": self.name,
            "sequence": self.sequence,
            **self.deviations.statistics(),
            "alignment": self.how.align,
            "relative_alignment": self.how.relative_alignment,
            "ate_alignment": self.how.ate_alignment,
            "rpe_delta": self.how.delta,
            "rpe_unit": self.how.unit,
            "ate_scale": self.deviations.ate_scale,
            "poses": self.poses,
            "rpe_pairs": self.rpe_pairs,
            "segments": len(self.deviations.kitti_percent),
            "left_out": self.left_out,
            "truth_left_out": self.truth_left_out,
            "path_m": sum(self.deviations.paths_m),
            "note": self.note(),
        }


def score(name: str, sequence: str, estimate: Trajectory, truth: Trajectory, how: Scoring, source: str = "") -> Score:
    """Score one estimate; ``source`` names the estimate in errors.

    Raises:
        DistilvoError: estimate and truth do not fit each other.
    """
    source = source or f"{name}, {sequence}"
    try:
        match = associate(estimate, truth, how.tolerance, how.offset)
        own = Compared(
            estimate.poses[match.kept], truth.poses, match.frames, truth.times, truth.frames, by_time=match.by_time
        )
        singles = deviations(own.estimate, own.truth, how, own.frames, own.times, own.numbers, by_time=own.by_time)
    except DistilvoError as error:
        raise DistilvoError(f"{source}: {error}") from None
    for note in match.notes:
        warnings.warn(f"{source}: {note}", stacklevel=2)
    left_out = estimate.left_out + len(estimate.poses) - len(match.kept)
    truth_left_out = int(match.frames[-1] - match.frames[0]) + 1 - len(match.frames)
    return Score(name, sequence, singles, how, left_out, truth_left_out, own)


def with_totals(scores: list[Score]) -> list[Score]:
    """The scores by name, each with several sequences followed by one of all of them together."""
    rows = []
    for name in dict.fromkeys(score.name for score in scores):
        own = [score for score in scores if score.name == name]
        rows += own
        if len(own) > 1:
            pooled = Deviations.pooled([score.deviations for score in own])
            left_out, truth_left_out = (sum(getattr(score, key) for score in own) for key in _LEFT_OUT)
            rows.append(Score(name, f"all {len(own)}", pooled, own[0].how, left_out, truth_left_out))
    return rows
