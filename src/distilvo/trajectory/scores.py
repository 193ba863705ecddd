"""Scores: the errors of one estimate of one sequence, or of several sequences together."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.settings import Scoring
from distilvo.trajectory.association import associate
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.metrics import Deviations, deviations
from distilvo.trajectory.segments import KITTI_LENGTHS_M, Indices


@dataclass(frozen=True)
class Compared:
    """The poses that a score was made of.

    Attributes:
        estimate: (M, 4, 4) camera-to-world, as estimated.
        truth: (N, 4, 4).
        frames: (M,) which of the truth each pose of the estimate goes with.
        times: (N,) of the truth, s, where it has times.
    """

    estimate: Floats
    truth: Floats
    frames: Indices
    times: Floats | None


@dataclass(frozen=True)
class Score:
    """The errors of one estimate of one sequence, or of several sequences together.

    Attributes:
        name: of the estimate.
        sequence: name of the drive.
        deviations: every single error.
        how: alignment, and what the relative error is taken over.
        compared: the poses; None for several drives together.
    """

    name: str
    sequence: str
    deviations: Deviations
    how: Scoring
    compared: Compared | None = None

    @property
    def missing_kitti(self) -> str:
        """The reason why there is no t_rel and no r_rel, in a word or two; empty where there are both."""
        if len(self.deviations.kitti_percent):
            return ""
        return "short" if self.deviations.short else "no pair"

    @property
    def missing_rpe(self) -> str:
        """The reason why there is no relative pose error; empty where there is one."""
        return "" if len(self.deviations.rpe_t_m) else "no pair"

    def note(self) -> str | None:
        """The reason why numbers are missing, in a sentence; None where none is missing."""
        reasons = []
        if self.missing_kitti:
            paths = self.deviations.paths_m
            which = "path" if len(paths) == 1 else "longest path"
            length = f"the {which} is {max(paths):.1f} m long, not more than {KITTI_LENGTHS_M[0]} m"
            gaps = f"no segment of {KITTI_LENGTHS_M[0]} m or more has an estimate at both ends"
            reasons.append(f"no t_rel and r_rel: {length if self.deviations.short else gaps}")
        if self.missing_rpe:
            reasons.append(f"no RPE: no two estimated poses lie {self.how.over} apart")
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
            "poses": len(self.deviations.ate_m),
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
        true, times, frames, kept = associate(estimate, truth, how.tolerance)
        if len(kept) < len(estimate.poses):
            warnings.warn(
                f"{source}: {len(kept)} of {len(estimate.poses)} poses lie within {how.tolerance:g} s of a true pose "
                "of their own and are scored",
                stacklevel=2,
            )
        singles = deviations(estimate.poses[kept], true, how, frames, times)
    except DistilvoError as error:
        raise DistilvoError(f"{source}: {error}") from None
    return Score(name, sequence, singles, how, Compared(estimate.poses[kept], true, frames, times))


def with_totals(scores: list[Score]) -> list[Score]:
    """The scores by name, each with several sequences followed by one of all of them together."""
    rows = []
    for name in dict.fromkeys(score.name for score in scores):
        own = [score for score in scores if score.name == name]
        rows += own
        if len(own) > 1:
            pooled = Deviations.pooled([score.deviations for score in own])
            rows.append(Score(name, f"all {len(own)}", pooled, own[0].how))
    return rows
