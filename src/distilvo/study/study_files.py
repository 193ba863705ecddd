"""The files of a study: its cells, tables, figures and page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.files import write_json, write_text
from distilvo.report.results import TrustResult
from distilvo.study.findings import study_findings
from distilvo.study.plan import Cell, Plan, Reference
from distilvo.study.statistics import by_row
from distilvo.study.study_table import markdown_table
from distilvo.study.study_tables import findings_table, study_tables


def write_results(
    plan: Plan,
    cells: list[Cell],
    references: list[Reference],
    about: dict[str, str],
    out: Path,
    *,
    trusts: Mapping[str, TrustResult] | None = None,
) -> None:
    """Write ``study.json``, ``tables.md``, ``figures/*.png`` and ``report.html``, each in one piece.

    Args:
        plan: of the study.
        cells: those there are; a study need not be complete.
        references: the teacher and the mean motion.
        about: command, date, versions, machine.
        out: folder, made where needed.
        trusts: each trust in the teacher that rows were trained with, by a name for it.

    Raises:
        DistilvoError: one row has two cells of one seed, a value is not finite, or a file cannot be written.
    """
    from distilvo.report.matplotlib_renderer import write_plot
    from distilvo.report.trust_plots import trust_plot
    from distilvo.study.study_page import write_page
    from distilvo.study.study_plots import write_figures

    for cell in cells:
        _check_finite(cell)
    order = {name: number for number, name in enumerate(plan.rows)}
    by_row(cells)
    ordered = sorted(cells, key=lambda cell: (order.get(cell.row, len(order)), cell.row, cell.seed))
    write_json(out / "study.json", [asdict(cell) for cell in ordered])
    write_text(out / "tables.md", _markdown(plan, cells, references, about))
    figures = write_figures(out / "figures", plan, cells, references)
    trust_files = {}
    for number, (name, trust) in enumerate((trusts or {}).items()):
        plot = replace(trust_plot(trust), name=f"phi-{number}")
        (trust_files[name],) = write_plot(out / "figures", plot)
    write_page(out / "report.html", plan, cells, references, about, figures, trust_files)


def _check_finite(cell: Cell) -> None:
    for name, value in asdict(cell).items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise DistilvoError(
                f"row '{cell.row}', seed {cell.seed}: {name} is {value}, expected finite numbers; train it again"
            )


def _markdown(plan: Plan, cells: list[Cell], references: list[Reference], about: dict[str, str]) -> str:
    facts = "".join(f"- {name}: {' '.join(value.split())}\n" for name, value in about.items())
    findings = study_findings(plan, cells, references)
    tables = [findings_table(plan, findings)] * bool(findings) + study_tables(plan, cells, references)
    return f"# {plan.title}\n\n{facts}\n" + "\n".join(map(markdown_table, tables))
