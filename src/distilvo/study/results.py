"""The files of a study: its cells, tables, figures and page."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from distilvo.errors import DistilvoError
from distilvo.files import read_json, write_json, write_text
from distilvo.study.findings import study_findings
from distilvo.study.plan import QUANTILES, Cell, Plan, Reference
from distilvo.study.statistics import by_row
from distilvo.study.tables import findings_table, markdown_table, study_tables

_OPTIONAL = "hint_error"
_QUANTILES = ("error_t_m", "error_r_deg")
_WORDS = ("row", "method", "hint", "schedule")
_WHOLE = ("seed", "parameters", "steps")


def write_results(plan: Plan, cells: list[Cell], references: list[Reference], about: dict[str, str], out: Path) -> None:
    """Write ``study.json``, ``tables.md``, ``figures/*.png`` and ``report.html``, each in one piece.

    Args:
        plan: of the study.
        cells: those there are; a study need not be complete.
        references: the teacher and the mean motion.
        about: command, date, versions, machine.
        out: folder, made where needed.

    Raises:
        DistilvoError: one row has two cells of one seed, a value is not finite, or a file cannot be written.
    """
    from distilvo.study.figures import write_figures
    from distilvo.study.page import write_page

    for cell in cells:
        _check_finite(cell)
    order = {name: number for number, name in enumerate(plan.rows)}
    by_row(cells)
    ordered = sorted(cells, key=lambda cell: (order.get(cell.row, len(order)), cell.row, cell.seed))
    write_json(out / "study.json", [asdict(cell) for cell in ordered])
    write_text(out / "tables.md", _markdown(plan, cells, references, about))
    figures = write_figures(out / "figures", plan, cells, references)
    write_page(out / "report.html", plan, cells, references, about, figures)


def read_cells(path: Path) -> list[Cell]:
    """Read the cells that ``write_results`` wrote to ``study.json``.

    Raises:
        DistilvoError: the file is missing, or is no list of cells.
    """
    found = read_json(path)
    if not isinstance(found, list):
        raise DistilvoError(
            f"{path}: found {type(found).__name__}, expected a list of cells as 'distilvo study' writes it"
        )
    return [_cell(path, number, value) for number, value in enumerate(found)]


def _cell(path: Path, number: int, value: Any) -> Cell:
    names = {field.name for field in fields(Cell)}
    if not isinstance(value, dict) or value.keys() != names:
        differing = sorted(names ^ value.keys()) if isinstance(value, dict) else [type(value).__name__]
        raise DistilvoError(f"{path}: cell {number} differs from a cell of this version in {', '.join(differing)}")
    for name in sorted(names):
        if not _fits(name, value[name]):
            raise DistilvoError(f"{path}: cell {number} has {name} {value[name]!r}, which is no {name}; run it again")
    values: dict[str, Any] = {name: tuple(found) if name in _QUANTILES else found for name, found in value.items()}
    return Cell(**values)


def _fits(name: str, value: Any) -> bool:
    if name in _WORDS:
        return isinstance(value, str)
    if name in _WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if name in _QUANTILES:
        return isinstance(value, list) and len(value) == len(QUANTILES) and all(map(_number, value))
    return _number(value) or (name == _OPTIONAL and value is None)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_finite(cell: Cell) -> None:
    for name, value in asdict(cell).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise DistilvoError(
                f"row '{cell.row}', seed {cell.seed}: {name} is {value}, expected finite numbers; train it again"
            )


def _markdown(plan: Plan, cells: list[Cell], references: list[Reference], about: dict[str, str]) -> str:
    facts = "".join(f"- {name}: {' '.join(value.split())}\n" for name, value in about.items())
    tables = [findings_table(study_findings(plan, cells, references)), *study_tables(plan, cells, references)]
    return f"# {plan.title}\n\n{facts}\n" + "\n".join(map(markdown_table, tables))
