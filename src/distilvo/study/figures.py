"""The figures of a study as PNG files on a light ground, readable on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilvo.report.plots import png_figure
from distilvo.report.style import LEAST_TRUSTED, Palette
from distilvo.study.plan import Cell, Plan, Reference, Row
from distilvo.study.statistics import (
    ERRORS,
    HINT_ERROR,
    CellsOfRows,
    Interval,
    Measure,
    by_row,
    compared,
    mean_interval,
    values,
)
from distilvo.study.tables import TITLES, distribution_rows

_LOOKS = Palette(("student_distilled", "teacher", "mean_motion"))
_STUDENT, _TEACHER = _LOOKS.colour("student_distilled"), _LOOKS.colour("teacher")
_VERDICTS = {"better": _STUDENT, "worse": LEAST_TRUSTED, "no difference shown": "#6b6b6b"}
_MARKS = {"better": "o", "worse": "s", "no difference shown": "D"}
_Pair = tuple[dict[int, Cell], dict[int, Cell]]
_SPREADS = (("error_t_m", "translation (m a frame pair)"), ("error_r_deg", "rotation (deg a frame pair)"))


def write_figures(folder: Path, plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> dict[str, Path]:
    """Write each figure that there are cells for.

    Returns:
        the PNG files by the name of the table that they belong to; ``error_t_m`` for the error distributions and
        ``differences`` for the paired differences of all tables but ``rates``.

    Raises:
        DistilvoError: a picture cannot be written.
    """
    found = by_row(cells)
    teacher = next((reference for reference in references if reference.name == "teacher"), None)
    written: dict[str, Path] = {}
    for name in TITLES:
        rows = [plan.rows[row] for row in plan.tables.get(name, ()) if row in found]
        if rows:
            written[name] = folder / f"{name}.png"
            plot = _plot_rates if name == "rates" else _plot_means
            plot(written[name], TITLES[name], rows, found, teacher)
    spread = [plan.rows[name] for name in distribution_rows(plan) if name in found]
    if spread:
        written["error_t_m"] = folder / "distributions.png"
        _plot_distributions(written["error_t_m"], spread, found, references)
    # Students of other sizes differ so much that nothing could be read beside them; they have their own figure.
    compared_in = [name for name in TITLES if name != "rates"]
    groups = {TITLES[name]: [plan.rows[row] for row in plan.tables.get(name, ())] for name in compared_in}
    if any(pair for rows in groups.values() for pair in _pairs(rows, found)):
        written["differences"] = folder / "differences.png"
        _plot_differences(written["differences"], groups, found)
    return written


def _plot_means(path: Path, title: str, rows: list[Row], cells: CellsOfRows, teacher: Reference | None) -> None:
    """A panel for each measure: every seed a small dot, their mean with its interval, the teacher a line."""
    hints = any(cell.hint_error is not None for row in rows for cell in cells[row.name].values())
    measures = (*ERRORS, HINT_ERROR) if hints and title == TITLES["hints"] else ERRORS
    with png_figure(path, (3.2 + 2.7 * len(measures), 1.7 + 0.42 * len(rows))) as figure:
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            for place, row in enumerate(rows):
                seeds = list(values(cells[row.name], measure.field).values())
                axes.plot(seeds, [place + 0.25] * len(seeds), "o", color="#a0a0a0", markersize=3)
                if seeds:
                    _interval(axes, mean_interval(seeds), place, _STUDENT, "o")
            if teacher and measure is not HINT_ERROR:
                axes.axvline(getattr(teacher, measure.field), color=_TEACHER, linestyle="-.", linewidth=1.4)
            axes.set(xlabel=measure.header)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        _name_rows(panels[0], [row.label for row in rows])
        figure.suptitle(
            f"{title}: mean, 95 % interval, single seeds{', teacher (line)' if teacher else ''}", fontsize=11
        )


def _plot_rates(path: Path, title: str, rows: list[Row], cells: CellsOfRows, teacher: Reference | None) -> None:
    """Each error, and the latency, against the share of the teacher's parameters that is kept."""
    latency = Measure("latency_ms", "latency", "latency (ms a step)", "ms", 2)
    rows = sorted(rows, key=lambda row: -_mean(cells, row, "rate"))
    kept = [100.0 - _mean(cells, row, "rate") for row in rows]
    with png_figure(path, (10, 7)) as figure:
        for axes, measure in zip(figure.subplots(2, 2, sharex=True).flat, (*ERRORS, latency), strict=True):
            found = [mean_interval(values(cells[row.name], measure.field).values()) for row in rows]
            axes.plot(kept, [one.mean for one in found], "-", color=_STUDENT, linewidth=1.2)
            for at, one in zip(kept, found, strict=True):
                axes.errorbar(at, one.mean, yerr=one.half, fmt="o", color=_STUDENT, capsize=3, markersize=5)
            if teacher:
                axes.axhline(getattr(teacher, measure.field), color=_TEACHER, linestyle="-.", linewidth=1.4)
            axes.set(ylabel=measure.header, xscale="log")
            axes.set_ylim(bottom=0)
            axes.set_xticks(kept, [f"{share:.1f}" for share in kept], fontsize=8)
            axes.minorticks_off()
            axes.tick_params(labelbottom=True)
        figure.supxlabel("parameters kept, % of the teacher's, logarithmic", fontsize=10)
        figure.suptitle(f"{title}; mean, 95 % interval{', teacher (line)' if teacher else ''}", fontsize=11)


