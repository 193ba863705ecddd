"""Any camera's frame as a model's picture, by OpenCV: what training and evaluation use."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame
from distilvo.sequences.camera import shrinking, source_of


def rectify(frame: Frame, camera: Camera | None, size: tuple[int, int], target: NDArray[Any]) -> Frame:
    """The frame (h, w[, 3]) uint8 of ``camera`` as a picture of ``size`` (H, W[, 3]) through the intrinsics ``target``.

    Source pixels are averaged by area where the picture shrinks; what the source does not see repeats its edge (see
    ``sequences.camera``). With no camera the middle of the frame is cut to the aspect ratio and resized.
    Raises DistilvoError where the frame is not of the camera's size.
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


def _resized(picture: Frame, size: tuple[int, int], scale: Floats, offset: Floats) -> tuple[Frame, Floats, Floats]:
    ratio = np.array([picture.shape[1] / size[1], picture.shape[0] / size[0]])
    resized = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return resized, scale / ratio, (offset + 0.5) / ratio - 0.5
