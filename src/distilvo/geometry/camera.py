"""The pinhole camera, and where its pixels lie in the image that a network sees.

Throughout ``target`` is a 3x3 matrix without skew, in pixels of an image of ``size`` (H, W); pixel centres lie on whole
numbers, see :class:`Camera`. ``geometry.preprocessing`` resamples frames by these mappings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import FURTHEST_M, Floats

Frame = NDArray[np.uint8]
"""What a camera gives: (H, W) grey or (H, W, 3) RGB."""

DEFAULT_CAMERA_HEIGHT = 1.65
"""Metres above the road, KITTI's; for cameras whose height is not known."""

CAMERA_HEIGHTS = 0.1, 20.0
"""Metres between which a camera on a vehicle is."""

Mapping = tuple[Floats, Floats]
"""Scale (2,) and offset (2,) with ``source = scale * target + offset``, x before y."""

# Focal lengths in sides of the image: 157 degrees to less than one.
_FOCAL = 0.1, 100.0

_VIEWS = 5.0, 140.0  # degrees across


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion, in pixels.

    Pixel centres lie on whole numbers, as in OpenCV: the top left pixel covers -0.5 to 0.5, so that an image scaled
    by ``s`` has ``cx' = (cx + 0.5) * s - 0.5``.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        """Raise DistilvoError for intrinsics that no camera has: they would give wrong motions and no error."""
        sides = self.width, self.height
        focal = all(_FOCAL[0] * min(sides) <= f <= _FOCAL[1] * max(sides) for f in (self.fx, self.fy))
        if not focal or not all(-side <= c <= 2 * side for c, side in zip((self.cx, self.cy), sides, strict=True)):
            raise DistilvoError(
                f"intrinsics {self.fx:g} {self.fy:g} {self.cx:g} {self.cy:g} for images of "
                f"{self.width}x{self.height}; expected fx fy cx cy in pixels of these images"
            )

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K (3, 3): from points in the camera's axes to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


def camera_of_view(degrees: float, width: int, height: int, name: str) -> Camera:
    """The camera that sees so many degrees across its images of width x height, its axis in their middle.

    Raises DistilvoError, with the name of what gives the degrees, unless a pinhole camera can see so much.
    """
    least, most = _VIEWS
    if not least <= degrees <= most:
        raise DistilvoError(
            f"{name} {degrees:g}: expected degrees across the image's width, {least:g} to {most:g}; a wider view "
            "needs a calibration that takes its distortion out: --camera FILE"
        )
    focal = width / 2 / np.tan(np.radians(degrees) / 2)
    return Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)


KITTI_00 = Camera(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)
"""The camera of KITTI sequence 00, to whose intrinsics all others are brought."""


def at_default_height(motions: NDArray[Any], height: float | None) -> NDArray[Any]:
    """Motions (..., 6) [m, rad] of a camera ``height`` m above the road, as from the default height."""
    factor = DEFAULT_CAMERA_HEIGHT / (height or DEFAULT_CAMERA_HEIGHT)
    return motions * np.array([factor] * 3 + [1.0] * 3, motions.dtype)


def from_default_height(motions: NDArray[Any], height: float) -> NDArray[Any]:
    """Motions (..., 6) [m, rad] as from the default height, or their deviations, of a camera ``height`` m up."""
    factor = height / DEFAULT_CAMERA_HEIGHT
    return motions * np.array([factor] * 3 + [1.0] * 3, motions.dtype)


def check_camera_height(height: float, name: str) -> None:
    """Raise DistilvoError, with the name of what holds it, unless a camera can be so many metres above the road."""
    if not CAMERA_HEIGHTS[0] <= height <= CAMERA_HEIGHTS[1]:
        least, most = CAMERA_HEIGHTS
        raise DistilvoError(
            f"{name} {height:g}: expected metres of the camera above the road, {least:g} to {most:g}; measure it"
        )


def canonical_intrinsics(size: tuple[int, int]) -> Floats:
    """Intrinsics (3, 3) of KITTI sequence 00, scaled from 1241x376 to ``size`` (H, W)."""
    sy, sx = size[0] / KITTI_00.height, size[1] / KITTI_00.width
    return np.array(
        [
            [KITTI_00.fx * sx, 0.0, (KITTI_00.cx + 0.5) * sx - 0.5],
            [0.0, KITTI_00.fy * sy, (KITTI_00.cy + 0.5) * sy - 0.5],
            [0.0, 0.0, 1.0],
        ]
    )


