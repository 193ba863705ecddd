"""Hints: what a hidden layer of the teacher teaches a hidden layer of the student (paper, Section 3.3)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from distilvo.errors import DistilvoError


def attentive_hint(student: Tensor, teacher: Tensor, trust: Tensor) -> Tensor:
    """Attentive hint training (AHT): ``Phi ||Psi_T - Psi_S||^2`` per sample (Section 3.3).

    Args:
        student: Psi_S, the guided layer's output, (..., K).
        teacher: Psi_T, the hint, (..., K).
        trust: Phi of each sample, (...).
    """
    return trust * (teacher - student).square().sum(-1)


class Tap:
    """Reads what a layer of a network puts out, while the network runs as ever.

    Use as a context manager or for a network's lifetime; ``value`` holds the output of the last forward pass.
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
        self.value: Tensor
        self._handle = layer.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, arguments: Any, output: Tensor) -> None:
        self.value = output

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the tap out; the network is as it was."""
        self._handle.remove()
