"""The table of models, for a terminal and for Markdown, and what it says in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from distilvo.report.results import ModelRow, ReportTable, TableCell
from distilvo.report.style import label

NOTHING = "–"


@dataclass(frozen=True)
class _Column:
    """``compared``: smaller is better and the best student stands out."""

    header: str
    narrow: str
    show: Callable[[ModelRow], str]
    compared: bool = False


_COLUMNS = (
    _Column("model", "model", lambda row: label(row.name)),
    _Column("parameters", "parameters", lambda row: f"{row.parameters:,}" if row.parameters else NOTHING),
    _Column("% fewer", "%\nfewer", lambda row: _number(row.reduction_percent, 1) if row.parameters else NOTHING),
    _Column("latency (ms)", "latency\nms", lambda row: _number(row.latency_ms, 2) if row.latency_ms else NOTHING),
    _Column(
        "RMS-RPE trans (m, unaligned)", "RMS-RPE\nm trans,\nunaligned", lambda row: _number(row.rms_rpe_t_m, 4), True
    ),
    _Column(
        "RMS-RPE rot (deg, unaligned)", "RMS-RPE\ndeg rot,\nunaligned", lambda row: _number(row.rms_rpe_r_deg, 4), True
    ),
    _Column("ATE (m, Sim(3))", "ATE (m,\nSim(3))", lambda row: _number(row.ate_m, 3), True),
)
HEADERS = tuple(column.header for column in _COLUMNS)

_MEASURES = {"translation": "rms_rpe_t_m", "rotation": "rms_rpe_r_deg", "ATE": "ate_m"}
_BASELINES = {
    "mean_motion": "always predicting the mean motion",
    "student_supervised": "the same student trained on ground truth alone",
    "student_paper": "the same student by the paper's recipe",
    "teacher": "the teacher",
}


def table_cells(rows: list[ModelRow]) -> list[list[TableCell]]:
    """The table row by row, in the order of ``HEADERS``."""
    columns = [_cells(column, rows) for column in _COLUMNS]
    return [list(row) for row in zip(*columns, strict=True)]


def model_table(rows: list[ModelRow]) -> ReportTable:
    """The table for a page."""
    note = (
        "Root mean squares over all frames; RPE over consecutive frames, not aligned; ATE aligned by Sim(3). Smaller "
        "is better; the best student of each measure is bold."
    )
    named = [[TableCell(row.name), *cells[1:]] for row, cells in zip(rows, table_cells(rows), strict=True)]
    return ReportTable(HEADERS, named, note)


def results_table(rows: list[ModelRow]) -> Table:
    """The table for a terminal or a log, 80 columns wide at most; the best student of each measure is bold."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for number, column in enumerate(_COLUMNS):
        table.add_column(column.narrow, justify="right" if number else "left", no_wrap=number > 0, overflow="fold")
    for row in table_cells(rows):
        table.add_row(*(Text(cell.text, style="bold" if cell.best else "") for cell in row))
    return table


def markdown_table(rows: list[ModelRow]) -> str:
    """The table as Markdown; the best student of each measure is bold."""
    lines = [HEADERS, ("---",) + ("---:",) * (len(HEADERS) - 1)]
    lines += [tuple(_markdown(cell) for cell in row) for row in table_cells(rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def verdict(rows: list[ModelRow]) -> str:
    """How the distilled student compares with each other model, in per cent, in two plain sentences."""
    by_name = {row.name: row for row in rows}
    student = by_name.get("student_distilled")
    baselines = {phrase: by_name[name] for name, phrase in _BASELINES.items() if name in by_name}
    if student is None or not baselines:
        return "There is no distilled student beside another model to compare; one run, no statistics."
    comparisons = "; ".join(_comparison(student, baseline, phrase) for phrase, baseline in baselines.items())
    return (
        f"Judged by its errors, the distilled student is {comparisons}. "
        "This is one seed, one run, no statistics: another seed may change small differences."
    )


def _cells(column: _Column, rows: list[ModelRow]) -> list[TableCell]:
    texts = [column.show(row) for row in rows]
    students = [
        float(text) for row, text in zip(rows, texts, strict=True) if _competes(column, row) and text != NOTHING
    ]
    # Of one student alone there is no best; students that read the same are equally good.
    best = min(students) if len(students) > 1 else math.nan
    return [
        TableCell(text, _competes(column, row) and text != NOTHING and float(text) == best)
        for row, text in zip(rows, texts, strict=True)
    ]


def _competes(column: _Column, row: ModelRow) -> bool:
    return column.compared and row.name.startswith("student")


def _comparison(student: ModelRow, baseline: ModelRow, phrase: str) -> str:
    changes = {name: _change(getattr(student, field), getattr(baseline, field)) for name, field in _MEASURES.items()}
    won = sum(change is not None and change < 0 for change in changes.values())
    lost = sum(change is not None and change > 0 for change in changes.values())
    if won == len(changes):
        summary = f"better than {phrase} in every measure"
    elif lost == len(changes):
        summary = f"worse than {phrase} in every measure"
    elif won or lost:
        summary = f"better than {phrase} in {won} and worse in {lost} of {len(changes)} measures"
    else:
        summary = f"neither better nor worse than {phrase}"
    return f"{summary} ({', '.join(_described(name, change) for name, change in changes.items())})"


def _change(value: float, reference: float) -> float | None:
    """By how many per cent a value differs from the reference, to a tenth; None where that has no meaning."""
    if not (math.isfinite(value) and math.isfinite(reference) and reference > 0):
        return None
    return round(100.0 * (value / reference - 1.0), 1)


def _described(measure: str, change: float | None) -> str:
    if change is None:
        return f"{measure} cannot be compared"
    if change == 0:
        return f"{measure} the same"
    return f"{measure} {abs(change):.{0 if abs(change) >= 10 else 1}f} % {'lower' if change < 0 else 'higher'}"


def _markdown(cell: TableCell) -> str:
    text = cell.text.replace("|", "\\|")
    return f"**{text}**" if cell.best else text


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else NOTHING
