"""The fixed-length clips that networks are trained on, in batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel
from distilvo.data.augmentation import exposed, mirrored
from distilvo.data.frame_cache import FrameCache
from distilvo.errors import DistilvoError
from distilvo.settings import Recipe


@dataclass(frozen=True)
class ClipBatch:
    """Clips for one step of training.

    Attributes:
        inputs: (B, T + 1, C, H, W) float32, values 0..255; on the device that trains, where they are augmented.
        targets: (B, T, 6) true motions, m and rad; NaN where they are not known.
        index: (B, T) number of each frame pair in the cache; of a mirrored one plus the number of pairs.
        weights: of the clips: all alike.
    """

    inputs: Tensor
    targets: Tensor
    index: Tensor
    weights: None = None


class Clips:
    """Clips of a cache, in an order that depends on seed and epoch alone."""

    def __init__(self, cache: FrameCache, recipe: Recipe, drives: Collection[int] | None = None) -> None:
        """Cut clips.

        Args:
            cache: the training set.
            recipe: length of a clip, clips in a batch, seed of their order, augmentation.
            drives: indices of the drives to take, all where not given.

        Raises:
            DistilvoError: no drive is long enough, or there are fewer clips than one batch.
        """
        self.cache, self.recipe, self.batch_size = cache, recipe, recipe.batch_size
        length = recipe.clip_length
        per_drive = [
            (drive.frames - 1) // length if drives is None or index in drives else 0
            for index, drive in enumerate(cache.drives)
        ]
        if sum(per_drive) < self.batch_size:
            raise DistilvoError(
                f"training data: {sum(per_drive)} clips of {length + 1} frames in {len(cache.drives)} sequences; "
                f"expected at least one batch of {self.batch_size}; use more frames, shorter clips or a smaller batch"
            )
        self._per_drive = per_drive
        chosen = "all" if drives is None else sorted(drives)
        augmentation = f"mirror={recipe.mirror} exposure={recipe.exposure_gain:g},{recipe.exposure_offset:g}"
        self.key = f"{cache.key} {length} {self.batch_size} {recipe.seed} {augmentation} drives={chosen}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return sum(self._per_drive) // self.batch_size

    @property
    def samples(self) -> int:
        """Frame pairs that a teacher is run on: those of the cache, and the mirrored ones where clips are mirrored."""
        return len(self.cache.motions) * (1 + self.recipe.mirror)

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[ClipBatch]:
        """The batches of one epoch from number ``start`` on; each drive is cut at a random phase.

        Args:
            number: of the epoch.
            start: first batch to give.
            share: which clips of each batch to give; the others are not read.
        """
        length, size = self.recipe.clip_length, self.batch_size
        rng = np.random.default_rng([self.recipe.seed, number])
        firsts = []
        for index, (drive, clips) in enumerate(zip(self.cache.drives, self._per_drive, strict=True)):
            phase = rng.integers(drive.frames - clips * length) if clips else 0
            firsts += [(index, drive.first + phase + clip * length) for clip in range(clips)]
        order = rng.permutation(len(firsts))
        for batch in range(len(self)):
            chosen = [firsts[i] for i in order[batch * size : (batch + 1) * size]]
            flips = rng.random(size) < 0.5
            noise = torch.from_numpy(rng.normal(size=(2, size, 1, 1, 1, 1)).astype(np.float32))
            if batch >= start:
                yield self._batch(chosen[share], flips[share], noise[:, share])

    def _batch(self, chosen: list[tuple[int, int]], flips: NDArray[np.bool_], noise: Tensor) -> ClipBatch:
        recipe, length = self.recipe, self.recipe.clip_length
        frames = np.stack([self.cache.frames[first : first + length + 1] for _, first in chosen])
        pairs = np.array([np.arange(first - drive, first - drive + length) for drive, first in chosen])
        device = parallel.device()
        inputs, targets = torch.from_numpy(frames).to(device).float(), torch.from_numpy(self.cache.motions[pairs])
        index, noise = torch.from_numpy(pairs), noise.to(device)
        if recipe.mirror:
            inputs, targets = mirrored(inputs, targets, flips)
            index = index + len(self.cache.motions) * torch.from_numpy(flips)[:, None]
        return ClipBatch(exposed(inputs, noise, recipe.exposure_gain, recipe.exposure_offset), targets, index)


def motion_scale(cache: FrameCache) -> tuple[Tensor, Tensor]:
    """Mean motion (6,) and unit of each component (6,) of a training set, by the frame pairs with a known motion.

    Raises:
        DistilvoError: no motion is known.
    """
    labelled = cache.labelled
    if not labelled.any():
        raise DistilvoError(
            f"training data: none of {len(cache.drives)} sequences has ground-truth poses; expected at least one with "
            "poses (poses/NN.txt): the scale of its motions is the network's unit"
        )
    return mean_and_unit(torch.from_numpy(cache.motions[labelled]))


def mean_and_unit(motions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (6,) of motions (P, 6) [m, rad], without those that are NaN, and the unit of each component, (6,).

    Translation has one unit, its RMS distance from the mean, since its components are lengths of one vector. Each
    rotation has the geometric mean of its own standard deviation and of the RMS distance of all three, at least a tenth
    of that: a car's yaw is five times its pitch and roll, which are not learned in the unit of yaw; and yaw is learned
    late where each has its own (benchmarks/paper.md). The paper does not state its weights.
    """
    motions = motions[~motions.isnan().any(-1)]
    deviations = (motions - motions.mean(0)).square().mean(0).sqrt()
    translation, rotation = deviations[:3].norm(), deviations[3:].norm()
    rotations = (deviations[3:] * rotation).sqrt().clamp_min(0.1 * rotation)
    return motions.mean(0), torch.cat([translation.expand(3), rotations]).clamp_min(1e-6)
