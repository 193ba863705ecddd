"""The road in front of the car as a plane, from two images with a known rotation and direction between them.

It is the vector ``v`` with ``v . X = 1`` for its points X in the axes of the first camera: the normal over the camera's
height. Lengths are in steps, the unknown distance between the two cameras, so that ``1 / |v|`` is the height in steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats

Points = NDArray[np.float32]

# The trapezoid, in camera heights: as far ahead, and to each side; spacing of its grid in widths of the image.
_FURTHEST, _HALF_WIDTH, _SPACING = 12.0, 2.0, 1 / 120
_RETURNED_PX, _FEWEST = 0.5, 40
_LEVELS, _ITERATIONS = 3, 12
_FINEST_PX = 0.15
_TEXTURE = 1e-3
"""Smallest eigenvalue, as OpenCV scales it, of a patch that is followed."""
_PRIOR = 0.01
"""Weight of the expected normal against all points together: a narrow strip of road tells little of the tilt."""


@dataclass(frozen=True)
class PlaneFit:
    """A plane and how well it was seen.

    Attributes:
        plane: (3,) the normal over the camera's height, 1 / steps.
        inliers: share of the points that were followed within a pixel of the plane's motion.
    """

    plane: Floats
    inliers: float


class RoadRegion:
    """The trapezoid of the image where the road lies, if the camera looks along it.

    Attributes:
        points: (K, 2) pixels of a grid on it.
        rays: (K, 3) of these, the third number 1.
        sees_road: whether it has points enough for ``fit``.
    """

    def __init__(self, camera: Camera) -> None:
        self._matrix = camera.matrix
        self._inverse = np.linalg.inv(self._matrix)
        self._top = max(0, int(camera.cy + camera.fy / _FURTHEST) - 30)
        self._window = max(9, round(camera.width / 60) | 1)
        self.points = _grid(camera)
        self.sees_road = len(self.points) >= _FEWEST
        self.rays = np.c_[self.points, np.ones(len(self.points))] @ self._inverse.T

    def fit(
        self,
        before: Frame,
        after: Frame,
        rotation: Floats,
        direction: Floats,
        plane: Floats,
        normal: Floats,
        certainty: float,
    ) -> PlaneFit | None:
        """The plane that explains best how the road moved from one grey image (H, W) to the next.

        The second image is warped by the plane expected, so that patches of the road look alike and only what the plane
        is off by is left to follow. Then all points vote, weighed by their residual.

        Args:
            before: the first image.
            after: the second one.
            rotation: (3, 3) of the second camera as seen from the first.
            direction: (3,) of length 1, likewise.
            plane: (3,) about where it is expected.
            normal: (3,) of length 1: the normal expected; the fit is drawn to it a little.
            certainty: of this normal, 0 to 1.

        Returns:
            None where too few points can be followed.
        """
        homography = self._homography(rotation, direction, plane)
        kept, moved = self._follow(before, after, homography)
        if kept.sum() < _FEWEST:
            return None
        seen = np.c_[moved, np.ones(len(moved))] @ (self._inverse @ homography).T
        prior = _PRIOR * certainty * (np.eye(3) - np.outer(normal, normal))
        return self._solve(self.rays[kept], seen, rotation, direction, plane, prior)

    def likeness(self, before: Frame, after: Frame, rotation: Floats, direction: Floats, plane: Floats) -> float:
        """Correlation, -1 to 1, of the road's fine texture in two images if the plane were this one."""
        warped = self._warped(after, self._homography(rotation, direction, plane))
        rows, columns = (self.points[:, k].astype(int) for k in (1, 0))
        first, second = (_texture(image)[rows - self._top, columns] for image in (before[self._top :], warped))
        return float(first @ second / max(1e-9, np.linalg.norm(first) * np.linalg.norm(second)))

    def _homography(self, rotation: Floats, direction: Floats, plane: Floats) -> Floats:
        """The map (3, 3) of the plane's pixels from the first image to the second."""
        return self._matrix @ rotation.T @ (np.eye(3) - np.outer(direction, plane)) @ self._inverse

    def _warped(self, after: Frame, homography: Floats) -> Frame:
        """The second image as the first camera would see it if all were road; rows from ``_top`` on."""
        shift = np.array([[1.0, 0, 0], [0, 1, self._top], [0, 0, 1]])
        size = after.shape[1], after.shape[0] - self._top
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(after, homography @ shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _follow(self, before: Frame, after: Frame, homography: Floats) -> tuple[NDArray[np.bool_], Floats]:
        """Which points (K,) of the grid are found again, and where the warped image has those (M, 2)."""
        images = before[self._top :], self._warped(after, homography)
        lift = np.array([0, self._top], np.float32)
        kept, moved = follow_both_ways(*images, self.points - lift, self._window, _LEVELS, _TEXTURE)
        return kept, (moved + lift)[kept].astype(np.float64)

    def _solve(
        self, rays: Floats, seen: Floats, rotation: Floats, direction: Floats, plane: Floats, prior: Floats
    ) -> PlaneFit:
        """Gauss-Newton with weights that fall with the residual (Geman-McClure), from a plane not far off."""
        focal = np.array([self._matrix[0, 0], self._matrix[1, 1]])
        target = seen[:, :2] / seen[:, 2:]
        turned, shift = rays @ rotation, rotation.T @ direction
        for _ in range(_ITERATIONS):
            residuals, slopes = _linearised(rays, turned, shift, plane, target)
            residuals, slopes = residuals * focal, slopes * focal
            distances = np.linalg.norm(residuals, axis=1)
            spread = max(_FINEST_PX, 1.4826 * float(np.median(distances)))
            weights = (1 / (1 + np.square(distances / spread))) ** 2
            across = np.einsum("ka,kc,k,kd->cd", np.square(slopes), rays, weights, rays, optimize=True)
            right = rays.T @ (weights * (slopes * residuals).sum(1))
            drawn = np.trace(across) * (prior + 1e-9 * np.eye(3))
            plane = plane + np.linalg.solve(across + drawn, right - drawn @ plane)
        residuals = _linearised(rays, turned, shift, plane, target)[0] * focal
        return PlaneFit(plane, float((np.linalg.norm(residuals, axis=1) < 1.0).mean()))


def follow_both_ways(
    before: Frame, after: Frame, points: Points, window: int, levels: int, texture: float = 1e-4
) -> tuple[NDArray[np.bool_], Points]:
    """KLT there and back: which points (K, 2) return to where they were, (K,), and where they went, (K, 2), px."""

    def follow(first: Frame, second: Frame, at: Points) -> tuple[Points, NDArray[np.bool_]]:
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            first, second, at, None, winSize=(window, window), maxLevel=levels, minEigThreshold=texture
        )
        return moved, found.ravel() > 0

    there, found = follow(before, after, points)
    back, found_back = follow(after, before, there)
    returned = np.abs(back - points).max(axis=1) < _RETURNED_PX
    return found & found_back & returned, there


