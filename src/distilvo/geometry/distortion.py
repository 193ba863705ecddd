"""Distortion of a camera taken out of its frames.

``radtan``: the model of Brown and Conrady, also called ``plumb_bob``, and with eight coefficients
``rational_polynomial``. ``equidistant``: that of Kannala and Brandt for fisheyes, as ``cv2.fisheye`` and Kalibr
have it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence as Several
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats

Model = Literal["radtan", "equidistant"]

MODELS: dict[str, Model] = {
    "radtan": "radtan",
    "radial-tangential": "radtan",
    "plumb_bob": "radtan",
    "rational_polynomial": "radtan",
    "equidistant": "equidistant",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
}
"""The models by the names that calibrations give them."""

COUNTS: dict[Model, tuple[int, ...]] = {"radtan": (4, 5, 8, 12, 14), "equidistant": (4,)}
"""How many coefficients each model may have."""

LARGEST_COEFFICIENT = 1e3
"""Of real cameras they are about 1, and some tens where eight of them are fitted."""

_UNDEFINED = 0.01, 0.5  # shares of the frame, where a polynomial turns back: for a warning, for a refusal
_STEPS = 4096  # at which a radial function is looked at, from the centre to the furthest corner
_CHUNK = 1 << 16  # rays that are distorted at a time: OpenCV works out 48 derivatives of each


class Undistortion:
    """Frames of a camera with distortion as a pinhole camera, with the same intrinsics, would have taken them.

    What the camera did not see repeats its edge. A polynomial that turns back far from the centre would show a part of
    the frame twice: from there on, the last ray for which it holds is repeated.

    Args:
        camera: the intrinsics of the calibration, which stay those of the frames.
        coefficients: OpenCV's: k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tx ty]]]]; of equidistant k1 k2 k3 k4.
        model: radtan or equidistant.
        where: the file of the calibration, for a warning where the distortion is not defined on more than 1 % of the
            frame.

    Raises:
        DistilvoError: it is not defined on half of the frame.
    """

    def __init__(
        self, camera: Camera, coefficients: Several[float], model: Model = "radtan", where: str = "distortion"
    ) -> None:
        lens = _Lens(camera, np.array(coefficients, dtype=np.float64), model)
        places, fractions = lens.maps()
        rays = lens.rays()
        radii = np.linalg.norm(rays, axis=-1)
        last = lens.last_radius(float(radii.max()))
        beyond = radii > last
        _judge(float(beyond.mean()), last, where)
        if beyond.any():
            held = rays[beyond] * (last / radii[beyond])[:, None]
            mended = cv2.convertMaps(lens.distort(held)[:, None], None, cv2.CV_16SC2)
            places[beyond], fractions[beyond] = mended[0][:, 0], mended[1].reshape(-1)
        self._maps = places, fractions

    def __call__(self, frame: Frame) -> Frame:
        """(H, W[, 3]) uint8 of the camera's size -> the same, undistorted."""
        undistorted = cv2.remap(frame, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return undistorted.astype(np.uint8, copy=False)

    def fingerprint(self) -> bytes:
        """Hash of where the pixels come from."""
        return hashlib.sha256(b"".join(part.tobytes() for part in self._maps)).digest()


def _judge(undefined: float, last: float, where: str) -> None:
    """Warn where a share of the frame lies beyond the ray ``last``; raise DistilvoError where most of it does."""
    angle = np.degrees(np.arctan(last))
    message = f"{where}: its distortion is not defined beyond {angle:.0f} degrees from the axis"
    if undefined > _UNDEFINED[1]:
        raise DistilvoError(f"{message}, {undefined:.0%} of each frame; check the coefficients and their model")
    if undefined > _UNDEFINED[0]:
        warnings.warn(
            f"{message}; {undefined:.0%} of each frame repeats what lies there; check the coefficients and their model",
            stacklevel=3,
        )


class _Lens:
    """A camera with its distortion; rays are given by where they meet the plane z = 1."""

    def __init__(self, camera: Camera, coefficients: Floats, model: Model) -> None:
        self._camera, self._coefficients, self._model = camera, coefficients, model
        self._matrix = camera.matrix

    def maps(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """For ``cv2.remap``: where each pixel of a pinhole camera's frame lies in the distorted one."""
        initialise = cv2.initUndistortRectifyMap if self._model == "radtan" else cv2.fisheye.initUndistortRectifyMap
        size = (self._camera.width, self._camera.height)
        places, fractions = initialise(self._matrix, self._coefficients, np.eye(3), self._matrix, size, cv2.CV_16SC2)
        return places, fractions

    def rays(self) -> Floats:
        """(H, W, 2): of each pixel of a pinhole camera's frame."""
        camera = self._camera
        x = (np.arange(camera.width) - camera.cx) / camera.fx
        y = (np.arange(camera.height) - camera.cy) / camera.fy
        return np.stack(np.meshgrid(x, y), axis=-1)

    def distort(self, rays: Floats) -> NDArray[np.float32]:
        """Pixels (N, 2) of the distorted frame that rays (N, 2) reach."""
        project = cv2.projectPoints if self._model == "radtan" else cv2.fisheye.projectPoints
        points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1)[:, None]
        zero = np.zeros(3)
        chunks = [
            project(points[k : k + _CHUNK], zero, zero, self._matrix, self._coefficients)[0].reshape(-1, 2)
            for k in range(0, len(points), _CHUNK)
        ]
        return np.concatenate(chunks).astype(np.float32)

    def last_radius(self, furthest: float) -> float:
        """Up to where the distorted radius grows with that of the ray; ``furthest`` where it does all the way."""
        radii = np.linspace(0, furthest, _STEPS)
        distorted = self._distorted_radii(radii)
        with np.errstate(invalid="ignore"):
            grows = np.diff(distorted) > 0  # a NaN does not
        return furthest if grows.all() else float(radii[np.argmin(grows)])

    def _distorted_radii(self, radii: Floats) -> Floats:
        """Of rays at ``radii``, without the tangential part; NaN from a pole of the rational model on."""
        if self._model == "equidistant":
            angles = np.arctan(radii)
            return angles * np.polyval([*self._coefficients[::-1], 1.0], angles**2)
        k1, k2, _, _, k3, k4, k5, k6 = np.concatenate([self._coefficients, np.zeros(8)])[:8]
        squared = radii**2
        divisor = np.polyval([k6, k5, k4, 1.0], squared)
        divisor[np.cumsum(divisor <= 0) > 0] = np.nan
        return radii * np.polyval([k3, k2, k1, 1.0], squared) / divisor
