"""Any two rows of a study, paired by seed, from its file of cells."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from made_up_study import MEAN, TEACHER, cell

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # behind all others: its files have common names

import compare_rows


@pytest.fixture
def printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """What the script prints for the words of a command line."""
    cells = [cell("gt", 0, 0.1), cell("gt", 1, 0.2), cell("gt", 2, 9.0), cell("ail", 0, 0.1), cell("ail", 1, 0.3)]
    (tmp_path / "study.json").write_text(json.dumps([asdict(one) for one in cells]))
    (tmp_path / "references.json").write_text(json.dumps([asdict(one) for one in (MEAN, TEACHER)]))
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["compare_rows.py", "study.json", *line.split()])
        compare_rows.main()
        return capsys.readouterr().out

    return run


def lines(text: str) -> dict[str, list[str]]:
    places = [[place.strip() for place in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return {first: rest for first, *rest in places}


def test_seeds_that_both_rows_have_are_paired(printed: Callable[[str], str]) -> None:
    """By hand: 0.1 and 0.3 less 0.1 and 0.2 are 0.05 ± 12.706 x 0.05; over them 1.25 ± 12.706 x 0.25."""
    text = printed("ail gt")
    found = lines(text)
    assert found["measure"] == ["ail", "gt", "difference", "ratio"] and "- Seeds 0, 1; mean" in text
    assert found["RMS-RPE trans (m)"] == ["0.2000 ± 1.2706", "0.1500 ± 0.6353", "+0.0500 ± 0.6353", "1.250 ± 3.177 ×"]
    assert found["median pair: trans (m)"][2:] == ["+0.0025 ± 0.0318", "1.250 ± 3.177 ×"]
    assert not any(name.startswith("t_rel") for name in found)  # these drives are too short for it


def test_a_row_stands_beside_the_teacher(printed: Callable[[str], str]) -> None:
    """By hand: medians of 0.005 and 0.015 m are 0.2 times the teacher's 0.05."""
    found = lines(printed("ail teacher --references references.json"))
    assert found["RMS-RPE trans (m)"] == ["0.2000 ± 1.2706", "0.0800", "2.500 ± 15.883 ×"]
    assert found["median pair: trans (m)"][1:] == ["0.0500", "0.200 ± 1.271 ×"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ail nix", "no row 'nix' in the study; expected one of gt, ail"),
        ("ail nix --references references.json", "references.json: no 'nix'; expected one of mean_motion, teacher"),
    ],
)
def test_a_name_that_is_not_there(
    line: str, message: str, printed: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        printed(line)
    assert message in capsys.readouterr().err
