"""Unit quaternions, in the order x y z w, and rotation matrices."""

from __future__ import annotations

import numpy as np

from distilvo.geometry.se3 import Floats


def rotations_from_quaternions(quaternions: Floats) -> Floats:
    """Unit quaternions (N, 4) in the order x y z w -> rotations (N, 3, 3)."""
    vector, w = quaternions[:, :3], quaternions[:, 3, None, None]
    cross = np.cross(vector[:, None, :], np.eye(3)).swapaxes(1, 2)
    outer = vector[:, :, None] * vector[:, None, :]
    square = np.square(vector).sum(axis=1)[:, None, None]
    rotations: Floats = (w * w - square) * np.eye(3) + 2.0 * outer + 2.0 * w * cross
    return rotations


def quaternions_from_rotations(rotations: Floats) -> Floats:
    """Rotations (N, 3, 3) -> unit quaternions (N, 4) in the order x y z w, w >= 0.

    4 q q^T is linear in R, so each row of it is q up to a factor; the row with the largest diagonal is the safe one.
    """
    r = np.moveaxis(rotations, 0, -1)
    xx, yy, zz = r[0, 0], r[1, 1], r[2, 2]
    xy, xz, yz = r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1]
    xw, yw, zw = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    outer = np.array(
        [
            [1 + xx - yy - zz, xy, xz, xw],
            [xy, 1 - xx + yy - zz, yz, yw],
            [xz, yz, 1 - xx - yy + zz, zw],
            [xw, yw, zw, 1 + xx + yy + zz],
        ]
    )
    best = np.argmax(np.einsum("iin->in", outer), axis=0)
    quaternions = outer[best, :, np.arange(len(rotations))] if len(rotations) else np.empty((0, 4))
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    positive: Floats = np.where(quaternions[:, 3:] < 0, -quaternions, quaternions)
    return positive
