"""Validation during a training: the best weights are kept, and a training that has stopped getting better ends."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from distilvo import parallel
from distilvo.errors import DistilvoError


class Best:
    """The weights of a network with the smallest error on a validation set."""

    def __init__(
        self,
        network: nn.Module,
        error: Callable[[torch.device], float],
        every: int,
        patience: int | None = None,
        data: str = "",
    ) -> None:
        """Begin with none.

        Args:
            network: that is trained.
            error: measures it on the validation set, on the given device.
            every: steps between two looks; there is one at the end, too.
            patience: so many looks without a smaller error end the training; None lets it go on to its end.
            data: what the validation set holds: a checkpoint of another one is refused.
        """
        self.network, self.error, self.every, self.patience = network, error, every, patience
        self.key = f"{data} every={every} patience={patience}"
        self.curve: list[tuple[int, float]] = []
        self.weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        if self.patience is None or not self.curve:
            return False
        errors = [error for _, error in self.curve]
        return len(errors) - 1 - errors.index(min(errors)) >= self.patience

    def is_due(self, step: int, steps: int) -> bool:
        """Whether to look after so many of all steps."""
        return step % self.every == 0 or step == steps

    def look(self, step: int, device: torch.device) -> None:
        """Measure the network, and keep its weights where they are the best so far."""
        modes = {module: module.training for module in self.network.modules()}
        self.network.eval()
        with torch.no_grad():
            error = float(parallel.mean(torch.tensor(self.error(device), device=device)))
        for module, mode in modes.items():
            module.training = mode
        if not math.isfinite(error):
            raise DistilvoError(f"validation: the error after {step} steps is {error}; expected a finite number")
        self.curve.append((step, error))
        if error <= min(value for _, value in self.curve):
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def restore(self, curve: list[tuple[int, float]], weights: dict[str, Tensor]) -> None:
        """Go on from what a checkpoint has."""
        self.curve, self.weights = curve, weights

    def give_back(self) -> None:
        """Give the network its best weights, where it was looked at."""
        if self.weights:
            self.network.load_state_dict(self.weights)
