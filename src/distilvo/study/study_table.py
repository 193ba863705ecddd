"""A table of a study as text, and its printing for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from distilvo.study.plan import Plan, Routes, Split

_LABEL = 26
"""Characters of a row's name in a terminal; what is longer goes on in the next line."""
_GAP = 3
"""Characters between two columns."""


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


def console_tables(table: StudyTable, width: int) -> list[RichTable]:
    """A table for a terminal or a log; where that is narrower, several of some columns, each behind the rows' names."""
    sentences = table.name == "findings"  # which may be broken anywhere
    pieces = [list(range(len(table.headers)))] if sentences else _pieces(table, width)
    tables = [_console_table(table, piece) for piece in pieces]
    tables[0].title, tables[0].title_justify = table.title, "left"
    tables[-1].caption, tables[-1].caption_justify = Text("\n".join(table.notes)), "left"
    return tables


def _pieces(table: StudyTable, width: int) -> list[list[int]]:
    """The numbers of the columns of each piece: the rows' names, and as many others as there is room for."""
    pieces: list[list[int]] = []
    left = 0
    for number in range(1, len(table.headers)):
        texts = [table.headers[number], *(row[number] for row in table.rows)]
        needed = _GAP + max(cell_len(line) for text in texts for line in text.split("\n"))
        if not pieces or needed > left:
            pieces.append([0])
            left = width - min(_LABEL, max(cell_len(row[0]) for row in table.rows))
        pieces[-1].append(number)
        left -= needed
    return pieces


def _console_table(table: StudyTable, columns: Sequence[int]) -> RichTable:
    numbers = table.name != "findings"
    rich_table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    rich_table.leading = 1
    rich_table.add_column(Text(table.headers[0]), max_width=_LABEL if numbers else None)
    for number in columns[1:]:
        justify: JustifyMethod = "right" if numbers else "left"
        rich_table.add_column(Text(table.headers[number]), justify=justify, no_wrap=numbers)
    for row in table.rows:
        rich_table.add_row(*(Text(row[number]) for number in columns))
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