def _plot_distributions(path: Path, rows: list[Row], cells: CellsOfRows, references: Sequence[Reference]) -> None:
    """Boxes of the middle half, whiskers of the middle 90 %, a dot at 99 %; quantiles are means over seeds."""
    names = [row.label for row in rows] + [found.name.replace("_", " ") for found in references]
    colours = [_STUDENT] * len(rows) + [_LOOKS.colour(found.name) for found in references]
    with png_figure(path, (11, 1.6 + 0.42 * len(names))) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (field, header) in zip(panels, _SPREADS, strict=True):
            spreads = [np.mean([getattr(cell, field) for cell in cells[row.name].values()], axis=0) for row in rows]
            spreads += [np.array(getattr(found, field)) for found in references]
            for place, (spread, ink) in enumerate(zip(spreads, colours, strict=True)):
                _box(axes, spread, place, ink)
            axes.set(xlabel=header, xscale="log")
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        _name_rows(panels[0], names)
        figure.suptitle(
            "Errors of frame pairs, logarithmic: median, middle 50 %, middle 90 %, dot at 99 %", fontsize=11
        )


def _plot_differences(path: Path, groups: dict[str, list[Row]], cells: CellsOfRows) -> None:
    """Every row less the first of its table, with the interval of the paired difference; left of 0 is better."""
    lines: list[tuple[str, _Pair | None]] = [
        line
        for title, rows in groups.items()
        if (found := _pairs(rows, cells))
        for line in ((f"{title}\nagainst {rows[0].label}", None), *found)
    ]
    with png_figure(path, (12, 1.7 + 0.4 * len(lines))) as figure:
        panels = figure.subplots(1, len(ERRORS), sharey=True)
        for axes, measure in zip(panels, ERRORS, strict=True):
            axes.axvline(0, color="black", linewidth=1)
            for place, (_, pair) in enumerate(lines):
                shown = compared(pair[0], pair[1], measure) if pair else None
                if shown and shown.difference:
                    _interval(axes, shown.difference, place, _VERDICTS[shown.verdict], _MARKS[shown.verdict])
            axes.set(xlabel=f"difference in {measure.header}")
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        _name_rows(panels[0], [name for name, _ in lines])
        for tick, (_, pair) in zip(panels[0].get_yticklabels(), lines, strict=True):
            tick.set(fontweight="normal" if pair else "bold", fontsize=9)
        for verdict, mark in _MARKS.items():
            panels[-1].plot([], [], mark, color=_VERDICTS[verdict], label=verdict)
        figure.legend(loc="outside lower center", ncols=len(_MARKS))
        figure.suptitle("Paired differences by seed with 95 % interval; left of 0 is better", fontsize=11)


def _pairs(rows: list[Row], cells: CellsOfRows) -> list[tuple[str, _Pair]]:
    """The label of each further row, with its cells and those of the first."""
    if not rows or rows[0].name not in cells:
        return []
    first = cells[rows[0].name]
    return [(row.label, (cells[row.name], first)) for row in rows[1:] if cells.get(row.name, {}).keys() & first.keys()]


def _interval(axes: Any, found: Interval, place: int, ink: str, mark: str) -> None:
    axes.errorbar(found.mean, place, xerr=found.half, fmt=mark, color=ink, capsize=3.5, markersize=4.5, linewidth=1.6)


def _box(axes: Any, spread: Any, place: int, ink: str) -> None:
    low, quarter, median, three_quarters, high, highest = spread
    axes.hlines(place, low, high, color=ink, linewidth=1.4)
    axes.barh(place, three_quarters - quarter, left=quarter, height=0.5, color=ink, alpha=0.45)
    axes.vlines(median, place - 0.28, place + 0.28, color=ink, linewidth=2.2)
    axes.plot(highest, place, "o", color=ink, markersize=4)


def _name_rows(axes: Any, names: list[str]) -> None:
    # Matplotlib takes what stands between dollars for a formula.
    axes.set_yticks(range(len(names)), [name.replace("$", r"\$") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)


def _mean(cells: CellsOfRows, row: Row, field: str) -> float:
    return mean_interval(values(cells[row.name], field).values()).mean
