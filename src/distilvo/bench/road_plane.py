"""A classical tracker that knows its scale: KLT, the essential matrix, and the height of the camera above the road.

One camera sees the direction of a step but not its length. It also sees how high it is above the road, in steps; the
height in metres is known, and so is the step. After Song and Chandraker, "Robust Scale Estimation in Real-Time
Monocular SFM for Autonomous Driving" (CVPR 2014), whose cue of the road compares images warped by the plane expected,
and Zhou, Dai and Li, "Ground-Plane-Based Absolute Scale Estimation for Monocular Visual Odometry" (IEEE T-ITS 2020,
arXiv 1903.00912).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from distilvo.bench.plane_fit import PlaneFit, RoadRegion, follow_both_ways
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT, Camera, Frame
from distilvo.geometry.se3 import Floats

RoadStatus = Literal["ok", "standing", "scale held", "lost"]

_CORNERS, _QUALITY, _SPACING = 1000, 0.005, 1 / 150
_FEWEST_CORNERS, _FEWEST_INLIERS = 30, 20
_STANDING_PX = 0.15
_RESIDUAL_PX = 0.5
_FURTHEST_STEPS = 1e4
"""Points farther off do not count for the sign of the direction; OpenCV's own limit of 50 drops all for slow cars."""

_LENGTHS = tuple(0.03 * 1.5**k for k in range(12))
"""Camera heights: the lengths of a first step that are tried, 5 cm to 4.3 m for a car."""
_TRIALS = 3
"""Of these lengths, those that make the road look most alike are tried."""
_FEWEST_AGREE = 0.4
_MOST_TILT = math.radians(20)
_MOST_CHANGE = 1.3
"""Ratio of two consecutive steps; a plane that says more must say it twice."""
_MEMORY = 0.1
"""Weight of a new normal in the mean of the normals."""


@dataclass(frozen=True)
class RoadStep:
    """What one frame tells.

    Attributes:
        motion: (6,) [m, rad] since the frame before, as ``geometry.se3`` defines it.
        status: ``ok``; ``standing``: hardly anything moved, the motion is zero; ``scale held``: no plane was found, the
            length is that of the last step that had one; ``lost``: no motion could be measured, or no plane was ever
            found; the motion is zero, and the motion of the frame before is not repeated.
    """

    motion: Floats
    status: RoadStatus


