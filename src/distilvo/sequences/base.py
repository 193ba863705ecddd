"""What every source of frames looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilvo.poses import Floats

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion, in pixels.

    Pixel centres lie on whole numbers, as in OpenCV: the top left pixel covers -0.5 to 0.5, so that a picture scaled
    by ``s`` has ``cx' = (cx + 0.5) * s - 0.5``.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class Sequence(Protocol):
    """Frames in the order they were taken, with what is known about them.

    times      (N,) float64, seconds, ascending
    camera     the lens, or None where unknown
    poses      (N, 4, 4) float64 camera-to-world, metres, axes as in KITTI; None where there is no ground truth
    reference  (N, 3) float64 positions, metres, of something on the car (GPS) where no poses are known; else None
    """

    name: str
    camera: Camera | None
    poses: Floats | None
    reference: Floats | None

    @property
    def times(self) -> NDArray[Any]: ...

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first: (H, W, 3) uint8 RGB, or (H, W) uint8 grey, all of one size."""
        ...

    def fingerprint(self) -> bytes:
        """Hash of a few frames, quick to take: it tells other pictures of the same name, length and poses apart."""
        ...
