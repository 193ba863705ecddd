"""What is no set of samples is refused, in one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from distilvo.distill.sample_set import SampleSet
from distilvo.errors import DistilvoError
from test_samples import COUNT, INPUTS, MORE, TARGETS, UNLABELLED, Items


class Stream:
    """Only iterable."""

    def __iter__(self) -> Any:
        return iter([])


INFINITE = TARGETS.copy()
INFINITE[3] = math.inf


REFUSED: dict[str, tuple[Callable[[], SampleSet], str]] = {
    "a loader": (
        lambda: SampleSet(DataLoader(TensorDataset(torch.zeros(4, 1), torch.zeros(4)))),
        r"data: is a DataLoader, expected \(inputs, targets\) as arrays, or a data set",
    ),
    "a stream": (lambda: SampleSet(Stream()), "data: is a Stream, expected"),
    "inputs alone": (lambda: SampleSet((INPUTS,)), "data: is a tuple, expected"),
    "a dict": (lambda: SampleSet({"x": INPUTS}), "data: is a dict, expected"),
    "lengths": (lambda: SampleSet((INPUTS, TARGETS[:-1])), "data: 23 inputs and 22 targets"),
    "lengths in a dict": (
        lambda: SampleSet(({"a": INPUTS, "b": TARGETS[1:]}, TARGETS)),
        r"data: inputs have \[22, 23\] rows, expected equally many",
    ),
    "targets in a dict": (lambda: SampleSet((INPUTS, {"y": TARGETS})), "data: targets are a dict, expected one array"),
    "words": (lambda: SampleSet((INPUTS, ["a"] * COUNT)), "data: cannot be made a tensor"),
    "an unlabelled loader": (
        lambda: SampleSet((INPUTS, TARGETS), DataLoader(UNLABELLED)),
        "unlabelled: is a DataLoader, expected inputs as an array",
    ),
    "infinite targets": (lambda: SampleSet((INPUTS, INFINITE)).checked(), "data: 1 targets are infinite"),
    "no label": (
        lambda: SampleSet((INPUTS, np.full(COUNT, math.nan)), UNLABELLED).checked(),
        "data: none of 23 samples has a label",
    ),
    "nothing": (lambda: SampleSet((INPUTS[:0], TARGETS[:0])).checked(), "data: has no samples"),
    "weights": (
        lambda: SampleSet((INPUTS, TARGETS), UNLABELLED, torch.ones(COUNT)),
        "weights: 23 for 32 samples; expected equally many",
    ),
    "items without a target": (
        lambda: SampleSet(Items(lambda index: torch.zeros(2))).checked(),
        r"data: item 0 is a Tensor, expected \(inputs, target\)",
    ),
    "a target that is None": (
        lambda: SampleSet(Items(lambda index: (INPUTS[index], None))).checked(),
        "data: cannot be made a tensor",
    ),
    "items of many shapes": (
        lambda: SampleSet(Items(lambda index: (np.zeros(index + 1), 0.0))).checked(),
        r"data: items cannot be put into one batch \(.*\); expected tensors of one shape",
    ),
    "targets of many shapes": (
        lambda: SampleSet(Items(lambda index: (0.0, np.zeros(index + 1)))).checked(),
        "data: items cannot be put into one batch",
    ),
    "unlabelled of another shape": (
        lambda: SampleSet((INPUTS, TARGETS), UNLABELLED[:, :1]).checked(),
        r"unlabelled: inputs are float32 of the shape \(1,\), those of data float32 of the shape \(2,\)",
    ),
    "unlabelled of another type": (
        lambda: SampleSet((INPUTS.astype(np.uint8), TARGETS), UNLABELLED).checked(),
        "unlabelled: inputs are float32 of the shape .*, those of data uint8",
    ),
    "unlabelled with targets": (
        lambda: SampleSet((INPUTS, TARGETS), Items(lambda index: (UNLABELLED[index], 0.0), MORE)).checked(),
        r"unlabelled: inputs are 2 in a tuple, those of data float32 .*; expected the same, without targets",
    ),
    "unlabelled of other names": (
        lambda: SampleSet(({"a": INPUTS}, TARGETS), {"b": UNLABELLED}).checked(),
        "unlabelled: inputs are a dict of b, those of data a dict of a",
    ),
    "words for inputs": (
        lambda: SampleSet(Items(lambda index: ("word", 0.0))).checked(),
        "data: inputs hold",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_set_of_samples_is_refused_in_one_line(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(DistilvoError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
