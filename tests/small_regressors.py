"""A wave to learn, with few labels and without noise, and small networks for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distilvo.distill.trainer import TrainingSettings


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
