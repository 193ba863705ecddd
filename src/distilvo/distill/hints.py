"""Hints: what a hidden layer of the teacher teaches a hidden layer of the student (paper, Section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distilvo.errors import DistilvoError


def plain_hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Hint training (HT): ``||Psi_T - Psi_S||^2`` per sample (Section 3.3, after FitNets, Romero et al., ICLR 2015).

    Args:
        student: Psi_S, the guided layer's output, (..., K).
        teacher: Psi_T, the hint, (..., K).
    """
    return (teacher - student).square().sum(-1)


def attentive_hint(student: Tensor, teacher: Tensor, trust: Tensor) -> Tensor:
    """Attentive hint training (AHT): ``Phi ||Psi_T - Psi_S||^2`` per sample (Section 3.3).

    Args:
        student: Psi_S, the guided layer's output, (..., K).
        teacher: Psi_T, the hint, (..., K).
        trust: Phi of each sample, (...).
    """
    return trust * plain_hint(student, teacher)


def per_sample(value: Tensor, lead: Sequence[int]) -> Tensor:
    """A layer's output as one vector for each sample, (*lead, K), whatever the layer works on.

    Args:
        value: (*lead, ...), or with time folded into the batch, (B * T, ...); of a layer that sees single frames,
            (B * (T + 1), ...), a pair's second frame counts.
        lead: shape of the samples, (B,) or (B, T).

    Raises:
        DistilvoError: the output is of another shape.
    """
    lead = tuple(lead)
    if value.shape[: len(lead)] == lead:
        return value.flatten(len(lead)) if value.ndim > len(lead) else value[..., None]
    if len(value) == math.prod(lead):
        return value.unflatten(0, lead).flatten(len(lead))
    if len(lead) == 2 and len(value) == lead[0] * (lead[1] + 1):
        return value.unflatten(0, (lead[0], lead[1] + 1))[:, 1:].flatten(2)
    raise DistilvoError(
        f"hint layer: gives {tuple(value.shape)}, expected one vector for each of {lead} samples; choose another layer"
    )


class Tap:
    """Reads what a layer of a network puts out, while the network runs as ever.

    Use as a context manager, or until ``close``; of an LSTM it reads the outputs and leaves the state.

    Attributes:
        values: outputs since the last ``clear``; a layer may run several times in one pass.
    """

    def __init__(self, network: nn.Module, path: str) -> None:
        """Tap the submodule at ``path`` as ``named_modules`` spells it, e.g. ``"fc.0"``.

        Raises:
            DistilvoError: there is no such submodule.
        """
        try:
            layer = network.get_submodule(path)
        except AttributeError:
            names = ", ".join(name for name, _ in network.named_modules() if name)
            raise DistilvoError(f"layer '{path}' is not in {type(network).__name__}; it has {names}") from None
        self.path = path
        self.values: list[Tensor] = []
        self._handle = layer.register_forward_hook(self._keep)
        self._network = network.register_forward_pre_hook(lambda *_: self.values.clear())

    @property
    def value(self) -> Tensor:
        """Output of the last forward pass, in one piece.

        Raises:
            DistilvoError: the layer has not run.
        """
        if not self.values:
            raise DistilvoError(f"layer '{self.path}': did not run in the forward pass; choose another layer")
        return self.values[0] if len(self.values) == 1 else torch.cat(self.values)

    def close(self) -> None:
        """Let the layer go."""
        self._handle.remove()
        self._network.remove()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        self.values.append(output[0] if isinstance(output, tuple) else output)
