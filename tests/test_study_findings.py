"""The paper's findings, each held against made-up cells."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from distilvo.errors import DistilvoError
from distilvo.settings import PAPER
from distilvo.study.claims import every, some
from distilvo.study.findings import study_findings
from distilvo.study.plan import Row
from distilvo.study.plan_file import read_plan
from distilvo.study.statistics import by_row
from made_up_study import MEAN, METHODS, NOISE, PAPER_ERRORS, SEEDS, cell, findings, made_up, outcomes, plan


def test_a_row_has_one_cell_for_each_seed() -> None:
    with pytest.raises(DistilvoError, match="row 'gt': has two cells of seed 0"):
        by_row([cell("gt", 0, 0.1), cell("gt", 0, 0.1)])


def test_the_paper_is_reproduced() -> None:
    cells = [replace(found, latency_ms=8.0) for found in made_up()]
    assert set(outcomes(cells).values()) == {"reproduced"}
    ratio = findings(cells)[5].comparisons[0]
    assert ratio.intervals[0][1].mean == pytest.approx(21.2 / 8) and "92.95 % fewer parameters" in ratio.what


def test_the_paper_turned_round_is_contradicted() -> None:
    worst = max(PAPER_ERRORS.values())
    cells = made_up({row: 0.1 + worst - error for row, error in PAPER_ERRORS.items()})
    cells = [replace(found, latency_ms=16.0) for found in cells]
    assert set(outcomes(cells).values()) == {"contradicted"}


def test_a_comparison_says_how_many_seeds_it_rests_on() -> None:
    cells = made_up()
    few = [one for one in cells if one.row != "joint" or one.seed == SEEDS[0]]
    shown = [found.comparisons[0].show() for found in (findings(cells)[3], findings(few)[3])]
    assert shown[0].endswith(f"; {len(SEEDS)} seeds") and shown[1].endswith("; 1 seed")
    assert outcomes(few)[4] == "not shown"


def test_noise_shows_nothing() -> None:
    cells = [cell(row, seed, 0.1 + 0.05 * math.sin(13 * n + 7 * seed * seed)) for n, row in enumerate(METHODS)
             for seed in SEEDS]  # fmt: skip
    found = outcomes(cells)
    assert {found[number] for number in (3, 4, 7)} == {"not shown"}


def test_translation_and_rotation_that_disagree_show_nothing() -> None:
    cells = made_up()
    turned = [replace(c, rms_rpe_r_deg=0.5 - c.rms_rpe_r_deg) if c.row == "joint" else c for c in cells]
    assert outcomes(turned)[4] == "reproduced"  # both on the paper's side still
    opposed = [replace(c, rms_rpe_r_deg=0.01 * c.rms_rpe_r_deg) if c.row == "joint" else c for c in cells]
    assert outcomes(opposed)[4] == "not shown"


def test_ate_that_disagrees_shows_nothing() -> None:
    cells = [replace(c, ate_m=0.001 * c.ate_m) if c.row == "joint" else c for c in made_up()]
    assert outcomes(cells)[4] == "not shown"


def test_ate_alone_decides() -> None:
    equal = {name: error for name, error in PAPER_ERRORS.items() if "@" not in name} | {"aht": 0.1, "joint": 0.1}
    cells = [cell(row, seed, error + NOISE[seed] * (row == "joint")) for row, error in equal.items() for seed in SEEDS]
    assert outcomes(cells)[4] == "not shown"
    worse = [replace(c, ate_m=1.5 * c.ate_m) if c.row == "joint" else c for c in cells]
    assert outcomes(worse)[4] == "reproduced"


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        (("joint",), {4: "not tested"}),
        (("gt",), {1: "not tested", 7: "not shown"}),
        (("teacher",), {1: "reproduced"}),
        (("laplace",), {2: "not shown"}),
        (("ht",), {3: "not shown"}),
        (("aht",), {4: "not tested", 7: "not tested"}),
        (("aht@97",), {5: "not shown"}),
        (tuple(PAPER_ERRORS), dict.fromkeys(range(1, 8), "not tested")),
    ],
)
def test_missing_rows_are_not_tested(gone: tuple[str, ...], expected: dict[int, str]) -> None:
    found = outcomes([c for c in made_up() if c.row not in gone])
    assert {number: found[number] for number in expected} == expected


def test_without_a_teacher_ratios_are_not_tested() -> None:
    found = study_findings(plan(), made_up(), [MEAN])
    assert found[5].outcome == "not tested" and found[4].outcome == "not shown" and found[0].outcome == "reproduced"


def test_rows_are_found_by_their_method() -> None:
    better = {"inherit": replace(PAPER, inherit=True), "slim": PAPER, "folds": PAPER}
    others = {name: Row(name, name, method, 92.95) for name, method in better.items()}
    others["slim"] = replace(others["slim"], shape="slim")
    others["folds"] = replace(others["folds"], folds=3)
    made = plan()
    rows = others | {f"x{name}": replace(row, name=f"x{name}") for name, row in made.rows.items()}
    renamed = replace(
        made, rows=rows, tables={table: tuple(f"x{name}" for name in names) for table, names in made.tables.items()}
    )
    cells = [replace(c, row=f"x{c.row}") for c in made_up()]
    cells += [replace(cell("aht", seed, 0.5), row=name) for name in others for seed in SEEDS]
    renamed.tables["hints"] += tuple(others)
    renamed.tables["trust"] = tuple(others)
    assert set(outcomes(cells, renamed).values()) == {"reproduced"}


def test_rows_of_different_rates_are_not_compared() -> None:
    made = plan()
    rows = made.rows | {"joint": replace(made.rows["joint"], rate=73.0)}
    found = findings(made_up(), replace(made, rows=rows))[3].comparisons[0]
    assert found.intervals[0][1].mean == pytest.approx(0.082 - 0.098, abs=1e-3)
    assert "AHT@73 against JOINT" in found.what


def test_the_shipped_study_tests_every_finding() -> None:
    shipped = read_plan("paper")
    cells = [
        replace(cell("gt", seed, 0.1 + 0.001 * NOISE[seed] * number, row.rate), row=name)
        for number, (name, row) in enumerate(shipped.rows.items())
        for seed in SEEDS
    ]
    compared = [one for found in findings(cells, shipped) for one in found.comparisons]
    assert len(compared) >= 18 and "not tested" not in {one.outcome for one in compared}
    assert "PIL, Gaussian" in "".join(one.what for one in compared)


def test_claims_together() -> None:
    assert every(["reproduced", "reproduced"]) == "reproduced" and every(["reproduced", "not tested"]) == "not shown"
    assert every(["reproduced", "contradicted"]) == "contradicted" and every([]) == "not tested"
    assert some(["contradicted", "reproduced"]) == "reproduced" and some(["contradicted", "not shown"]) == "not shown"
    assert some(["contradicted", "not tested"]) == "contradicted" and some(["not tested"]) == "not tested"
