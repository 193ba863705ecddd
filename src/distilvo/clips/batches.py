"""The fixed-length clips that networks are trained on, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.clips.store import FrameStore
from distilvo.errors import DistilvoError

MIRROR = torch.tensor([-1.0, 1, 1, 1, -1, -1])
"""What a picture flipped left to right does to a motion: signs of its components."""


@dataclass(frozen=True)
class Batch:
    """Clips for one step of training; ``teacher``, ``hints`` and ``trust`` only where a teacher has been asked.

    Attributes:
        inputs: (B, T + 1, C, H, W) float32, values 0..255.
        targets: (B, T, 6) true motions.
        teacher: (B, T, 6) the teacher's motions.
        hints: (B, T, K) the teacher's hint.
        trust: (B, T) Phi.
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


@dataclass(frozen=True)
class Lessons:
    """What a teacher has to say of each of the P frame pairs of a store, then of the mirrored pairs where it was asked.

    Attributes:
        teacher: its motions, (P or 2 P, 6).
        hints: (P or 2 P, K).
        trust: (P or 2 P,), or (..., 6) where each component has its own.
    """

    teacher: Tensor
    hints: Tensor
    trust: Tensor

    @property
    def key(self) -> str:
        """Hash of all of it."""
        digest = hashlib.sha256()
        for tensor in (self.teacher, self.hints, self.trust):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]


class Clips:
    """Clips of ``length`` motions from a store, in an order that depends on seed and epoch alone."""

    def __init__(
        self,
        store: FrameStore,
        length: int,
        batch_size: int,
        seed: int,
        lessons: Lessons | None = None,
        mirror: bool = False,
        drives: Collection[int] | None = None,
    ) -> None:
        """Cut clips.

        Args:
            store: the training set.
            length: motions in a clip.
            batch_size: clips in a batch.
            seed: of their order.
            lessons: of a teacher; of the mirrored pairs too, where ``mirror`` is asked for.
            mirror: flip half of the clips, and their motions, left to right.
            drives: indices of the drives to take, all where not given.

        Raises:
            DistilvoError: no drive is long enough, there are fewer clips than one batch, or lessons are missing.
        """
        self.store, self.length, self.seed, self.lessons, self.mirror = store, length, seed, lessons, mirror
        self.batch_size = batch_size
        if lessons is not None and len(lessons.teacher) != len(store.motions) * (1 + mirror):
            expected = len(store.motions) * (1 + mirror)
            raise DistilvoError(
                f"training data: lessons for {len(lessons.teacher)} frame pairs; expected {expected}; "
                "ask the teacher about the same sequences, and about the mirrored ones where clips are mirrored"
            )
        per_drive = [
            (drive.frames - 1) // length if drives is None or index in drives else 0
            for index, drive in enumerate(store.drives)
        ]
        if sum(per_drive) < batch_size:
            raise DistilvoError(
                f"training data: {sum(per_drive)} clips of {length + 1} frames in {len(store.drives)} sequences; "
                f"expected at least one batch of {batch_size}; use more frames, shorter clips or a smaller batch"
            )
        self._per_drive = per_drive
        taken = "all" if drives is None else sorted(drives)
        asked = "none" if lessons is None else lessons.key
        self.key = f"{store.key} {length} {batch_size} {seed} mirror={mirror} drives={taken} lessons={asked}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return sum(self._per_drive) // self.batch_size

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[Batch]:
        """The batches of one epoch from number ``start`` on; each drive is cut at a random phase.

        Args:
            number: of the epoch.
            start: first batch to give.
            share: which clips of each batch to give; the others are not read.
        """
        rng = np.random.default_rng([self.seed, number])
        firsts = []
        for index, (drive, clips) in enumerate(zip(self.store.drives, self._per_drive, strict=True)):
            phase = rng.integers(drive.frames - clips * self.length) if clips else 0
            firsts += [(index, drive.first + phase + clip * self.length) for clip in range(clips)]
        order = rng.permutation(len(firsts))
        for batch in range(len(self)):
            chosen = [firsts[i] for i in order[batch * self.batch_size : (batch + 1) * self.batch_size]]
            flips = rng.random(self.batch_size) < 0.5
            light = torch.from_numpy(rng.normal(size=(2, self.batch_size, 1, 1, 1, 1)).astype(np.float32))
            if batch >= start:
                yield self._batch(chosen[share], flips[share] if self.mirror else None, light[:, share])

    def _batch(self, chosen: list[tuple[int, int]], flips: NDArray[np.bool_] | None, light: Tensor) -> Batch:
        frames = np.stack([self.store.frames[first : first + self.length + 1] for _, first in chosen])
        pairs = np.array([np.arange(first - index, first - index + self.length) for index, first in chosen])
        inputs, targets = torch.from_numpy(frames).float(), torch.from_numpy(self.store.motions[pairs])
        if flips is not None:
            chosen_flips = torch.from_numpy(flips)
            inputs[chosen_flips] = inputs[chosen_flips].flip(-1)
            targets[chosen_flips] *= MIRROR
        inputs = ((1 + 0.2 * light[0]) * inputs + 15 * light[1]).clamp_(0, 255)  # another exposure for each clip
        if self.lessons is None:
            return Batch(inputs, targets)
        lessons, index = self.lessons, torch.from_numpy(pairs)
        if flips is not None:
            index = index + len(self.store.motions) * torch.from_numpy(flips)[:, None]
        return Batch(inputs, targets, lessons.teacher[index], lessons.hints[index], lessons.trust[index])


def motion_scale(store: FrameStore) -> tuple[Tensor, Tensor]:
    """Mean motion (6,) and unit of each component (6,) of a training set.

    The unit is the RMS distance from the mean, one for translation and one for rotation: metres and radians then weigh
    alike, and predicting the mean gives an error of 1 in each. (The paper does not say how it weighs them.)
    """
    motions = torch.from_numpy(store.motions)
    variance = (motions - motions.mean(0)).square().mean(0)
    kinds = torch.stack([variance[:3].sum(), variance[3:].sum()]).sqrt()
    return motions.mean(0), kinds.repeat_interleave(3).clamp_min(1e-6)
