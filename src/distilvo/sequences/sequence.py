"""What every source of frames looks like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats


class Sequence(Protocol):
    """Frames in the order they were taken, with their times, and with intrinsics and poses where there are such.

    times      (N,) float64, seconds, ascending
    camera     its intrinsics, or None where unknown
    poses      (N, 4, 4) float64 camera-to-world, metres, axes of the camera as in KITTI, of the world as the source has
               them; None where there is no ground truth
    reference  (N, 3) float64 positions, metres, of a GPS on the car where there are no poses; else None
    camera_height  metres above the road; None where it is not known
    assumed_times  whether ``times`` are counted at an assumed rate, since the source has none
    """

    name: str
    camera: Camera | None
    poses: Floats | None
    reference: Floats | None
    camera_height: float | None
    assumed_times: bool

    @property
    def times(self) -> Floats: ...

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first: (H, W, 3) uint8 RGB, or (H, W) uint8 grey, all of one size."""
        ...

    def fingerprint(self) -> bytes:
        """Hash of a few frames: other images give another hash, even under the same name, length and poses."""
        ...


@runtime_checkable
class IndexedSequence(Sequence, Protocol):
    """A sequence of files: its frames can be read in any order, by several threads."""

    def frame(self, index: int) -> Frame:
        """Frame ``index``, as ``frames`` gives it."""
        ...


@runtime_checkable
class FlowSequence(IndexedSequence, Protocol):
    """A sequence whose true optical flow and depth are known."""

    def flow(self, index: int) -> NDArray[np.float32]:
        """Flow (H, W, 2) in pixels, right and down, from frame ``index`` to the next one; NaN where it is unknown."""
        ...

    def depth(self, index: int) -> NDArray[np.float32]:
        """Depth (H, W) of frame ``index``, metres along the optical axis; 0 in the sky, NaN where it is unknown."""
        ...

    def flow_fingerprint(self) -> bytes:
        """Hash of some flow and depth; other content gives another hash."""
        ...
