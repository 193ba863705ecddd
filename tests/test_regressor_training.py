"""``distill_regressor`` goes on where it stopped, keeps the best weights and tells its losses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from distilvo.distill import checkpoint, regressor, trainer
from distilvo.distill.regressor import distill_regressor
from distilvo.distill.result import DistilledRegressor
from distilvo.distill.trainer import TrainingSettings
from distilvo.distill.validation import Best
from distilvo.errors import DistilvoError
from small_regressors import DATA, LONG, QUICK, X, flat, same, small, uniform, wave


def interrupt(patch: pytest.MonkeyPatch, after: int) -> None:
    """Stop the next training, saved at every step, after so many steps of all stages."""
    left, real = [after], trainer._step

    def step(*arguments: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*arguments)

    patch.setattr(checkpoint, "EVERY_S", -1.0)
    patch.setattr(trainer, "_step", step)


WAYS: dict[str, dict[str, Any]] = {
    "joint": {"hints": ("0", "0")},
    "two stages": {"hints": ("0", "0"), "schedule": "two-stage"},
    "validated": {"validation": DATA, "unlabelled": uniform(40, seed=3), "trust": "none"},
    "probabilistic": {"blend": "laplace", "sigma_layer": "1"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [5, 20, 38])
def test_an_interrupted_call_goes_on_to_the_same_weights(
    way: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first stage, near the end of the last one, and in the baseline's training."""

    def call(folder: Path) -> DistilledRegressor:
        torch.manual_seed(after)  # torch's own random state does not matter
        student, teacher = small(), small(width=20)
        torch.rand(after)
        return distill_regressor(
            teacher, student, DATA, baseline=True, training=QUICK, batch_size=16, folder=folder, **WAYS[way]
        )

    whole = call(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, after)
        call(tmp_path / "begun")
    made = call(tmp_path / "begun")
    assert same(made.student, whole.student)
    assert made.baseline is not None and whole.baseline is not None and same(made.baseline, whole.baseline)
    assert made.curves == whole.curves
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_step", None)  # nothing is trained twice
        assert same(call(tmp_path / "begun").student, whole.student)


def test_torchs_random_state_does_not_matter() -> None:
    students = []
    for seed in (1, 2):
        teacher, student = small(width=20), small()
        torch.manual_seed(seed)  # in vain
        distill_regressor(teacher, student, DATA, hints=("0", "0"), training=QUICK)
        students.append(student)
    assert same(*students)


OTHERS: dict[str, dict[str, Any]] = {
    "scale": {"scale": 3.0},
    "alpha": {"alpha": 0.25},
    "labels": {"data": (X, wave(X) + 1)},
    "unlabelled": {"unlabelled": X},
    "weights": {"weights": torch.rand(60)},
    "trust": {"trust": torch.rand(60)},
    "teacher": {"teacher": lambda x: -x},
    "validation": {"validation": DATA},
    "batch size": {"batch_size": 10},
    "training": {"training": TrainingSettings(steps=30, learning_rate=1e-3)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_of_another_call_is_refused(name: str, tmp_path: Path) -> None:
    plain: dict[str, Any] = {"teacher": wave, "data": DATA, "trust": "none", "training": QUICK, "folder": tmp_path}
    distill_regressor(student=small(), **plain)
    with pytest.raises(DistilvoError, match="is of a training with other settings, data or network"):
        distill_regressor(student=small(), **plain | OTHERS[name])


class Looked(Best):
    """Remembers all that were made."""

    made: list[Best] = []  # noqa: RUF012

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made.append(self)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Best]:
    Looked.made = []
    monkeypatch.setattr(regressor, "Best", Looked)
    return Looked.made


def test_the_best_weights_are_given_back(looks: list[Best]) -> None:
    """Validated against the opposite, a student gets worse the more it learns."""
    made = distill_regressor(
        wave, flat(), DATA, validation=(X, -wave(X)), training=LONG, baseline=True, trust="none", batch_size=60
    )
    errors = [error for _, error in looks[0].curve]
    assert [step for step, _ in looks[0].curve] == list(range(20, 401, 20))
    assert errors[-1] > 1.5 * min(errors)
    assert made.scores["distilled"].error == pytest.approx(min(errors), rel=1e-5)
    assert made.scores["student without teacher"].error == pytest.approx(
        min(error for _, error in looks[1].curve), rel=1e-5
    )
    assert "60 samples on the validation set, on which the student was chosen" in str(made)


def test_a_look_is_in_evaluation_mode_and_leaves_modes_as_they_were() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(1), nn.Linear(1, 1)).train()
    network[1].eval()  # as of a frozen layer
    seen: list[bool] = []

    def error(device: torch.device) -> float:
        seen.extend(module.training for module in network.modules())
        return 1.0

    Best(network, error, 1).look(1, torch.device("cpu"))
    assert seen == [False] * 4
    assert [module.training for module in network.modules()] == [True, True, False, True]


def test_patience_ends_a_training_early(looks: list[Best]) -> None:
    made = distill_regressor(
        wave, flat(), DATA, validation=(X, -wave(X)), training=LONG, patience=3, trust="none", batch_size=60
    )
    errors = [error for _, error in looks[0].curve]
    assert len(errors) == errors.index(min(errors)) + 1 + 3 < 20
    assert made.curves["imitation"][-1][0] == 20 * len(errors)


def test_a_student_that_gets_better_is_not_ended(looks: list[Best]) -> None:
    distill_regressor(wave, flat(), DATA, validation=DATA, training=QUICK, patience=30, trust="none")
    assert looks[0].curve[-1][0] == 30


def test_validation_that_is_no_number_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (torch.full((4, 1), math.nan), torch.zeros(4, 1))
    with pytest.raises(DistilvoError, match="validation: the error after 1 steps is nan"):
        distill_regressor(wave, small(), DATA, validation=bad, training=QUICK, trust="none")


def test_the_log_gets_the_numbers() -> None:
    told: list[tuple[int, dict[str, float]]] = []
    made = distill_regressor(
        small(width=20), small(), DATA, hints=("0", "0"), training=QUICK, baseline=True, log=lambda *it: told.append(it)
    )
    own = [(step, losses) for step, losses in told if "joint/total" in losses]
    assert [step for step, _ in own] == list(range(1, 31))
    for (step, losses), (number, loss) in zip(own, made.curves["joint"], strict=True):
        assert step == number and losses["joint/total"] == pytest.approx(loss)
        assert losses.keys() == {"joint/hint", "joint/imitation", "joint/total"}
        assert losses["joint/total"] == pytest.approx(losses["joint/imitation"] + 0.1 * losses["joint/hint"], rel=1e-4)
    rest = [losses for _, losses in told if "joint/total" not in losses]
    assert len(rest) == 30 and all(
        losses.keys() == {"without teacher/student", "without teacher/total"} for losses in rest
    )
