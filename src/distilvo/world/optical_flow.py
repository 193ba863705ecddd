"""True optical flow between two images of the built-in world, from depth, poses and the motion of the bodies."""

# numba infers the types of arguments:
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEAREST = 0.1
"""Metres in front of the camera, as the renderer has it: what comes nearer is not seen."""
SAME_SURFACE = 0.05
"""Share by which two depths of one surface may differ."""

_NOWHERE = -2  # no pixel shows this body


@dataclass(frozen=True)
class View:
    """What one image shows, besides its colours.

    Attributes:
        pose: (4, 4) camera-to-world.
        depth: (H, W) float32, metres along the optical axis; 0 where the sky is.
        body: (H, W) int16, number of the moving body that each pixel shows; -1 for the static world and the sky.
        bodies: body-to-world (4, 4) of each moving body by its number, also of those out of view.
    """

    pose: NDArray[np.float64]
    depth: NDArray[np.float32]
    body: NDArray[np.int16]
    bodies: Mapping[int, NDArray[np.float64]]


def optical_flow(
    first: View, second: View, intrinsics: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where the point that each pixel of the first image shows lies in the second one, relative to the pixel.

    A point on a moving body goes with it. Not valid are the sky, and points that in the second image are behind the
    camera, outside of the image or hidden. A point is hidden unless one of the four pixels around its place, or the
    inverse depth interpolated between them, is as far away (within 5 per cent) and on the same body.

    Args:
        first, second: two views by one camera.
        intrinsics: (3, 3), pixel centres at integers.

    Returns:
        flow: (H, W, 2) float32 pixels, right and down; 0 where it is not valid.
        valid: (H, W) bool.
    """
    count = max(first.bodies, default=-1) + 1
    motions, names = np.zeros((count + 1, 3, 4)), np.full(count + 1, _NOWHERE, np.int16)
    to_second = np.linalg.inv(second.pose)
    motions[-1], names[-1] = (to_second @ first.pose)[:3], -1  # the static world is number -1
    for number, body in first.bodies.items():
        if number in second.bodies:
            motions[number] = (to_second @ second.bodies[number] @ np.linalg.inv(body) @ first.pose)[:3]
            names[number] = number
    flow = np.zeros((*first.depth.shape, 2), np.float32)
    valid = np.zeros(first.depth.shape, np.bool_)
    _project_points(first.depth, first.body, second.depth, second.body, motions, names, intrinsics, flow, valid)
    return flow, valid


@njit(cache=True, error_model="numpy")
def _project_points(depth, body, next_depth, next_body, motions, names, intrinsics, flow, valid):
    height, width = depth.shape
    fx, cx, fy, cy = intrinsics[0, 0], intrinsics[0, 2], intrinsics[1, 1], intrinsics[1, 2]
    for row in range(height):
        for column in range(width):
            d = float(depth[row, column])
            m = motions[body[row, column]]
            name = names[body[row, column]]
            if d <= 0 or name == _NOWHERE:
                continue
            px, py = (column - cx) / fx * d, (row - cy) / fy * d
            z = m[2, 0] * px + m[2, 1] * py + m[2, 2] * d + m[2, 3]
            if z < NEAREST:
                continue
            u = fx * (m[0, 0] * px + m[0, 1] * py + m[0, 2] * d + m[0, 3]) / z + cx
            v = fy * (m[1, 0] * px + m[1, 1] * py + m[1, 2] * d + m[1, 3]) / z + cy
            if u < -0.5 or v < -0.5 or u >= width - 0.5 or v >= height - 0.5:
                continue
            if _is_seen(u, v, z, name, next_depth, next_body):
                flow[row, column, 0], flow[row, column, 1] = u - column, v - row
                valid[row, column] = True


@njit(cache=True, error_model="numpy")
def _is_seen(u, v, z, name, depth, body):
    """Whether a point of a body at column ``u``, row ``v`` and depth ``z`` is on the surface that is seen there."""
    left, top = int(np.floor(u)), int(np.floor(v))
    between = 0.0
    whole = True
    for corner in range(4):
        right, below = corner & 1, corner >> 1
        x, y = min(max(left + right, 0), depth.shape[1] - 1), min(max(top + below, 0), depth.shape[0] - 1)
        d = float(depth[y, x])
        if d <= 0 or body[y, x] != name:
            whole = False
            continue
        if abs(d - z) <= SAME_SURFACE * z:
            return True
        between += (u - left if right else 1 - u + left) * (v - top if below else 1 - v + top) / d
    return whole and abs(between * z - 1) <= SAME_SURFACE
