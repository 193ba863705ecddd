"""Tasks on a network of two linear layers, whose losses can be worked out by hand: no frames, no poses."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from distilvo.distill.batches import Batch
from distilvo.distill.hints import Tap
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, Supervised, layer_size, parameters_up_to
from distilvo.errors import DistilvoError
from distilvo.settings import Blend

UNITS = torch.ones(2)
# The network gives (2, 4) and (6, 0) and has (1, 2, 0) and (3, 0, 0) inside.
BATCH = Batch(
    inputs=torch.tensor([[1.0, 2.0], [3.0, 0.0]]),
    targets=torch.tensor([[2.0, 3.0], [4.0, 0.0]]),  # squared errors of the network 1 and 4, of the teacher 0.25 and 9
    teacher=torch.tensor([[2.0, 2.5], [7.0, 0.0]]),  # squared distances 2.25 and 1
    hints=(torch.tensor([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0]]),),  # squared distances 4 and 1
    trust=torch.tensor([0.5, 1.0]),
)


PLAIN = torch.zeros(1, 3)
"""Hints of a training set, of which the form ``sum`` takes the width alone."""


def doubling() -> nn.Sequential:
    """Takes two numbers to three, the third of them 0, and gives twice the first two."""
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    with torch.no_grad():
        for layer, factor in zip(network, (1, 2), strict=True):
            layer.weight.copy_(factor * torch.eye(*layer.weight.shape))
            layer.bias.zero_()
    return network


def hint_loss(attentive: bool = True, hints: torch.Tensor = PLAIN, number: int = 0) -> HintLoss:
    """On the first layer, in the paper's form: nothing is standardised or learned."""
    return HintLoss("0", attentive, 3, hints, "sum", number)


def test_supervised_by_hand() -> None:
    losses = Supervised(doubling(), UNITS)(BATCH)
    assert losses["student"].tolist() == [1.0, 4.0]
    assert losses["total"] == 2.5
    assert Supervised(doubling(), UNITS)(replace(BATCH, weights=torch.tensor([2.0, 0.5])))["total"] == 2.0
    assert Supervised(doubling(), torch.tensor([1.0, 2.0]))(BATCH)["total"] == 2.125  # (1 / 4 + 4) / 2


BLENDS = {  # with alpha 0.25; each the mean of two samples
    "ground-truth": [1.0, 4.0],
    "teacher-only": [2.25, 1.0],
    "minimum": [1.0, 1.0],
    "additional": [0.25 + 1.6875, 1.0 + 0.75],
    "upper-bound": [0.25 + 1.6875, 1.0],  # the second student is better than its teacher
    "attentive": [0.25 + 0.84375, 1.0 + 0.75],
    "laplace": [0.25 + 1.125, 1.0 + 0.75],  # sigma begins at 1: the distances 1.5 and 1
    "gaussian": [0.25 + 0.84375, 1.0 + 0.375],  # half of the squares
}


@pytest.mark.parametrize("blend", BLENDS)
def test_imitation_by_hand(blend: Blend) -> None:
    network = doubling()
    task = Distillation(network, imitation=ImitationLoss(blend, UNITS, 0.25, ("0", 3)))
    losses = task(BATCH)
    assert losses["imitation"].tolist() == pytest.approx(BLENDS[blend])
    assert losses["total"].item() == pytest.approx(sum(BLENDS[blend]) / 2)


