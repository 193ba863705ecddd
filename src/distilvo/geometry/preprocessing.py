"""A camera's frame as the image that a network sees: the one preprocessing, of training, evaluation and live tracking.

Every camera is brought to the intrinsics of KITTI sequence 00 (see ``geometry.camera``), so that a network learns one
camera only. Training and runtime call the same function: on a robot a network sees the same images as in training, to
the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from distilvo.geometry.averaging import averaged
from distilvo.geometry.camera import Camera, Frame, canonical_intrinsics, shrinking, source_of
from distilvo.geometry.se3 import Floats


@dataclass(frozen=True)
class Preprocessing:
    """Size (H, W) and channels (1 or 3) of a network's image; its intrinsics are KITTI 00's, scaled to the size.

    ``centred``: its optical axis is in the middle column instead, so that a mirrored image has the same intrinsics.
    """

    size: tuple[int, int]
    channels: int
    centred: bool = False

    @property
    def intrinsics(self) -> Floats:
        """Of the network's image, (3, 3)."""
        matrix = canonical_intrinsics(self.size)
        if self.centred:
            matrix[0, 2] = (self.size[1] - 1) / 2
        return matrix

    def rays(self, cell: int) -> Floats:
        """Places (2, H / cell, W / cell) of the middles of cells of so many pixels, right and down, in focal lengths.

        From the optical axis.
        """
        rows, columns = (cell * np.arange(side // cell) + (cell - 1) / 2 for side in self.size)
        matrix = self.intrinsics
        u, v = (columns - matrix[0, 2]) / matrix[0, 0], (rows - matrix[1, 2]) / matrix[1, 1]
        return np.stack(np.meshgrid(u, v))

    def apply(self, frame: Frame, camera: Camera | None) -> Frame:
        """(h, w[, 3]) of any camera -> (C, H, W) uint8; see :func:`rectify`."""
        if self.channels == 1 and frame.ndim == 3:
            frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        elif self.channels == 3 and frame.ndim == 2:
            frame = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)
        image = rectify(frame, camera, self.size, self.intrinsics)
        return image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))


def rectify(frame: Frame, camera: Camera | None, size: tuple[int, int], target: Floats) -> Frame:
    """The frame (h, w[, 3]) uint8 of ``camera`` as an image of ``size`` (H, W[, 3]) through the intrinsics ``target``.

    Source pixels are averaged by area where the image shrinks; what the source does not see repeats its edge. With no
    camera the middle of the frame is cut to the aspect ratio and resized. Raises DistilvoError where the frame is not
    of the camera's size.
    """
    shape = frame.shape[0], frame.shape[1]
    scale, offset = source_of(shape, camera, size, target)
    halvings, smaller = shrinking(shape, scale)
    shrunk = np.ascontiguousarray(frame)
    for _ in range(halvings):
        height, width = (side // 2 for side in shrunk.shape[:2])
        shrunk, scale, offset = _resized(shrunk[: 2 * height, : 2 * width], (height, width), scale, offset)
    if smaller != shrunk.shape[:2]:
        shrunk, scale, offset = _resized(shrunk, smaller, scale, offset)
    return cv2.warpAffine(
        shrunk,
        np.array([[scale[0], 0.0, offset[0]], [0.0, scale[1], offset[1]]]),
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8, copy=False)


def _resized(image: Frame, size: tuple[int, int], scale: Floats, offset: Floats) -> tuple[Frame, Floats, Floats]:
    ratio = np.array([image.shape[1] / size[1], image.shape[0] / size[0]])
    if image.ndim == 2 and (ratio % 1).any():  # OpenCV is fast where whole pixels are averaged
        resized = averaged(image, size)
    else:
        resized = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return resized, scale / ratio, (offset + 0.5) / ratio - 0.5
