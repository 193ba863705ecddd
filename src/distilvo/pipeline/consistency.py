"""How far a teacher contradicts itself on frames: a sign of its error that needs no label.

Backward   The drive is run in reverse too: the motion from k to k + 1, followed by the one from k + 1 to k, ought to be
           the identity.
Two-frame  Every second frame is run too: the motion from k to k + 2 ought to be the two motions between them, one
           after the other.
Mirrored   Every frame is flipped left to right too: the motion ought to be the mirrored one.

What is left over is given as squared error in units of a motion scale, as a trust takes the true error. A teacher that
errs alike in all runs agrees with itself: a common factor of all translations, for one, is not seen. And a teacher that
never saw a car go backwards or at twice the speed errs on such film more than on the drive as it is: the size of what
is left over is no estimate of its error, its order may be. ``benchmarks/consistency.py`` measures how well it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel
from distilvo.data import MIRROR, FrameCache
from distilvo.geometry import se3
from distilvo.geometry.se3 import Floats
from distilvo.models.motion_network import MotionNetwork
from distilvo.progress import progress


@dataclass(frozen=True)
class Inconsistency:
    """How far a teacher contradicts itself on each of the P frame pairs of a cache: squared errors, no unit.

    Attributes:
        backward: (P, 2), of translation and rotation.
        two_frame: (P, 2) likewise, the mean of the two pairs of frames k, k + 2 that hold a frame pair (the smaller of
            both tells less of the true error); NaN in a drive of two frames, where there is nothing to compare with.
        mirrored: (P, 2) likewise.
    """

    backward: Tensor
    two_frame: Tensor
    mirrored: Tensor


def inconsistency(
    teacher: MotionNetwork, cache: FrameCache, unit: Tensor, outputs: Tensor | None = None
) -> Inconsistency:
    """Run a teacher four times over each drive of a cache: as it is, backward, over every second frame, and mirrored.

    Args:
        teacher: trained.
        cache: P frame pairs, with labels or without.
        unit: (6,) of each component of a motion, m and rad; ``teacher.scale``, or ``data.motion_scale``.
        outputs: (P, 6) what it gave on the drives as they are, or (2 P, 6) with those of the mirrored drives behind, as
            ``run_teacher`` has them: these runs are spared.
    """
    teacher.eval()
    units, parts = unit.numpy().astype(np.float64), []
    as_they_are, as_mirrored = _by_drive(cache, outputs)
    count = sum(drive.frames for drive in cache.drives)
    with parallel.on_device(teacher) as device, progress("consistency", count) as bar:
        for index in range(len(cache.drives)):
            frames = cache.drive_frames(index).to(device)
            forward = as_they_are[index] if as_they_are else _transforms(teacher, frames)
            mirrored = as_mirrored[index] if as_mirrored else _transforms(teacher, frames.flip(-1), MIRROR)
            left = (
                forward @ _transforms(teacher, frames.flip(0))[::-1],
                _beside(_every_second(teacher, frames), forward),
                se3.between(mirrored, forward),
            )
            backward, two_frame, mirrored = (_squared(transforms, units) for transforms in left)
            parts.append(np.stack([backward, _of_pairs(two_frame), mirrored]))
            bar.advance(cache.drives[index].frames)
    return Inconsistency(*torch.from_numpy(np.concatenate(parts, axis=1)).float())


def _by_drive(cache: FrameCache, outputs: Tensor | None) -> tuple[list[Floats], list[Floats]]:
    """Outputs as transforms of each drive, and those of the mirrored drives undone; empty where there are none."""
    if outputs is None:
        return [], []
    pairs = [drive.frames - 1 for drive in cache.drives]
    runs = [
        [se3.matrices_from_motions((part * signs).numpy()) for part in run.split(pairs)]
        for run, signs in zip(outputs.split(sum(pairs)), (1.0, MIRROR), strict=False)
    ]
    return runs[0], runs[1] if len(runs) > 1 else []


def _transforms(teacher: MotionNetwork, frames: Tensor, signs: Tensor | float = 1.0) -> Floats:
    """Motions of a drive (n, C, H, W), their components times ``signs`` (6,), as rigid transforms (n - 1, 4, 4)."""
    if len(frames) < 2:
        return np.empty((0, 4, 4))
    return se3.matrices_from_motions((teacher.predict(frames).cpu() * signs).numpy())


def _every_second(teacher: MotionNetwork, frames: Tensor) -> Floats:
    """Motions from each frame k to k + 2, (n - 2, 4, 4): those of the even frames and of the odd ones."""
    steps = np.empty((max(0, len(frames) - 2), 4, 4))
    for phase in (0, 1):
        steps[phase::2] = _transforms(teacher, frames[phase::2])
    return steps


def _beside(steps: Floats, forward: Floats) -> Floats:
    """What is left of two motions in a row, of (n - 1, 4, 4), where one over two frames (n - 2, 4, 4) is undone."""
    return se3.between(steps, forward[:-1] @ forward[1:])


def _squared(left: Floats, unit: Floats) -> Floats:
    """Squared error (n, 2) of translation and rotation, of transforms (n, 4, 4) that ought to be the identity."""
    squares = np.square(se3.motions_from_matrices(left) / unit)
    return np.stack([squares[:, :3].sum(1), squares[:, 3:].sum(1)], axis=1)


def _of_pairs(windows: Floats) -> NDArray[np.float64]:
    """Errors of windows of two pairs (n - 2, 2) -> of pairs (n - 1, 2)."""
    if not len(windows):
        return np.full((1, 2), np.nan)
    return (np.concatenate([windows[:1], windows]) + np.concatenate([windows, windows[-1:]])) / 2