class RoadPlaneTracker:
    """Follows a camera on a car frame by frame, in metres, from grey images of full size."""

    def __init__(self, camera: Camera, camera_height: float = DEFAULT_CAMERA_HEIGHT) -> None:
        """Take intrinsics and the height of the camera above the road, m; the camera looks along the road.

        Raises:
            DistilvoError: the height is not a positive number.
        """
        if not (math.isfinite(camera_height) and camera_height > 0):
            raise DistilvoError(f"camera height {camera_height:g} m; expected metres above the road, such as 1.65")
        self._camera, self._height = camera, camera_height
        self._matrix = camera.matrix
        self._region = RoadRegion(camera)
        self._last: Frame | None = None
        self._normal, self._normals = np.array([0.0, 1.0, 0.0]), 0
        self._length: float | None = None  # of the last step, camera heights
        self._held = False  # whether that length is older than the last step
        self._doubted: float | None = None  # the length of a plane that was refused for its change alone
        self.pose: Floats = np.eye(4)

    def step(self, image: Frame) -> RoadStep:
        """Take the next grey image, (H, W) uint8; the first one has the motion zero.

        Raises:
            DistilvoError: the image is not grey, or not of the camera's size.
        """
        if image.dtype != np.uint8 or image.shape != (self._camera.height, self._camera.width):
            raise DistilvoError(
                f"the image is {image.dtype} {image.shape}; expected uint8 "
                f"({self._camera.height}, {self._camera.width}), grey, like its camera"
            )
        before, self._last = self._last, image
        step = RoadStep(np.zeros(6), "ok") if before is None else self._measured(before, image)
        self.pose = self.pose @ se3.matrices_from_motions(step.motion)
        return step

    def _measured(self, before: Frame, after: Frame) -> RoadStep:
        tracks = self._tracks(before, after)
        if tracks is None:
            return self._nothing("lost")
        if np.median(np.linalg.norm(tracks[1] - tracks[0], axis=1)) < _STANDING_PX:
            return self._nothing("standing")
        turn = self._direction(*tracks)
        if turn is None:
            return self._nothing("lost")
        fit = self._road(before, after, *turn)
        self._held = fit is None
        if fit is not None:
            self._length = float(np.linalg.norm(fit.plane))
            self._remember(fit.plane / self._length)
        if self._length is None:
            return self._nothing("lost")
        metres = self._length * self._height
        motion = se3.motions_from_matrices(se3.assemble(turn[0], turn[1] * metres))
        return RoadStep(motion, "scale held" if fit is None else "ok")

    def _nothing(self, status: RoadStatus) -> RoadStep:
        """A zero motion; the length of the step after it is unknown."""
        self._length = self._doubted = None
        return RoadStep(np.zeros(6), status)

    def _tracks(self, before: Frame, after: Frame) -> tuple[Floats, Floats] | None:
        """Corners (K, 2) and where they went, (K, 2) px; None where there are too few."""
        spacing = max(3.0, self._camera.width * _SPACING)
        corners = cv2.goodFeaturesToTrack(before, _CORNERS, _QUALITY, spacing)
        if corners is None or len(corners) < _FEWEST_CORNERS:
            return None
        corners = corners.reshape(-1, 2)
        kept, moved = follow_both_ways(before, after, corners, window=15, levels=4)
        if kept.sum() < _FEWEST_CORNERS:
            return None
        return corners[kept].astype(np.float64), moved[kept].astype(np.float64)

    def _direction(self, before: Floats, after: Floats) -> tuple[Floats, Floats] | None:
        """Rotation (3, 3) and direction (3,) of the second camera as seen from the first, from points (K, 2)."""
        essential, mask = cv2.findEssentialMat(after, before, self._matrix, cv2.USAC_MAGSAC, 0.9999, _RESIDUAL_PX)
        if essential is None or essential.shape != (3, 3) or mask.sum() < _FEWEST_INLIERS:
            return None
        in_front, rotation, direction, _, _ = cv2.recoverPose(
            essential, after, before, self._matrix, distanceThresh=_FURTHEST_STEPS, mask=mask
        )
        return (rotation, direction.ravel()) if in_front >= _FEWEST_INLIERS else None

    def _road(self, before: Frame, after: Frame, rotation: Floats, direction: Floats) -> PlaneFit | None:
        """The plane of the road where it can be trusted."""
        if not self._region.sees_road:
            return None
        for plane in self._expected(before, after, rotation, direction):
            fit = self._region.fit(before, after, rotation, direction, plane, self._normal, self._certainty)
            if fit is not None and _lies_as_a_road(fit):
                return fit if self._follows(float(np.linalg.norm(fit.plane))) else None
        return None

    def _expected(self, before: Frame, after: Frame, rotation: Floats, direction: Floats) -> list[Floats]:
        """Planes from which to begin, the most likely first: that of the last step, or else those that look alike."""
        if self._length is not None and not self._held:
            return [self._length * self._normal]
        lengths = _LENGTHS if self._length is None else (*_LENGTHS, self._length)
        planes = [length * self._normal for length in lengths]
        alike = [self._region.likeness(before, after, rotation, direction, plane) for plane in planes]
        return [planes[k] for k in np.argsort(alike)[: -_TRIALS - 1 : -1]]

    def _follows(self, length: float) -> bool:
        """Whether a step is about as long as the last one, or as the last one that was refused for this alone."""
        known = [value for value in (self._length, self._doubted) if value is not None]
        sound = not known or any(1 / _MOST_CHANGE < length / value < _MOST_CHANGE for value in known)
        self._doubted = None if sound else length
        return sound

    @property
    def _certainty(self) -> float:
        """Of the mean normal, up to 1: before the first plane it is a guess."""
        return max(0.1, min(1.0, _MEMORY * self._normals))

    def _remember(self, normal: Floats) -> None:
        """Add a normal to the mean: over all so far, then over about the last ten."""
        self._normals += 1
        mean = self._normal + max(_MEMORY, 1 / self._normals) * (normal - self._normal)
        self._normal = mean / np.linalg.norm(mean)


def _lies_as_a_road(fit: PlaneFit) -> bool:
    """Whether the plane is below the camera, about level, and most points agree on it."""
    level = fit.plane[1] >= float(np.linalg.norm(fit.plane)) * math.cos(_MOST_TILT)
    return bool(level) and fit.inliers >= _FEWEST_AGREE