@pytest.mark.parametrize(
    ("blend", "expected"),
    [
        ("laplace", [0.25 + 0.75 * (1.5 / math.e + 1), 1.0 + 0.75 * (1 / math.e**3 + 3)]),
        ("gaussian", [0.25 + 0.75 * (1.125 / math.e**2 + 1), 1.0 + 0.75 * (0.5 / math.e**6 + 3)]),
    ],
)
@pytest.mark.parametrize("lead", [(2,), (1, 2), (2, 1)])
def test_each_sample_has_its_own_sigma(blend: Blend, expected: list[float], lead: tuple[int, ...]) -> None:
    """Log sigma is the first number of the hidden layer: 1 and 3. Samples may be clips."""
    network = doubling()
    loss = ImitationLoss(blend, UNITS, 0.25, ("0", 3))
    with torch.no_grad():
        loss.log_sigma.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
    tensors = (BATCH.inputs, BATCH.targets, BATCH.teacher)
    batch = Batch(*(tensor.unflatten(0, lead) for tensor in tensors if tensor is not None))
    losses = Distillation(network, imitation=loss)(batch)
    assert losses["imitation"].shape == lead
    assert losses["imitation"].flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("attentive", "trust", "expected"),
    [
        (False, [0.5, 1.0], [4.0, 1.0]),
        (True, [0.5, 1.0], [2.0, 1.0]),
        (True, [[0.0, 0.5], [1.0, 1.0]], [1.0, 1.0]),  # of components: their mean
    ],
)
@pytest.mark.parametrize("lead", [(2,), (1, 2), (2, 1)])
def test_hints_by_hand(attentive: bool, trust: list[object], expected: list[float], lead: tuple[int, ...]) -> None:
    network = doubling()
    tensors = (BATCH.inputs, BATCH.targets, BATCH.hints[0], torch.tensor(trust))
    inputs, targets, hints, phi = (tensor.unflatten(0, lead) for tensor in tensors)
    losses = Distillation(network, [hint_loss(attentive)])(Batch(inputs, targets, hints=(hints,), trust=phi))
    assert losses["hint"].shape == lead
    assert losses["hint"].flatten().tolist() == expected


def test_hints_are_standardised_and_met_by_a_projection() -> None:
    """Two rows of hints with mean (2, 5) and spread (1, 1: never another value), and one that the teacher lacks."""
    loss = HintLoss("0", False, 3, torch.tensor([[1.0, 5.0], [3.0, 5.0], [math.nan, math.nan]]))
    assert (loss.mean.tolist(), loss.spread.tolist()) == ([2.0, 5.0], [1.0, 1.0])
    with torch.no_grad():
        loss.projection.weight.zero_()
        loss.projection.bias.copy_(torch.tensor([1.0, 2.0]))
    batch = replace(BATCH, hints=(torch.tensor([[5.0, 5.0], [math.nan, math.nan]]),))
    losses = Distillation(doubling(), [loss])(batch)
    assert losses["hint"].tolist() == [(4.0 + 4.0) / 2, 0.0]  # (3 - 1)^2 and (0 - 2)^2, their mean; none


def test_of_two_hints_the_mean_is_taken() -> None:
    """The second hint is that of the output layer, (2, 4) and (6, 0); squared distances 4 and 0."""
    second = HintLoss("1", False, 2, torch.zeros(1, 2), "sum", 1)
    batch = replace(BATCH, hints=(*BATCH.hints, torch.tensor([[2.0, 2.0], [6.0, 0.0]])))
    task = Distillation(doubling(), [hint_loss(False), second], hint_weight=0.5)
    losses = task(batch)
    assert losses["hint"].tolist() == [(4 + 4) / 2, (1 + 0) / 2]
    assert losses["total"] == 0.5 * (4.0 + 0.5) / 2


def test_total_is_the_weighed_sum() -> None:
    task = Distillation(doubling(), [hint_loss()], ImitationLoss("minimum", UNITS, 0.5), 3)
    assert {name: loss.tolist() for name, loss in task(BATCH).items()} == {
        "hint": [2, 1],
        "imitation": [1, 1],
        "total": 5.5,
    }
    weighed = task(replace(BATCH, weights=torch.tensor([0.0, 2.0])))
    assert weighed["total"] == 3 * 1 + 1


def test_hints_without_a_weight_count_once() -> None:
    assert Distillation(doubling(), [hint_loss()])(BATCH)["total"] == 1.5


@pytest.mark.parametrize("size", [2, 5])
def test_a_hint_of_another_size_is_projected(size: int) -> None:
    loss = hint_loss(False, torch.zeros(1, size))
    with torch.no_grad():
        loss.projection.weight.zero_()
        loss.projection.bias.fill_(2.0)
    losses = Distillation(doubling(), [loss])(replace(BATCH, hints=(torch.zeros(2, size),)))
    assert losses["hint"].tolist() == [4.0 * size] * 2  # 2 squared for each of its numbers
    assert isinstance(hint_loss().projection, nn.Identity)


