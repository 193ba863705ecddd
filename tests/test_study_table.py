"""A table of a study, for Markdown and for terminals of any width."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from distilvo.study.study_table import console_tables, markdown_table
from distilvo.study.study_tables import findings_table, study_tables
from made_up_study import EVIL, TEACHER, findings, made_up, plan, table


def test_markdown_keeps_its_columns() -> None:
    evil = plan()
    evil = replace(evil, rows=evil.rows | {"ail": replace(evil.rows["ail"], label=EVIL)})
    for found in (*study_tables(evil, made_up(), [TEACHER]), findings_table(evil, findings(made_up(), evil))):
        lines = [line for line in markdown_table(found).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(found.headers) + 1}
        assert len(lines) == len(found.rows) + 2 and "<script" not in "".join(lines)


@pytest.mark.parametrize(("width", "pieces"), [(78, 1), (77, 2), (48, 3)])
def test_console_shows_every_number(width: int, pieces: int) -> None:
    """Names take 11 characters, seeds 3 + 6, errors 3 + 17, 3 + 17 and 3 + 15: 78 in all; 11 + 20 + 18 without two."""
    found = table("blends", made_up())
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(*console_tables(found, width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    places = re.split(r"\s{2,}|\n", text)
    for line in (line for row in found.rows for place in row[1:] for line in place.split("\n")):
        assert line in places
    assert places.count("mean motion") == pieces
    assert (
        text.index("(1) Blends")
        < text.index("mean motion")
        <= text.rindex("mean motion")
        < text.index(found.notes[0][:20])
    )
    assert text.count("(1) Blends") == text.count(found.notes[0][:20]) == 1
