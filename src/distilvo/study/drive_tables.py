"""Tables that look behind the means: errors of single frame pairs and poses, and of each drive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from distilvo.report.model_table import NOTHING
from distilvo.report.style import label
from distilvo.study.plan import QUANTILES, Plan, Reference, Routes, Streets, Table
from distilvo.study.statistics import ERRORS, RELATIVE, CellsOfRows, Measure, mean_interval
from distilvo.study.study_table import StudyTable, rendered_note

_DISTRIBUTIONS = (
    ("error_t_m", "(5) Errors of single frame pairs, translation (m, not aligned)", "m"),
    ("error_r_deg", "(5) Errors of single frame pairs, rotation (deg, not aligned)", "deg"),
    ("error_ate_m", "(5) Errors of single poses (m, aligned by Sim(3))", "m"),
)
_DISTRIBUTED: tuple[Table, ...] = ("blends", "hints", "scarce")
_BY_DRIVE: tuple[Table, ...] = ("scarce", "literature", "beyond")
_OF_DRIVES: tuple[Measure, ...] = (*ERRORS, *RELATIVE)


def detail_tables(plan: Plan, cells: CellsOfRows, references: Sequence[Reference]) -> list[StudyTable]:
    """Quantiles of the errors of frame pairs and of poses, and the errors of each drive."""
    tables = [_distribution(plan, cells, references, *table) for table in _DISTRIBUTIONS]
    return [*tables, _drives(plan, cells, references)]


def distribution_rows(plan: Plan) -> list[str]:
    """The rows whose error distributions are shown: those of the blends, the hints and few labels."""
    return _rows_of(plan, _DISTRIBUTED)


def _rows_of(plan: Plan, tables: Sequence[Table]) -> list[str]:
    return list(dict.fromkeys(row for name in tables for row in plan.tables.get(name, ())))


def _distribution(
    plan: Plan, cells: CellsOfRows, references: Sequence[Reference], field: str, title: str, unit: str
) -> StudyTable:
    """Quantiles over frame pairs or poses, mean over seeds, of ``distribution_rows``."""
    digits, rows = (2 if field == "error_ate_m" else 4), []
    for name in distribution_rows(plan):
        quantiles = [getattr(cell, field) for cell in cells.get(name, {}).values()]
        means = np.mean(quantiles, axis=0) if quantiles else ()
        texts = [f"{value:.{digits}f}" for value in means] or [NOTHING] * len(QUANTILES)
        rows.append((plan.rows[name].label, f"{len(quantiles)} of {len(plan.seeds)}", *texts))
    for ref in references if rows else ():
        rows.append((label(ref.name), NOTHING, *(f"{value:.{digits}f}" for value in getattr(ref, field))))
    headers = ("row", "seeds", *(f"{quantile} % ({unit})" for quantile in QUANTILES))
    what = "poses of the test set" if field == "error_ate_m" else "frame pairs of the test set"
    notes = (f"Quantiles of the error over all {what}; 100 % is the largest; mean over seeds.", *rendered_note(plan))
    return StudyTable(field, title, headers, tuple(rows), notes)


def _drives(plan: Plan, cells: CellsOfRows, references: Sequence[Reference]) -> StudyTable:
    """Errors of each drive to test on, mean over its sceneries, with the interval over seeds; not of short streets."""
    names = [] if isinstance(plan.data, Streets) else [name for name in _rows_of(plan, _BY_DRIVE) if name in cells]
    of_rows = {name: [_by_route(plan, cell.drives) for cell in cells[name].values()] for name in names}
    routes = sorted({route for seeds in of_rows.values() for errors in seeds for route in errors})
    columns = [(route, measure) for route in routes for measure in _OF_DRIVES]
    rows = []
    for name, seeds in of_rows.items():
        texts = [_over_seeds([errors[route][of.field] for errors in seeds], of) for route, of in columns]
        rows.append((plan.rows[name].label, f"{len(seeds)} of {len(plan.seeds)}", *texts))
    for one in references if rows else ():
        errors = _by_route(plan, one.drives)
        texts = [_decimals(errors[route][of.field], of) if route in errors else NOTHING for route, of in columns]
        rows.append((label(one.name), NOTHING, *texts))
    headers = ("row", "seeds", *(f"{route}: {measure.header}" for route, measure in columns))
    note = "Mean ± half of the 95 % interval over seeds; where a drive has several sceneries, of their mean."
    return StudyTable("drives", "(6) Each drive", headers, tuple(rows), (note, *rendered_note(plan)))


def _by_route(plan: Plan, drives: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Errors by route and field, the mean over the sceneries of a route: drives are called ``ROUTE-SEED`` then."""
    several = isinstance(plan.data, Routes) and plan.data.test_sceneries > 1
    of_routes: dict[str, list[Mapping[str, float | None]]] = {}
    for drive, errors in drives.items():
        of_routes.setdefault(drive.rpartition("-")[0] if several else drive, []).append(errors)
    return {
        route: {of.field: _mean([errors.get(of.field) for errors in same]) for of in _OF_DRIVES}
        for route, same in of_routes.items()
    }


def _mean(numbers: Sequence[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return fmean(known) if known else None


def _over_seeds(numbers: Sequence[float | None], measure: Measure) -> str:
    known = [number for number in numbers if number is not None]
    return mean_interval(known).show(measure.decimals) if known else NOTHING


def _decimals(number: float | None, measure: Measure) -> str:
    return NOTHING if number is None else f"{number:.{measure.decimals}f}"
