"""A teacher that looks at frames, run once over a training set: where frames and poses meet ``distill``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from distilvo import parallel
from distilvo.data import MIRROR, FrameCache
from distilvo.distill.hints import Tap
from distilvo.distill.shapes import per_sample
from distilvo.distill.teacher_pass import Tables, check_outputs, outputs_key, teacher_pass
from distilvo.models.motion_network import MotionNetwork


@dataclass(frozen=True)
class FrameOutputs:
    """What a teacher gives for each of the P frame pairs of a cache, then for the mirrored ones where they are wanted.

    Attributes:
        motions: p_T, (P or 2 P, 6) [m, rad].
        hints: Psi_T, (P or 2 P, K).
        truth: p_gt of the same pairs, (P or 2 P, 6).
    """

    motions: Tensor
    hints: Tensor
    truth: Tensor


def run_teacher(
    teacher: MotionNetwork, hint: str, cache: FrameCache, folder: Path, mirror: bool = False
) -> FrameOutputs:
    """Run the teacher on every frame pair of a cache, or read what it gave before.

    Args:
        teacher: the trained teacher.
        hint: path of the layer whose output is the hint; any layer, flattened to one vector for each pair.
        cache: the training set.
        folder: of the outputs; their file is named by the hash of weights, hint layer and data.
        mirror: run it on every pair flipped left to right, too.

    Raises:
        DistilvoError: the layer is not there, or the file of the outputs is damaged.
    """
    parts = [
        (index, flipped) for flipped in ((False, True) if mirror else (False,)) for index in range(len(cache.drives))
    ]

    @torch.no_grad()
    def run(part: int) -> Tables:
        index, flipped = parts[part]
        frames = cache.drive_frames(index)
        teacher.eval()
        with parallel.on_device(teacher) as device, Tap(teacher, hint) as tap:
            frames = frames.to(device)
            motions = teacher.predict(frames.flip(-1) if flipped else frames).cpu()
            return {"outputs": motions, "hints.0": per_sample(tap.take(), (1, len(frames) - 1))[0].cpu()}

    path = folder / f"teacher-{outputs_key(teacher, cache.frames_key, hint, mirror)}.safetensors"
    tables = teacher_pass(run, [cache.drives[index].frames - 1 for index, _ in parts], path)
    check_outputs(tables, str(path))
    return FrameOutputs(tables["outputs"], tables["hints.0"], with_mirrored(torch.from_numpy(cache.motions), mirror))


def with_mirrored(motions: Tensor, mirror: bool) -> Tensor:
    """Motions (P, 6), and those of the frames flipped left to right behind them where they are wanted."""
    return torch.cat([motions, motions * MIRROR]) if mirror else motions


def drive_of_pair(cache: FrameCache, mirror: bool = False) -> Tensor:
    """Number of the drive of each frame pair, (P,) or (2 P,)."""
    pairs = torch.tensor([drive.frames - 1 for drive in cache.drives])
    return torch.arange(len(pairs)).repeat_interleave(pairs).repeat(1 + mirror)
