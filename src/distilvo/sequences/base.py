"""What every source of frames looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import Floats

Frame = NDArray[np.uint8]

# Focal lengths in sides of the picture: 157 degrees to less than one.
_FOCAL = 0.1, 100.0


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

    def __post_init__(self) -> None:
        """Raise DistilvoError for what is no lens of such a picture: a digit too many shows nothing, and no error."""
        sides = self.width, self.height
        focal = all(_FOCAL[0] * min(sides) <= f <= _FOCAL[1] * max(sides) for f in (self.fx, self.fy))
        if not focal or not all(-side <= c <= 2 * side for c, side in zip((self.cx, self.cy), sides, strict=True)):
            raise DistilvoError(
                f"intrinsics {self.fx:g} {self.fy:g} {self.cx:g} {self.cy:g} for pictures of "
                f"{self.width}x{self.height}; expected fx fy cx cy in pixels of these pictures"
            )


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
