"""The plots of a study as PNG files on a light ground, readable on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from distilvo.report.matplotlib_renderer import name_rows, png_figure
from distilvo.report.style import LEAST_TRUSTED, Palette, label
from distilvo.study.drive_tables import distribution_rows
from distilvo.study.plan import Cell, Plan, Reference, Row, Table
from distilvo.study.statistics import (
    ERRORS,
    HINT_ERROR,
    VALIDATION,
    CellsOfRows,
    Interval,
    Measure,
    by_row,
    compared,
    mean_interval,
    values,
)
from distilvo.study.study_tables import TITLES, first_of

_LOOKS = Palette(("student_distilled", "teacher", "mean_motion"))
_STUDENT, _TEACHER = _LOOKS.colour("student_distilled"), _LOOKS.colour("teacher")
_VERDICTS = {"better": _STUDENT, "worse": LEAST_TRUSTED, "no difference shown": "#6b6b6b"}
_MARKS = {"better": "o", "worse": "s", "no difference shown": "D"}
_Pair = tuple[dict[int, Cell], dict[int, Cell]]
_SPREADS = (
    ("error_t_m", "translation (m a frame pair)"),
    ("error_r_deg", "rotation (deg a frame pair)"),
    ("error_ate_m", "a pose (m, Sim(3))"),
)


def write_figures(folder: Path, plan: Plan, cells: Sequence[Cell], references: Sequence[Reference]) -> dict[str, Path]:
    """Write each figure that there are cells for.

    Returns:
        the PNG files, by the name of the table that each belongs to; ``error_t_m`` for the error distributions and
        ``differences`` for the paired differences of all tables but ``rates`` and ``budgets``.

    Raises:
        DistilvoError: an image cannot be written.
    """
    cells_of_rows = by_row(cells)
    teacher = next((reference for reference in references if reference.name == "teacher"), None)
    written: dict[str, Path] = {}
    for name in TITLES:
        rows = [plan.rows[row] for row in plan.tables.get(name, ()) if row in cells_of_rows]
        if rows:
            written[name] = folder / f"{name}.png"
            plot = _plot_rates if name == "rates" else _plot_budgets if name == "budgets" else _plot_means
            plot(written[name], TITLES[name], rows, cells_of_rows, teacher)
    spread = [plan.rows[name] for name in distribution_rows(plan) if name in cells_of_rows]
    if spread:
        written["error_t_m"] = folder / "distributions.png"
        _plot_distributions(written["error_t_m"], spread, cells_of_rows, references)
    # Students of other sizes differ so much that nothing could be read beside them; they have their own figure.
    compared_in = [name for name in TITLES if name not in ("rates", "budgets")]
    groups = {name: [plan.rows[row] for row in plan.tables.get(name, ())] for name in compared_in}
    pairs = {name: _pairs(name, rows, cells_of_rows) for name, rows in groups.items()}
    if any(pairs.values()):
        written["differences"] = folder / "differences.png"
        _plot_differences(written["differences"], {TITLES[name]: lines for name, lines in pairs.items() if lines})
    return written


def _plot_means(path: Path, title: str, rows: list[Row], cells: CellsOfRows, teacher: Reference | None) -> None:
    """A panel for each measure: every seed a small dot, their mean with its interval, the teacher a line."""
    hints = any(cell.hint_error is not None for row in rows for cell in cells[row.name].values())
    measures = (*ERRORS, HINT_ERROR) if hints and title == TITLES["hints"] else ERRORS
    with png_figure(path, (3.2 + 2.7 * len(measures), 1.7 + 0.42 * len(rows))) as figure:
        panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, measure in zip(panels, measures, strict=True):
            for place, row in enumerate(rows):
                seeds = list(values(cells[row.name], measure).values())
                axes.plot(seeds, [place + 0.25] * len(seeds), "o", color="#a0a0a0", markersize=3)
                if seeds:
                    _interval(axes, mean_interval(seeds), place, _STUDENT, "o")
            if teacher and measure is not HINT_ERROR:
                axes.axvline(measure.of(teacher), color=_TEACHER, linestyle="-.", linewidth=1.4)
            axes.set(xlabel=measure.header)
        name_rows(panels, [row.label for row in rows])
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
            intervals = [mean_interval(values(cells[row.name], measure).values()) for row in rows]
            axes.plot(kept, [interval.mean for interval in intervals], "-", color=_STUDENT, linewidth=1.2)
            for share, interval in zip(kept, intervals, strict=True):
                look: dict[str, Any] = {"fmt": "o", "color": _STUDENT, "capsize": 3, "markersize": 5}
                axes.errorbar(share, interval.mean, yerr=interval.half, **look)
            if teacher:
                axes.axhline(measure.of(teacher), color=_TEACHER, linestyle="-.", linewidth=1.4)
            axes.set(ylabel=measure.header, xscale="log")
            axes.set_ylim(bottom=0)
            axes.set_xticks(kept, [f"{share:.1f}" for share in kept], fontsize=8)
            axes.minorticks_off()
            axes.tick_params(labelbottom=True)
        figure.supxlabel("parameters kept, % of the teacher's, logarithmic", fontsize=10)
        figure.suptitle(f"{title}; mean, 95 % interval{', teacher (line)' if teacher else ''}", fontsize=11)


def _plot_budgets(path: Path, title: str, rows: list[Row], cells: CellsOfRows, teacher: Reference | None) -> None:
    """Each error on the drives for validation, else on those to test on, against the optimiser steps of each method."""
    validated = all(values(cells[row.name], VALIDATION[0]) for row in rows)
    measures = VALIDATION if validated else ERRORS
    methods: dict[Row, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.budget):
        methods.setdefault(row.training, []).append(row)
    with png_figure(path, (12, 4.2)) as figure:
        for axes, measure in zip(figure.subplots(1, len(measures)), measures, strict=True):
            for place, same in enumerate(methods.values()):
                label = min(same, key=lambda row: abs(row.budget - 1)).label
                steps = [_mean(cells, row, "steps") for row in same]
                intervals = [mean_interval(values(cells[row.name], measure).values()) for row in same]
                look: dict[str, Any] = {
                    "color": f"C{place}",
                    "capsize": 3,
                    "markersize": 5,
                    "marker": "os^D"[place % 4],
                }
                axes.errorbar(
                    steps, [one.mean for one in intervals], [one.half or 0 for one in intervals], label=label, **look
                )
            axes.set(ylabel=measure.header, xscale="log", xlabel="optimiser steps, logarithmic")
            axes.set_ylim(bottom=0)
            ticks = sorted({_mean(cells, row, "steps") for row in rows})
            axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks], fontsize=8)
            axes.minorticks_off()
        figure.axes[0].legend(fontsize=8)
        figure.suptitle(f"{title}; mean, 95 % interval", fontsize=11)


def _plot_distributions(path: Path, rows: list[Row], cells: CellsOfRows, references: Sequence[Reference]) -> None:
    """Boxes of the middle half, whiskers of the middle 90 %, a dot at 99 %, a cross at the largest; seeds' means."""
    names = [row.label for row in rows] + [label(reference.name) for reference in references]
    colours = [_STUDENT] * len(rows) + [_LOOKS.colour(reference.name) for reference in references]
    with png_figure(path, (13, 1.6 + 0.42 * len(names))) as figure:
        panels = figure.subplots(1, len(_SPREADS), sharey=True)
        for axes, (field, header) in zip(panels, _SPREADS, strict=True):
            spreads = [np.mean([getattr(cell, field) for cell in cells[row.name].values()], axis=0) for row in rows]
            spreads += [np.array(getattr(reference, field)) for reference in references]
            for place, (spread, ink) in enumerate(zip(spreads, colours, strict=True)):
                _box(axes, spread, place, ink)
            axes.set(xlabel=header, xscale="log")
        name_rows(panels, names)
        figure.suptitle(
            "Single errors, logarithmic: median, middle 50 %, middle 90 %, dot at 99 %, cross at the largest",
            fontsize=11,
        )


