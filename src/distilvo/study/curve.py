"""What the paper claims of students of many sizes: error and time against the distillation rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from distilvo.study.claims import Claim, Comparison, Intervals, ratios
from distilvo.study.plan import Cell, Reference, Row
from distilvo.study.statistics import ERRORS, CellsOfRows, Measure, mean_interval, paired, values

RATE, SPEED_UP = 92.95, 2.12
CLOSE = 1.25
"""What "close" means is this project's choice: errors below so many times the teacher's."""

_NEAR = 1.0  # percentage points from the paper's rate within which a student stands for it
_BEATING = (65.0, 81.0)  # rates of students with about 20 to 34 % of the parameters
_TIME = Measure("latency_ms", "the teacher takes", "latency (ms)", "× the student's time", 2)


class Curve:
    """Students by their real rate; only those with cells.

    Args:
        rows: the students.
        cells: of the study.
        teacher: what they are held against, if it was measured.
    """

    def __init__(self, rows: Sequence[Row], cells: CellsOfRows, teacher: Reference | None) -> None:
        self._cells = cells
        self._teacher = teacher
        self._rows = sorted((row for row in rows if row.name in cells), key=self._rate)

    def close(self) -> Comparison:
        """Finding 5, first part: at the paper's rate the errors are close to the teacher's."""
        return self._over_teacher(self._middle(), Claim("ratio", -1, CLOSE), f"{RATE} %")

    def beating(self) -> list[Comparison]:
        """Finding 5, second part: bigger students sometimes beat their teacher."""
        low, high = _BEATING
        rows = [row for row in self._rows if low <= self._rate(row) <= high]
        claim = Claim("ratio", -1, 1.0)
        return [self._over_teacher(row, claim, "") for row in rows] or [self._over_teacher(None, claim, "66 to 80 %")]

    def growth(self) -> Comparison:
        """Finding 5, third part: the error grows faster past the paper's rate than before it."""
        claim = Claim("difference", 1)
        middle = self._middle()
        if middle is None or middle in (self._rows[0], self._rows[-1]):
            return Comparison(f"students before, at and past {RATE} % fewer parameters", claim)
        first, last = self._rows[0], self._rows[-1]
        a, b, c = (f"{self._rate(row):.1f}" for row in (first, middle, last))
        intervals = []
        for measure in ERRORS:
            growth = paired(self._slope(middle, last, measure), self._slope(first, middle, measure)).difference
            if growth:
                per_point = replace(measure, unit=f"{measure.unit} per percentage point", decimals=measure.decimals + 1)
                intervals.append((per_point, growth))
        return Comparison(f"growth of the error from {b} to {c} % less that from {a} to {b} %", claim, tuple(intervals))

    def time(self) -> Comparison:
        """Finding 6: how much longer the teacher takes than the student at the paper's rate."""
        claim = Claim("ratio", 1, SPEED_UP)
        row = self._middle()
        if row is None or self._teacher is None or not self._teacher.latency_ms:
            return Comparison(self._missing(f"{RATE} %"), claim)
        times = values(self._cells[row.name], _TIME).values()
        factor = mean_interval(self._teacher.latency_ms / time for time in times)
        return Comparison(self._what(row), claim, ((_TIME, factor),))

    def _over_teacher(self, row: Row | None, claim: Claim, rates: str) -> Comparison:
        if row is None or self._teacher is None:
            return Comparison(self._missing(rates), claim)
        intervals: Intervals = ratios(self._cells[row.name], self._teacher)
        return Comparison(self._what(row), claim, intervals)

    def _middle(self) -> Row | None:
        """The student nearest to the paper's rate, if it is near."""
        row = min(self._rows, key=lambda row: abs(self._rate(row) - RATE), default=None)
        return row if row and abs(self._rate(row) - RATE) <= _NEAR else None

    def _slope(self, low: Row, high: Row, measure: Measure) -> dict[int, float]:
        """Growth of an error for each percentage point of the rate, by seed."""
        before: Mapping[int, Cell] = self._cells[low.name]
        after: Mapping[int, Cell] = self._cells[high.name]
        return {
            seed: (getattr(after[seed], measure.field) - getattr(before[seed], measure.field))
            / (after[seed].rate - before[seed].rate)
            for seed in sorted(before.keys() & after.keys())
            if after[seed].rate > before[seed].rate
        }

    def _rate(self, row: Row) -> float:
        return fmean(cell.rate for cell in self._cells[row.name].values())

    def _what(self, row: Row) -> str:
        return f"{row.label} with {self._rate(row):.2f} % fewer parameters, against the teacher"

    def _missing(self, rates: str) -> str:
        missing = "teacher" if self._teacher is None else f"student with {rates} fewer parameters"
        return f"no {missing} in the study"
