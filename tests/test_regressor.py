"""``distill_regressor`` from end to end on problems that take seconds."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distilvo.distill.regressor import distill_regressor
from distilvo.distill.result import DistilledRegressor, ratio
from distilvo.distill.trainer import TrainingSettings
from distilvo.errors import DistilvoError
from small_regressors import DATA, LONG, QUICK, X, misled_nowhere, same, small, uniform, wave, weights


@pytest.fixture(scope="module")
def few_labels() -> DistilledRegressor:
    """Five labels, 300 samples without, a teacher that is right."""
    x, held_out = uniform(5), uniform(200, seed=2)
    return distill_regressor(
        wave,
        small(),
        (x, wave(x)),
        unlabelled=uniform(300, seed=1),
        test=(held_out, wave(held_out)),
        baseline=True,
        training=TrainingSettings(steps=1000, learning_rate=3e-2),
    )


def test_samples_without_labels_help(few_labels: DistilledRegressor) -> None:
    scores = few_labels.scores
    assert scores["distilled"].error < 0.4 * scores["student without teacher"].error
    assert scores["distilled"].error < 0.4 * scores["mean of the labels"].error
    assert scores["teacher"].error == 0
    assert few_labels.gain is not None
    centre, low, high = few_labels.gain
    assert low < centre < high < 0.6
    assert few_labels.outputs.shape == (305, 1)


def test_the_table_has_every_row_and_says_whether_it_paid(few_labels: DistilledRegressor) -> None:
    head, *lines = str(few_labels).splitlines()
    assert head.split("  ")[0] == "model" and "error (unit: target)" in head
    assert [line.split("  ")[0] for line in lines[:4]] == [
        "mean of the labels",
        "teacher",
        "student without teacher",
        "distilled",
    ]
    assert [line.split()[-3] for line in lines[:4]] == ["-", "-", "97", "97"]  # 2 * 32 + 33 parameters
    text = "\n".join(lines[4:])
    assert "200 samples on the test set." in text
    assert "Trained on 305 samples, 5 of them with a label" in text
    assert "Learned trust: 5 labelled samples, expected at least 20; the teacher is trusted alike" in text
    assert "The teacher paid: error -" in text


def test_errors_are_in_the_units_of_the_targets(few_labels: DistilledRegressor) -> None:
    held_out = uniform(200, seed=2)
    with torch.no_grad():
        residual = few_labels.student(held_out) - wave(held_out)
    row = few_labels.scores["distilled"]
    assert row.rmse[0] == pytest.approx(float(residual.square().mean().sqrt()), rel=1e-4)
    x = uniform(5)
    assert row.error == pytest.approx(row.rmse[0] / float(wave(x).std(correction=0)), rel=1e-4)
    mean = few_labels.scores["mean of the labels"].rmse[0]
    assert mean == pytest.approx(float((wave(held_out) - wave(x).mean()).square().mean().sqrt()), rel=1e-4)


def test_nothing_is_left_in_the_student(few_labels: DistilledRegressor) -> None:
    assert set(few_labels.student.state_dict()) == set(small().state_dict())
    student = small()
    made = distill_regressor(
        small(width=20), student, DATA, hints=("0", "0"), blend="gaussian", sigma_layer="1", training=QUICK
    )
    assert made.student is student and made.baseline is None and made.gain is None
    assert set(student.state_dict()) == set(small().state_dict())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in student.modules())
    assert all(parameter.requires_grad for parameter in student.parameters())
    assert not student.training


def test_a_wrong_teacher_is_said_to_do_harm() -> None:
    x = uniform(200, seed=5)
    made = distill_regressor(
        lambda inputs: wave(inputs) + 2,
        small(),
        DATA,
        test=(x, wave(x)),
        trust="none",
        alpha=0.1,
        baseline=True,
        training=LONG,
    )
    assert "The teacher did harm: error +" in str(made)


def test_ratio_by_hand() -> None:
    """Errors that are four times as large: twice the RMS, whatever the spread, where all are."""
    one = torch.tensor([1.0, 4.0, 9.0, math.nan])
    centre, low, high = ratio(4 * one, one)
    assert (centre, low, high) == pytest.approx((2, 2, 2))
    # means 2 and 1; x / 2 - y: -0.5, 0.5 -> spread sqrt(0.5); half width 1.96 * 0.5 * sqrt(0.5) / sqrt(2)
    centre, low, high = ratio(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0]))
    assert centre == pytest.approx(2**0.5)
    assert (low, high) == pytest.approx((2**0.5 * math.exp(-0.49), 2**0.5 * math.exp(0.49)))


def test_both_students_begin_alike_and_take_as_many_steps() -> None:
    start, still = small(), TrainingSettings(steps=7, learning_rate=0.0)
    made = distill_regressor(misled_nowhere, student := copy.deepcopy(start), DATA, baseline=True, training=still)
    assert made.baseline is not None and same(student, start) and same(made.baseline, start)
    assert [curve[-1][0] for curve in made.curves.values()] == [7, 7]
    made = distill_regressor(misled_nowhere, student, DATA, baseline=True, training=QUICK)
    assert made.baseline is not None and not same(student, made.baseline) and not same(made.baseline, start)


def test_without_a_teacher_only_labelled_samples_are_trained_on() -> None:
    """The baseline's first loss is that of labelled samples alone, not thinned by those without a label."""
    made = distill_regressor(
        wave,
        small(),
        DATA,
        unlabelled=uniform(600, seed=4),
        baseline=True,
        training=TrainingSettings(steps=1, learning_rate=0.0),
        batch_size=60,
    )
    with torch.no_grad():
        own = (small()(X) - wave(X)).square().mean() / wave(X).var(correction=0)
    assert made.curves["without teacher"][0][1] == pytest.approx(float(own), rel=1e-4)


