"""The tables of a study: rows compared with each other, as in the paper, and its findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distilvo.report.model_table import NOTHING
from distilvo.report.style import label
from distilvo.study.drive_tables import detail_tables
from distilvo.study.findings import RULE, Finding
from distilvo.study.plan import Cell, Plan, Reference, Row, Table
from distilvo.study.statistics import (
    ERRORS,
    HINT_ERROR,
    MEDIANS,
    RELATIVE,
    VALIDATION,
    CellsOfRows,
    Measure,
    by_row,
    compared,
    mean_interval,
    ratio,
    share_of,
    values,
)
from distilvo.study.study_table import StudyTable, rendered_note

TITLES: dict[Table, str] = {
    "blends": "(1) Blends of ground truth and imitation",
    "hints": "(2) Hints",
    "literature": "(3) Methods of the literature",
    "trust": "Variants of the trust Φ",
    "rates": "(4) Error, parameters and time against the distillation rate",
    "schedules": "The paper's schedule: as many epochs for each stage as for a method of one stage",
    "budgets": "Trained until flat: error against the number of epochs",
    "beyond": "Beyond the paper",
    "speed": "Students made for speed",
    "scarce": "Few labels and much film",
}
_ORDER: tuple[Table, ...] = ("scarce", "blends", "hints", "literature", "schedules", "budgets", "trust", "rates")
_SIZED: tuple[Table, ...] = ("rates", "beyond", "speed", "scarce")
"""Tables with parameters and latency, held against the teacher."""
_MORE: dict[Table, tuple[Measure, ...]] = {
    "hints": (HINT_ERROR,),
    "budgets": VALIDATION,
    "literature": RELATIVE,
    "beyond": (*RELATIVE, *MEDIANS),
    "scarce": (*RELATIVE, *MEDIANS),
}
_PUBLISHED = (
    "'paper' are the paper's numbers, on KITTI's images with networks of its own size; only ratios compare, each over "
    "the first row of its rate; ours are taken seed by seed, and then averaged."
)
_MEDIAN = "Median pair: half of all frame pairs have a smaller error, not aligned; a few bad ones do not move it."
_ALIGNMENT = "RMS-RPE over consecutive frames, not aligned; ATE aligned by Sim(3). Smaller is better."


def study_tables(plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> list[StudyTable]:
    """Every table of a plan in the paper's order, from the cells that there are.

    Raises:
        DistilvoError: one row has two cells of one seed, or a measure is not finite.
    """
    of_rows = by_row(cells)
    tables = {name: _Compared(plan, name, of_rows, references).table() for name in TITLES if name in plan.tables}
    order = [tables.get(name) for name in _ORDER]
    details = detail_tables(plan, of_rows, references)
    return [table for table in (*order, *details, tables.get("beyond"), tables.get("speed")) if table and table.rows]


def first_of(table: Table, rows: Sequence[Row], row: Row) -> Row:
    """What a row of a table is compared with: the first of its rate, or of the table where sizes differ anyway."""
    return next(one for one in rows if table in _SIZED or one.rate == row.rate)


def findings_table(plan: Plan, findings: Sequence[Finding]) -> StudyTable:
    """The findings in the form of a table."""
    rows = []
    for finding in findings:
        rows.append((f"{finding.number}. {finding.statement}", "", "", finding.outcome.upper()))
        rows += [(one.what, one.show(), str(one.claim), one.outcome) for one in finding.comparisons]
    headers = ("finding, and what was compared", "mean ± 95 % interval over seeds", "the paper expects", "outcome")
    return StudyTable("findings", "Findings of the paper", headers, tuple(rows), (RULE, *rendered_note(plan)))


class _Compared:
    """A table of rows that are compared with the first of them."""

    def __init__(self, plan: Plan, name: Table, cells: CellsOfRows, references: Sequence[Reference]) -> None:
        self._name = name
        self._rows = [plan.rows[row] for row in plan.tables[name]]
        self._seeds = len(plan.seeds)
        self._cells = cells
        self._references = references
        self._teacher = next((reference for reference in references if reference.name == "teacher"), None)
        self._measures: tuple[Measure, ...] = (*ERRORS, *_MORE.get(name, ()))
        self._published = plan.published.get(name, {})
        self._images = rendered_note(plan)

    def table(self) -> StudyTable:
        headers = ["row", "seeds"]
        headers += ["rate (% fewer)", "parameters", "latency (ms)"] if self._name in _SIZED else []
        headers += [measure.header for measure in self._measures]
        rows = [self._row(row) for row in self._rows] + [self._reference(reference) for reference in self._references]
        return StudyTable(self._name, TITLES[self._name], tuple(headers), tuple(rows), tuple(self._notes()))

    def _row(self, row: Row) -> tuple[str, ...]:
        cells = self._cells.get(row.name, {})
        size = self._size(list(cells.values())) if self._name in _SIZED else []
        errors = [self._errors(row, measure) for measure in self._measures]
        return (row.label, f"{len(cells)} of {self._seeds}", *size, *errors)

    def _errors(self, row: Row, measure: Measure) -> str:
        """The mean; below it the difference to the first row and the verdict; and the ratio to the teacher."""
        cells, first = self._cells.get(row.name, {}), self._first(row)
        by_seed = values(cells, measure)
        if not by_seed:
            return NOTHING
        lines = [mean_interval(by_seed.values()).show(measure.decimals)]
        if row != first:
            pair = compared(cells, self._cells.get(first.name, {}), measure)
            lines += [pair.difference.show(measure.decimals, signed=True), pair.verdict] if pair.difference else []
        lines += self._beside_the_paper(row, first, measure) if self._published else []
        if self._name in _SIZED and self._teacher:
            lines.append(f"{ratio(cells, self._teacher, measure).show(3)} × teacher")
        return "\n".join(lines)

    def _first(self, row: Row) -> Row:
        return first_of(self._name, self._rows, row)

    def _beside_the_paper(self, row: Row, first: Row, measure: Measure) -> list[str]:
        """The ratio to the first row, and the paper's."""
        share = share_of(self._cells.get(row.name, {}), self._cells.get(first.name, {}), measure)
        lines = [f"{share.show(2)} × first"] if share and row != first else []
        paper, papers_first = (getattr(self._published.get(one.name), measure.field, None) for one in (row, first))
        if paper is None:
            return lines
        over = f", {paper / papers_first:.2f} × first" if papers_first and row != first else ""
        return [*lines, f"paper {paper:g}{over}"]

    def _size(self, cells: list[Cell]) -> list[str]:
        if not cells:
            return [NOTHING] * 3
        latency = np.mean([cell.latency_ms for cell in cells])
        return [f"{cells[0].rate:.2f}", f"{cells[0].parameters:,}", f"{latency:.2f}"]

    def _reference(self, reference: Reference) -> tuple[str, ...]:
        size = []
        if self._name in _SIZED:
            size = (
                [NOTHING, f"{reference.parameters:,}", f"{reference.latency_ms:.2f}"]
                if reference.parameters
                else [NOTHING] * 3
            )
        return (label(reference.name), NOTHING, *size, *(_of_reference(reference, one) for one in self._measures))

    def _notes(self) -> list[str]:
        firsts = " or ".join(f"'{first.label}'" for first in dict.fromkeys(map(self._first, self._rows)))
        means = f"Mean ± half of the 95 % interval over seeds; below it the difference to {firsts}, paired by seed, "
        notes = [means + "and what its interval shows. Each interval is of one comparison, not of all together."]
        if self._name in _SIZED and self._teacher:
            notes[0] += " The last line is the error over the teacher's."
        notes += [_ALIGNMENT] + [_MEDIAN] * (MEDIANS[0] in self._measures)
        notes += [*self._images] + [_PUBLISHED] * bool(self._published)
        for row in self._rows[1:]:
            cells, reference = self._cells.get(row.name, {}), self._cells.get(self._first(row).name, {})
            left_out = compared(cells, reference, ERRORS[0]).left_out
            if cells and left_out:
                seeds = f"seed{'s' * (len(left_out) > 1)} {', '.join(map(str, left_out))}"
                notes.append(f"The difference of '{row.label}' leaves out {seeds}, which only one of the two rows has.")
        return notes


def _of_reference(reference: Reference, measure: Measure) -> str:
    """A measure that cells and references share; a dash for one that only cells have."""
    number = measure.of(reference)
    return NOTHING if number is None else f"{number:.{measure.decimals}f}"
