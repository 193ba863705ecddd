"""What a network is trained on, as objects that own it: each turns a batch into a dict of losses with their ``total``.

Nothing of a task leaks into the student's saved weights. They take any torch module that regresses a vector.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from distilvo.clips import Batch
from distilvo.distill.hints import Tap, attentive_hint
from distilvo.distill.imitation import attentive_imitation, ground_truth_only
from distilvo.errors import DistilvoError

Losses = dict[str, Tensor]


class Task(nn.Module):
    """A network and what it learns; ``forward`` gives the losses of one batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def key(self) -> str:
        """What is learnt: a checkpoint of another task is not gone on from."""
        return type(self).__name__

    def forward(self, batch: Batch) -> Losses:
        """Mean losses over the batch, ``total`` among them."""
        raise NotImplementedError


class Supervised(Task):
    """Ground truth only, for teachers and for the student that a distilled one is compared with."""

    def __init__(self, network: nn.Module, scale: Tensor) -> None:
        super().__init__(network)
        self.register_buffer("scale", scale.clone())
        self.scale: Tensor

    def forward(self, batch: Batch) -> Losses:
        """``total``: mean squared error in units of ``scale``."""
        return {"total": ground_truth_only(self.network(batch.inputs), batch.targets, self.scale).mean()}


class HintStage(Task):
    """Stage 1: attentive hint training (AHT) up to the guided layer; what comes after it gets no gradient."""

    def __init__(self, network: nn.Module, guided: str) -> None:
        super().__init__(network)
        self.tap = Tap(network, guided)

    def forward(self, batch: Batch) -> Losses:
        """``total``: mean of ``Phi ||Psi_T - Psi_S||^2``.

        Raises:
            DistilvoError: hint and guided layer are not of one width.
        """
        hints, trust = _asked(batch.hints, "hints"), _asked(batch.trust, "trust")
        self.network(batch.inputs)
        if self.tap.value.shape != hints.shape:
            raise DistilvoError(
                f"guided layer gives {tuple(self.tap.value.shape)}, the hint has {tuple(hints.shape)}; "
                "expected the same; choose another layer"
            )
        return {"total": attentive_hint(self.tap.value, hints, trust).mean()}


class ImitationStage(Task):
    """Stage 2: attentive imitation (AIL) of the layers after the guided one; what stage 1 trained is frozen."""

    def __init__(self, network: nn.Module, scale: Tensor, alpha: float, frozen: Iterable[nn.Parameter] = ()) -> None:
        super().__init__(network)
        self.register_buffer("scale", scale.clone())
        self.scale: Tensor
        self.alpha = alpha
        for parameter in frozen:
            parameter.requires_grad_(False)

    @property
    def key(self) -> str:
        """The task and its alpha."""
        return f"{super().key} {self.alpha}"

    def train(self, mode: bool = True) -> ImitationStage:
        """Frozen modules stay in evaluation mode, so that their running statistics stay."""
        super().train(mode)
        for module in self.network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def forward(self, batch: Batch) -> Losses:
        """``total``: mean AIL."""
        teacher, trust = _asked(batch.teacher, "teacher"), _asked(batch.trust, "trust")
        prediction = self.network(batch.inputs)
        loss = attentive_imitation(prediction, batch.targets, teacher, trust, self.alpha, self.scale)
        return {"total": loss.mean()}


def parameters_up_to(network: nn.Module, guided: str, inputs: Tensor) -> list[nn.Parameter]:
    """The parameters that a layer's output depends on: a hint stage trains them, an imitation stage freezes them."""
    parameters, training = list(network.parameters()), network.training
    network.eval()  # running statistics stay as they are
    with Tap(network, guided) as tap:
        network(inputs)
        gradients = torch.autograd.grad(tap.value.sum(), parameters, allow_unused=True)
    network.train(training)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]


def _asked(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise DistilvoError(f"batch: has no {name}; run the teacher over the training set first (teacher_pass)")
    return value
