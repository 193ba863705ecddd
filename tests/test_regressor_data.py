"""``distill_regressor`` on trust of every kind, targets of every shape, weights and scales."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distilvo.distill.regressor import distill_regressor
from distilvo.distill.trainer import TrainingSettings
from distilvo.errors import DistilvoError
from small_regressors import DATA, LONG, QUICK, X, flat, same, small, uniform, wave


def misled(x: Tensor) -> Tensor:
    """Right where the second input is below 0, and off by 3 at random where it is above."""
    sign = torch.where((1000 * x[:, :1]).round() % 2 == 0, 1.0, -1.0)
    return wave(x[:, :1]) + 0.05 * sign + 3 * sign * (x[:, 1:] > 0)


PLANE, MORE_PLANE = uniform(150, 2), uniform(300, 2, seed=1)
ON_PLANE = (PLANE, wave(PLANE[:, :1]))


def test_a_learned_trust_falls_where_the_teacher_errs_visibly() -> None:
    made = distill_regressor(misled, small(2), ON_PLANE, unlabelled=MORE_PLANE, training=QUICK)
    assert made.trust.kind == "learned" and made.trust.note == ""
    wrong = torch.cat([PLANE, MORE_PLANE])[:, 1] > 0
    for part in (slice(0, 150), slice(150, 450)):  # with labels and without
        assert made.trust.phi[part][wrong[part]].mean() < 0.5 * made.trust.phi[part][~wrong[part]].mean()
    assert made.trust.worth[0] > 0.5
    assert (
        f"rank correlation of predicted and true error on held-out labelled samples: {made.trust.worth[0]:.2f}"
        in str(made)
    )


def test_trust_helps_a_student_of_a_teacher_that_errs_visibly() -> None:
    test = uniform(300, 2, seed=8)
    errors = {}
    for trust in ("learned", "none"):
        made = distill_regressor(
            misled,
            small(2),
            ON_PLANE,
            unlabelled=MORE_PLANE,
            trust=trust,  # type: ignore[arg-type]
            test=(test, wave(test[:, :1])),
            training=LONG,
        )
        errors[trust] = made.scores["distilled"].error
    assert errors["learned"] < 0.9 * errors["none"]


def test_an_error_that_cannot_be_predicted_is_noted() -> None:
    random = torch.randn(450, 1, generator=torch.Generator().manual_seed(1))
    given = wave(torch.cat([PLANE, MORE_PLANE])[:, :1]) + random
    made = distill_regressor(given, small(2), ON_PLANE, unlabelled=0 * MORE_PLANE, training=QUICK, trust="learned")
    shuffled = made.trust
    if shuffled.kind == "learned":  # outputs far from the labels' spread do show an error
        assert shuffled.worth[0] < 0.6
    noise = distill_regressor(
        wave, small(), (X, wave(X) + random[:60]), unlabelled=uniform(40, seed=7), training=QUICK
    ).trust
    assert noise.kind == "none" and noise.phi.tolist() == [1.0] * 100
    assert noise.note.startswith("learned trust is worth nothing")


def test_shuffled_labels_are_worth_no_trust() -> None:
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    made = distill_regressor(
        torch.zeros(100, 1), small(), (X, wave(X)[order]), unlabelled=uniform(40, seed=7), training=QUICK
    )
    assert made.trust.kind == "none" and "worth nothing" in str(made)


def test_frames_of_one_film_do_not_judge_each_other() -> None:
    """The error is known from the film alone, which a number in the inputs shows."""
    films = torch.arange(25).repeat_interleave(8)
    mark = 10 * uniform(25, 1, seed=3)[films]
    off = 0.03 * uniform(25, 1, seed=4).exp()[films]
    x = torch.cat([uniform(200, 1, seed=5), mark], 1)
    given = wave(x[:, :1]) + off * (-1) ** torch.arange(200)[:, None]
    plain: dict[str, Any] = {"data": (x, wave(x[:, :1])), "trust": "learned", "training": QUICK}
    assert distill_regressor(given, small(2), **plain).trust.worth[0] > 0.6
    assert distill_regressor(given, small(2), groups=films.numpy(), **plain).trust.worth[0] < 0.4


@pytest.mark.parametrize("trust", ["quantile", "rank", "ratio", "paper", None])
def test_trust_by_the_error_where_all_have_labels(trust: Any) -> None:
    made = distill_regressor(misled, small(2), ON_PLANE, trust=trust, alpha=0.6, training=QUICK)
    assert made.trust.kind == (trust or "quantile")
    wrong = PLANE[:, 1] > 0
    assert made.trust.phi[wrong].max() < made.trust.phi[~wrong].min()


def test_a_teacher_without_error_is_trusted_alike_and_it_is_said() -> None:
    """As a tree or neighbours that have the training set by heart."""
    made = distill_regressor(wave, small(), DATA, training=QUICK)
    assert made.trust.kind == "none" and made.trust.phi.tolist() == [1.0] * 60
    assert "Teacher: all 60 errors are the same, so no sample can be trusted more than another" in str(made)


def test_papers_trust_far_below_0_is_refused() -> None:
    with pytest.raises(DistilvoError, match=r"trust: Phi falls to .*, so the loss has no lower bound with alpha 0.5"):
        distill_regressor(lambda x: wave(x) + 10 + 0.01 * x, small(), DATA, trust="paper", training=QUICK)


def test_a_given_trust_is_taken() -> None:
    """With no trust in any sample the teacher changes nothing."""
    students = []
    for teacher in (wave, lambda x: wave(x) + 5):
        made = distill_regressor(teacher, student := small(), DATA, trust=torch.zeros(60), training=QUICK)
        assert made.trust.kind == "given"
        students.append(student)
    assert same(*students)


def test_missing_predictions_are_learned_from_labels_alone() -> None:
    """Rows of an array that are NaN: as if the sample's weight were all on its label."""
    predictions = wave(X) + 0.1 * uniform(60, seed=9)
    predictions[:30] = math.nan
    made = distill_regressor(predictions.numpy(), small(), DATA, training=LONG)
    assert made.trust.phi[:30].tolist() == [0.0] * 30 and bool((made.trust.phi[30:] > 0).any())
    assert made.scores["distilled"].error < 0.3
    assert "teacher" not in [row.name for row in made.scores.rows]


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 6, 7, generator=torch.Generator().manual_seed(seed))


