"""The paper's seven findings, each held against the cells of a study; ``RULE`` says how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from distilvo.settings import PAPER, Method
from distilvo.study.claims import Claim, Comparison, Outcome, differences, every, some
from distilvo.study.curve import CLOSE, RATE, SPEED_UP, Curve
from distilvo.study.plan import Cell, Plan, Reference, Row, Table
from distilvo.study.statistics import CellsOfRows, by_row

RULE = (
    "A comparison is reproduced where the 95 % interval over seeds lies wholly on the paper's side in translation, "
    "rotation or ATE and wholly on the other side in none; contradicted where it is the other way round; otherwise not "
    "shown. A finding of several claims is reproduced if all of them are and "
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

MethodFields = dict[str, str | bool]
_GROUND_TRUTH: MethodFields = {"blend": "ground-truth", "hint": "none"}
_TEACHER_ONLY: MethodFields = {"blend": "teacher-only", "hint": "none"}
_MINIMUM: MethodFields = {"blend": "minimum", "hint": "none"}
_ADDITIONAL: MethodFields = {"blend": "additional", "hint": "none"}
_UPPER_BOUND: MethodFields = {"blend": "upper-bound", "hint": "none"}
_LAPLACE: MethodFields = {"blend": "laplace", "hint": "none"}
_GAUSSIAN: MethodFields = {"blend": "gaussian", "hint": "none"}
_ATTENTIVE: MethodFields = {"blend": "attentive", "hint": "none"}
_HT: MethodFields = {"blend": "attentive", "hint": "plain", "schedule": "two-stage"}
_AHT: MethodFields = {"blend": "attentive", "hint": "attentive", "schedule": "two-stage"}
_JOINT: MethodFields = {"blend": "attentive", "hint": "attentive", "schedule": "joint"}
_HT_TRUTH: MethodFields = {"blend": "ground-truth", "hint": "plain", "schedule": "two-stage", "freeze": True}
_FITNETS: MethodFields = {**_HT_TRUTH, "freeze": False}  # as Romero et al. have it


@dataclass(frozen=True)
class Finding:
    """One of the paper's findings and what the study says of it, by ``RULE``."""

    number: int
    statement: str
    comparisons: tuple[Comparison, ...]
    outcome: Outcome


def study_findings(plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> list[Finding]:
    """Hold all seven findings against the cells of a study; what has no cells is not tested.

    None of a study without the paper's tables: it asks something else.

    Raises:
        DistilvoError: one row has two cells of one seed, or a measure is not finite.
    """
    of_rows = by_row(cells)
    if not any(plan.tables.get(name) for name in _TABLES):
        return []
    names = dict.fromkeys(name for table in _TABLES for name in plan.tables.get(table, ()))
    rows = [row for row in map(plan.rows.__getitem__, names) if row.shape == "cut" and not row.method.inherit]
    teacher = next((reference for reference in references if reference.name == "teacher"), None)
    at_rates = [plan.rows[name] for name in plan.tables.get("rates", ())]
    curve = Curve(at_rates, of_rows, teacher)
    close, beating, growth = curve.close(), curve.beating(), curve.growth()
    regardless = _pairs(rows, of_rows, [(_TEACHER_ONLY, _GROUND_TRUTH), (_ADDITIONAL, _GROUND_TRUTH)], 1)
    blends = _pairs(rows, of_rows, [(_ATTENTIVE, blend) for blend in _blends(rows)], -1)
    hints = _pairs(rows, of_rows, [(_HT, _ATTENTIVE), (_AHT, _ATTENTIVE), (_AHT, _HT)], -1)
    schedules = _pairs(rows, of_rows, [(_AHT, _JOINT)], -1)
    times = [Curve([*at_rates, *rows], of_rows, teacher).time()]
    fitnets = [method for method in (_HT_TRUTH, _FITNETS) if _find(rows, of_rows, method)] or [_FITNETS]
    literature = _pairs(rows, of_rows, [(_AHT, other) for other in (_GROUND_TRUTH, *fitnets, _UPPER_BOUND)], -1)
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


def _blends(rows: Sequence[Row]) -> list[MethodFields]:
    """The other four blends; of the two probabilistic ones those that the study has, for the paper has one."""
    used = {row.method.blend for row in rows}
    probabilistic = [method for method in (_LAPLACE, _GAUSSIAN) if method["blend"] in used] or [_LAPLACE]
    return [_MINIMUM, _ADDITIONAL, _UPPER_BOUND, *probabilistic]


def _pairs(
    rows: Sequence[Row], cells: CellsOfRows, pairs: Sequence[tuple[MethodFields, MethodFields]], side: int
) -> list[Comparison]:
    """Compare pairs of methods at the rate at which most of them have cells, of equal ones the commonest."""
    claim = Claim("difference", 1 if side > 0 else -1)
    rates = [rate for rate, _ in Counter(row.rate for row in rows).most_common()] or [RATE]
    at_rates = [
        [_pair([row for row in rows if row.rate == rate], cells, pair, claim) for pair in pairs] for rate in rates
    ]
    return max(at_rates, key=lambda comparisons: sum(bool(one.intervals) for one in comparisons))


def _pair(rows: Sequence[Row], cells: CellsOfRows, pair: tuple[MethodFields, MethodFields], claim: Claim) -> Comparison:
    row, reference = (_find(rows, cells, method) for method in pair)
    if row is None or reference is None:
        missing = [method for method, match in zip(pair, (row, reference), strict=True) if match is None]
        return Comparison("no row with " + " and none with ".join(map(_words, missing)), claim)
    what = f"{row.label} against {reference.label} at {row.rate:g} %"
    return Comparison(what, claim, differences(cells[row.name], cells[reference.name]))


def _find(rows: Sequence[Row], cells: CellsOfRows, method: MethodFields) -> Row | None:
    """The row with cells that is distilled so and in all else most as in the paper; of equal ones the first."""
    matches = [
        row
        for row in rows
        if row.name in cells and all(getattr(row.method, field) == value for field, value in method.items())
    ]
    return min(matches, key=_departures, default=None)


def _departures(row: Row) -> int:
    """In how many settings a row differs from the paper's method."""
    return bool(row.folds) + sum(
        getattr(row.method, field.name) != getattr(PAPER, field.name) for field in fields(Method)
    )


def _outcomes(comparisons: Sequence[Comparison]) -> list[Outcome]:
    return [comparison.outcome for comparison in comparisons]


def _words(method: MethodFields) -> str:
    return ", ".join(f"{field} {value}" for field, value in method.items())
