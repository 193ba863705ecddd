"""What the paper claims of two rows, or of a row and the teacher, held against intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from distilvo.study.plan import Cell, Reference
from distilvo.study.statistics import ERRORS, Interval, Measure, compared, ratio

Outcome = Literal["reproduced", "not shown", "contradicted", "not tested"]
Intervals = tuple[tuple[Measure, Interval], ...]


@dataclass(frozen=True)
class Claim:
    """That something lies above (``side`` 1) or below (``side`` -1) a threshold.

    Attributes:
        of: what the intervals are of: a difference of errors, or a ratio.
        side: where the paper expects them.
        threshold: on which side of it.
    """

    of: Literal["difference", "ratio"]
    side: Literal[-1, 1]
    threshold: float = 0.0

    def __str__(self) -> str:
        return f"{self.of} {'above' if self.side > 0 else 'below'} {self.threshold:g}"

    def outcome(self, intervals: Intervals) -> Outcome:
        """On the paper's side in one measure and on the other side in none, or the other way round."""
        sides = {self.side * interval.side(self.threshold) for _, interval in intervals}
        if not sides:
            return "not tested"
        if 1 in sides and -1 not in sides:
            return "reproduced"
        return "contradicted" if -1 in sides and 1 not in sides else "not shown"


@dataclass(frozen=True)
class Comparison:
    """A claim and what was measured of it.

    Attributes:
        what: which rows, by their labels, or what is missing.
        claim: what the paper expects.
        intervals: over seeds, of each measure; none where there are no cells.
    """

    what: str
    claim: Claim
    intervals: Intervals = ()

    @property
    def outcome(self) -> Outcome:
        """What the intervals say of the claim."""
        return self.claim.outcome(self.intervals)

    def show(self) -> str:
        """The intervals with their units and the number of seeds, or a word that there are none."""
        if not self.intervals:
            return "no cells"
        signed, seeds = self.claim.of == "difference", min(interval.count for _, interval in self.intervals)
        texts = [f"{of.name} {interval.show(of.decimals, signed)} {of.unit}" for of, interval in self.intervals]
        return "; ".join([*texts, f"{seeds} seed{'s' * (seeds > 1)}"])


def differences(cells: Mapping[int, Cell], reference: Mapping[int, Cell]) -> Intervals:
    """Each error of a row less that of another, paired by seed."""
    pairs = [(measure, compared(cells, reference, measure).difference) for measure in ERRORS]
    return tuple((measure, difference) for measure, difference in pairs if difference)


def ratios(cells: Mapping[int, Cell], teacher: Reference) -> Intervals:
    """Each error of a row over that of the teacher."""
    return tuple(
        (replace(measure, unit="of the teacher's", decimals=3), ratio(cells, teacher, measure))
        for measure in ERRORS
        if cells
    )


def every(outcomes: Sequence[Outcome]) -> Outcome:
    """Several claims that must all hold: one that is contradicted contradicts them."""
    if "contradicted" in outcomes:
        return "contradicted"
    if all(outcome == "not tested" for outcome in outcomes):
        return "not tested"
    return "reproduced" if all(outcome == "reproduced" for outcome in outcomes) else "not shown"


def some(outcomes: Sequence[Outcome]) -> Outcome:
    """A claim that one of several cases is enough for; it is contradicted if all of them are."""
    if "reproduced" in outcomes:
        return "reproduced"
    tested = [outcome for outcome in outcomes if outcome != "not tested"]
    if not tested:
        return "not tested"
    return "contradicted" if all(outcome == "contradicted" for outcome in tested) else "not shown"
