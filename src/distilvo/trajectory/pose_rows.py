"""Rows of numbers as poses, in the layouts of KITTI, KITTI-360, TUM and EuRoC; every error names the row.

Poses are (N, 4, 4) float64, metres; see :mod:`distilvo.geometry.se3` for the axes.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.quaternions import rotations_from_quaternions
from distilvo.geometry.se3 import FURTHEST_M, ORTHONORMAL, Floats, assemble, rotation_defects
from distilvo.textfile import TextRow, nanoseconds

MATRIX = "a pose: the upper 3x4 of a camera-to-world matrix, or all of it, row by row"
TUM = "timestamp tx ty tz qx qy qz qw"
EUROC = "timestamp [ns], position x y z, quaternion w x y z"

Places = NDArray[np.intp]

_UNIT_QUATERNION = 1e-2


def poses_of_matrices(numbers: Floats, rows: list[TextRow]) -> Floats:
    """Poses of rows (N, 12), the upper 3x4 of a matrix, or (N, 16), all of it with 0 0 0 1 as its last row."""
    for k in np.flatnonzero((numbers[:, 12:] != [0.0, 0.0, 0.0, 1.0][: numbers.shape[1] - 12]).any(axis=1))[:1]:
        last = " ".join(f"{value:g}" for value in numbers[k, 12:])
        raise DistilvoError(f"{rows[k].where}: the last row of the 4x4 matrix is {last}, expected 0 0 0 1")
    upper = numbers[:, :12].reshape(-1, 3, 4)
    _check_rotations(upper[:, :, :3], rows)
    check_positions(upper[:, :, 3], rows)
    return assemble(upper[:, :, :3], upper[:, :, 3])


def poses_of_quaternions(numbers: Floats, rows: list[TextRow], w_first: bool = False) -> Floats:
    """Poses of rows (N, 7): position, then quaternion with w last, or first."""
    quaternions = _unit_quaternions(numbers[:, 3:], rows, EUROC if w_first else TUM)
    check_positions(numbers[:, :3], rows)
    if w_first:
        quaternions = np.roll(quaternions, -1, axis=1)
    return assemble(rotations_from_quaternions(quaternions), numbers[:, :3])


def frame_order(frames: Floats, rows: list[TextRow]) -> Places:
    """The order (N,) that sorts frame numbers (N,). Raises DistilvoError where one is no number or comes twice."""
    for k in np.flatnonzero((frames != np.floor(frames)) | (frames < 0) | (frames > 2**31))[:1]:
        raise DistilvoError(f"{rows[k].where}: the frame number is {frames[k]:g}, expected 0, 1, 2, ...")
    order = np.argsort(frames, kind="stable")
    for k in np.flatnonzero(np.diff(frames[order]) == 0)[:1]:
        first, again = rows[order[k]], rows[order[k + 1]]
        raise DistilvoError(
            f"{again.where}: frame {frames[order[k]]:.0f} once more, after {first.where.rpartition(', ')[2]}; "
            "expected each frame at most once"
        )
    return order


def is_nanoseconds(field: str) -> bool:
    """Whether a field is a time of this century in whole nanoseconds."""
    return field.isascii() and field.isdigit() and 18 <= len(field) <= 19


def seconds(rows: list[TextRow]) -> Floats:
    """Times (N,) in s of rows that begin with whole nanoseconds, which as floats would lose their last digits."""
    return np.array([nanoseconds(row.fields[0], row.where) for row in rows]) / 1e9


def finite_rows(numbers: Floats, rows: list[TextRow], path: str) -> Places:
    """Places (M,) of the rows whose numbers are all finite; the others are left out with a warning that counts them.

    Raises DistilvoError where none is left.
    """
    kept = np.isfinite(numbers).all(axis=1)
    if kept.all():
        return np.arange(len(rows))
    first = rows[int(np.argmin(kept))].where.rpartition(", ")[2]
    broken = f"{len(rows) - kept.sum()} of {len(rows)} rows hold numbers that are not finite (first: {first})"
    if not kept.any():
        raise DistilvoError(f"{path}: {broken}; expected poses; check what produced it")
    warnings.warn(f"{path}: {broken} and are left out", stacklevel=4)
    return np.flatnonzero(kept)


def distinct_times(times: Floats, poses: Floats, rows: list[TextRow], path: str) -> Places:
    """Places (M,) of the first row at each of the times (N,), in order; a warning counts the others."""
    first = np.concatenate([[True], np.diff(times) != 0])
    if first.all():
        return np.arange(len(rows))
    original = np.flatnonzero(first)[np.cumsum(first) - 1]
    other = int((np.abs(poses - poses[original]).max(axis=(1, 2)) > 1e-9).sum())
    where = rows[int(np.argmin(first))].where.rpartition(", ")[2]
    warnings.warn(
        f"{path}: {len(rows) - first.sum()} of {len(rows)} rows repeat the time of the row before (first: {where}) and "
        f"are left out{f'; {other} of them have another pose' if other else ''}",
        stacklevel=4,
    )
    return np.flatnonzero(first)


def _unit_quaternions(quaternions: Floats, rows: list[TextRow], columns: str) -> Floats:
    """Quaternions (N, 4), in either order, scaled to length 1; ``columns`` names those of the file.

    Raises DistilvoError, naming the row, where a length is far from 1.
    """
    with np.errstate(over="ignore"):  # numbers so large that their squares are not finite
        lengths = np.linalg.norm(quaternions, axis=1)
    for k in np.flatnonzero(~(np.abs(lengths - 1.0) <= _UNIT_QUATERNION))[:1]:
        raise DistilvoError(
            f"{rows[k].where}: the quaternion has length {lengths[k]:.4g}, expected 1; "
            f"check that the columns are {columns}"
        )
    return quaternions / lengths[:, None]


def _check_rotations(rotations: Floats, rows: list[TextRow]) -> None:
    defects, determinants = rotation_defects(rotations)
    for k in np.flatnonzero(~(defects <= ORTHONORMAL) | ~(determinants > 0))[:1]:
        raise DistilvoError(
            f"{rows[k].where}: its nine rotation columns are not a rotation matrix (off by {defects[k]:.2g}, "
            f"determinant {determinants[k]:.2g}); expected the upper 3x4 of a pose, row by row"
        )


def check_positions(positions: Floats, rows: list[TextRow]) -> None:
    """Raise DistilvoError, naming the row, where positions (N, 3) in metres are nowhere on this planet."""
    furthest = np.abs(positions).max(axis=1)
    for k in np.flatnonzero(furthest > FURTHEST_M)[:1]:
        raise DistilvoError(f"{rows[k].where}: {furthest[k]:.3g} m from the origin, expected metres on the ground")
