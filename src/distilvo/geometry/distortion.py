"""Distortion of a camera taken out of its frames: the model of Brown and Conrady, ``radtan``, ``plumb_bob``."""

from __future__ import annotations

from collections.abc import Sequence as Several

import cv2
import numpy as np

from distilvo.geometry.camera import Camera, Frame

LARGEST_COEFFICIENT = 1e3
"""Of real cameras they are about 1, and some tens where eight of them are fitted."""


class Undistortion:
    """Frames of a camera with distortion as a pinhole camera, with the same intrinsics, would have taken them.

    What the camera did not see repeats its edge. ``coefficients`` are OpenCV's: k1 k2 p1 p2 [k3 [k4 k5 k6]].
    """

    def __init__(self, camera: Camera, coefficients: Several[float]) -> None:
        intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], dtype=np.float64)
        distortion = np.array(coefficients, dtype=np.float64)
        size = (camera.width, camera.height)
        self._maps = cv2.initUndistortRectifyMap(intrinsics, distortion, np.eye(3), intrinsics, size, cv2.CV_16SC2)

    def __call__(self, frame: Frame) -> Frame:
        """(H, W[, 3]) uint8 of the camera's size -> the same, undistorted."""
        undistorted = cv2.remap(frame, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return undistorted.astype(np.uint8, copy=False)
