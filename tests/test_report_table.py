"""The table of a run and its verdict, in Markdown and on a terminal."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from distilvo.report.model_table import markdown_table, results_table, verdict
from distilvo.report.results import (
    ModelRow,
)
from test_report import ROWS


def test_markdown_table_word_for_word() -> None:
    assert markdown_table(ROWS).splitlines() == [
        "| model | parameters | % fewer | latency (ms) | RMS-RPE trans (m, unaligned) | "
        "RMS-RPE rot (deg, unaligned) | ATE (m, Sim(3)) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| mean motion | – | – | – | 0.2000 | 1.0000 | 80.000 |",
        "| teacher | 33,640,006 | 0.0 | 41.30 | 0.0500 | 0.1000 | 10.000 |",
        "| student supervised | 2,400,326 | 92.9 | 6.41 | 0.1200 | **0.2500** | **18.000** |",
        "| student distilled | 2,400,326 | 92.9 | 6.39 | **0.1000** | 0.3000 | **18.000** |",
    ]


def test_one_student_alone_is_not_the_best() -> None:
    assert "**" not in markdown_table(ROWS[:3])


@pytest.mark.parametrize("width", [80, 100])
def test_terminal_table_loses_nothing(width: int) -> None:
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(results_table(ROWS))
    lines = capture.get().splitlines()
    assert lines[-1].split() == ["student", "distilled", "2,400,326", "92.9", "6.39", "0.1000", "0.3000", "18.000"]
    assert "…" not in capture.get() and max(map(len, lines)) <= width


def test_terminal_table_folds_a_long_name_and_keeps_the_numbers() -> None:
    console = Console(width=80, no_color=True, force_terminal=False)
    with console.capture() as capture:
        console.print(results_table([ModelRow("x" * 60, 33_640_006, 92.86, 6.39, 0.1, 0.3, 18.0)]))
    assert capture.get().count("x") == 60
    assert all(number in capture.get() for number in ("33,640,006", "92.9", "6.39", "0.1000", "0.3000", "18.000"))


def test_terminal_table_is_bold_where_markdown_is() -> None:
    bold = [
        [str(cell.style) == "bold" for cell in column._cells]  # type: ignore[union-attr]
        for column in results_table(ROWS).columns
    ]
    lines = [line.strip("| ").split(" | ") for line in markdown_table(ROWS).splitlines()[2:]]
    marked = [[cell.startswith("**") for cell in column] for column in zip(*lines, strict=True)]
    assert bold == marked and sum(map(sum, bold)) == 4


def test_verdict_worked_out_by_hand() -> None:
    assert verdict(ROWS) == (
        "Judged by its errors, the distilled student is "
        "better than always predicting the mean motion in every measure "
        "(translation 50 % lower, rotation 70 % lower, ATE 78 % lower); "
        "better than the same student trained on ground truth alone in 1 and worse in 1 of 3 measures "
        "(translation 17 % lower, rotation 20 % higher, ATE the same); "
        "worse than the teacher in every measure "
        "(translation 100 % higher, rotation 200 % higher, ATE 80 % higher). "
        "This is one seed, one run, no statistics: another seed may change small differences."
    )


error = st.floats(1e-6, 1e6) | st.sampled_from([0.0, float("nan"), float("inf"), 1.0])


@example(mine=(1.0001, 0.9999, 1.0), other=(1.0, 1.0, 1.0))
@given(mine=st.tuples(error, error, error), other=st.tuples(error, error, error))
def test_verdict_never_flatters(mine: tuple[float, ...], other: tuple[float, ...]) -> None:
    text = verdict([ModelRow("teacher", 9, 0, 1, *other), ModelRow("student_distilled", 3, 66.7, 1, *mine)])
    lower = [bool(re.search(rf"{name} [\d.]+ % lower", text)) for name in ("translation", "rotation", "ATE")]
    higher = [bool(re.search(rf"{name} [\d.]+ % higher", text)) for name in ("translation", "rotation", "ATE")]
    assert not any(claim and not a < b for claim, a, b in zip(lower, mine, other, strict=True))
    assert not any(claim and not a > b for claim, a, b in zip(higher, mine, other, strict=True))
    assert not re.search(r"(?<![\d.])0(\.0)? %", text)
    assert ("is better than the teacher in every" in text) == all(lower)
    assert ("is worse than the teacher in every" in text) == all(higher)
    assert "one run, no statistics" in text


@pytest.mark.parametrize("rows", [[], ROWS[:3], ROWS[3:]])
def test_verdict_with_nothing_to_compare(rows: list[ModelRow]) -> None:
    assert verdict(rows) == "There is no distilled student beside another model to compare; one run, no statistics."


def test_importing_the_table_loads_no_heavy_library() -> None:
    code = "import sys; from distilvo.report import RunResults, results_table; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numba", "cv2", "plotly", "matplotlib"} & set(loaded)
