"""Trajectory files: KITTI and TUM.

Poses are camera-to-world, (N, 4, 4) float64, metres; see :mod:`distilvo.poses` for the axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import write_text
from distilvo.poses import FURTHEST_M, Floats

# How far R^T R may be from identity: files printed with three decimals pass, a transposed or wrong column does not.
_ORTHONORMAL = 5e-3
_UNIT_QUATERNION = 1e-2
_KITTI_ROW = "a pose: the upper 3x4 of a camera-to-world matrix"
_TUM_ROW = "timestamp tx ty tz qx qy qz qw"


@dataclass(frozen=True)
class Trajectory:
    """What a trajectory file holds.

    poses   (N, 4, 4) camera-to-world, m
    frames  (N,) which frame of its sequence each belongs to, ascending; None where the file does not tell
    times   (N,) s, ascending; None where the file does not tell
    """

    poses: Floats
    frames: NDArray[np.int64] | None = None
    times: Floats | None = None


def read_trajectory(path: str | Path) -> Trajectory:
    """A KITTI file, with or without a leading frame number, or a TUM file: the number of columns tells which.

    Raises DistilvoError, naming the line, for anything that is not such a file.
    """
    text = _read_text(path, "rows of 12 or 13 numbers (KITTI) or 8 (TUM)")
    number, columns = next(((n, len(fields)) for n, fields in _fields(text)), (0, 0))
    if columns == 8:
        times, poses = _tum(path, *_parse(text, path, 8, _TUM_ROW))
        return Trajectory(poses, times=times)
    if columns == 13:
        return _numbered(path, *_parse(text, path, 13, f"a frame number, then {_KITTI_ROW}"))
    if columns not in (0, 12):
        raise DistilvoError(
            f"{path}, line {number}: found {columns} columns, expected 12 (KITTI), 13 (KITTI with a leading frame "
            f"number) or 8 (TUM: {_TUM_ROW})"
        )
    return Trajectory(_kitti(path, *_parse(text, path, 12, _KITTI_ROW)))


def read_kitti(path: str | Path) -> Floats:
    """Poses (N, 4, 4) of a KITTI file: each line the upper 3x4 of a pose, row by row, 12 numbers.

    Raises DistilvoError, naming the line, for anything that is not such a file; an empty file too.
    """
    return _kitti(path, *read_numbers(path, columns=12, row=_KITTI_ROW))


def write_kitti(path: str | Path, poses: NDArray[Any]) -> None:
    """Write poses (N, 4, 4) as a KITTI file, replacing what was there in one step."""
    rows = np.asarray(poses, dtype=np.float64)[:, :3].reshape(-1, 12)
    write_text(Path(path), "".join(" ".join(f"{number:.9e}" for number in row) + "\n" for row in rows))


def read_tum(path: str | Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of a TUM file: lines of ``timestamp tx ty tz qx qy qz qw``.

    Raises DistilvoError, naming the line, for anything that is not such a file, or where time goes back.
    """
    return _tum(path, *read_numbers(path, columns=8, row=_TUM_ROW))


