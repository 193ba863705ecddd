"""The paper's seven findings, each held against the cells of a study; ``RULE`` says how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from distilvo.settings import Method
from distilvo.study.claims import Claim, Comparison, Outcome, differences, every, some
from distilvo.study.curve import CLOSE, RATE, SPEED_UP, Curve
from distilvo.study.plan import Cell, Plan, Reference, Row, Table
from distilvo.study.statistics import CellsOfRows, by_row

RULE = (
    "A comparison is reproduced where the 95 % interval over seeds lies wholly on the paper's side in translation or "
    "in rotation and wholly on the other side in neither; contradicted where it is the other way round; otherwise not "
    "shown. ATE is told and decides nothing. A finding of several claims is reproduced if all of them are and "
    "contradicted if one of them is; where the paper says that something can be, one case is enough. Rows are compared "
    "at one rate and are those of the tables (1) to (4), without what the paper does not have: narrow students and "
    "inherited weights."
)
_TABLES: tuple[Table, ...] = ("blends", "hints", "literature", "rates")
_STATEMENTS = (
    "Imitating the teacher without regard to its error can be worse than no teacher at all.",
    "Attentive imitation is the best of the five blends.",
    "Hint training lowers the error, and attentive hint training lowers it more.",
    "First the hints, then the imitation, is better than both at once.",
    "Down to 7 % of the parameters the student stays close to its teacher (here: errors below "
    f"{CLOSE} times the teacher's); students with about 20 to 34 % sometimes beat it; past 93 % fewer the error "
    "grows fast (here: faster than before).",
    f"{RATE} % fewer parameters take {SPEED_UP} times less computation time.",
    "The paper's method beats plain supervision, FitNets and the teacher as upper bound on the same student.",
)

Wanted = dict[str, str | bool]
_GROUND_TRUTH: Wanted = {"blend": "ground-truth", "hint": "none"}
_TEACHER_ONLY: Wanted = {"blend": "teacher-only", "hint": "none"}
_MINIMUM: Wanted = {"blend": "minimum", "hint": "none"}
_ADDITIONAL: Wanted = {"blend": "additional", "hint": "none"}
_UPPER_BOUND: Wanted = {"blend": "upper-bound", "hint": "none"}
_LAPLACE: Wanted = {"blend": "laplace", "hint": "none"}
_GAUSSIAN: Wanted = {"blend": "gaussian", "hint": "none"}
_ATTENTIVE: Wanted = {"blend": "attentive", "hint": "none"}
_HT: Wanted = {"blend": "attentive", "hint": "plain", "schedule": "two-stage"}
_AHT: Wanted = {"blend": "attentive", "hint": "attentive", "schedule": "two-stage"}
_JOINT: Wanted = {"blend": "attentive", "hint": "attentive", "schedule": "joint"}
_HT_TRUTH: Wanted = {"blend": "ground-truth", "hint": "plain", "schedule": "two-stage", "freeze": True}
_FITNETS: Wanted = {**_HT_TRUTH, "freeze": False}  # as Romero et al. have it


@dataclass(frozen=True)
class Finding:
    """One of the paper's findings and what the study says of it, by ``RULE``."""

    number: int
    statement: str
    comparisons: tuple[Comparison, ...]
    outcome: Outcome


