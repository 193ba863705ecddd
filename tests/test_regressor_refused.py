"""What distill_regressor refuses, in one line."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import pytest
import torch

from distilvo.distill.regressor import distill_regressor
from distilvo.errors import DistilvoError
from small_regressors import DATA, QUICK, X, small, wave

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
        r"validation: targets of a sample have the shape \(2,\), those of data \(1,\); expected the same",
    ),
    "test of another width": ({"test": (X, torch.zeros(60, 2))}, r"test: targets of a sample have the shape \(2,\)"),
    "no sigma layer": ({"sigma_layer": "9"}, "layer '9' is not in Sequential"),
    "infinite inputs": ({"data": (X / 0, DATA[1])}, r"data: inputs of sample \d+ are infinite; expected numbers"),
    "labels missing": (
        {"unlabelled": X[:5], "trust": "ratio"},
        "trust: ratio needs the label of every sample, 5 of 65 have none; take learned or none",
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


@pytest.mark.parametrize(
    "name",
    [
        *(f"{kind} of another width" for kind in ("validation", "test")),
        *("groups", "trust of another length", "trust above 1", "unknown trust", "unknown blend", "unknown schedule"),
        *("alpha", "no layer of the student", "no sigma layer", "scale of two", "weights, too few", "labels missing"),
    ],
)
def test_wrong_arguments_are_found_before_the_teacher_runs(name: str) -> None:
    def teacher(_: torch.Tensor) -> NoReturn:
        raise AssertionError("run")

    change, message = REFUSED[name]
    with pytest.raises(DistilvoError, match=message):
        distill_regressor(**{"teacher": teacher, "student": small(), "data": DATA} | change)


def test_several_processes_need_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(DistilvoError, match="folder: is not given; several processes need one"):
        distill_regressor(wave, small(), DATA)