@pytest.mark.parametrize("lacking", ["teacher", "trust", "hints"])
def test_a_batch_that_lacks_something_is_refused(lacking: str) -> None:
    task = Distillation(doubling(), [hint_loss()], ImitationLoss("attentive", UNITS, 0.5))
    with pytest.raises(DistilvoError, match=f"batch: has no {lacking}; run the teacher"):
        task(replace(BATCH, **{lacking: () if lacking == "hints" else None}))


def test_probabilistic_blends_need_a_layer() -> None:
    with pytest.raises(DistilvoError, match="expected a layer of the student to read log sigma from"):
        ImitationLoss("laplace", UNITS, 0.5)


def test_keys_tell_what_is_learned() -> None:
    network = doubling()

    def key(
        attentive: bool = True, alpha: float = 0.5, blend: Blend = "minimum", weight: float = 1.0, unit: float = 1.0
    ) -> str:
        imitation = ImitationLoss(blend, UNITS * unit, alpha, ("0", 3))
        return Distillation(network, [hint_loss(attentive)], imitation, weight).key

    keys = [key(), key(attentive=False), key(alpha=0.25), key(blend="additional"), key(weight=2.0)]
    keys += [key(unit=2.0), key(blend="laplace"), Distillation(network).key]
    keys += [Supervised(network, UNITS).key, Supervised(network, 2 * UNITS).key]
    assert key() == ("Distillation, frozen=0, hint 0 attentive=True sum weight=1.0, minimum alpha=0.5 scale=[1.0, 1.0]")
    assert key(blend="laplace").endswith("scale=[1.0, 1.0], sigma from 0")
    frozen = Distillation(network, frozen=network[0].parameters())
    assert frozen.key == "Distillation, frozen=2"
    assert len({*keys, frozen.key}) == 11


def test_what_is_frozen_stays_in_evaluation_mode_until_the_task_is_closed() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 2))
    task = Distillation(network, [HintLoss("1", False, 3, PLAIN)], frozen=network[0].parameters()).train()
    assert [module.training for module in network] == [False, True, True, True]
    assert not any(module.training for module in task.eval().modules())
    task.close()
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_what_the_user_has_frozen_stays_frozen() -> None:
    network = doubling()
    network[0].bias.requires_grad_(False)
    depends = parameters_up_to(network, "0", BATCH.inputs)
    assert [id(parameter) for parameter in depends] == [id(network[0].weight)]
    task = Distillation(network, [hint_loss()], frozen=[network[0].bias, *network[1].parameters()])
    assert [parameter.requires_grad for parameter in network.parameters()] == [True, False, False, False]
    task.close()
    assert [parameter.requires_grad for parameter in network.parameters()] == [True, False, True, True]


@pytest.mark.parametrize("training", [True, False])
def test_looking_at_a_layer_leaves_the_network_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Linear(3, 2)).train(training)
    depends = parameters_up_to(network, "1", BATCH.inputs)
    assert [id(parameter) for parameter in depends] == [id(p) for layer in network[:2] for p in layer.parameters()]
    assert layer_size(network, "1", BATCH.inputs, (2,)) == 3
    assert network.training is training
    assert network[0].running_mean.tolist() == [0, 0]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_layer_that_runs_twice_gives_both_outputs() -> None:
    layer = nn.Linear(1, 1)
    network = nn.Sequential(layer, layer)
    with Tap(network, "0") as tap:
        once = layer(torch.ones(2, 1))
        both = network(torch.ones(2, 1))
    assert torch.equal(tap.take(), torch.cat([once, layer(torch.ones(2, 1)), both]))


def test_of_a_recurrent_layer_the_outputs_are_read_and_not_the_state() -> None:
    network = nn.Sequential(nn.LSTM(2, 3, batch_first=True))
    with Tap(network, "0") as tap:
        outputs, _ = network(torch.ones(1, 4, 2))
    assert torch.equal(tap.take(), outputs)
