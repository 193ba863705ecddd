"""What a network is trained on, as objects that own it: each turns a batch into a dict of losses with their ``total``.

The losses are those of each sample, ``total`` is one number. Nothing of a task leaks into the student's saved weights:
projections of hints and the sigma of probabilistic imitation belong to the task, and layers are tapped only while it
runs. They take any torch module that regresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from distilvo.distill import imitation
from distilvo.distill.batches import Batch
from distilvo.distill.hints import Tap, attentive_hint, plain_hint
from distilvo.distill.shapes import components_last, per_sample
from distilvo.errors import DistilvoError
from distilvo.settings import Blend, HintForm

Losses = dict[str, Tensor]
Forward = Callable[[nn.Module, Any], Tensor]
"""Runs a network on the inputs of a batch: ``forward(network, inputs)`` gives its outputs, of the targets' shape."""
PROBABILISTIC = ("laplace", "gaussian")


def plainly(network: nn.Module, inputs: Any) -> Tensor:
    """``network(inputs)``."""
    return network(inputs)


class Task(nn.Module):
    """A network and what it learns; ``forward`` gives the losses of one batch."""

    def __init__(self, network: nn.Module, forward: Forward = plainly) -> None:
        super().__init__()
        self.network, self.run = network, forward

    @property
    def key(self) -> str:
        """What is learned: a checkpoint of another task is not gone on from."""
        return type(self).__name__

    def forward(self, batch: Batch) -> Losses:
        """Losses of each sample of the batch, (B,) or (B, T), and their ``total``, one number."""
        raise NotImplementedError


class Supervised(Task):
    """Ground truth only, for teachers and for the student that a distilled one is compared with."""

    def __init__(self, network: nn.Module, scale: Tensor, forward: Forward = plainly) -> None:
        super().__init__(network, forward)
        self.register_buffer("scale", scale.clone())
        self.scale: Tensor

    @property
    def key(self) -> str:
        """The unit, too."""
        return f"{super().key} scale={self.scale.tolist()}"

    def forward(self, batch: Batch) -> Losses:
        """``student``: squared error of each sample in units of ``scale``; ``total``: its weighed mean."""
        prediction, truth = components_last(self.run(self.network, batch.inputs)), components_last(batch.targets)
        own = _of_samples(imitation.ground_truth_only(prediction, truth, self.scale))
        return {"student": own, "total": weighed_mean(own, batch.weights)}


class HintLoss(nn.Module):
    """Distance of a guided layer from the teacher's hint, plain (HT) or attentive (AHT).

    In the form ``mean`` hints are standardised, and a learned linear projection of the guided layer meets them; in the
    paper's form ``sum`` they are as they are, and projected only where the two differ in size; as ``maps`` never.
    """

    def __init__(
        self, guided: str, attentive: bool, size: int, hints: Tensor, form: HintForm = "mean", number: int = 0
    ) -> None:
        """Make the loss of one pair of layers.

        Args:
            guided: path of the student's layer.
            attentive: AHT, rather than HT.
            size: values of the guided layer for each sample.
            hints: of the whole training set, (N, K): for their mean and spread.
            form: of the distance.
            number: which of a batch's hints this is.

        Raises DistilvoError where the layers hold maps of different sizes.
        """
        super().__init__()
        self.guided, self.attentive, self.form, self.number = guided, attentive, form, number
        width = hints.shape[-1]
        if form == "maps" and size != width:
            raise DistilvoError(
                f"hints: '{guided}' has {size} values, the teacher's {width}; expected maps of one size"
            )
        self.projection = nn.Identity() if form != "mean" and size == width else nn.Linear(size, width)
        mean, spread = torch.zeros(width), torch.ones(width)
        if form == "mean":
            rows = hints[~hints.isnan().any(-1)]
            mean, spread = rows.mean(0), rows.std(0, correction=0)
            spread = torch.where(spread > 1e-6 * spread.max(), spread, 1)  # a value that never changes says nothing
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread)
        self.mean: Tensor
        self.spread: Tensor

    def forward(self, guided: Tensor, batch: Batch) -> Tensor:
        """Loss of each sample, (B,) or (B, T), from the guided layer's output in a pass over this batch."""
        if self.number >= len(batch.hints):
            raise _missing("hints")
        hints = (batch.hints[self.number] - self.mean) / self.spread
        lead = hints.shape[:-1]
        own = self.projection(per_sample(guided, lead))
        if not self.attentive:
            return plain_hint(own, hints, self.form)
        if batch.trust is None:
            raise _missing("trust")
        return attentive_hint(own, hints, _for_lead(batch.trust, lead), self.form)


