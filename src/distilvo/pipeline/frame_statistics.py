"""Cheap statistics of frame pairs that a teacher's error may depend on: brightness, contrast, sharpness, change."""

from __future__ import annotations

import torch
from torch import Tensor

from distilvo.data import FrameCache


def pair_statistics(cache: FrameCache) -> Tensor:
    """Statistics of each of the P frame pairs of a cache, (P, 12).

    Those of the second frame (brightness, contrast, mean gradient along rows and along columns, gradient over contrast;
    grey levels), how much each differs from the first frame's, the mean difference of the pixels, and that over the
    gradient: about how many pixels the image moved.
    """
    parts = []
    for index in range(len(cache.drives)):
        frames = cache.drive_frames(index).float().mean(1)
        of_frames = torch.cat([_of_frames(some) for some in frames.split(256)])
        change = (frames[1:] - frames[:-1]).abs().mean((1, 2))
        own, step = of_frames[1:], (of_frames[1:] - of_frames[:-1]).abs()
        moved = change / own[:, 2].clamp_min(1e-3)
        parts.append(torch.cat([own, step, change[:, None], moved[:, None]], 1))
    return torch.cat(parts)


def _of_frames(frames: Tensor) -> Tensor:
    """(n, H, W) -> (n, 5)."""
    along = (frames[:, :, 1:] - frames[:, :, :-1]).abs().mean((1, 2))
    down = (frames[:, 1:] - frames[:, :-1]).abs().mean((1, 2))
    spread = frames.std((1, 2))
    return torch.stack([frames.mean((1, 2)), spread, along, down, along / spread.clamp_min(1e-3)], 1)