def _plot_differences(path: Path, groups: dict[str, list[tuple[str, _Pair]]]) -> None:
    """Every row less the one that it is compared with, with the interval of the paired difference; left is better."""
    lines: list[tuple[str, _Pair | None]] = [
        line for title, pairs in groups.items() for line in ((title, None), *pairs)
    ]
    with png_figure(path, (12, 1.7 + 0.4 * len(lines))) as figure:
        panels = figure.subplots(1, len(ERRORS), sharey=True)
        for axes, measure in zip(panels, ERRORS, strict=True):
            axes.axvline(0, color="black", linewidth=1)
            for place, (_, pair) in enumerate(lines):
                paired = compared(pair[0], pair[1], measure) if pair else None
                if paired and paired.difference:
                    _interval(axes, paired.difference, place, _VERDICTS[paired.verdict], _MARKS[paired.verdict])
            axes.set(xlabel=measure.header)
        name_rows(panels, [name for name, _ in lines])
        for tick, (_, pair) in zip(panels[0].get_yticklabels(), lines, strict=True):
            tick.set(fontweight="normal" if pair else "bold", fontsize=9)
        for verdict, mark in _MARKS.items():
            panels[-1].plot([], [], mark, color=_VERDICTS[verdict], label=verdict)
        figure.legend(loc="outside lower center", ncols=len(_MARKS))
        figure.suptitle("Paired differences by seed with 95 % interval; left of 0 is better", fontsize=11)


def _pairs(table: Table, rows: list[Row], cells: CellsOfRows) -> list[tuple[str, _Pair]]:
    """The label of each row and of the one that it is compared with, with the cells of both."""
    pairs = []
    for row in rows:
        first = first_of(table, rows, row)
        if row != first and cells.get(row.name, {}).keys() & cells.get(first.name, {}).keys():
            pairs.append((f"{row.label} − {first.label}", (cells[row.name], cells[first.name])))
    return pairs


def _interval(axes: Any, interval: Interval, place: int, ink: str, mark: str) -> None:
    look: dict[str, Any] = {"fmt": mark, "color": ink, "capsize": 3.5, "markersize": 4.5, "linewidth": 1.6}
    axes.errorbar(interval.mean, place, xerr=interval.half, **look)


def _box(axes: Any, spread: Any, place: int, ink: str) -> None:
    low, quarter, median, three_quarters, high, highest, largest = spread
    axes.hlines(place, low, high, color=ink, linewidth=1.4)
    axes.barh(place, three_quarters - quarter, left=quarter, height=0.5, color=ink, alpha=0.45)
    axes.vlines(median, place - 0.28, place + 0.28, color=ink, linewidth=2.2)
    axes.plot(highest, place, "o", color=ink, markersize=4)
    axes.plot(largest, place, "x", color=ink, markersize=5)


def _mean(cells: CellsOfRows, row: Row, field: str) -> float:
    return fmean(getattr(cell, field) for cell in cells[row.name].values())