SHAPES: dict[str, tuple[Tensor, Callable[[Tensor], Tensor], Callable[[], nn.Module], str]] = {
    "(N,) of a column": (uniform(80), lambda x: wave(x)[:, 0], small, "1"),
    "(N,) of a row": (uniform(80), lambda x: wave(x)[:, 0], lambda: nn.Sequential(*small(), nn.Flatten(0)), "1"),
    "(N, D)": (uniform(80), lambda x: torch.cat([wave(x), x], 1), lambda: small(1, 2), "1"),
    "(N, T, D)": (
        uniform(80 * 5).reshape(80, 5, 1),
        lambda x: torch.cat([wave(x), x.cumsum(1)], 2),
        lambda: small(1, 2),
        "1",
    ),
    "(N, C, H, W)": (
        images(80),
        lambda x: torch.cat([2 * x, -x + x.roll(1, -1)], 1),
        lambda: nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1)),
        "1",
    ),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("blend", ["attentive", "gaussian", "upper-bound"])
def test_targets_of_every_shape_are_learned(name: str, blend: Any) -> None:
    """Half of the samples have no label, and others have a part of one."""
    inputs, truth, make, layer = SHAPES[name]
    torch.manual_seed(0)
    student, labels = make(), truth(inputs[:40]).clone()
    labels.view(-1)[::7] = math.nan
    made = distill_regressor(
        truth,
        student,
        (inputs[:40], labels),
        unlabelled=inputs[40:],
        blend=blend,
        sigma_layer=layer,
        test=(inputs, truth(inputs)),
        training=TrainingSettings(150, 2e-2),
        batch_size=40,
    )
    assert made.outputs.shape == truth(inputs).shape
    assert made.scores["distilled"].error < 0.75 * made.scores["mean of the labels"].error
    assert len(made.scores["distilled"].rmse) == (1 if name.startswith("(N,)") else 2)


