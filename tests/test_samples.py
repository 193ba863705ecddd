"""Sets of samples: arrays and data sets give the same batches, in an order that seed and epoch alone decide."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from distilvo.distill.nested import tensors_of
from distilvo.distill.sample_set import SampleBatch, SampleSet
from distilvo.errors import DistilvoError

COUNT, MORE = 23, 9
INPUTS = np.arange(COUNT * 2, dtype=np.float64).reshape(COUNT, 2)
TARGETS = np.arange(COUNT, dtype=np.float64) * 10
UNLABELLED = -np.arange(1, MORE * 2 + 1, dtype=np.float64).reshape(MORE, 2)


class Items:
    """A map-style data set without torch."""

    def __init__(self, give: Callable[[int], Any], count: int = COUNT) -> None:
        self.give, self.count = give, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.give(index)


def pair(index: int) -> Any:
    return INPUTS[index], TARGETS[index]


def epochs(samples: SampleSet, count: int = 2) -> list[SampleBatch]:
    return [batch for number in range(count) for batch in samples.epoch(number)]


def same(one: list[SampleBatch], other: list[SampleBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.index, b.index)
        and torch.equal(a.targets.nan_to_num(-1), b.targets.nan_to_num(-1))
        and all(
            p.dtype == q.dtype and torch.equal(p, q)
            for p, q in zip(tensors_of(a.inputs), tensors_of(b.inputs), strict=True)
        )
        for a, b in zip(one, other, strict=True)
    )


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first = SampleSet((INPUTS, TARGETS), batch_size=4, seed=3)
    torch.manual_seed(1)
    known = epochs(first)
    torch.manual_seed(2)
    torch.rand(7)
    assert same(known, epochs(SampleSet((INPUTS, TARGETS), batch_size=4, seed=3)))
    assert [batch.index.tolist() for batch in first.epoch(0)] != [batch.index.tolist() for batch in first.epoch(1)]
    other = SampleSet((INPUTS, TARGETS), batch_size=4, seed=4)
    for number in range(2):  # another order, also than that of the next epoch
        assert [batch.index.tolist() for batch in other.epoch(0)] != [b.index.tolist() for b in first.epoch(number)]


def test_an_epoch_can_be_gone_on_with_and_shared() -> None:
    samples = SampleSet((INPUTS, TARGETS), UNLABELLED, batch_size=4)
    whole = list(samples.epoch(1))
    assert same(whole[3:], list(samples.epoch(1, 3)))
    halves = [list(samples.epoch(1, 0, share)) for share in (slice(0, 2), slice(2, 4))]
    for batch, one, other in zip(whole, *halves, strict=True):
        assert torch.equal(batch.index, torch.cat([one.index, other.index]))
        assert torch.equal(batch.inputs, torch.cat([one.inputs, other.inputs]))


@pytest.mark.parametrize("more", [None, UNLABELLED])
def test_every_sample_comes_once_an_epoch_but_for_the_rest(more: Any) -> None:
    samples = SampleSet((INPUTS, TARGETS), more, batch_size=5)
    every = COUNT + (0 if more is None else MORE)
    assert samples.samples == every and len(samples) == every // 5
    for number in range(3):
        index = torch.cat([batch.index for batch in samples.epoch(number)])
        assert len(index) == len(index.unique()) == 5 * (every // 5)
        assert index.min() >= 0 and index.max() < every
    left_out = [set(range(every)) - set(torch.cat([b.index for b in samples.epoch(n)]).tolist()) for n in range(3)]
    assert len(set(map(frozenset, left_out))) > 1  # not always the same


def test_each_number_stands_for_its_sample() -> None:
    for batch in epochs(SampleSet((INPUTS, TARGETS), UNLABELLED, batch_size=4)):
        for row, target, number in zip(batch.inputs, batch.targets, batch.index.tolist(), strict=True):
            if number < COUNT:
                assert row.tolist() == INPUTS[number].tolist() and target == 10 * number
            else:
                assert row.tolist() == UNLABELLED[number - COUNT].tolist() and target.isnan()


SAME = {
    "tensors": ((torch.from_numpy(INPUTS), torch.from_numpy(TARGETS)), torch.from_numpy(UNLABELLED)),
    "lists": ((INPUTS.tolist(), TARGETS.tolist()), UNLABELLED),
    "a data set": (Items(pair), Items(lambda index: UNLABELLED[index], MORE)),
    "a data set of tensors": (
        TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(TARGETS)),
        Items(lambda index: torch.from_numpy(UNLABELLED[index]), MORE),
    ),
    "a list of pairs": ([pair(index) for index in range(COUNT)], list(UNLABELLED)),
    "a data set and an array": (Items(pair), UNLABELLED),
    "an array and a data set": ((INPUTS, TARGETS), Items(lambda index: UNLABELLED[index], MORE)),
}


@pytest.mark.parametrize("name", SAME)
def test_arrays_and_data_sets_give_the_same_batches(name: str) -> None:
    expected = SampleSet((INPUTS, TARGETS), UNLABELLED, batch_size=4).checked()
    found = SampleSet(*SAME[name], batch_size=4).checked()
    assert same(epochs(found), epochs(expected))
    assert same(list(found.in_order(7)), list(expected.in_order(7)))
    assert found.key == expected.key
    assert all(batch.inputs.dtype == batch.targets.dtype == torch.float32 for batch in epochs(found))


NESTED = {
    "dict": (
        ({"a": INPUTS, "b": TARGETS[:, None]}, TARGETS),
        {"b": UNLABELLED[:, :1], "a": UNLABELLED},
        Items(lambda i: ({"a": INPUTS[i], "b": TARGETS[i, None]}, TARGETS[i])),
        Items(lambda i: {"a": UNLABELLED[i], "b": UNLABELLED[i, :1]}, MORE),
    ),
    "tuple": (
        ((INPUTS, TARGETS), TARGETS),
        (UNLABELLED, UNLABELLED[:, 0]),
        Items(lambda i: ((INPUTS[i], TARGETS[i]), TARGETS[i])),
        Items(lambda i: (UNLABELLED[i], UNLABELLED[i, 0]), MORE),
    ),
}


@pytest.mark.parametrize("name", NESTED)
def test_inputs_may_be_dicts_and_tuples(name: str) -> None:
    arrays, more, items, more_items = NESTED[name]
    one, other = SampleSet(arrays, more, batch_size=4).checked(), SampleSet(items, more_items, batch_size=4).checked()
    assert same(epochs(one), epochs(other))
    for batch in epochs(one):
        kind = {"dict": dict, "tuple": tuple}[name]
        assert isinstance(batch.inputs, kind)
        first = batch.inputs["a"] if name == "dict" else batch.inputs[0]
        expected = np.concatenate([INPUTS, UNLABELLED])[batch.index]
        assert first.tolist() == expected.tolist()


def test_integer_targets_become_numbers_and_integer_inputs_stay() -> None:
    images = np.arange(COUNT * 4, dtype=np.uint8).reshape(COUNT, 1, 2, 2)
    batch = next(SampleSet((images, np.arange(COUNT)), batch_size=4).epoch(0))
    assert batch.inputs.dtype == torch.uint8 and batch.targets.dtype == torch.float32


def test_targets_of_images_and_sequences_are_nan_behind_the_labelled() -> None:
    for shape in ((3,), (5, 3), (2, 4, 4)):
        samples = SampleSet((INPUTS, np.zeros((COUNT, *shape))), UNLABELLED).checked()
        assert samples.facts.targets.shape == (COUNT + MORE, *shape)
        assert samples.facts.is_labelled.tolist() == [True] * COUNT + [False] * MORE


def test_a_part_of_a_label_is_a_label() -> None:
    targets = torch.tensor([[1.0, math.nan], [math.nan, math.nan], [1.0, 2.0]])
    assert SampleSet((torch.zeros(3, 1), targets)).facts.is_labelled.tolist() == [True, False, True]


def test_statistics_of_inputs_by_hand() -> None:
    samples = SampleSet(({"a": np.array([[1.0, 3.0]]), "b": np.array([8.0])}, [0.0]))
    mean, spread, least, most = samples.facts.statistics[0].tolist()
    assert (mean, least, most) == (4, 1, 8)
    assert spread == pytest.approx(((9 + 1 + 16) / 3) ** 0.5)


def test_weights_go_with_their_samples() -> None:
    weights = torch.arange(COUNT + MORE, dtype=torch.float32)
    for batch in epochs(SampleSet((INPUTS, TARGETS), UNLABELLED, weights, batch_size=4)):
        assert batch.weights is not None and batch.weights.tolist() == batch.index.tolist()


def test_a_sample_without_weight_has_no_label() -> None:
    weights = torch.ones(COUNT + MORE)
    weights[[3, 5]] = 0
    samples = SampleSet((torch.from_numpy(INPUTS), targets := torch.from_numpy(TARGETS).float()), UNLABELLED, weights)
    assert (~samples.facts.is_labelled).nonzero()[:, 0].tolist() == [3, 5, *range(COUNT, COUNT + MORE)]
    for batch in epochs(samples):
        assert batch.weights is not None and bool(batch.targets[batch.weights == 0].isnan().all())
    assert targets.tolist() == TARGETS.tolist()  # what was given stays


def test_batches_of_chosen_samples_keep_their_numbers() -> None:
    chosen = torch.tensor([3, 5, 8, 13, 21])
    some = SampleSet((INPUTS, TARGETS), UNLABELLED, batch_size=64).checked().of(chosen)
    assert len(some) == 1 and some.batch_size == 5  # not larger than the set
    for number in range(2):
        (batch,) = some.epoch(number)
        assert sorted(batch.index.tolist()) == chosen.tolist()
        assert batch.targets.tolist() == [10 * index for index in batch.index.tolist()]


def test_keys_tell_content_order_and_batches() -> None:
    def key(
        inputs: Any = INPUTS, targets: Any = TARGETS, more: Any = UNLABELLED, weights: Any = None, **how: Any
    ) -> str:
        return SampleSet((inputs, targets), more, weights, **how).checked().key

    missing = TARGETS.copy()
    missing[0] = math.nan
    keys = [
        key(),
        key(INPUTS + 1),
        key(INPUTS[::-1].copy()),
        key(targets=TARGETS + 1),
        key(targets=missing),
        key(more=UNLABELLED + 1),
        key(more=None),
        key(weights=torch.ones(COUNT + MORE)),
        key(batch_size=4),
        key(seed=1),
        SampleSet((INPUTS, TARGETS), UNLABELLED).checked().of(torch.arange(20)).key,
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]


def test_every_item_is_read_once_to_know_the_set() -> None:
    read: list[int] = []
    data = Items(lambda index: (read.append(index), pair(index))[1])
    samples = SampleSet(data).checked()
    assert sorted(read) == list(range(COUNT))
    _ = samples.key, samples.of(torch.arange(3)).facts, samples.facts
    assert len(read) == COUNT


@pytest.mark.parametrize("labelled", [1, 256, 300])
def test_both_parts_are_compared_wherever_batches_end(labelled: int) -> None:
    with pytest.raises(DistilvoError, match="unlabelled: inputs are float32"):
        SampleSet((torch.zeros(labelled, 2, dtype=torch.uint8), torch.zeros(labelled)), torch.zeros(256, 2)).checked()


def test_checksums_tell_the_order_of_values() -> None:
    """Mean and spread of a flipped image are the same."""
    image = torch.rand(1, 3, 4)
    one, other = (SampleSet((x, [0.0])).facts for x in (image, image.flip(-1)))
    torch.testing.assert_close(one.statistics, other.statistics)
    assert abs(float(one.checksums - other.checksums)) > 1e-3


def targets_of(samples: SampleSet) -> Tensor:
    return torch.cat([batch.targets for batch in samples.in_order(4)])


def test_in_order_gives_all_once() -> None:
    samples = SampleSet((INPUTS, TARGETS), UNLABELLED, batch_size=4).checked().of(torch.tensor([1, 2, 3, 4]))
    assert targets_of(samples).nan_to_num(-1).tolist() == [*TARGETS.tolist(), *[-1.0] * MORE]