class ImitationLoss(nn.Module):
    """One of the blends of ground truth and imitation; a probabilistic one has a head for log sigma of its own."""

    def __init__(self, blend: Blend, scale: Tensor, alpha: float, uncertain: tuple[str, int] | None = None) -> None:
        """Args ``uncertain``: path and size of the layer that log sigma is read from, for probabilistic blends."""
        super().__init__()
        self.blend, self.alpha = blend, alpha
        self.uncertain: str | None = None
        self.register_buffer("scale", scale.clone())
        self.scale: Tensor
        if blend in PROBABILISTIC:
            if uncertain is None:
                raise DistilvoError(f"blend '{blend}': expected a layer of the student to read log sigma from")
            self.uncertain = uncertain[0]
            self.log_sigma = nn.Linear(uncertain[1], 1)
            nn.init.zeros_(self.log_sigma.weight)
            nn.init.zeros_(self.log_sigma.bias)

    def forward(self, prediction: Tensor, batch: Batch, layer: Tensor | None = None) -> Tensor:
        """Loss of each sample, (B,) or (B, T).

        Args:
            prediction: the student's outputs, of the targets' shape.
            batch: what they were predicted from.
            layer: output of the layer that log sigma is read from.
        """
        student, truth, scale = components_last(prediction), components_last(batch.targets), self.scale
        if self.blend == "ground-truth":
            return _of_samples(imitation.ground_truth_only(student, truth, scale))
        if batch.teacher is None:
            raise _missing("teacher")
        teacher = components_last(batch.teacher)
        match self.blend:
            case "teacher-only":
                losses = imitation.teacher_only(student, teacher, scale)
            case "minimum":
                losses = imitation.minimum(student, truth, teacher, scale)
            case "additional":
                losses = imitation.additional(student, truth, teacher, self.alpha, scale)
            case "upper-bound":
                losses = imitation.upper_bound(student, truth, teacher, self.alpha, scale)
            case "attentive":
                if batch.trust is None:
                    raise _missing("trust")
                trust = _spread(batch.trust, student)
                losses = imitation.attentive_imitation(student, truth, teacher, trust, self.alpha, scale)
            case "laplace" | "gaussian":
                assert layer is not None
                blend = imitation.laplace if self.blend == "laplace" else imitation.gaussian
                log_sigma = self.log_sigma(per_sample(layer, student.shape[:-1])).squeeze(-1)
                losses = blend(student, truth, teacher, log_sigma, self.alpha, scale)
        return _of_samples(losses)


