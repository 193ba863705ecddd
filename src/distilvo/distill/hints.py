"""Hints: what a hidden layer of the teacher teaches a hidden layer of the student (paper, Section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from distilvo.distill.shapes import check_same
from distilvo.errors import DistilvoError
from distilvo.settings import HintForm


def plain_hint(student: Tensor, teacher: Tensor, form: HintForm = "mean") -> Tensor:
    """Hint training (HT): ``||Psi_T - Psi_S||^2`` per sample (Section 3.3, after FitNets, Romero et al., ICLR 2015).

    Args:
        student: Psi_S, the guided layer's output, (..., K).
        teacher: Psi_T, the hint, (..., K); NaN where the teacher gave none: no loss.
        form: ``mean`` over the K values, so that a wide layer weighs as much as a narrow one; ``sum`` as in the paper;
            ``maps``: mean of the absolute differences instead of the squares.

    Raises:
        DistilvoError: the shapes differ.
    """
    check_same(student=student, teacher=teacher)
    difference = torch.where(teacher.isnan(), 0, teacher - student)
    if form == "maps":
        return difference.abs().mean(-1)
    return difference.square().mean(-1) if form == "mean" else difference.square().sum(-1)


def attentive_hint(student: Tensor, teacher: Tensor, trust: Tensor, form: HintForm = "mean") -> Tensor:
    """Attentive hint training (AHT): ``Phi ||Psi_T - Psi_S||^2`` per sample (Section 3.3).

    Args:
        student: Psi_S, the guided layer's output, (..., K).
        teacher: Psi_T, the hint, (..., K).
        trust: Phi of each sample, (...). Below 0 it counts as 0: a negative weight would drive the hint away for ever.
        form: as in ``plain_hint``.

    Raises:
        DistilvoError: the shapes differ, or there is not one trust for each sample.
    """
    distance = plain_hint(student, teacher, form)
    if trust.shape != distance.shape:
        raise DistilvoError(
            f"trust: has the shape {tuple(trust.shape)}, expected {tuple(distance.shape)}, one number for each hint"
        )
    return trust.clamp_min(0) * distance


class Tap:
    """Reads what a layer of a network puts out, while the network runs as ever.

    Use as a context manager, or until ``close``; of an LSTM it reads the outputs and leaves the state. What it reads is
    a copy: a layer behind it may work in place. A tapped network can be saved and copied; the copy is not tapped.
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
        self._values: list[Tensor] = []
        self._handle = layer.register_forward_hook(_Hook(self._keep))

    def take(self) -> Tensor:
        """All that the layer has put out since the last time, in one piece along the first dimension.

        So the outputs of several batches are not lost, and none is read twice.

        Raises:
            DistilvoError: the layer has not run since, or gave batches that do not fit together.
        """
        values, self._values = self._values, []
        if not values:
            raise DistilvoError(f"layer '{self.path}': did not run since it was last read; choose another layer")
        if any(value.shape[1:] != values[0].shape[1:] for value in values):
            shapes = ", ".join(sorted({str(tuple(value.shape)) for value in values}))
            raise DistilvoError(f"layer '{self.path}': ran several times and gave {shapes}; choose another layer")
        return values[0] if len(values) == 1 else torch.cat(values)

    def close(self) -> None:
        """Let the layer go."""
        self._handle.remove()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, output: Any) -> None:
        value = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(value, Tensor) or not value.ndim:
            raise DistilvoError(
                f"layer '{self.path}': gives {type(output).__name__}, expected a tensor with the samples first; "
                "choose a layer inside it"
            )
        self._values.append(value.clone())


class _Hook:
    """What stands in the network's hooks; saved or copied with it, it does nothing more."""

    def __init__(self, keep: Callable[[Any], None] | None = None) -> None:
        self.keep = keep

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if self.keep is not None:
            self.keep(output)

    def __reduce__(self) -> tuple[type[_Hook], tuple[()]]:
        return _Hook, ()
