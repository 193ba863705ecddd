"""Augmentation of clips, each part of it named in the settings: mirrored frames and another exposure.

Mirroring changes the target, so a teacher is run on the mirrored frames too. Another exposure does not: student and
teacher then see the same motion, the teacher at the original exposure.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MIRROR = torch.tensor([-1.0, 1, 1, 1, -1, -1])
"""Signs of the components of a motion once its frames are flipped left to right."""


def mirrored(inputs: Tensor, targets: Tensor, flips: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    """Clips (B, T + 1, C, H, W) and their motions (B, T, 6), the chosen (B,) of them flipped left to right."""
    chosen = torch.from_numpy(flips)
    there = chosen.to(inputs.device)[:, None, None, None, None]
    return torch.where(there, inputs.flip(-1), inputs), torch.where(chosen[:, None, None], targets * MIRROR, targets)


def exposed(inputs: Tensor, noise: Tensor, gain: float, offset: float) -> Tensor:
    """Clips (B, T + 1, C, H, W) of 0..255 at another exposure: ``(1 + gain n) x + offset m``, n and m by clip.

    Args:
        inputs: the clips.
        noise: normal numbers n and m, (2, B, 1, 1, 1, 1).
        gain: standard deviation of the factor.
        offset: standard deviation of the shift, grey levels.
    """
    return ((1 + gain * noise[0]) * inputs + offset * noise[1]).clamp_(0, 255)
