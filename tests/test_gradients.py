"""Gradients of which no sample takes more than its share."""

from __future__ import annotations

import torch

from distilvo.models.gradients import evened


def gradient(of_samples: list[list[float]]) -> torch.Tensor:
    """What arrives in front of ``evened`` where this gradient arrives behind it."""
    values = torch.zeros(len(of_samples), len(of_samples[0]), requires_grad=True)
    evened(values).backward(torch.tensor(of_samples))
    assert values.grad is not None
    return values.grad


def test_by_hand() -> None:
    """Norms 5, 5, 10, 1e30: the median is 5, so that at most 15 pass, in the same direction."""
    got = gradient([[3.0, 4.0], [5.0, 0.0], [0.0, -10.0], [-1e18, 0.0]])
    torch.testing.assert_close(got, torch.tensor([[3.0, 4.0], [5.0, 0.0], [0.0, -10.0], [-15.0, 0.0]]))


def test_what_is_not_finite_is_left_out() -> None:
    got = gradient([[1.0, 0.0], [float("nan"), 2.0], [float("inf"), -float("inf")], [0.0, 3.0], [0.0, 0.0]])
    torch.testing.assert_close(got, torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 3.0], [0.0, 0.0]]))


def test_alone_or_without_a_gradient_nothing_changes() -> None:
    torch.testing.assert_close(gradient([[7.0, 1e6]]), torch.tensor([[7.0, 1e6]]))
    plain = torch.ones(2, 3)
    assert evened(plain) is plain
    with torch.no_grad():
        values = torch.ones(2, 3, requires_grad=True)
        assert evened(values) is values
