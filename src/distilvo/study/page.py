"""One HTML page of a study that holds all it shows: it opens without a network, on a phone, in light and in dark."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from pathlib import Path

from distilvo.files import write_text
from distilvo.study.findings import RULE, Finding, study_findings
from distilvo.study.plan import Cell, Plan, Reference
from distilvo.study.tables import StudyTable, study_tables

# The pictures are drawn for paper: on a dark page too they keep their white ground, and on a phone their size.
_CSS = """
tbody th { white-space: normal; min-width: 8.5em; text-align: left; }
tbody th, tbody td { vertical-align: top; }
.tag { border-radius: 4px; padding: 1px 8px; font-size: .85rem; font-weight: 600; color: #fff; background: #59636e; }
.tag.reproduced { background: #00724f; }
.tag.contradicted { background: #b34700; }
.finding { border-left: 4px solid var(--rule); padding: 2px 0 2px 14px; margin: 18px 0; }
.finding h3 { font-size: 1rem; margin: 4px 0; }
.wide img { min-width: 720px; background: #fff; margin: 12px 0; }
"""

# The policy forbids every request and every script.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


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
    found = study_findings(plan, cells, references)
    tables = study_tables(plan, cells, references)
    sections = [
        _head(plan, cells, found),
        "<h2>Findings of the paper</h2>" + "".join(map(_finding, found)) + f'<p class="soft">{escape(RULE)}</p>',
        _picture(figures, "differences", "Paired differences by seed"),
        *(_table(table) + _picture(figures, table.name, table.title) for table in tables),
        *(f"<h2>Trust in the teacher: {escape(name)}</h2>" + _picture(trusts, name, name) for name in trusts),
        _details(plan, about),
    ]
    css = files("distilvo.report").joinpath("page.css").read_text(encoding="utf-8") + _CSS
    write_text(path, _PAGE.format(title=escape(plan.title), css=css, body="\n".join(filter(None, sections))))
    return path


def _head(plan: Plan, cells: Sequence[Cell], findings: Sequence[Finding]) -> str:
    told = []
    for outcome in ("reproduced", "not shown", "contradicted", "not tested"):
        numbers = [str(finding.number) for finding in findings if finding.outcome == outcome]
        if numbers:
            told.append(f"{outcome}: {', '.join(numbers)}")
    expected = len(plan.rows) * len(plan.seeds)
    return (
        f"<h1>{escape(plan.title)}</h1>"
        f'<p class="verdict">Of the paper\'s seven findings — {"; ".join(told)}.</p>'
        f'<p class="soft">{len(cells)} of {expected} cells: {len(plan.rows)} rows, {len(plan.seeds)} seeds.</p>'
    )


def _finding(finding: Finding) -> str:
    compared = "".join(
        f"<li>{escape(found.what)}: {escape(found.show())} "
        f'<span class="soft">(paper: {escape(str(found.claim))}) → {found.outcome}</span></li>'
        for found in finding.comparisons
    )
    tag = f'<span class="tag {finding.outcome.replace(" ", "-")}">{finding.outcome}</span>'
    statement = f"<h3>{finding.number}. {escape(finding.statement)}</h3>"
    return f'<div class="finding">{tag}{statement}<ul>{compared}</ul></div>'


def _table(table: StudyTable) -> str:
    header = "".join(f'<th scope="col">{escape(text)}</th>' for text in table.headers)
    body = "".join(
        f'<tr><th scope="row">{_lines(first)}</th>' + "".join(f"<td>{_lines(text)}</td>" for text in rest) + "</tr>"
        for first, *rest in table.rows
    )
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in table.notes)
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{notes}"
    )


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _picture(figures: Mapping[str, Path], name: str, title: str) -> str:
    if name not in figures:
        return ""
    data = base64.b64encode(figures[name].read_bytes()).decode("ascii")
    return f'<div class="wide"><img src="data:image/png;base64,{data}" alt="{escape(title)}, drawn"></div>'


def _details(plan: Plan, about: Mapping[str, str]) -> str:
    shown = {
        "data": plan.data,
        "students": plan.recipe,
        "teacher, trained further": plan.teacher,
        "teachers of folds": plan.fold_teacher,
    }
    settings = {name: json.dumps(asdict(value)) if value else "as it is" for name, value in shown.items()}
    settings["seeds"] = ", ".join(map(str, plan.seeds))
    methods = {
        row.label: f"{json.dumps(asdict(row.method))}, {row.rate:g} %, {row.shape}" for row in plan.rows.values()
    }
    parts = {"Command, versions and machine": about, "Configuration": settings, "Rows": methods}
    body = "".join(f"<h3>{title}</h3>{_facts(facts)}" for title, facts in parts.items())
    return f"<details><summary>Configuration and versions</summary>{body}</details>"


def _facts(facts: Mapping[str, str]) -> str:
    lines = (f'<tr><th scope="row">{escape(key)}</th><td>{escape(value)}</td></tr>' for key, value in facts.items())
    return f'<div class="wide"><table><tbody>{"".join(lines)}</tbody></table></div>'