def _linearised(rays: Floats, turned: Floats, shift: Floats, plane: Floats, target: Floats) -> tuple[Floats, Floats]:
    """By how much points of a plane are seen elsewhere (K, 2), and that by ``ray . plane``, (K, 2); focal lengths."""
    moved = turned - np.outer(rays @ plane, shift)
    where = moved[:, :2] / moved[:, 2:]
    return target - where, (where * shift[2] - shift[:2]) / moved[:, 2:]


def _grid(camera: Camera) -> Points:
    """Pixels (K, 2) of the trapezoid."""
    spacing = max(4.0, camera.width * _SPACING)
    lines = []
    for row in np.arange(camera.cy + camera.fy / _FURTHEST, camera.height - spacing, spacing):
        reach = _HALF_WIDTH * camera.fx * (row - camera.cy) / camera.fy
        left, right = max(spacing, camera.cx - reach), min(camera.width - spacing, camera.cx + reach)
        columns = np.arange(left, right, spacing)
        lines.append(np.stack([columns, np.full(len(columns), row)], axis=1))
    return np.concatenate(lines).astype(np.float32) if lines else np.zeros((0, 2), np.float32)


def _texture(image: Frame) -> Floats:
    """What is left of a grey image (H, W) without its coarse structure and its pixel noise."""
    grey = image.astype(np.float32)
    fine: Floats = cv2.GaussianBlur(grey, (0, 0), 1.5) - cv2.GaussianBlur(grey, (0, 0), 8)
    return fine
