"""The alignment of an estimated trajectory with the truth, or with positions alone (GPS).

Poses are camera-to-world, (N, 4, 4) float64, metres; see :mod:`distilvo.geometry.se3` for the axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import FURTHEST_M, Floats
from distilvo.settings import Alignment

# Below this ratio of the second singular value to the first, positions do not determine the roll about their line.
_STRAIGHT = 1e-9


def align(estimate: NDArray[Any], truth: NDArray[Any], mode: Alignment) -> Floats:
    """The estimate (N, 4, 4) moved onto the truth (N, 4, 4); see :func:`align_with_scale`."""
    return align_with_scale(estimate, truth, mode)[0]


def align_with_scale(estimate: NDArray[Any], truth: NDArray[Any], mode: Alignment) -> tuple[Floats, float]:
    """The estimate (N, 4, 4) moved onto the truth (N, 4, 4), frame k with frame k; and by what it was scaled.

    none           as it is
    first          rigidly, so that the first poses agree
    scale          first, then positions scaled about the first one by the factor of least squares
    se3            rigidly, positions closest by least squares (Umeyama 1991)
    sim3           the same with a scale
    scale_of_sim3  first, then positions scaled about the first one by the factor of sim3

    Where positions do not fix the rotation (a straight drive, a standing car) the orientations decide; where they
    do not fix the scale (a standing estimate) it stays 1. Raises DistilvoError for lengths that differ, empty
    trajectories and numbers that are not finite.
    """
    estimate, truth = np.asarray(estimate, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    check_pair(estimate, truth)
    if mode == "none":
        return estimate.copy(), 1.0
    if mode in ("se3", "sim3"):
        rotation, translation, scale = _umeyama_of_poses(estimate, truth, with_scale=mode == "sim3")
        return _moved(estimate, rotation, translation, scale), scale
    rotation = truth[0, :3, :3] @ np.linalg.inv(estimate[0, :3, :3])
    origin = truth[0, :3, 3]
    aligned = _moved(estimate, rotation, origin - rotation @ estimate[0, :3, 3], scale=1.0)
    if mode == "scale":
        factor = _least_squares_scale(aligned[:, :3, 3] - origin, truth[:, :3, 3] - origin)
    else:
        factor = _umeyama_of_poses(estimate, truth, with_scale=True)[2] if mode == "scale_of_sim3" else 1.0
    aligned[:, :3, 3] = origin + factor * (aligned[:, :3, 3] - origin)
    return aligned, factor


def scale_text(scale: float) -> str:
    """A scale as people read it: three digits."""
    return f"{scale:#.3g}"


def poses_of_positions(positions: Floats) -> Floats:
    """Positions (N, 3) east, north, up, m, of a GPS as poses (N, 4, 4) to align with: of a camera that looks north.

    Axes are then those of all other poses: x east, y down, z north. The orientations are not measured.
    """
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, 3] = np.stack([positions[:, 0], -positions[:, 2], positions[:, 1]], axis=1)
    return poses


def check_pair(estimate: Floats, truth: Floats) -> None:
    """Raise DistilvoError unless both are finite trajectories (N, 4, 4) of the same length N >= 1."""
    check_poses("estimate", estimate)
    check_poses("truth", truth)
    if len(estimate) != len(truth):
        raise DistilvoError(
            f"the estimate has {len(estimate)} poses and the truth {len(truth)}; expected one for each frame in both"
        )


def check_poses(name: str, poses: NDArray[Any]) -> Floats:
    """The poses (N, 4, 4) as float64; raise DistilvoError unless N >= 1 and they are finite and on this planet."""
    poses = np.asarray(poses, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] != (4, 4) or len(poses) == 0:
        raise DistilvoError(f"the {name} has shape {poses.shape}, expected (N, 4, 4) with at least one pose")
    for k in np.flatnonzero(~np.isfinite(poses).all(axis=(1, 2)))[:1]:
        raise DistilvoError(f"the {name} holds a number that is not finite at frame {k}; check what produced it")
    furthest = np.abs(poses[:, :3, 3]).max(axis=1)
    for k in np.flatnonzero(furthest > FURTHEST_M)[:1]:
        raise DistilvoError(f"the {name} is {furthest[k]:.3g} m from the origin at frame {k}; expected metres")
    return poses


def _umeyama_of_poses(estimate: Floats, truth: Floats, with_scale: bool) -> tuple[Floats, Floats, float]:
    """:func:`_umeyama` of the positions of poses (N, 4, 4), whose orientations decide where positions do not."""
    # Mean of truth @ estimate^T over the orientations: the best common rotation is the one closest to it.
    orientations: Floats = np.einsum("nij,nkj->ik", truth[:, :3, :3], estimate[:, :3, :3]) / len(truth)
    return _umeyama(estimate[:, :3, 3], truth[:, :3, 3], with_scale, fallback=orientations)


def _umeyama(source: Floats, target: Floats, with_scale: bool, fallback: Floats) -> tuple[Floats, Floats, float]:
    """Rotation (3, 3), translation (3,) and scale that bring source positions (N, 3) closest to those of the target."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    variance = float(np.square(source - source_mean).sum() / len(source))
    rotation, trace = _closest_rotation(covariance, fallback)
    standing = variance <= (1e-12 * max(1.0, float(np.abs(source).max()))) ** 2
    scale = trace / variance if with_scale and not standing else 1.0
    return rotation, target_mean - scale * rotation @ source_mean, scale


def _closest_rotation(covariance: Floats, fallback: Floats) -> tuple[Floats, float]:
    """The rotation R that maximises trace(R^T covariance), and that maximum; ``fallback`` decides among equals."""
    left, singular, right = np.linalg.svd(covariance)
    if singular[1] <= _STRAIGHT * singular[0]:
        # Of rank one or none: many rotations fit the positions equally well. A weight too small to tilt the line
        # lets the orientations choose among them.
        weight = 1e-6 * singular[0] if singular[0] > 0 else 1.0
        left, _, right = np.linalg.svd(covariance + weight * fallback)
    handedness = np.array([1.0, 1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = (left * handedness) @ right
    return rotation, float((rotation * covariance).sum())


def _least_squares_scale(source: Floats, target: Floats) -> float:
    """Scale of positions (N, 3) about the origin; never negative, which would mirror the path."""
    energy = float(np.square(source).sum())
    return max(0.0, float((source * target).sum()) / energy) if energy > 0 else 1.0


def _moved(poses: Floats, rotation: Floats, translation: Floats, scale: float) -> Floats:
    moved = poses.copy()
    moved[:, :3, :3] = rotation @ poses[:, :3, :3]
    moved[:, :3, 3] = scale * poses[:, :3, 3] @ rotation.T + translation
    return moved
