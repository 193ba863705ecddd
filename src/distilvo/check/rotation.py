"""The rotation of the camera between two images, from corners that are tracked by KLT.

Where nearly all corners follow a rotation without translation, it is fitted to them; else the essential matrix is used.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats, rotation_angle

_FEWEST_CORNERS = 30
_RESIDUAL_PX = 0.5
# If this share of the corners follows a rotation alone, there is hardly any parallax and no essential matrix.
_TURN_ALONE = 0.9


def image_rotation(first: Frame, second: Frame, camera: Camera) -> Floats | None:
    """Rotation (3, 3) of ``inv(T_1) @ T_2``, camera-to-world, from two frames; None where it cannot be measured."""
    tracks = _tracks(_grey(first), _grey(second))
    if tracks is None:
        return None
    centre, focal = np.array([camera.cx, camera.cy]), np.array([camera.fx, camera.fy])
    p, q = ((points - centre) / focal for points in tracks)
    pixel = 1.0 / math.sqrt(camera.fx * camera.fy)
    turn, following = _turn_alone(p, q, _RESIDUAL_PX * pixel)
    if following >= _TURN_ALONE:
        return turn.T
    essential, mask = cv2.findEssentialMat(p, q, np.eye(3), cv2.RANSAC, 0.9999, _RESIDUAL_PX * pixel)
    if essential is None or essential.shape != (3, 3) or mask.sum() < max(_FEWEST_CORNERS, len(p) / 2):
        return None
    # The other solution differs by half a turn, which no camera makes between two frames.
    candidates = np.stack(cv2.decomposeEssentialMat(essential)[:2])
    return candidates[int(np.argmin(rotation_angle(candidates)))].T


def _tracks(first: Frame, second: Frame) -> tuple[Floats, Floats] | None:
    """Corners (K, 2) of the first image and where they are in the second, px; None where there are too few."""
    corners = cv2.goodFeaturesToTrack(first, 500, 0.005, 6)
    if corners is None or len(corners) < _FEWEST_CORNERS:
        return None
    forth, tracked, _ = cv2.calcOpticalFlowPyrLK(first, second, corners, None, winSize=(15, 15), maxLevel=4)
    back, tracked_back, _ = cv2.calcOpticalFlowPyrLK(second, first, forth, None, winSize=(15, 15), maxLevel=4)
    returned = np.abs(back - corners).reshape(-1, 2).max(axis=1) < 0.5
    kept = (tracked.ravel() > 0) & (tracked_back.ravel() > 0) & returned
    if kept.sum() < _FEWEST_CORNERS:
        return None
    p, q = (points.reshape(-1, 2)[kept].astype(np.float64) for points in (corners, forth))
    return p, q


def _turn_alone(p: Floats, q: Floats, tolerance: float) -> tuple[Floats, float]:
    """The rotation (3, 3) that takes most of the rays p (K, 2) closest to q, and the share within tolerance of it."""
    first, second = (_rays(points) for points in (p, q))
    kept = np.ones(len(p), dtype=bool)
    for _ in range(4):
        u, _, v = np.linalg.svd(second[kept].T @ first[kept])
        rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v
        turned = first @ rotation.T
        apart = np.linalg.norm(turned[:, :2] / np.maximum(turned[:, 2:], 1e-6) - q, axis=1)
        kept = apart <= np.quantile(apart, 0.7)
    return rotation, float((apart <= tolerance).mean())


def _rays(points: Floats) -> Floats:
    rays = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _grey(frame: Frame) -> Frame:
    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
