"""The benchmark outside VO draws what it says: shares of labels, degraded inputs, wrong outputs; disjoint sets."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # behind all others: its files have common names

import any_regressor  # noqa: E402
from any_regressor import PROBLEMS, REGIMES, ROWS, draw  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402
from small_regressions import SAMPLES, Digits, Friedman, Problem  # noqa: E402

BY_NAME = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


def case(problem: Problem, regime: str, seed: int = 3) -> any_regressor.Case:
    torch.manual_seed(0)
    return draw(problem, problem.teacher(), REGIMES[regime], seed)


@BY_NAME
@pytest.mark.parametrize("regime", REGIMES)
def test_shares_are_exact_in_each_part(problem: Problem, regime: str) -> None:
    drawn, plan = case(problem, regime), REGIMES[regime]
    assert int(drawn.labelled.sum()) == plan.labelled * SAMPLES in (100, 2000)
    assert int(drawn.wrong.sum()) == plan.wrong * SAMPLES in (0, 400)
    for part in (drawn.degraded[drawn.labelled], drawn.degraded[~drawn.labelled], drawn.test_degraded):
        assert int(part.sum()) == plan.degraded * len(part)


@BY_NAME
@pytest.mark.parametrize("regime", ["degraded", "harsh"])
def test_only_degraded_inputs_differ_and_no_target_does(problem: Problem, regime: str) -> None:
    clean, drawn = case(problem, "few"), case(problem, regime)
    for before, after, degraded in (
        (clean.train, drawn.train, drawn.degraded),
        (clean.test, drawn.test, drawn.test_degraded),
    ):
        assert torch.equal((before.inputs != after.inputs).any(1), degraded)
        assert torch.equal(before.targets, after.targets)


@BY_NAME
def test_wrong_outputs_are_those_of_other_samples(problem: Problem) -> None:
    right, drawn = case(problem, "all"), case(problem, "wrong")
    assert torch.equal((right.outputs != drawn.outputs)[:, 0], drawn.wrong)
    assert torch.equal(right.outputs.sort(0).values, drawn.outputs.sort(0).values)


@BY_NAME
def test_a_seed_draws_the_same_again_and_another_does_not(problem: Problem) -> None:
    first, again, other = (case(problem, "degraded", seed) for seed in (1, 1, 2))
    assert torch.equal(first.train.inputs, again.train.inputs) and torch.equal(first.labelled, again.labelled)
    assert not torch.equal(first.train.inputs, other.train.inputs) and not torch.equal(first.labelled, other.labelled)


def test_no_image_is_in_two_of_teacher_student_and_test() -> None:
    problem = Digits()
    own = set(problem.teacher_samples().images)
    for seed in range(3):
        train, test = (set(samples.images) for samples in problem.samples(np.random.default_rng(seed)))
        assert len(own) == 600 and not own & train and not own & test and not train & test


def test_no_row_of_friedman_is_in_two_of_teacher_student_and_test() -> None:
    problem = Friedman()
    parts = [problem.teacher_samples(), *problem.samples(np.random.default_rng(0))]
    rows = torch.cat([samples.inputs for samples in parts])
    assert len(rows) == 20_000 + 2 * SAMPLES == len(rows.unique(dim=0))


def test_a_right_angle_by_hand() -> None:
    images = load_digits().images[:5]
    fixed = SimpleNamespace(choice=lambda chosen, _count: chosen, uniform=lambda *_: np.full(5, 90.0))
    turned = Digits()._rotated(np.arange(5), 5, fixed)
    assert np.allclose(turned.inputs.reshape(5, 8, 8), np.rot90(images, 1, (1, 2)) / 16, atol=1e-5)
    assert turned.targets.tolist() == [[90.0]] * 5


def test_friedman_by_hand() -> None:
    """Labels of the test set have no noise: 10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4."""
    train, test = Friedman().samples(np.random.default_rng(0))
    for samples, spread in ((train, 1.0), (test, 0.0)):
        x = (samples.inputs / 12**0.5 + 0.5).double()
        assert float(x.min()) >= 0 and float(x.max()) <= 1
        value = 10 * torch.sin(torch.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
        assert float((samples.targets[:, 0] - value).std()) == pytest.approx(spread, abs=0.05)


def test_sizes() -> None:
    sizes = [
        sum(p.numel() for p in net.parameters())
        for problem in PROBLEMS
        for net in (problem.teacher(), problem.student())
    ]
    assert sizes == [23_059, 1_521, 39_361, 169]


@BY_NAME
def test_rows_see_the_labels_that_they_should(problem: Problem) -> None:
    drawn, ones = case(problem, "degraded"), torch.ones(SAMPLES)
    given = {row: any_regressor.arguments(row, drawn, ones, problem.hint) for row in ROWS}
    labelled = drawn.labelled
    assert torch.equal(given["labels"]["data"][1], drawn.train.targets[labelled])
    assert torch.equal(given["all labels"]["data"][1], drawn.train.targets)
    stopped = given["labels, stopped early"]
    parts = stopped["data"][0], stopped["validation"][0]
    assert [len(part) for part in parts] == [80, 20] and len(torch.cat(parts).unique(dim=0)) == 100
    for row in ("no trust", "learned", "shuffled", "oracle", "hints", "hints, learned"):
        inputs, targets = given[row]["data"]
        assert torch.equal(inputs, drawn.train.inputs) and torch.equal(targets.isnan()[:, 0], ~labelled)
        assert torch.equal(targets[labelled], drawn.train.targets[labelled])
    assert [row for row in ROWS if "hints" in given[row]] == ["hints", "hints, learned"]
    assert [row for row in ROWS if given[row].get("alpha") == 1] == ["labels", "labels, stopped early", "all labels"]


def test_trust_of_rows() -> None:
    drawn, learned = case(Friedman(), "degraded"), torch.rand(SAMPLES)
    trusts = {row: any_regressor.arguments(row, drawn, learned, ("3", "1"))["trust"] for row in ROWS}
    assert not torch.equal(trusts["shuffled"], learned) and torch.equal(trusts["shuffled"].sort()[0], learned.sort()[0])
    errors = (drawn.outputs - drawn.train.targets).square()[:, 0]
    middle = errors.argsort()[(SAMPLES - 1) // 2]  # the median error is trusted by a half
    assert float(trusts["oracle"][middle]) == 0.5 and torch.equal(trusts["oracle"].argsort(), (-errors).argsort())
    assert [trusts[row] for row in ("no trust", "hints", "learned", "rank")] == ["none", "none", "learned", "rank"]


def test_changes_are_paired_by_seed() -> None:
    interval = any_regressor.change(np.array([0.9, 1.6]), np.array([1.0, 2.0]))
    assert interval.mean == pytest.approx(-15) and interval.half == pytest.approx(12.706205 * 5)  # -10 % and -20 %


def test_tables_and_plot_of_all_cells(tmp_path: Path) -> None:
    cells = [
        {"problem": problem.name, "regime": name, "row": row, "seed": seed, "error": 1.0 + seed}
        for problem in PROBLEMS
        for name, regime in REGIMES.items()
        for row in ("teacher", *regime.rows)
        for seed in range(2)
    ]
    found = {"parameters": {problem.name: [2, 1] for problem in PROBLEMS}, "seconds": 3, "cells": cells}
    text = any_regressor.tables(found)
    assert text.count("| imitation without trust | 1.50 ± 6.35 | +0.0 ± 0.0 |  |") == 2 * len(REGIMES)
    any_regressor.plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
