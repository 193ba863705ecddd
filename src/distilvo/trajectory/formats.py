"""Trajectory files: KITTI and TUM.

Poses are camera-to-world, (N, 4, 4) float64, metres; see :mod:`distilvo.geometry.se3` for the axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import write_text
from distilvo.geometry.quaternions import quaternions_from_rotations, rotations_from_quaternions
from distilvo.geometry.se3 import FURTHEST_M, ORTHONORMAL, Floats, assemble, rotation_defects
from distilvo.textfile import TextRow, check_times, read_rows, table_of

_UNIT_QUATERNION = 1e-2
_KITTI_ROW = "a pose: the upper 3x4 of a camera-to-world matrix"
_TUM_ROW = "timestamp tx ty tz qx qy qz qw"


@dataclass(frozen=True)
class Trajectory:
    """The content of a trajectory file.

    poses   (N, 4, 4) camera-to-world, m
    frames  (N,) which frame of its sequence each belongs to, ascending; None where the file has none
    times   (N,) s, ascending; None where the file has none
    """

    poses: Floats
    frames: NDArray[np.int64] | None = None
    times: Floats | None = None


def read_trajectory(path: str | Path) -> Trajectory:
    """A KITTI file, with or without a leading frame number, or a TUM file: the number of columns decides.

    Raises DistilvoError, naming the line, for anything that is not such a file.
    """
    rows = read_rows(path, "rows of 12 or 13 numbers (KITTI) or 8 (TUM)")
    columns = len(rows[0].fields)
    if columns == 8:
        times, poses = _tum(table_of(rows, 8, _TUM_ROW), rows)
        return Trajectory(poses, times=times)
    if columns == 13:
        return _numbered(table_of(rows, 13, f"a frame number, then {_KITTI_ROW}"), rows)
    if columns == 12:
        return Trajectory(_kitti(table_of(rows, 12, _KITTI_ROW), rows))
    raise DistilvoError(
        f"{rows[0].where}: found {columns} columns, expected 12 (KITTI), 13 (KITTI with a leading frame number) or "
        f"8 (TUM: {_TUM_ROW})"
    )


def read_kitti(path: str | Path) -> Floats:
    """Poses (N, 4, 4) of a KITTI file: each line the upper 3x4 of a pose, row by row, 12 numbers.

    Raises DistilvoError, naming the line, for anything that is not such a file; an empty file too.
    """
    rows = read_rows(path, f"rows of 12 numbers ({_KITTI_ROW})")
    return _kitti(table_of(rows, 12, _KITTI_ROW), rows)


def write_kitti(path: str | Path, poses: NDArray[Any]) -> None:
    """Write poses (N, 4, 4) as a KITTI file, replacing what was there in one step."""
    rows = np.asarray(poses, dtype=np.float64)[:, :3].reshape(-1, 12)
    write_text(Path(path), "".join(" ".join(f"{number:.9e}" for number in row) + "\n" for row in rows))


def read_tum(path: str | Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of a TUM file: lines of ``timestamp tx ty tz qx qy qz qw``.

    Raises DistilvoError, naming the line, for anything that is not such a file, or where time goes back.
    """
    rows = read_rows(path, f"rows of 8 numbers ({_TUM_ROW})")
    return _tum(table_of(rows, 8, _TUM_ROW), rows)


def write_tum(path: str | Path, poses: NDArray[Any], times: NDArray[Any]) -> None:
    """Write poses (N, 4, 4) at times (N,) in seconds as a TUM file, replacing what was there in one step."""
    poses, times = np.asarray(poses, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if len(poses) != len(times):
        raise DistilvoError(f"{path}: {len(poses)} poses but {len(times)} times; expected one time for each pose")
    quaternions = quaternions_from_rotations(poses[:, :3, :3])
    rows = np.concatenate([times[:, None], poses[:, :3, 3], quaternions], axis=1)
    write_text(Path(path), "".join(" ".join(f"{number:.9f}" for number in row) + "\n" for row in rows))


def _kitti(numbers: Floats, rows: list[TextRow]) -> Floats:
    upper = numbers.reshape(-1, 3, 4)
    _check_rotations(upper[:, :, :3], rows)
    check_positions(upper[:, :, 3], rows)
    return assemble(upper[:, :, :3], upper[:, :, 3])


def _numbered(numbers: Floats, rows: list[TextRow]) -> Trajectory:
    """Rows (N, 13) of a frame number and a pose, in any order."""
    frames = numbers[:, 0]
    for k in np.flatnonzero((frames != np.floor(frames)) | (frames < 0) | (frames > 2**31))[:1]:
        raise DistilvoError(f"{rows[k].where}: the frame number is {frames[k]:g}, expected 0, 1, 2, ...")
    order = np.argsort(frames, kind="stable")
    for k in np.flatnonzero(np.diff(frames[order]) == 0)[:1]:
        first, again = rows[order[k]], rows[order[k + 1]]
        raise DistilvoError(
            f"{again.where}: frame {frames[order[k]]:.0f} once more, after {first.where.rpartition(', ')[2]}; "
            "expected each frame at most once"
        )
    return Trajectory(_kitti(numbers[:, 1:], rows)[order], frames=frames[order].astype(np.int64))


def _tum(numbers: Floats, rows: list[TextRow]) -> tuple[Floats, Floats]:
    check_times(numbers[:, 0], rows)
    quaternions = unit_quaternions(numbers[:, 4:], rows, _TUM_ROW)
    check_positions(numbers[:, 1:4], rows)
    return numbers[:, 0].copy(), assemble(rotations_from_quaternions(quaternions), numbers[:, 1:4])


def unit_quaternions(quaternions: Floats, rows: list[TextRow], columns: str) -> Floats:
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
