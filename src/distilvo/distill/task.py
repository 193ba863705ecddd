"""What a network is trained on, as objects that own it: each turns a batch into a dict of losses with their ``total``.

Nothing of a task leaks into the student's saved weights: projections of hints and the sigma of probabilistic imitation
belong to the task. They take any torch module that regresses a vector.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from distilvo.distill import imitation
from distilvo.distill.batches import Batch
from distilvo.distill.hints import Tap, attentive_hint, per_sample, plain_hint
from distilvo.errors import DistilvoError
from distilvo.settings import Blend

Losses = dict[str, Tensor]
PROBABILISTIC = ("laplace", "gaussian")


class Task(nn.Module):
    """A network and what it learns; ``forward`` gives the losses of one batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @property
    def key(self) -> str:
        """What is learned: a checkpoint of another task is not gone on from."""
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
        return {"total": imitation.ground_truth_only(self.network(batch.inputs), batch.targets, self.scale).mean()}


class HintLoss(nn.Module):
    """Distance of a guided layer from the teacher's hint, plain (HT) or attentive (AHT).

    Where the two differ in size, a learned linear projection of the guided layer takes the hint's size.
    """

    def __init__(self, network: nn.Module, guided: str, attentive: bool, sizes: tuple[int, int]) -> None:
        """Args ``sizes``: values per sample of the guided layer and of the hint."""
        super().__init__()
        self.guided, self.attentive = guided, attentive
        self.tap = Tap(network, guided)
        self.projection = nn.Identity() if sizes[0] == sizes[1] else nn.Linear(*sizes)

    def forward(self, batch: Batch) -> Tensor:
        """Mean loss of the network's last forward pass, which was over this batch."""
        hints = _needed(batch.hints, "hints")
        guided = self.projection(per_sample(self.tap.value, batch.targets.shape[:-1]))
        if not self.attentive:
            return plain_hint(guided, hints).mean()
        trust = _needed(batch.trust, "trust")
        of_sample = trust if trust.ndim == hints.ndim - 1 else trust.mean(-1)
        return attentive_hint(guided, hints, of_sample).mean()


class ImitationLoss(nn.Module):
    """One of the blends of ground truth and imitation; a probabilistic one has a head for log sigma of its own."""

    def __init__(
        self,
        network: nn.Module,
        blend: Blend,
        scale: Tensor,
        alpha: float,
        uncertain: tuple[str, int] | None = None,
    ) -> None:
        """Args ``uncertain``: path and size of the layer that log sigma is read from, for probabilistic blends."""
        super().__init__()
        self.blend, self.alpha = blend, alpha
        self.register_buffer("scale", scale.clone())
        self.scale: Tensor
        if blend in PROBABILISTIC:
            if uncertain is None:
                raise DistilvoError(f"blend '{blend}': expected a layer of the student to read log sigma from")
            self.tap = Tap(network, uncertain[0])
            self.log_sigma = nn.Linear(uncertain[1], 1)
            nn.init.zeros_(self.log_sigma.weight)
            nn.init.zeros_(self.log_sigma.bias)

    def forward(self, prediction: Tensor, batch: Batch) -> Tensor:
        """Mean loss of predictions (..., D)."""
        truth, scale = batch.targets, self.scale
        if self.blend == "ground-truth":
            return imitation.ground_truth_only(prediction, truth, scale).mean()
        teacher = _needed(batch.teacher, "teacher")
        match self.blend:
            case "teacher-only":
                return imitation.teacher_only(prediction, teacher, scale).mean()
            case "minimum":
                return imitation.minimum(prediction, truth, teacher, scale).mean()
            case "additional":
                return imitation.additional(prediction, truth, teacher, self.alpha, scale).mean()
            case "upper-bound":
                return imitation.upper_bound(prediction, truth, teacher, self.alpha, scale).mean()
            case "attentive":
                trust = _needed(batch.trust, "trust")
                return imitation.attentive_imitation(prediction, truth, teacher, trust, self.alpha, scale).mean()
            case "laplace" | "gaussian":
                blend = imitation.laplace if self.blend == "laplace" else imitation.gaussian
                log_sigma = self.log_sigma(per_sample(self.tap.value, truth.shape[:-1])).squeeze(-1)
                return blend(prediction, truth, teacher, log_sigma, self.alpha, scale).mean()


class Distillation(Task):
    """A stage of distillation: hints, imitation of the output, or both at once."""

    def __init__(
        self,
        network: nn.Module,
        hint: HintLoss | None = None,
        imitation: ImitationLoss | None = None,
        hint_weight: float = 1.0,
        frozen: Iterable[nn.Parameter] = (),
    ) -> None:
        """Args ``frozen``: parameters that this stage leaves as they are."""
        super().__init__(network)
        self.hint, self.imitation, self.hint_weight = hint, imitation, hint_weight
        for parameter in frozen:
            parameter.requires_grad_(False)

    @property
    def key(self) -> str:
        """The losses and their settings."""
        frozen = sum(not parameter.requires_grad for parameter in self.network.parameters())
        parts = [super().key, f"frozen={frozen}"]
        if self.hint is not None:
            parts.append(f"hint {self.hint.guided} attentive={self.hint.attentive} weight={self.hint_weight}")
        if self.imitation is not None:
            parts.append(f"{self.imitation.blend} alpha={self.imitation.alpha}")
        return ", ".join(parts)

    def train(self, mode: bool = True) -> Distillation:
        """Frozen modules stay in evaluation mode, so that their running statistics stay."""
        super().train(mode)
        for module in self.network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def forward(self, batch: Batch) -> Losses:
        """``hint`` and ``imitation``, where the task has them, and their weighted sum ``total``."""
        prediction = self.network(batch.inputs)
        losses: Losses = {}
        if self.hint is not None:
            losses["hint"] = self.hint(batch)
        if self.imitation is not None:
            losses["imitation"] = self.imitation(prediction, batch)
        weights = {"hint": self.hint_weight, "imitation": 1.0}
        return {**losses, "total": torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()}

    def close(self) -> None:
        """Leave the network as it was: nothing frozen, nothing tapped."""
        for module in self.modules():
            if isinstance(module, (HintLoss, ImitationLoss)) and hasattr(module, "tap"):
                module.tap.close()
        self.network.requires_grad_(True)


def parameters_up_to(network: nn.Module, guided: str, inputs: Tensor) -> list[nn.Parameter]:
    """The parameters that a layer's output depends on: a hint stage trains them, an imitation stage freezes them."""
    parameters, training = list(network.parameters()), network.training
    network.eval()  # running statistics stay as they are
    with Tap(network, guided) as tap:
        network(inputs)
        gradients = torch.autograd.grad(tap.value.sum(), parameters, allow_unused=True)
    network.train(training)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]


@torch.no_grad()
def layer_size(network: nn.Module, path: str, batch: Batch) -> int:
    """Values that a layer gives for each sample of a batch."""
    training = network.training
    network.eval()
    with Tap(network, path) as tap:
        network(batch.inputs)
        size = per_sample(tap.value, batch.targets.shape[:-1]).shape[-1]
    network.train(training)
    return size


def _needed(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise DistilvoError(f"batch: has no {name}; run the teacher over the training set first (teacher_pass)")
    return value