def study_findings(plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> list[Finding]:
    """Hold all seven findings against the cells of a study; what has no cells is not tested.

    Raises:
        DistilvoError: one row has two cells of one seed, or a measure is not finite.
    """
    found = by_row(cells)
    names = dict.fromkeys(name for table in _TABLES for name in plan.tables.get(table, ()))
    rows = [row for row in map(plan.rows.__getitem__, names) if row.shape == "cut" and not row.method.inherit]
    teacher = next((reference for reference in references if reference.name == "teacher"), None)
    at_rates = [plan.rows[name] for name in plan.tables.get("rates", ())]
    curve = Curve(at_rates, found, teacher)
    close, beating, growth = curve.close(), curve.beating(), curve.growth()
    regardless = _pairs(rows, found, [(_TEACHER_ONLY, _GROUND_TRUTH), (_ADDITIONAL, _GROUND_TRUTH)], 1)
    blends = _pairs(rows, found, [(_ATTENTIVE, blend) for blend in _blends(rows)], -1)
    hints = _pairs(rows, found, [(_HT, _ATTENTIVE), (_AHT, _ATTENTIVE), (_AHT, _HT)], -1)
    schedules = _pairs(rows, found, [(_AHT, _JOINT)], -1)
    times = [Curve([*at_rates, *rows], found, teacher).time()]
    fitnets = [wanted for wanted in (_HT_TRUTH, _FITNETS) if _find(rows, found, wanted)] or [_FITNETS]
    literature = _pairs(rows, found, [(_AHT, other) for other in (_GROUND_TRUTH, *fitnets, _UPPER_BOUND)], -1)
    decided = [
        (regardless, some(_outcomes(regardless))),
        (blends, every(_outcomes(blends))),
        (hints, every(_outcomes(hints))),
        (schedules, every(_outcomes(schedules))),
        ([close, *beating, growth], every([close.outcome, some(_outcomes(beating)), growth.outcome])),
        (times, every(_outcomes(times))),
        (literature, every(_outcomes(literature))),
    ]
    return [
        Finding(number, statement, tuple(comparisons), outcome)
        for number, (statement, (comparisons, outcome)) in enumerate(zip(_STATEMENTS, decided, strict=True), 1)
    ]


def _blends(rows: Sequence[Row]) -> list[Wanted]:
    """The other four blends; of the two probabilistic ones those that the study has, for the paper has one."""
    used = {row.method.blend for row in rows}
    probabilistic = [wanted for wanted in (_LAPLACE, _GAUSSIAN) if wanted["blend"] in used] or [_LAPLACE]
    return [_MINIMUM, _ADDITIONAL, _UPPER_BOUND, *probabilistic]


def _pairs(
    rows: Sequence[Row], cells: CellsOfRows, pairs: Sequence[tuple[Wanted, Wanted]], side: int
) -> list[Comparison]:
    """Compare pairs of methods at the rate at which most of them have cells, of equal ones the commonest."""
    claim = Claim("difference", 1 if side > 0 else -1)
    rates = [rate for rate, _ in Counter(row.rate for row in rows).most_common()] or [RATE]
    at_rates = [
        [_pair([row for row in rows if row.rate == rate], cells, pair, claim) for pair in pairs] for rate in rates
    ]
    return max(at_rates, key=lambda comparisons: sum(bool(found.intervals) for found in comparisons))


def _pair(rows: Sequence[Row], cells: CellsOfRows, pair: tuple[Wanted, Wanted], claim: Claim) -> Comparison:
    row, reference = (_find(rows, cells, wanted) for wanted in pair)
    if row is None or reference is None:
        missing = [wanted for wanted, found in zip(pair, (row, reference), strict=True) if found is None]
        return Comparison("no row with " + " and none with ".join(map(_said, missing)), claim)
    what = f"{row.label} against {reference.label} at {row.rate:g} %"
    return Comparison(what, claim, differences(cells[row.name], cells[reference.name]))


def _find(rows: Sequence[Row], cells: CellsOfRows, wanted: Wanted) -> Row | None:
    """The row with cells that is distilled so and in all else most as in the paper; of equal ones the first."""
    found = [
        row
        for row in rows
        if row.name in cells and all(getattr(row.method, field) == value for field, value in wanted.items())
    ]
    return min(found, key=lambda row: _departures(row.method), default=None)


def _departures(method: Method) -> int:
    paper = Method()
    return sum(getattr(method, field.name) != getattr(paper, field.name) for field in fields(Method))


def _outcomes(comparisons: Sequence[Comparison]) -> list[Outcome]:
    return [comparison.outcome for comparison in comparisons]


def _said(wanted: Wanted) -> str:
    return ", ".join(f"{field} {value}" for field, value in wanted.items())
