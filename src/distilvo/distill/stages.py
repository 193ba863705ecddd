"""The stages of a method, one after the other: hints, then the output; or both at once (paper, Section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distilvo.distill.batches import Batch, Batches
from distilvo.distill.shapes import components_last
from distilvo.distill.task import (
    PROBABILISTIC,
    Distillation,
    Forward,
    HintLoss,
    ImitationLoss,
    layer_size,
    parameters_up_to,
    plainly,
)
from distilvo.distill.trust import check_bounded
from distilvo.errors import DistilvoError
from distilvo.settings import Method


@dataclass(frozen=True)
class Stage:
    """Name, task and optimiser steps."""

    name: str
    task: Distillation
    steps: int


def stages(
    student: nn.Module,
    method: Method,
    batches: Batches,
    steps: int,
    scale: Tensor,
    *,
    guided: Sequence[str] = (),
    sigma_layer: str | None = None,
    forward: Forward = plainly,
) -> Iterator[Stage]:
    """The stages of a method; each is made when the one before is done.

    Args:
        student: to be trained.
        method: losses and schedule.
        batches: the training set, joined with what the teacher gives.
        steps: of all stages together.
        scale: unit of each component of a target.
        guided: the student's layer for each hint of the teacher.
        sigma_layer: the student's layer that probabilistic blends read log sigma from; the first guided one where not
            given.
        forward: runs the student.

    Raises:
        DistilvoError: a layer is not there, the loss would have no lower bound, hints are wanted and there are none, or
            two stages have a single step.
    """
    given = batches.teacher
    assert given is not None
    if method.hint != "none" and not (guided and len(given.hints) == len(guided)):
        raise DistilvoError(f"hints: {len(given.hints)} of the teacher for {len(guided)} layers of the student")
    if steps < 2 and method.hint != "none" and method.schedule == "two-stage":
        raise DistilvoError(
            f"two stages: {steps} step in all; expected at least 2: more epochs, data, or a smaller batch"
        )
    if method.blend == "attentive":
        check_bounded(given.trust, method.alpha)
    example = first_sample(batches)
    parts = _Parts(student, method, batches, scale, guided, sigma_layer, forward, example)
    if method.hint == "none":
        yield Stage("imitation", parts.task(imitation=True), steps)
    elif method.schedule == "joint":
        yield Stage("joint", parts.task(hints=True, imitation=True), steps)
    else:
        trunk: dict[nn.Parameter, None] = {}
        for path in guided:
            trunk |= dict.fromkeys(parameters_up_to(student, path, example.inputs, forward))
        rest = [parameter for parameter in student.parameters() if parameter not in trunk]
        first = round(0.5 * steps)
        yield Stage("hint", parts.task(hints=True, frozen=rest), first)
        yield Stage("imitation", parts.task(imitation=True, frozen=list(trunk) if method.freeze else []), steps - first)


@dataclass(frozen=True)
class _Parts:
    """Makes the tasks of the stages."""

    student: nn.Module
    method: Method
    batches: Batches
    scale: Tensor
    guided: Sequence[str]
    sigma_layer: str | None
    forward: Forward
    example: Batch

    def task(
        self, *, hints: bool = False, imitation: bool = False, frozen: Sequence[nn.Parameter] = ()
    ) -> Distillation:
        losses = self._hints() if hints else []
        weight = self.method.hint_weight if imitation else 1.0
        return Distillation(
            self.student, losses, self._imitation() if imitation else None, weight, frozen, forward=self.forward
        )

    def _hints(self) -> list[HintLoss]:
        given, method = self.batches.teacher, self.method
        assert given is not None
        losses = []
        for number, (path, hints) in enumerate(zip(self.guided, given.hints, strict=True)):
            size = self._size(path, self.example.hints[number].shape[:-1])
            losses.append(HintLoss(path, method.hint == "attentive", size, hints, method.hint_form or "mean", number))
        return losses

    def _imitation(self) -> ImitationLoss:
        method, uncertain = self.method, None
        layer = self.sigma_layer or next(iter(self.guided), None)
        if method.blend in PROBABILISTIC and layer is not None:
            uncertain = layer, self._size(layer, components_last(self.example.targets).shape[:-1])
        return ImitationLoss(method.blend, self.scale, method.alpha, uncertain)

    def _size(self, path: str, lead: Sequence[int]) -> int:
        return layer_size(self.student, path, self.example.inputs, lead, self.forward)


def first_sample(batches: Batches) -> Batch:
    """The first sample of the first batch, as a batch of one, on the CPU."""
    with torch.random.fork_rng(devices=[]):  # inputs may be augmented at random
        batch = next(batches.epoch(0, share=slice(0, 1)))
    return batch.to(torch.device("cpu"))
