"""``distill_regressor`` from end to end on problems that take seconds."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from distilvo.distill.regressor import distill_regressor
from distilvo.distill.result import DistilledRegressor, ratio
from distilvo.distill.trainer import TrainingSettings
from distilvo.errors import DistilvoError


def uniform(count: int, width: int = 1, seed: int = 0) -> Tensor:
    """Numbers of -3 to 3, (count, width)."""
    return torch.rand(count, width, generator=torch.Generator().manual_seed(seed)) * 6 - 3


def wave(x: Tensor) -> Tensor:
    """The truth."""
    return torch.sin(2 * x)


def misled_nowhere(x: Tensor) -> Tensor:
    """Nearly the truth."""
    return 0.9 * wave(x)


def small(inputs: int = 1, outputs: int = 1, width: int = 32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))


def flat() -> nn.Sequential:
    """Gives 0 before it is trained."""
    network = small()
    nn.init.zeros_(network[2].weight)
    nn.init.zeros_(network[2].bias)
    return network


X = uniform(60)
DATA = (X, wave(X))
QUICK = TrainingSettings(steps=30, learning_rate=1e-2)
LONG = TrainingSettings(steps=400, learning_rate=2e-2)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


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


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "weights, too few": ({"weights": torch.ones(5)}, "weights: 5 for 60 samples; expected equally many"),
    "weights of 0": (
        {"weights": torch.zeros(60)},
        r"weights: have the shape \(60,\); expected \(N,\) numbers",
    ),
    "weights below 0": ({"weights": -torch.ones(60)}, "weights: have the shape"),
    "weights of columns": ({"weights": torch.ones(60, 1)}, r"weights: have the shape \(60, 1\)"),
    "scale of 0": ({"scale": 0.0}, "scale: has the shape .*, expected positive numbers"),
    "scale of two": ({"scale": [1.0, 2.0]}, r"scale: has the shape \(2,\), expected positive numbers, one or \(1,\)"),
    "scale that is no number": ({"scale": math.nan}, "scale: has the shape"),
    "groups": ({"groups": [1, 2]}, r"groups: have the shape \(2,\), expected \(60,\)"),
    "trust above 1": (
        {"trust": torch.full((60,), 1.5)},
        r"trust: an array of the shape \(60,\), expected .* 0 to 1",
    ),
    "trust of NaN": ({"trust": torch.full((60,), math.nan)}, "trust: an array"),
    "trust of another length": ({"trust": torch.ones(3)}, r"trust: an array of the shape \(3,\), expected \(60,\)"),
    "unknown trust": ({"trust": "best"}, "trust: is best, expected learned, quantile"),
    "unknown blend": ({"blend": "best"}, "blend: is best, expected one of ground-truth"),
    "unknown schedule": ({"schedule": "later"}, "schedule: is later, expected one of"),
    "alpha": ({"alpha": 2.0}, "alpha: is 2.0, expected 0 to 1"),
    "no pair": ({"hints": ["0"]}, "hints: '0' is no pair; expected"),
    "no layer of the student": ({"hints": (X, "9")}, "layer '9' is not in Sequential"),
    "no layer of the teacher": ({"hints": ("0", "0")}, "hints: layer '0' of a teacher that is no torch module"),
    "no sigma": ({"blend": "laplace"}, "expected a layer of the student to read log sigma from"),
    "a loader": ({"data": torch.utils.data.DataLoader([1])}, "data: is a DataLoader"),
    "a student of another width": ({"student": small(1, 3)}, r"student: gives the shape \(60, 3\), the targets have"),
    "validation of another width": (
        {"validation": (X, torch.zeros(60, 2))},
        r"model: gives the shape \(60, 1\), the targets have \(60, 2\)",
    ),
    "a perfect teacher by its error": ({"trust": "quantile"}, r"all 60 errors are the same.*or no trust \(none\)$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused_in_one_line(name: str) -> None:
    change, message = REFUSED[name]
    plain: dict[str, Any] = {"teacher": wave, "student": small(), "data": DATA, "trust": "none", "training": QUICK}
    with pytest.raises(DistilvoError, match=message) as caught:
        distill_regressor(**plain | change)
    assert "\n" not in str(caught.value)


def test_several_processes_need_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(DistilvoError, match="folder: is not given; several processes need one"):
        distill_regressor(wave, small(), DATA)


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
