"""What a student is trained on: batches of inputs and targets, joined with what the teacher gives for each sample.

The teacher runs once over the training set. Its outputs, hints and the trust in them are tables with one row a sample;
each batch of a training set has the index of its samples, and the rows are looked up by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from distilvo.errors import DistilvoError


class Samples(Protocol):
    """One batch of a training set."""

    @property
    def inputs(self) -> Tensor:
        """(B, ...): what the network is given."""

    @property
    def targets(self) -> Tensor:
        """(B, D), or (B, T, D) for sequences: ground truth."""

    @property
    def index(self) -> Tensor:
        """(B,) or (B, T): which sample of the training set each target is."""


class TrainingSet(Protocol):
    """Batches in an order that is the same each time, so that a training can go on where it stopped."""

    @property
    def key(self) -> str:
        """What the set holds and in which order: a checkpoint of another one is refused."""

    @property
    def batch_size(self) -> int:
        """Samples in a batch, those of all processes together."""

    @property
    def samples(self) -> int:
        """Length of the tables of a teacher: one more than the largest index."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[Samples]:
        """The batches of an epoch from number ``start`` on; of each the ``share`` that this process takes."""


@dataclass(frozen=True)
class TeacherOutputs:
    """What a teacher gives for each of N samples.

    Attributes:
        outputs: p_T, (N, D).
        hints: Psi_T, (N, K).
        trust: Phi, (N,), or (N, D) where each component has its own.
    """

    outputs: Tensor
    hints: Tensor
    trust: Tensor

    @property
    def key(self) -> str:
        """Hash of all of it."""
        digest = hashlib.sha256()
        for tensor in (self.outputs, self.hints, self.trust):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Batch:
    """One step of training; ``teacher``, ``hints`` and ``trust`` only where there is a teacher.

    Attributes:
        inputs: (B, ...).
        targets: (B, D) or (B, T, D).
        teacher: p_T of the same shape as the targets.
        hints: (B, K) or (B, T, K).
        trust: Phi, (B,) or (B, T), or of the targets' shape where each component has its own.
    """

    inputs: Tensor
    targets: Tensor
    teacher: Tensor | None = None
    hints: Tensor | None = None
    trust: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = (None if value is None else value.to(device) for value in (self.teacher, self.hints, self.trust))
        return Batch(self.inputs.to(device), self.targets.to(device), *moved)


class Batches:
    """The batches of a training set, with the teacher's outputs where there is a teacher."""

    def __init__(self, data: TrainingSet, teacher: TeacherOutputs | None = None) -> None:
        """Raises DistilvoError where the teacher's tables have another length than the training set."""
        if teacher is not None and len(teacher.outputs) != data.samples:
            raise DistilvoError(
                f"training data: the teacher's outputs are of {len(teacher.outputs)} samples, expected {data.samples}; "
                "run the teacher on the same samples, and on the mirrored ones where they are mirrored"
            )
        self.data, self.teacher, self.batch_size = data, teacher, data.batch_size
        self.key = f"{data.key} teacher={'none' if teacher is None else teacher.key}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.data)

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on; of each the ``share`` that this process takes."""
        for samples in self.data.epoch(number, start, share):
            yield self._joined(samples)

    def _joined(self, samples: Samples) -> Batch:
        if self.teacher is None:
            return Batch(samples.inputs, samples.targets)
        known, index = self.teacher, samples.index
        return Batch(samples.inputs, samples.targets, known.outputs[index], known.hints[index], known.trust[index])