class Distillation(Task):
    """A stage of distillation: hints, imitation of the output, or both at once."""

    def __init__(
        self,
        network: nn.Module,
        hints: Sequence[HintLoss] = (),
        imitation: ImitationLoss | None = None,
        hint_weight: float = 1.0,
        frozen: Iterable[nn.Parameter] = (),
        forward: Forward = plainly,
    ) -> None:
        """Args ``hint_weight``: of the mean over all hints; ``frozen``: parameters that stay as they are."""
        super().__init__(network, forward)
        self.hints, self.imitation, self.hint_weight = nn.ModuleList(hints), imitation, hint_weight
        self._frozen = [parameter for parameter in frozen if parameter.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    @property
    def key(self) -> str:
        """The losses and their settings."""
        frozen = sum(not parameter.requires_grad for parameter in self.network.parameters())
        parts = [super().key, f"frozen={frozen}"]
        for hint in self._hints:
            parts.append(f"hint {hint.guided} attentive={hint.attentive} {hint.form} weight={self.hint_weight}")
        if self.imitation is not None:
            parts.append(f"{self.imitation.blend} alpha={self.imitation.alpha} scale={self.imitation.scale.tolist()}")
            parts += [f"sigma from {self.imitation.uncertain}"] if self.imitation.uncertain else []
        return ", ".join(parts)

    @property
    def _hints(self) -> list[HintLoss]:
        return [hint for hint in self.hints if isinstance(hint, HintLoss)]

    def train(self, mode: bool = True) -> Distillation:
        """Frozen modules stay in evaluation mode, so that their running statistics stay."""
        super().train(mode)
        for module in self.network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def forward(self, batch: Batch) -> Losses:
        """``hint`` and ``imitation``, where the task has them, and the mean of their weighted sum ``total``."""
        layers = [hint.guided for hint in self._hints]
        uncertain = None if self.imitation is None else self.imitation.uncertain
        with ExitStack() as stack:
            taps = {path: stack.enter_context(Tap(self.network, path)) for path in {*layers, uncertain} if path}
            prediction = self.run(self.network, batch.inputs)
        values = {path: tap.take() for path, tap in taps.items()}
        losses: Losses = {}
        if layers:
            each = [hint(values[hint.guided], batch) for hint in self._hints]
            losses["hint"] = torch.stack(each).mean(0)
        if self.imitation is not None:
            losses["imitation"] = self.imitation(prediction, batch, values.get(uncertain or ""))
        weights = {"hint": self.hint_weight, "imitation": 1.0}
        total = [weights[name] * weighed_mean(loss, batch.weights) for name, loss in losses.items()]
        return {**losses, "total": torch.stack(total).sum()}

    def close(self) -> None:
        """Leave the network as it was: what the task froze is free again."""
        for parameter in self._frozen:
            parameter.requires_grad_(True)


def weighed_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of losses (B, ...) with weights (B,)."""
    if weights is None:
        return losses.mean()
    return (losses * weights.reshape(len(weights), *[1] * (losses.ndim - 1))).mean()


def parameters_up_to(network: nn.Module, guided: str, inputs: Any, forward: Forward = plainly) -> list[nn.Parameter]:
    """The free parameters that a layer's output depends on: hint stages train them, imitation stages freeze them."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    training = network.training
    network.eval()  # running statistics stay as they are
    with Tap(network, guided) as tap:
        forward(network, inputs)
        gradients = torch.autograd.grad(tap.take().sum(), parameters, allow_unused=True)
    network.train(training)
    return [parameter for parameter, gradient in zip(parameters, gradients, strict=True) if gradient is not None]


@torch.no_grad()
def layer_size(network: nn.Module, path: str, inputs: Any, lead: Sequence[int], forward: Forward = plainly) -> int:
    """Values that a layer gives for each sample of inputs whose samples have the shape ``lead``, (B,) or (B, T)."""
    training = network.training
    network.eval()
    with Tap(network, path) as tap:
        forward(network, inputs)
        size = per_sample(tap.take(), lead).shape[-1]
    network.train(training)
    return size


def _of_samples(losses: Tensor) -> Tensor:
    """(B,) or (B, T); of dense targets, (B, H, W), the mean over the pixels."""
    return losses if losses.ndim < 3 else losses.flatten(1).mean(-1)


def _for_lead(trust: Tensor, lead: Sequence[int]) -> Tensor:
    """Trust for samples of the shape ``lead``: the mean over what each of them has more of."""
    lead = tuple(lead)
    if trust.shape[: len(lead)] == lead and trust.ndim > len(lead):
        return trust.flatten(len(lead)).mean(-1)
    return trust


def _spread(trust: Tensor, student: Tensor) -> Tensor:
    """Trust of whole samples, (B,), for all their positions, where outputs (B, ..., D) have some."""
    if trust.ndim == 1 and student.ndim > 2 and len(trust) == len(student):
        return trust.reshape(-1, *[1] * (student.ndim - 2)).expand(student.shape[:-1])
    return trust


def _missing(name: str) -> DistilvoError:
    return DistilvoError(f"batch: has no {name}; run the teacher over the training set first (teacher_pass)")
