"""A table of a study as text, and its printing for a terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from distilvo.study.plan import Plan, Routes, Split


@dataclass(frozen=True)
class StudyTable:
    """A table as text.

    Attributes:
        name: as in ``Plan.tables``, or ``error_t_m``, ``error_r_deg``, ``error_ate_m``, ``drives``, ``findings``.
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


def rendered_note(plan: Plan) -> tuple[str, ...]:
    """A note that the images are rendered, where they are."""
    if isinstance(plan.data, Split):
        return ()
    along = f" along the true trajectories of {', '.join(plan.data.test)}" if isinstance(plan.data, Routes) else ""
    return (f"The images are rendered{along}; they are not a camera's.",)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
