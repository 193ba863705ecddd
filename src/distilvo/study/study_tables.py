"""The paper's tables as text, and their printing for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from distilvo.report.model_table import NOTHING
from distilvo.report.style import label
from distilvo.study.findings import RULE, Finding
from distilvo.study.plan import QUANTILES, Cell, Plan, Reference, Routes, Row, Split, Table
from distilvo.study.statistics import (
    ERRORS,
    HINT_ERROR,
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
_DISTRIBUTIONS = (
    ("error_t_m", "(5) Errors of single frame pairs, translation (m, not aligned)", "m"),
    ("error_r_deg", "(5) Errors of single frame pairs, rotation (deg, not aligned)", "deg"),
    ("error_ate_m", "(5) Errors of single poses (m, aligned by Sim(3))", "m"),
)
_ORDER: tuple[Table, ...] = ("scarce", "blends", "hints", "literature", "schedules", "budgets", "trust", "rates")
_DISTRIBUTED: tuple[Table, ...] = ("blends", "hints", "scarce")
_SIZED: tuple[Table, ...] = ("rates", "beyond", "speed")  # students of different sizes, held against the teacher
_MORE: dict[Table, tuple[Measure, ...]] = {"hints": (HINT_ERROR,), "budgets": VALIDATION}
_PUBLISHED = (
    "'paper' are the paper's numbers, on KITTI's images with networks of its own size; only ratios compare, each over "
    "the first row of its rate."
)
_ALIGNMENT = "RMS-RPE over consecutive frames, not aligned; ATE aligned by Sim(3). Smaller is better."


@dataclass(frozen=True)
class StudyTable:
    """A table as text.

    Attributes:
        name: as in ``Plan.tables``, or ``error_t_m``, ``error_r_deg``, ``error_ate_m``.
        title: above it.
        headers: with units and alignment.
        rows: as many places as headers; a place may have several lines.
        notes: below it.
    """

    name: str
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def study_tables(plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> list[StudyTable]:
    """Every table of a plan in the paper's order, from the cells that there are.

    Raises:
        DistilvoError: one row has two cells of one seed, or a measure is not finite.
    """
    of_rows = by_row(cells)
    tables = {name: _Compared(plan, name, of_rows, references).table() for name in TITLES if name in plan.tables}
    spread = [_distribution(plan, of_rows, references, *table) for table in _DISTRIBUTIONS]
    order = [tables.get(name) for name in _ORDER]
    return [table for table in (*order, *spread, tables.get("beyond"), tables.get("speed")) if table and table.rows]


def first_of(table: Table, rows: Sequence[Row], row: Row) -> Row:
    """What a row of a table is compared with: the first of its rate, or of the table where sizes differ anyway."""
    return next(one for one in rows if table in _SIZED or one.rate == row.rate)


def distribution_rows(plan: Plan) -> list[str]:
    """The rows whose error distributions are shown: those of the first tables."""
    return list(dict.fromkeys(row for name in _DISTRIBUTED for row in plan.tables.get(name, ())))


def findings_table(plan: Plan, findings: Sequence[Finding]) -> StudyTable:
    """The findings in the form of a table."""
    rows = []
    for finding in findings:
        rows.append((f"{finding.number}. {finding.statement}", "", "", finding.outcome.upper()))
        rows += [(one.what, one.show(), str(one.claim), one.outcome) for one in finding.comparisons]
    headers = ("finding, and what was compared", "mean ± 95 % interval over seeds", "the paper expects", "outcome")
    return StudyTable("findings", "Findings of the paper", headers, tuple(rows), (RULE, *_images(plan)))


def console_table(table: StudyTable) -> RichTable:
    """A table for a terminal or a log."""
    rich_table = RichTable(
        title=table.title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    rich_table.caption, rich_table.caption_justify, rich_table.leading = Text("\n".join(table.notes)), "left", 1
    for number, header in enumerate(table.headers):
        rich_table.add_column(Text(header), justify="right" if number and table.name != "findings" else "left")
    for row in table.rows:
        rich_table.add_row(*map(Text, row))
    return rich_table


def markdown_table(table: StudyTable) -> str:
    """A table for Markdown, with its title and notes."""
    lines = [table.headers, ("---",) + ("---:",) * (len(table.headers) - 1), *table.rows]
    body = "".join("| " + " | ".join(map(_escaped, line)) + " |\n" for line in lines)
    notes = "".join(f"- {_escaped(note)}\n" for note in table.notes)
    return f"## {table.title}\n\n{body}\n{notes}"


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
        self._images = _images(plan)

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
        by_seed = values(cells, measure.field)
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
        errors = [f"{getattr(reference, measure.field):.{measure.decimals}f}" for measure in ERRORS]
        return (label(reference.name), NOTHING, *size, *errors, *[NOTHING] * (len(self._measures) - len(ERRORS)))

    def _notes(self) -> list[str]:
        firsts = " or ".join(f"'{first.label}'" for first in dict.fromkeys(map(self._first, self._rows)))
        means = f"Mean ± half of the 95 % interval over seeds; below it the difference to {firsts}, paired by seed, "
        notes = [means + "and what its interval shows. Each interval is of one comparison, not of all together."]
        if self._name in _SIZED and self._teacher:
            notes[0] += " The last line is the error over the teacher's."
        notes += [_ALIGNMENT, *self._images] + [_PUBLISHED] * bool(self._published)
        for row in self._rows[1:]:
            cells, reference = self._cells.get(row.name, {}), self._cells.get(self._first(row).name, {})
            left_out = compared(cells, reference, ERRORS[0]).left_out
            if cells and left_out:
                seeds = f"seed{'s' * (len(left_out) > 1)} {', '.join(map(str, left_out))}"
                notes.append(f"The difference of '{row.label}' leaves out {seeds}, which only one of the two rows has.")
        return notes


def _distribution(
    plan: Plan, cells: CellsOfRows, references: Sequence[Reference], field: str, title: str, unit: str
) -> StudyTable:
    """Quantiles over frame pairs or poses, mean over seeds, of the rows of the first two tables."""
    rows = []
    for name in distribution_rows(plan):
        quantiles = [getattr(cell, field) for cell in cells.get(name, {}).values()]
        means = [f"{value:.4f}" for value in np.mean(quantiles, axis=0)] if quantiles else [NOTHING] * len(QUANTILES)
        rows.append((plan.rows[name].label, f"{len(quantiles)} of {len(plan.seeds)}", *means))
    if rows:
        rows += [(label(ref.name), NOTHING, *(f"{value:.4f}" for value in getattr(ref, field))) for ref in references]
    headers = ("row", "seeds", *(f"{quantile} % ({unit})" for quantile in QUANTILES))
    what = "poses of the test set" if field == "error_ate_m" else "frame pairs of the test set"
    notes = (f"Quantiles of the error over all {what}; 100 % is the largest; mean over seeds.", *_images(plan))
    return StudyTable(field, title, headers, tuple(rows), notes)


def _images(plan: Plan) -> tuple[str, ...]:
    """A note that the images are rendered, where they are."""
    if isinstance(plan.data, Split):
        return ()
    along = f" along the true trajectories of {', '.join(plan.data.test)}" if isinstance(plan.data, Routes) else ""
    return (f"The images are rendered{along}; they are not a camera's.",)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
