"""Losses and trust against values worked out by hand, and their gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distilvo.distill.hints import Tap, attentive_hint
from distilvo.distill.imitation import attentive_imitation, ground_truth_only, squared_error
from distilvo.distill.trust import Trust
from distilvo.errors import DistilvoError

TRUTH = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
TEACHER = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])  # squared errors 1, 0, 4
STUDENT = torch.tensor([[1.0, 0.0], [1.0, 3.0], [0.0, 0.0]])


def test_squared_error_has_units() -> None:
    # (1/0.5)^2 + (2/4)^2 = 4.25
    assert squared_error(torch.tensor([1.0, 2.0]), torch.zeros(2), torch.tensor([0.5, 4.0])) == pytest.approx(4.25)


def test_ground_truth_only() -> None:
    assert ground_truth_only(STUDENT, TRUTH).tolist() == [1.0, 9.0, 4.0]


def test_trust_is_that_of_the_paper() -> None:
    trust = Trust.fit(TEACHER, TRUTH)
    assert trust.errors.tolist() == [1.0, 0.0, 4.0]
    assert trust.eta == 4.0  # max - min = 4 - 0
    assert trust.phi.tolist() == [0.75, 1.0, 0.0]


def test_trust_of_the_worst_sample_can_fall_below_zero() -> None:
    trust = Trust.fit(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3, 1))
    assert trust.eta == 8.0  # 9 - 1
    assert trust.phi.tolist() == [0.875, 0.5, -0.125]


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=20, unique_by=abs))
def test_trust_orders_samples_by_the_teachers_error(errors: list[int]) -> None:
    teacher = torch.tensor(errors, dtype=torch.float64)[:, None]
    trust = Trust.fit(teacher, torch.zeros_like(teacher))
    assert trust.phi.max() <= 1
    assert trust.phi.max() - trust.phi.min() == pytest.approx(1)
    assert torch.equal(torch.argsort(trust.phi), torch.argsort(trust.errors, descending=True))


@pytest.mark.parametrize("teacher", [[[1.0], [1.0]], [[float("nan")], [1.0]], [[float("inf")], [1.0]]])
def test_trust_refuses_errors_that_say_nothing(teacher: list[list[float]]) -> None:
    with pytest.raises(DistilvoError, match="errors are"):
        Trust.fit(torch.tensor(teacher), torch.zeros(2, 1))


def test_attentive_imitation_by_hand() -> None:
    phi = Trust.fit(TEACHER, TRUTH).phi
    # student to teacher: (1 + 1), (0 + 9), (4 + 4)
    # 0.25 * [1, 9, 4] + 0.75 * [0.75 * 2, 1 * 9, 0 * 8]
    found = attentive_imitation(STUDENT, TRUTH, TEACHER, phi, alpha=0.25)
    assert found.tolist() == pytest.approx([0.25 + 1.125, 2.25 + 6.75, 1.0])


def test_attentive_imitation_gradient() -> None:
    student = STUDENT.double().requires_grad_()
    phi = Trust.fit(TEACHER.double(), TRUTH.double()).phi
    attentive_imitation(student, TRUTH.double(), TEACHER.double(), phi, alpha=0.25).sum().backward()
    # d/dp = 2 a (p - gt) + 2 (1 - a) Phi (p - t); first sample: 0.5 * [1, 0] + 1.125 * [1, -1]
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([1.625, -1.125])
    assert student.grad[2].tolist() == pytest.approx([0.0, -1.0])  # no trust: ground truth alone


def test_attentive_hint_by_hand() -> None:
    found = attentive_hint(
        torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([0.5, 0.1])
    )
    assert found.tolist() == pytest.approx([2.5, 2.5])


def test_tap_reads_any_layer_and_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    x = torch.randn(4, 2)
    with Tap(network, "1") as tap:
        network(x)
        assert torch.equal(tap.value, network[1](network[0](x)))
    before = tap.value
    network(x + 1)
    assert tap.value is before
    with pytest.raises(DistilvoError, match="layer '7' is not in Sequential; it has 0, 1, 2"):
        Tap(network, "7")


def test_ten_lines_for_any_regressor() -> None:
    """What the README promises: a student that learns from a teacher, with no pose in sight."""
    torch.manual_seed(0)
    x = torch.rand(256, 1) * 6
    y = torch.cat([x.sin(), x.cos()], 1)
    teacher = lambda x: torch.cat([x.sin(), x.cos()], 1) + (x > 5) * 3.0  # noqa: E731  wrong where x > 5
    student = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2))
    trust = Trust.fit(teacher(x), y)
    assert trust.phi[x[:, 0] > 5].max() < 0.01 < 0.99 < trust.phi[x[:, 0] <= 5].min()
    optimiser = torch.optim.Adam(student.parameters(), 1e-2)
    losses = []
    for _ in range(200):
        loss = attentive_imitation(student(x), y, teacher(x), trust.phi).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
