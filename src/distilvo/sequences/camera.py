"""Where a camera's pixels lie in the picture that a model sees, which is that of the lens it was trained with.

Throughout ``target`` is a 3x3 matrix without skew, in pixels of a picture of ``size`` (H, W); pixel
centres lie on whole numbers, see :class:`distilvo.sequences.Camera`. ``rectify`` draws with OpenCV what is said here,
``resampling`` with numpy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import Floats
from distilvo.sequences.base import Camera

Mapping = tuple[Floats, Floats]
"""Scale (2,) and offset (2,) with ``source = scale * target + offset``, x before y."""

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


def source_of(frame: tuple[int, int], camera: Camera | None, size: tuple[int, int], target: NDArray[Any]) -> Mapping:
    """Where the pixels of the picture of ``size`` (H, W) lie in a frame of the size ``frame`` (h, w).

    With no camera the picture is the middle of the frame, cut to the aspect ratio. Raises DistilvoError where the frame
    is not of the camera's size.
    """
    height, width = frame
    if camera is None:
        return _centred_crop(width, height, size)
    if (camera.width, camera.height) != (width, height):
        raise DistilvoError(
            f"the frame is {width}x{height}, but its camera is given for {camera.width}x{camera.height}; "
            "scale the intrinsics with the picture"
        )
    return _through(camera, target)


def shrinking(frame: tuple[int, int], scale: Floats) -> tuple[int, tuple[int, int]]:
    """How often a frame (h, w) is halved, and the size (h', w') that it is then averaged to, before it is interpolated.

    About one pixel is left for each pixel of the picture. Halves come first because OpenCV is quick at them; the last
    row or column of an odd size is lost with each.
    """
    height, width = frame
    halvings = 0
    while scale.min() >= 4.0:
        height, width, scale, halvings = height // 2, width // 2, scale / 2, halvings + 1
    across, down = np.maximum(1, np.rint([width, height] / np.maximum(scale, 1.0))).astype(int)
    return halvings, (int(down), int(across))


def field_of_view_mismatch(camera: Camera, target: NDArray[Any], size: tuple[int, int]) -> float:
    """Share of the target's picture (H, W) = ``size`` that ``camera`` does not see: 0 (none) to 1 (all of it)."""
    scale, offset = _through(camera, target)
    extent = np.array([size[1], size[0]])
    first, last = scale * -0.5 + offset, scale * (extent - 0.5) + offset
    seen = np.minimum(last, [camera.width - 0.5, camera.height - 0.5]) - np.maximum(first, -0.5)
    return float(1.0 - np.prod(np.maximum(seen, 0.0) / (last - first)))


def _through(camera: Camera, target: NDArray[Any]) -> Mapping:
    scale = np.array([camera.fx / target[0, 0], camera.fy / target[1, 1]])
    return scale, np.array([camera.cx, camera.cy]) - scale * np.array([target[0, 2], target[1, 2]])


def _centred_crop(width: int, height: int, size: tuple[int, int]) -> Mapping:
    """Of the largest crop about the middle that has the aspect ratio of ``size``."""
    scale = min(width / size[1], height / size[0])
    margin = np.array([width - scale * size[1], height - scale * size[0]]) / 2
    return np.array([scale, scale]), margin + 0.5 * scale - 0.5
