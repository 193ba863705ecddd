"""Rigid motion in three dimensions: relative motions, trajectories, Euler angles. The one home of the conventions.

Camera axes as in KITTI: x right, y down, z forward. A *pose* is a 4x4 matrix that takes points of the camera to the
world, in metres. A *motion* is the six numbers ``[tx, ty, tz, rx, ry, rz]`` (metres, radians) of
``inv(T_k) @ T_{k+1}``: the next camera as seen from this one. Its rotation is

    R = Ry(ry) @ Rx(rx) @ Rz(rz)        (yaw, then pitch, then roll, each about the axis already turned)

which is singular only where the pitch rx is +-90 degrees, which no car reaches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FURTHEST_M = 1e9
"""Farther off than any place on this planet; the squares of greater distances would leave no digit for the errors."""

ORTHONORMAL = 5e-3
"""How far ``R^T R`` may be from identity: files with three decimals pass, a transposed or wrong column does not."""

# Below this cosine of the pitch, yaw and roll turn about the same axis and only their sum is determined.
_GIMBAL_LOCK = 1e-9


def relative(poses: NDArray[Any]) -> Floats:
    """Motion from each pose to the next, ``inv(T_k) @ T_{k+1}``: poses (N, 4, 4) -> (N-1, 4, 4)."""
    poses = np.asarray(poses, dtype=np.float64)
    return between(poses[:-1], poses[1:])


def between(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """``inv(first) @ second`` for poses (..., 4, 4) with proper rotations.

    The positions are subtracted before they are turned, so that nothing is lost far from the origin.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    inverse_rotation = np.swapaxes(first[..., :3, :3], -1, -2)
    step = (second[..., :3, 3] - first[..., :3, 3])[..., None]
    return assemble(inverse_rotation @ second[..., :3, :3], (inverse_rotation @ step)[..., 0])


def compose(relative: NDArray[Any], start: ArrayLike | None = None) -> Floats:
    """Chain relative poses (N-1, 4, 4) into a trajectory (N, 4, 4) from ``start`` (4, 4), by default the identity.

    Rotations are brought back to orthonormal at each step, so that rounding does not pile up over thousands of frames.
    """
    relative = np.asarray(relative, dtype=np.float64)
    poses = np.empty((len(relative) + 1, 4, 4))
    poses[0] = np.eye(4) if start is None else np.asarray(start, dtype=np.float64)
    for k, step in enumerate(relative):
        pose = poses[k] @ step
        pose[:3, :3] = _nearly_orthonormal(pose[:3, :3])
        poses[k + 1] = pose
    return poses


def motions_from_matrices(matrices: NDArray[Any]) -> Floats:
    """Rigid transforms (..., 4, 4) -> motions (..., 6), float64 [m, rad]; pitch within +-90 degrees."""
    matrices = np.asarray(matrices, dtype=np.float64)
    rotation = matrices[..., :3, :3]
    cos_pitch = np.hypot(rotation[..., 1, 0], rotation[..., 1, 1])
    pitch = np.arctan2(-rotation[..., 1, 2], cos_pitch)
    locked = cos_pitch < _GIMBAL_LOCK
    # With yaw and roll about one axis, all of the turn is called yaw.
    yaw = np.where(
        locked,
        np.arctan2(-rotation[..., 2, 0], rotation[..., 0, 0]),
        np.arctan2(rotation[..., 0, 2], rotation[..., 2, 2]),
    )
    roll = np.where(locked, 0.0, np.arctan2(rotation[..., 1, 0], rotation[..., 1, 1]))
    return np.concatenate([matrices[..., :3, 3], np.stack([pitch, yaw, roll], axis=-1)], axis=-1)


def matrices_from_motions(motions: NDArray[Any]) -> Floats:
    """Motions (..., 6) [m, rad] -> rigid transforms (..., 4, 4), float64."""
    motions = np.asarray(motions, dtype=np.float64)
    turns = motions[..., 3:6]
    (sx, sy, sz), (cx, cy, cz) = ([part[..., k] for k in range(3)] for part in (np.sin(turns), np.cos(turns)))
    rotation = np.empty((*turns.shape, 3))
    rotation[..., 0, 0], rotation[..., 0, 1] = cy * cz + sy * sx * sz, sy * sx * cz - cy * sz
    rotation[..., 1, 0], rotation[..., 1, 1] = cx * sz, cx * cz
    rotation[..., 2, 0], rotation[..., 2, 1] = cy * sx * sz - sy * cz, sy * sz + cy * sx * cz
    rotation[..., 0, 2], rotation[..., 1, 2], rotation[..., 2, 2] = sy * cx, -sx, cy * cx
    return assemble(rotation, motions[..., :3])


def motions(poses: NDArray[Any]) -> Floats:
    """Trajectory (N, 4, 4) -> the motion between each two consecutive poses, (N-1, 6) [m, rad]."""
    return motions_from_matrices(relative(poses))


def trajectory(motions: NDArray[Any]) -> Floats:
    """Motions (N-1, 6) [m, rad] -> trajectory (N, 4, 4) that begins at the identity."""
    return compose(matrices_from_motions(motions))


def rotation_angle(rotations: NDArray[Any]) -> Floats:
    """Angle of rotations (..., 3, 3) in radians, 0 to pi, (...).

    From the skew part (sine) and the trace (cosine) together: the arc cosine alone loses half the digits near zero.
    """
    rotations = np.asarray(rotations, dtype=np.float64)
    twice_sine = np.stack(
        [
            rotations[..., 2, 1] - rotations[..., 1, 2],
            rotations[..., 0, 2] - rotations[..., 2, 0],
            rotations[..., 1, 0] - rotations[..., 0, 1],
        ],
        axis=-1,
    )
    twice_cosine = np.trace(rotations, axis1=-2, axis2=-1) - 1.0
    angle: Floats = np.arctan2(np.linalg.norm(twice_sine, axis=-1), twice_cosine)
    return angle


def rotation_defects(matrices: NDArray[Any]) -> tuple[Floats, Floats]:
    """Of matrices (..., 3, 3) the largest entry of ``R^T R - I`` (...) and the determinant (...)."""
    with np.errstate(over="ignore", invalid="ignore"):  # numbers so large that their products are not finite
        defects = np.abs(np.swapaxes(matrices, -1, -2) @ matrices - np.eye(3)).max(axis=(-1, -2))
        return defects, np.linalg.det(matrices)


def is_rotation(matrix: NDArray[Any]) -> bool:
    """Whether a matrix (3, 3) is a rotation, to the digits that files print."""
    defect, determinant = rotation_defects(matrix)
    return bool(defect <= ORTHONORMAL and determinant > 0)


def assemble(rotation: Floats, translation: Floats) -> Floats:
    """Rotations (..., 3, 3) and translations (..., 3) -> rigid transforms (..., 4, 4)."""
    pose = np.zeros((*translation.shape[:-1], 4, 4))
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = translation
    pose[..., 3, 3] = 1.0
    return pose


def _nearly_orthonormal(rotation: Floats) -> Floats:
    """One Newton step towards the closest rotation: squares a small error, at a fraction of the cost of an SVD."""
    return rotation @ (1.5 * np.eye(3) - 0.5 * rotation.T @ rotation)
