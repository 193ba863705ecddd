"""One HTML page of a study that holds all it shows: it opens without a network, on a phone, in light and in dark."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from distilvo.files import write_text
from distilvo.report.page_template import render_page
from distilvo.study.claims import Outcome
from distilvo.study.findings import RULE, Finding, study_findings
from distilvo.study.plan import Cell, Plan, Reference
from distilvo.study.study_tables import study_tables


def write_page(
    path: Path,
    plan: Plan,
    cells: Sequence[Cell],
    references: Sequence[Reference],
    about: Mapping[str, str],
    figures: Mapping[str, Path],
    trusts: Mapping[str, Path],
) -> Path:
    """Write the page of a study and return its path.

    Args:
        path: of the page.
        plan, cells, references: the study.
        about: command, date, versions, machine.
        figures: PNG files by table, as ``write_figures`` returns them.
        trusts: PNG files of each trust in the teacher, by its name.

    Raises:
        DistilvoError: the page cannot be written.
    """
    findings = study_findings(plan, cells, references)
    text = render_page(
        "study.html",
        plan=plan,
        cells=len(cells),
        outcomes=_outcomes(findings),
        findings=findings,
        rule=RULE,
        plots={name: _data_uri(file) for name, file in figures.items()},
        tables=study_tables(plan, cells, references),
        trusts={name: _data_uri(file) for name, file in trusts.items()},
        details=_details(plan, about),
    )
    write_text(path, text)
    return path


def _outcomes(findings: Sequence[Finding]) -> dict[str, list[int]]:
    """The numbers of the findings by their outcome; an outcome that none has is left out."""
    order: tuple[Outcome, ...] = ("reproduced", "not shown", "contradicted", "not tested")
    numbers = {outcome: [finding.number for finding in findings if finding.outcome == outcome] for outcome in order}
    return {outcome: of_outcome for outcome, of_outcome in numbers.items() if of_outcome}


def _data_uri(png: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(png.read_bytes()).decode("ascii")


def _details(plan: Plan, about: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Tables of names and values, by title."""
    parts = {
        "data": plan.data,
        "students": plan.recipe,
        "teacher, trained further": plan.teacher,
        "teachers of folds": plan.fold_teacher,
    }
    settings = {name: json.dumps(asdict(part)) if part else "as it is" for name, part in parts.items()}
    settings["seeds"] = ", ".join(map(str, plan.seeds))
    methods = {
        row.label: f"{json.dumps(asdict(row.method))}, {row.rate:g} %, {row.shape}" for row in plan.rows.values()
    }
    return {"Command, versions and machine": about, "Configuration": settings, "Rows": methods}
