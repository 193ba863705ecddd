"""Baselines that need no network: a classical tracker."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats

_CORNERS, _FEWEST = 1000, 500

Corners = NDArray[np.float32]
"""Image points (K, 1, 2), pixels, in OpenCV's layout."""


class KltTracker:
    """Tracks corners by KLT, then computes the essential matrix by RANSAC, as OpenCV's samples do.

    Each step has length 1: one camera does not see the scale.
    """

    def __init__(self, camera: Camera) -> None:
        self._matrix = camera.matrix
        self._last: Frame | None = None
        self._corners: Corners | None = None
        self.pose: Floats = np.eye(4)

    def step(self, image: Frame) -> Floats:
        """The camera-to-world pose (4, 4) of the next grey image (H, W); the first camera is the world."""
        if self._last is not None and self._corners is not None:
            after, status, _ = cv2.calcOpticalFlowPyrLK(self._last, image, self._corners, None, winSize=(21, 21))
            kept = status.ravel() > 0
            self._corners = self._move(self._corners[kept], after[kept])
        if self._corners is None or len(self._corners) < _FEWEST:
            self._corners = cv2.goodFeaturesToTrack(image, _CORNERS, 0.01, 7)
        self._last = image
        return self.pose

    def _move(self, before: Corners, after: Corners) -> Corners:
        """Update the pose by the motion of tracked corners (K, 1, 2); returns the corners that follow this motion."""
        if len(before) < 8 or np.median(np.abs(after - before)) < 0.1:  # lost, or the camera stands still
            return after
        essential, mask = cv2.findEssentialMat(after, before, self._matrix, cv2.RANSAC, 0.999, 1.0)
        if essential is None or essential.shape != (3, 3):
            return after
        _, rotation, step, mask = cv2.recoverPose(essential, after, before, self._matrix, mask=mask)
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = rotation, step.ravel()
        self.pose = self.pose @ motion
        return after[mask.ravel() > 0]
