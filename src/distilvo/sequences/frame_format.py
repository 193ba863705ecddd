"""What a network is shown of a camera's frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from distilvo.sequences.base import Camera, Frame
from distilvo.sequences.camera import canonical_intrinsics
from distilvo.sequences.rectify import rectify


@dataclass(frozen=True)
class FrameFormat:
    """Size (H, W) and channels (1 or 3); the lens is always that of KITTI sequence 00, scaled to the size."""

    size: tuple[int, int]
    channels: int

    def apply(self, frame: Frame, camera: Camera | None) -> Frame:
        """(h, w[, 3]) of any camera -> (C, H, W) uint8; see ``sequences.rectify``."""
        if self.channels == 1 and frame.ndim == 3:
            frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        elif self.channels == 3 and frame.ndim == 2:
            frame = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)
        seen = rectify(frame, camera, self.size, canonical_intrinsics(self.size))
        return seen[None] if seen.ndim == 2 else np.ascontiguousarray(seen.transpose(2, 0, 1))