def write_tum(path: str | Path, poses: NDArray[Any], times: NDArray[Any]) -> None:
    """Write poses (N, 4, 4) at times (N,) in seconds as a TUM file, replacing what was there in one step."""
    poses, times = np.asarray(poses, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if len(poses) != len(times):
        raise DistilvoError(f"{path}: {len(poses)} poses but {len(times)} times; expected one time for each pose")
    quaternions = _quaternions_from_rotations(poses[:, :3, :3])
    rows = np.concatenate([times[:, None], poses[:, :3, 3], quaternions], axis=1)
    write_text(Path(path), "".join(" ".join(f"{number:.9f}" for number in row) + "\n" for row in rows))


def read_numbers(path: str | Path, columns: int, row: str) -> tuple[Floats, list[int]]:
    """Rows of ``columns`` finite numbers (N, columns) of a text file, N >= 1, and the line each stands on.

    Blank lines and lines that begin with ``#`` are passed over. ``row`` says in an error what a row should be.
    """
    return _parse(_read_text(path, f"rows of {columns} numbers ({row})"), path, columns, row)


def check_ordered(times: Floats, path: str | Path, lines: list[int]) -> None:
    """Raise DistilvoError, naming the line, where times (N,) go back. Repeats pass: motion capture writes them."""
    for k in np.flatnonzero(np.diff(times) < 0)[:1] + 1:
        raise DistilvoError(
            f"{path}, line {lines[k]}: time {times[k]:.6f} s after {times[k - 1]:.6f} s; expected times in order; "
            "sort the rows by time"
        )


def _read_text(path: str | Path, expected: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise DistilvoError(f"{path}: cannot be read ({reason}); expected {expected}") from None


def _fields(text: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of each line that is neither blank nor a comment."""
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if fields and not fields[0].startswith("#"):
            yield number, fields


def _parse(text: str, path: str | Path, columns: int, row: str) -> tuple[Floats, list[int]]:
    rows, lines = [], []
    for number, fields in _fields(text):
        rows.append(_numbers(fields, columns, row, f"{path}, line {number}"))
        lines.append(number)
    if not rows:
        raise DistilvoError(f"{path}: the file is empty, expected rows of {columns} numbers ({row})")
    return np.array(rows), lines


def _numbers(fields: list[str], columns: int, row: str, where: str) -> list[float]:
    if len(fields) != columns:
        raise DistilvoError(f"{where}: found {len(fields)} columns, expected {columns} ({row})")
    values = []
    for column, field in enumerate(fields, start=1):
        try:
            value = _number(field)
        except ValueError:
            raise DistilvoError(f"{where}: column {column} is {field[:40]!r}, expected a number ({row})") from None
        if not math.isfinite(value):
            raise DistilvoError(f"{where}: column {column} is {field[:40]}, expected a finite number ({row})")
        values.append(value)
    return values


def _number(field: str) -> float:
    if "_" in field or not field.isascii():  # Python reads 1_0 as 10, and digits of every script
        raise ValueError
    return float(field)


def _kitti(path: str | Path, numbers: Floats, lines: list[int]) -> Floats:
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, :3] = numbers.reshape(-1, 3, 4)
    _check_rotations(poses[:, :3, :3], path, lines)
    _check_positions(poses[:, :3, 3], path, lines)
    return poses


def _numbered(path: str | Path, numbers: Floats, lines: list[int]) -> Trajectory:
    """Rows (N, 13) of a frame number and a pose, in any order."""
    frames = numbers[:, 0]
    for k in np.flatnonzero((frames != np.floor(frames)) | (frames < 0) | (frames > 2**31))[:1]:
        raise DistilvoError(f"{path}, line {lines[k]}: the frame number is {frames[k]:g}, expected 0, 1, 2, ...")
    order = np.argsort(frames, kind="stable")
    for k in np.flatnonzero(np.diff(frames[order]) == 0)[:1]:
        first, again = lines[order[k]], lines[order[k + 1]]
        raise DistilvoError(
            f"{path}, line {again}: frame {frames[order[k]]:.0f} once more, after line {first}; "
            "expected each frame at most once"
        )
    return Trajectory(_kitti(path, numbers[:, 1:], lines)[order], frames=frames[order].astype(np.int64))


def _tum(path: str | Path, numbers: Floats, lines: list[int]) -> tuple[Floats, Floats]:
    check_ordered(numbers[:, 0], path, lines)
    quaternions = numbers[:, 4:]
    with np.errstate(over="ignore"):  # numbers so large that their squares are not finite
        norms = np.linalg.norm(quaternions, axis=1)
    for k in np.flatnonzero(~(np.abs(norms - 1.0) <= _UNIT_QUATERNION))[:1]:
        raise DistilvoError(
            f"{path}, line {lines[k]}: the quaternion has length {norms[k]:.4g}, expected 1; "
            "check that the columns are timestamp tx ty tz qx qy qz qw"
        )
    _check_positions(numbers[:, 1:4], path, lines)
    poses = np.tile(np.eye(4), (len(numbers), 1, 1))
    poses[:, :3, 3] = numbers[:, 1:4]
    poses[:, :3, :3] = _rotations_from_quaternions(quaternions / norms[:, None])
    return numbers[:, 0].copy(), poses


def _check_rotations(rotations: Floats, path: str | Path, lines: list[int]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # numbers so large that their products are not finite
        defects = np.abs(np.swapaxes(rotations, 1, 2) @ rotations - np.eye(3)).max(axis=(1, 2))
        determinants = np.linalg.det(rotations)
    for k in np.flatnonzero(~(defects <= _ORTHONORMAL) | ~(determinants > 0))[:1]:
        raise DistilvoError(
            f"{path}, line {lines[k]}: its nine rotation columns are not a rotation matrix (off by {defects[k]:.2g}, "
            f"determinant {determinants[k]:.2g}); expected the upper 3x4 of a pose, row by row"
        )


def _check_positions(positions: Floats, path: str | Path, lines: list[int]) -> None:
    furthest = np.abs(positions).max(axis=1)
    for k in np.flatnonzero(furthest > FURTHEST_M)[:1]:
        raise DistilvoError(
            f"{path}, line {lines[k]}: {furthest[k]:.3g} m from the origin, expected metres on the ground"
        )


def _rotations_from_quaternions(quaternions: Floats) -> Floats:
    """Unit quaternions (N, 4) in the order x y z w -> rotations (N, 3, 3)."""
    vector, w = quaternions[:, :3], quaternions[:, 3, None, None]
    cross = np.cross(vector[:, None, :], np.eye(3)).swapaxes(1, 2)
    outer = vector[:, :, None] * vector[:, None, :]
    square = np.square(vector).sum(axis=1)[:, None, None]
    rotations: Floats = (w * w - square) * np.eye(3) + 2.0 * outer + 2.0 * w * cross
    return rotations


def _quaternions_from_rotations(rotations: Floats) -> Floats:
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
