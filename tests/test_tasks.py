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
    hints=torch.tensor([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0]]),  # squared distances 4 and 1
    trust=torch.tensor([0.5, 1.0]),
)


def doubling() -> nn.Sequential:
    """Takes two numbers to three, the third of them 0, and gives twice the first two."""
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    with torch.no_grad():
        for layer, factor in zip(network, (1, 2), strict=True):
            layer.weight.copy_(factor * torch.eye(*layer.weight.shape))
            layer.bias.zero_()
    return network


def test_supervised_by_hand() -> None:
    assert Supervised(doubling(), UNITS)(BATCH)["total"] == 2.5
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
    loss = ImitationLoss(network, blend, UNITS, 0.25, ("0", 3))
    assert loss(network(BATCH.inputs), BATCH).item() == pytest.approx(sum(BLENDS[blend]) / 2)


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
    loss = ImitationLoss(network, blend, UNITS, 0.25, ("0", 3))
    with torch.no_grad():
        loss.log_sigma.weight.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
    tensors = (BATCH.inputs, BATCH.targets, BATCH.teacher)
    batch = Batch(*(tensor.unflatten(0, lead) for tensor in tensors if tensor is not None))
    assert loss(network(batch.inputs), batch).item() == pytest.approx(sum(expected) / 2)


@pytest.mark.parametrize(
    ("attentive", "trust", "expected"),
    [
        (False, [0.5, 1.0], 2.5),
        (True, [0.5, 1.0], 1.5),
        (True, [[0.0, 0.5], [1.0, 1.0]], 1.0),  # of components: their mean
    ],
)
@pytest.mark.parametrize("lead", [(2,), (1, 2), (2, 1)])
def test_hints_by_hand(attentive: bool, trust: list[object], expected: float, lead: tuple[int, ...]) -> None:
    network = doubling()
    loss = HintLoss(network, "0", attentive, (3, 3))
    assert BATCH.hints is not None
    tensors = (BATCH.inputs, BATCH.targets, BATCH.hints, torch.tensor(trust))
    inputs, targets, hints, phi = (tensor.unflatten(0, lead) for tensor in tensors)
    network(inputs)
    assert loss(Batch(inputs, targets, hints=hints, trust=phi)) == expected


def test_total_is_the_weighed_sum() -> None:
    network = doubling()
    task = Distillation(network, HintLoss(network, "0", True, (3, 3)), ImitationLoss(network, "minimum", UNITS, 0.5), 3)
    assert {name: loss.item() for name, loss in task(BATCH).items()} == {"hint": 1.5, "imitation": 1, "total": 5.5}


def test_hints_without_a_weight_count_once() -> None:
    network = doubling()
    assert Distillation(network, HintLoss(network, "0", True, (3, 3)))(BATCH)["total"] == 1.5


@pytest.mark.parametrize("size", [2, 5])
def test_a_hint_of_another_size_is_projected(size: int) -> None:
    network = doubling()
    loss = HintLoss(network, "0", False, (3, size))
    with torch.no_grad():
        loss.projection.weight.zero_()
        loss.projection.bias.fill_(2.0)
    network(BATCH.inputs)
    assert loss(replace(BATCH, hints=torch.zeros(2, size))) == 4.0 * size  # 2 squared for each of its numbers
    assert isinstance(HintLoss(network, "0", False, (3, 3)).projection, nn.Identity)


@pytest.mark.parametrize("lacking", ["teacher", "trust"])
def test_a_batch_that_lacks_something_is_refused(lacking: str) -> None:
    network = doubling()
    task = Distillation(network, imitation=ImitationLoss(network, "attentive", UNITS, 0.5))
    with pytest.raises(DistilvoError, match=f"batch: has no {lacking}; run the teacher"):
        task(replace(BATCH, **{lacking: None}))


def test_keys_tell_what_is_learned() -> None:
    network = doubling()

    def key(attentive: bool = True, alpha: float = 0.5, blend: Blend = "minimum", weight: float = 1.0) -> str:
        imitation = ImitationLoss(network, blend, UNITS, alpha)
        return Distillation(network, HintLoss(network, "0", attentive, (3, 3)), imitation, weight).key

    keys = [key(), key(attentive=False), key(alpha=0.25), key(blend="additional"), key(weight=2.0)]
    keys += [Supervised(network, UNITS).key, Distillation(network).key]
    assert key() == "Distillation, frozen=0, hint 0 attentive=True weight=1.0, minimum alpha=0.5"
    frozen = Distillation(network, frozen=network[0].parameters())
    assert frozen.key == "Distillation, frozen=2"
    assert len({*keys, frozen.key}) == 8


def test_what_is_frozen_stays_in_evaluation_mode_until_the_task_is_closed() -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 2))
    task = Distillation(network, HintLoss(network, "1", False, (3, 3)), frozen=network[0].parameters()).train()
    assert [module.training for module in network] == [False, True, True, True]
    assert not any(module.training for module in task.eval().modules())
    task.close()
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("training", [True, False])
def test_looking_at_a_layer_leaves_the_network_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.Linear(3, 2)).train(training)
    depends = parameters_up_to(network, "1", BATCH.inputs)
    assert [id(parameter) for parameter in depends] == [id(p) for layer in network[:2] for p in layer.parameters()]
    assert layer_size(network, "1", BATCH) == 3
    assert network.training is training
    assert network[0].running_mean.tolist() == [0, 0]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_layer_that_runs_twice_gives_both_outputs() -> None:
    layer = nn.Linear(1, 1)
    network = nn.Sequential(layer, layer)
    with Tap(network, "0") as tap:
        once = layer(torch.ones(2, 1))
        both = network(torch.ones(2, 1))
    assert torch.equal(tap.value, torch.cat([once, both]))


def test_of_a_recurrent_layer_the_outputs_are_read_and_not_the_state() -> None:
    network = nn.Sequential(nn.LSTM(2, 3, batch_first=True))
    with Tap(network, "0") as tap:
        outputs, _ = network(torch.ones(1, 4, 2))
    assert torch.equal(tap.value, outputs)
