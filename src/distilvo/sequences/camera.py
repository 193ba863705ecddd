"""Any camera's frame, seen through the lens that a model was trained with.

Throughout ``target`` is a 3x3 matrix without skew, in pixels of a picture of ``size`` (H, W); pixel
centres lie on whole numbers, see :class:`distilvo.sequences.Camera`.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame

# The lens of KITTI sequence 00, to which all others are brought.
_KITTI_00 = Camera(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)


def canonical_intrinsics(size: tuple[int, int]) -> Floats:
    """Intrinsics (3, 3) of KITTI sequence 00, scaled from 1241x376 to ``size`` (H, W)."""
    sy, sx = size[0] / _KITTI_00.height, size[1] / _KITTI_00.width
    return np.array(
        [
            [_KITTI_00.fx * sx, 0.0, (_KITTI_00.cx + 0.5) * sx - 0.5],
            [0.0, _KITTI_00.fy * sy, (_KITTI_00.cy + 0.5) * sy - 0.5],
            [0.0, 0.0, 1.0],
        ]
    )


def rectify(frame: Frame, camera: Camera | None, size: tuple[int, int], target: NDArray[Any]) -> Frame:
    """The frame (h, w[, 3]) uint8 of ``camera`` as a picture of ``size`` (H, W[, 3]) through the intrinsics ``target``.

    Source pixels are averaged by area where the picture shrinks; what the source does not see repeats its edge (see
    :func:`field_of_view_mismatch`). With no camera the middle of the frame is cut to the aspect ratio and resized.
    Raises DistilvoError where the frame is not of the camera's size.
    """
    height, width = frame.shape[:2]
    if camera is not None and (camera.width, camera.height) != (width, height):
        raise DistilvoError(
            f"the frame is {width}x{height}, but its camera is given for {camera.width}x{camera.height}; "
            "scale the intrinsics with the picture"
        )
    scale, offset = _centred_crop(width, height, size) if camera is None else _through(camera, target)
    shrunk, scale, offset = _shrink(np.ascontiguousarray(frame), scale, offset)
    return cv2.warpAffine(
        shrunk,
        np.array([[scale[0], 0.0, offset[0]], [0.0, scale[1], offset[1]]]),
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.uint8, copy=False)


def field_of_view_mismatch(camera: Camera, target: NDArray[Any], size: tuple[int, int]) -> float:
    """Share of the target's picture (H, W) = ``size`` that ``camera`` does not see: 0 (none) to 1 (all of it)."""
    scale, offset = _through(camera, target)
    extent = np.array([size[1], size[0]])
    first, last = scale * -0.5 + offset, scale * (extent - 0.5) + offset
    seen = np.minimum(last, [camera.width - 0.5, camera.height - 0.5]) - np.maximum(first, -0.5)
    return float(1.0 - np.prod(np.maximum(seen, 0.0) / (last - first)))


def _through(camera: Camera, target: NDArray[Any]) -> tuple[Floats, Floats]:
    """Scale (2,) and offset (2,) with ``source = scale * target + offset``, x before y, between pixels of one ray."""
    scale = np.array([camera.fx / target[0, 0], camera.fy / target[1, 1]])
    return scale, np.array([camera.cx, camera.cy]) - scale * np.array([target[0, 2], target[1, 2]])


def _centred_crop(width: int, height: int, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The same for the largest crop about the middle that has the aspect ratio of ``size``."""
    scale = min(width / size[1], height / size[0])
    margin = np.array([width - scale * size[1], height - scale * size[0]]) / 2
    return np.array([scale, scale]), margin + 0.5 * scale - 0.5


def _shrink(picture: Frame, scale: Floats, offset: Floats) -> tuple[Frame, Floats, Floats]:
    """Average pixels until about one source pixel is left for each target pixel; scale and offset follow."""
    # Exact halving is vectorised in OpenCV, averaging over fractions of pixels is not: most of the way by halves.
    while scale.min() >= 4.0:
        height, width = picture.shape[:2]
        even = picture[: height // 2 * 2, : width // 2 * 2]
        picture, scale, offset = _resized(even, width // 2, height // 2, scale, offset)
    height, width = picture.shape[:2]
    smaller = np.maximum(1, np.rint([width, height] / np.maximum(scale, 1.0))).astype(int)
    if tuple(smaller) != (width, height):
        picture, scale, offset = _resized(picture, int(smaller[0]), int(smaller[1]), scale, offset)
    return picture, scale, offset


def _resized(picture: Frame, width: int, height: int, scale: Floats, offset: Floats) -> tuple[Frame, Floats, Floats]:
    ratio = np.array([picture.shape[1] / width, picture.shape[0] / height])
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return resized, scale / ratio, (offset + 0.5) / ratio - 0.5