def test_a_sample_with_weight_0_is_not_there() -> None:
    """Its label is nonsense: it changes neither scale nor trust nor student nor table."""
    made = {}
    for nonsense in (1e6, -50.0):
        labels = wave(X).clone()
        labels[10:20] = nonsense
        weigh = np.ones(60)
        weigh[10:20] = 0
        made[nonsense] = distill_regressor(
            lambda x: 0.9 * wave(x), small(), (X, labels), weights=weigh, baseline=True, training=QUICK
        )
    one, other = made.values()
    assert same(one.student, other.student)
    assert one.baseline is not None and other.baseline is not None and same(one.baseline, other.baseline)
    assert one.trust.kind == "quantile" and torch.equal(one.trust.phi, other.trust.phi)
    assert one.trust.phi[10:20].tolist() == [0.0] * 10
    assert str(one) == str(other)
    assert "50 samples on the labelled training samples, which says little of others" in str(one)


def test_weights_are_1_on_average_and_count() -> None:
    """Twice the weights are the same weights; a student follows the labels of heavy samples."""
    x = torch.zeros(64, 1)
    y = torch.cat([torch.ones(32, 1), -torch.ones(32, 1)])
    heavy = torch.cat([torch.full((32,), 3.0), torch.ones(32)])
    plain: dict[str, Any] = {"teacher": lambda x: 0 * x, "data": (x, y), "trust": torch.zeros(64), "training": LONG}
    students = [small(), small()]
    for factor, student in zip((1.0, 2.0), students, strict=True):
        distill_regressor(student=student, weights=factor * heavy, **plain)
    assert same(*students)
    assert students[0](x[:1]).item() == pytest.approx(0.5, abs=0.02)  # (3 - 1) / 4


@pytest.mark.parametrize(("scale", "expected"), [(None, 1.0), (3.0, 1.0), ([6.0], 0.25)])
def test_the_scale_is_the_spread_of_the_labels(scale: Any, expected: float) -> None:
    """Labels 3 and -3, and a student that gives 0: 9 / scale^2. Half of the loss is imitation of 0."""
    y = torch.tensor([[3.0], [-3.0]]).repeat(10, 1)
    made = distill_regressor(
        lambda x: 0 * x,
        flat(),
        (uniform(20), y),
        scale=scale,
        trust="none",
        unlabelled=uniform(20, seed=1),
        alpha=1.0,
        training=TrainingSettings(1),
        batch_size=40,
    )
    assert made.curves["imitation"] == [(1, pytest.approx(expected / 2))]  # half of the samples have no label
    assert made.scores["mean of the labels"].rmse == (3.0,)


def test_a_component_that_never_changes_has_unit_1() -> None:
    y = torch.cat([wave(X), torch.full((60, 1), 7.0)], 1)
    made = distill_regressor(
        lambda x: torch.cat([wave(x), 0 * x], 1), small(1, 2), (X, y), trust="none", training=QUICK
    )
    row = made.scores["teacher"]
    assert row.rmse == pytest.approx((0, 7)) and row.error == pytest.approx(7)


def test_data_with_a_history_and_seeds_of_any_size_are_taken() -> None:
    """Outputs of a torch teacher that nobody detached; a seed that is the time in nanoseconds."""
    factor = torch.ones(1, requires_grad=True)
    data, outputs = (X * factor, wave(X) * factor), wave(X) * factor
    training = replace(QUICK, steps=3, seed=1_700_000_000_123_456_789)
    result = distill_regressor(outputs, small(), data, validation=data, training=training)
    assert not result.outputs.requires_grad and factor.grad is None
    with pytest.raises(KeyError, match="nobody; expected one of mean of the labels, distilled"):
        result.scores["nobody"]
