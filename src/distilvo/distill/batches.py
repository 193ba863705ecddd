"""What a student is trained on: batches of inputs and targets, joined with what the teacher gives for each sample.

The teacher runs once over the training set. Its outputs, hints and the trust in them are tables with one row a sample;
each batch of a training set has the index of its samples, and the rows are looked up by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from distilvo.distill.nested import moved, tensor_bytes
from distilvo.errors import DistilvoError


class Samples(Protocol):
    """One batch of a training set."""

    @property
    def inputs(self) -> Any:
        """(B, ...): what the network is given; also a dict or tuple of such."""

    @property
    def targets(self) -> Tensor:
        """(B,), (B, D), (B, T, D) or (B, C, H, W): ground truth; NaN where there is none."""

    @property
    def index(self) -> Tensor:
        """(B,) or (B, T): which sample of the training set each target is."""

    @property
    def weights(self) -> Tensor | None:
        """(B,) of the samples; all 1 where None."""


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
    """What a teacher gives for each of N samples; NaN where it gave nothing.

    Attributes:
        outputs: p_T, (N, ...) of the targets' shape.
        trust: Phi, (N,), or of each position, (N, T), or component, (N, D), of a sample.
        hints: Psi_T of each hint layer, (N, K) each.
    """

    outputs: Tensor
    trust: Tensor
    hints: tuple[Tensor, ...] = ()

    @property
    def key(self) -> str:
        """Hash of all of it."""
        digest = hashlib.sha256()
        for tensor in (self.outputs, self.trust, *self.hints):
            digest.update(tensor_bytes(tensor))
        return digest.hexdigest()[:16]

    @property
    def lengths(self) -> list[tuple[str, int]]:
        """N of each table, by a name for messages."""
        return [
            ("outputs", len(self.outputs)),
            ("numbers of trust", len(self.trust)),
            *(("hints", len(hint)) for hint in self.hints),
        ]

    def rows(self, index: Tensor) -> TeacherOutputs:
        """What it gives for the samples of an index (B,) or (B, T)."""
        return TeacherOutputs(self.outputs[index], self.trust[index], tuple(hint[index] for hint in self.hints))

    def batch(self, inputs: Any, targets: Tensor, index: Tensor) -> Batch:
        """A batch of samples whose numbers are in ``index`` (B,), for a loop of one's own; see ``Indexed``."""
        rows = self.rows(index)
        return Batch(inputs, targets, rows.outputs, rows.hints, rows.trust)


@dataclass(frozen=True)
class Batch:
    """One step of training; what the teacher gives only where there is a teacher.

    Attributes:
        inputs: (B, ...), or a dict or tuple of such.
        targets: (B,), (B, D), (B, T, D) or (B, C, H, W); NaN where there is no label.
        teacher: p_T of the same shape as the targets.
        hints: of each hint layer, (B, K) or (B, T, K).
        trust: Phi, (B,) or (B, T), or of the targets' shape where each component has its own.
        weights: (B,) of the samples, 1 on average over a training set; all 1 where None.
    """

    inputs: Any
    targets: Tensor
    teacher: Tensor | None = None
    hints: tuple[Tensor, ...] = ()
    trust: Tensor | None = None
    weights: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(**{field.name: moved(getattr(self, field.name), device) for field in fields(self)})


class RunAtEveryStep(Protocol):
    """Runs a teacher on the inputs of a batch."""

    @property
    def key(self) -> str:
        """Which teacher it is: a checkpoint of another one is refused."""

    def __call__(self, inputs: Any) -> TeacherOutputs:
        """Outputs and hints; no trust."""


class Batches:
    """The batches of a training set, with the teacher's outputs where there is a teacher."""

    def __init__(
        self,
        data: TrainingSet,
        teacher: TeacherOutputs | None = None,
        run: RunAtEveryStep | None = None,
    ) -> None:
        """Join a training set with a teacher.

        Args:
            data: the training set.
            teacher: the tables to look up.
            run: run the teacher on the inputs of each batch, too, instead of looking its outputs and hints up: for
                inputs that differ each time. Its trust is not used.

        Raises:
            DistilvoError: the tables have another length than the training set.
        """
        for name, count in () if teacher is None else teacher.lengths:
            if count != data.samples:
                raise DistilvoError(
                    f"training data: the teacher's {name} are of {count} samples, expected {data.samples}; run the "
                    "teacher on the same samples, and on the mirrored ones where they are mirrored"
                )
        self.data, self.teacher, self.run, self.batch_size = data, teacher, run, data.batch_size
        kept = run.key if run is not None else "none" if teacher is None else teacher.key
        self.key = f"{data.key} teacher={kept}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.data)

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[Batch]:
        """The batches of an epoch from number ``start`` on; of each the ``share`` that this process takes."""
        for samples in self.data.epoch(number, start, share):
            yield self._joined(samples)

    def _joined(self, samples: Samples) -> Batch:
        if self.teacher is None:
            return Batch(samples.inputs, samples.targets, weights=samples.weights)
        rows = self.teacher.rows(samples.index)
        given = rows if self.run is None else self.run(samples.inputs)
        return Batch(samples.inputs, samples.targets, given.outputs, given.hints, rows.trust, samples.weights)