def test_hints_bring_the_hidden_layer_to_the_teachers() -> None:
    """Two hints, a layer and an array; both stages."""
    teacher = small(width=20)
    array = np.stack([X[:, 0].numpy(), X[:, 0].numpy() ** 2], 1)
    for schedule in ("joint", "two-stage"):
        made = distill_regressor(
            teacher, small(), DATA, hints=[("1", "1"), (array, "0")], schedule=schedule, training=LONG
        )
        assert [tuple(hint.shape) for hint in made.hints] == [(60, 20), (60, 2)]
        stage = "joint" if schedule == "joint" else "hint"
        losses = [loss for _, loss in made.curves[stage]]
        assert losses[-1] < 0.5 * losses[0]
    assert list(made.curves) == ["hint", "imitation"]
    assert [curve[-1][0] for curve in made.curves.values()] == [200, 200]


def test_after_hints_what_they_trained_stays() -> None:
    made, frozen = [], []
    for blend in ("attentive", "ground-truth"):
        student = small()
        distill_regressor(
            small(width=20),
            student,
            DATA,
            hints=("0", "0"),
            schedule="two-stage",
            blend=blend,  # type: ignore[arg-type]
            training=QUICK,
        )
        made.append(student)
        frozen.append(weights(student[0]))
    assert all(torch.equal(frozen[0][name], frozen[1][name]) for name in frozen[0])
    assert not torch.equal(frozen[0]["weight"], small()[0].weight)
    assert not torch.equal(made[0][2].weight, made[1][2].weight)


def test_what_the_user_has_frozen_is_not_trained() -> None:
    for schedule in ("joint", "two-stage"):
        student = small()
        student[2].bias.requires_grad_(False)
        distill_regressor(small(width=20), student, DATA, hints=("0", "0"), schedule=schedule, training=QUICK)
        assert not student[2].bias.requires_grad
        assert torch.equal(student[2].bias, small()[2].bias)
        assert not torch.equal(student[2].weight, small()[2].weight)


class Named(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"y": self.network(batch["x"] + batch["offset"])}


def test_dicts_in_and_out() -> None:
    """The same student as with tensors."""
    zeros = torch.zeros(60, 1)
    named, plain = Named(small()), small()
    teacher = small(width=20)
    made = distill_regressor(
        Named(teacher),
        named,
        ({"x": X, "offset": zeros}, wave(X)),
        unlabelled={"x": uniform(30, seed=1), "offset": zeros[:30]},
        hints=("network.0", "network.0"),
        forward=lambda model, inputs: model(inputs)["y"],
        trust="none",
        training=QUICK,
    )
    distill_regressor(
        teacher, plain, DATA, unlabelled=uniform(30, seed=1), hints=("0", "0"), trust="none", training=QUICK
    )
    assert same(named.network, plain)
    assert [row.name for row in made.scores.rows] == ["mean of the labels", "teacher", "distilled"]


def test_bf16_runs() -> None:
    student = small()
    made = distill_regressor(
        small(width=20),
        student,
        DATA,
        unlabelled=uniform(30, seed=1),
        hints=("0", "0"),
        blend="gaussian",
        validation=DATA,
        training=TrainingSettings(100, 1e-2, precision="bf16"),
    )
    assert all(parameter.dtype == torch.float32 for parameter in student.parameters())
    losses = [loss for _, loss in made.curves["joint"]]
    assert all(math.isfinite(loss) for loss in losses) and losses[-1] < losses[0]


class Shifted:
    """Inputs that are shifted at random each time; the label goes with them."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = X[index] + 0.1 * torch.randn(1)
        return x, wave(x)


def test_random_augmentation_runs_the_teacher_at_every_step() -> None:
    with pytest.raises(DistilvoError, match="rerun_teacher=True"):
        distill_regressor(wave, small(), Shifted(), training=QUICK)
    calls: list[int] = []
    test = uniform(100, seed=3)
    made = distill_regressor(
        lambda x: (calls.append(len(x)), wave(x))[1],
        small(),
        Shifted(),
        rerun_teacher=True,
        trust="none",
        test=(test, wave(test)),
        training=LONG,
        batch_size=30,
    )
    assert calls.count(30) == 400
    assert made.scores["distilled"].error < 0.3


def test_a_finished_stage_is_kept_in_the_folder(tmp_path: Path) -> None:
    distill_regressor(small(width=20), small(), DATA, baseline=True, training=QUICK, folder=tmp_path / "new")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names[0] == "imitation.safetensors" and names[2] == "without-teacher.safetensors"
    assert names[1].startswith("teacher-") and len(names) == 3


def test_a_student_that_begins_far_from_the_labels_is_noted() -> None:
    """Mean 14, spread 5: 2.9 spreads from a student that begins near 0; standardised targets are not far."""
    torch.manual_seed(0)
    x, y = torch.rand(64, 2), torch.linspace(5.5, 22.5, 64)
    steps = TrainingSettings(steps=1)
    with pytest.warns(UserWarning, match=r"targets: component 0 lies [23]\.\d times its spread away"):
        distill_regressor(y + torch.rand(64), nn.Linear(2, 1), (x, y), training=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distill_regressor((y - 14) / 5, nn.Linear(2, 1), (x, (y - 14) / 5), trust="none", training=steps)


def test_there_is_no_gain_to_tell_where_an_error_is_0() -> None:
    class Right(nn.Module):
        """Gives its input; its parameter changes nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.spare = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 0 * self.spare

    x = torch.rand(32, 1)
    result = distill_regressor(
        x.clone(), Right(), (x, x), trust="none", baseline=True, training=TrainingSettings(steps=1)
    )
    assert result.gain is None and "teacher paid" not in str(result)