def camera_from_projection(projection: Floats, width: int, height: int, where: str) -> Camera:
    """The camera of a rectified projection matrix (3, 4); DistilvoError, with the place, where it is not one."""
    check_projection(projection, where)
    fx, fy, cx, cy = (float(projection[row, column]) for row, column in ((0, 0), (1, 1), (0, 2), (1, 2)))
    try:
        return Camera(fx, fy, cx, cy, width=width, height=height)
    except DistilvoError as error:
        raise DistilvoError(f"{where}: {error}") from None


def check_projection(projection: Floats, where: str) -> None:
    """Raise DistilvoError, with the place, unless a matrix (3, 4) is the projection of a rectified camera."""
    fx, fy = projection[0, 0], projection[1, 1]
    if fx <= 0 or fy <= 0:
        raise DistilvoError(f"{where}: focal lengths {fx:g} and {fy:g}, expected positive ones; restore the file")
    pinhole = np.array([[fx, 0, projection[0, 2]], [0, fy, projection[1, 2]], [0, 0, 1]])
    if not np.allclose(projection[:, :3], pinhole, rtol=0, atol=1e-6) or np.abs(projection[:, 3]).max() > FURTHEST_M:
        raise DistilvoError(
            f"{where}: no projection matrix of a rectified camera, expected fx 0 cx x 0 fy cy y 0 0 1 z"
        )


def source_of(frame: tuple[int, int], camera: Camera | None, size: tuple[int, int], target: Floats) -> Mapping:
    """Where the pixels of the image of ``size`` (H, W) lie in a frame of the size ``frame`` (h, w).

    With no camera the image is the middle of the frame, cut to the aspect ratio. Raises DistilvoError where the frame
    is not of the camera's size.
    """
    height, width = frame
    if camera is None:
        return _centred_crop(width, height, size)
    if (camera.width, camera.height) != (width, height):
        raise DistilvoError(
            f"the frame is {width}x{height}, but its camera is given for {camera.width}x{camera.height}; "
            "scale the intrinsics with the image"
        )
    return _through(camera, target)


def shrinking(frame: tuple[int, int], scale: Floats) -> tuple[int, tuple[int, int]]:
    """Number of halvings of a frame (h, w), and the size (h', w') that it is averaged to after them.

    The frame is then interpolated; about one of its pixels is left for each pixel of the image. Halving comes first
    because OpenCV does it fast. Each halving drops the last row or column of an odd size.
    """
    height, width = frame
    halvings = 0
    while scale.min() >= 4.0:
        height, width, scale, halvings = height // 2, width // 2, scale / 2, halvings + 1
    across, down = np.maximum(1, np.rint([width, height] / np.maximum(scale, 1.0))).astype(int)
    return halvings, (int(down), int(across))


def view_not_known() -> tuple[str, str]:
    """What is assumed and what follows if it is wrong, and what to do, where the camera of a source is not known."""
    assumed = 2 * np.arctan(KITTI_00.width / 2 / KITTI_00.fx)
    factor = np.tan(assumed / 2) / np.tan(np.radians(60) / 2)
    return (
        f"the camera's intrinsics are not known: its view is taken for {np.degrees(assumed):.0f} degrees across, as "
        f"KITTI's; if it is 60, lengths come out {factor:.1f} times too short, and turns too strong",
        "give --fov DEGREES, --intrinsics FX FY CX CY or --camera FILE",
    )


def field_of_view_mismatch(camera: Camera, target: Floats, size: tuple[int, int]) -> float:
    """Share of the target's image (H, W) = ``size`` that ``camera`` does not see: 0 (none) to 1 (all of it)."""
    scale, offset = _through(camera, target)
    extent = np.array([size[1], size[0]])
    first, last = scale * -0.5 + offset, scale * (extent - 0.5) + offset
    seen = np.minimum(last, [camera.width - 0.5, camera.height - 0.5]) - np.maximum(first, -0.5)
    return float(1.0 - np.prod(np.maximum(seen, 0.0) / (last - first)))


def _through(camera: Camera, target: Floats) -> Mapping:
    scale = np.array([camera.fx / target[0, 0], camera.fy / target[1, 1]])
    return scale, np.array([camera.cx, camera.cy]) - scale * np.array([target[0, 2], target[1, 2]])


def _centred_crop(width: int, height: int, size: tuple[int, int]) -> Mapping:
    """Of the largest crop about the middle that has the aspect ratio of ``size``."""
    scale = min(width / size[1], height / size[0])
    margin = np.array([width - scale * size[1], height - scale * size[0]]) / 2
    return np.array([scale, scale]), margin + 0.5 * scale - 0.5
