"""Trajectory files: KITTI, KITTI-360, TUM and EuRoC.

Poses are camera-to-world, (N, 4, 4) float64, metres; see :mod:`distilvo.geometry.se3` for the axes.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import write_text
from distilvo.geometry.quaternions import quaternions_from_rotations
from distilvo.geometry.se3 import Floats
from distilvo.textfile import TextRow, check_times, read_rows, read_text, split_rows, table_of
from distilvo.trajectory.pose_rows import (
    EUROC,
    MATRIX,
    TUM,
    distinct_times,
    finite_rows,
    frame_order,
    is_nanoseconds,
    poses_of_matrices,
    poses_of_quaternions,
    seconds,
)

ASSUMED = "# times: counted at an assumed rate, the source has none"
"""First line of a TUM file whose times nobody measured; programs that read TUM files pass over it."""

_EXPECTED = (
    "12 or 16 numbers a row (KITTI), 13 or 17 (KITTI with a leading frame number) or 8 "
    f"(TUM: {TUM}), or EuRoC's data.csv"
)
_NUMBERED = f"a frame number, then {MATRIX}"


@dataclass(frozen=True)
class Trajectory:
    """The content of a trajectory file.

    poses        (N, 4, 4) camera-to-world, m
    frames       (N,) which frame of its sequence each belongs to, ascending; None where the file has none
    times        (N,) s, ascending; None where there are none, or assumed ones
    left_out     how many rows of the file are not among the poses: numbers that are not finite, repeated times
    frame_count  how many frames there are, where each row is a frame and some are left out; else None
    source       where it comes from, for messages
    """

    poses: Floats
    frames: NDArray[np.int64] | None = None
    times: Floats | None = None
    left_out: int = 0
    frame_count: int | None = None
    source: str = ""

    @classmethod
    def of_frames(cls, poses: Floats, times: Floats | None = None) -> Trajectory:
        """Poses (N, 4, 4) of the frames 0, 1, 2, ... of a sequence, and their times (N,) where they were measured."""
        return cls(poses, np.arange(len(poses)), times, frame_count=len(poses))


def read_trajectory(path: str | Path) -> Trajectory:
    """A trajectory file; the number of columns decides its format, and a header the order of a quaternion.

    12, 16  KITTI: the upper 3x4 of a pose, or all 4x4 of it; each row is a frame
    13, 17  the same with the frame number first, as KITTI-360 has it
    8       TUM, or an export of EuRoC's ground truth: nanoseconds, w first
    17      EuRoC's ground truth, where the first column is nanoseconds

    Columns are separated by white space or commas. Rows with numbers that are not finite and rows that repeat a time
    are left out with a warning that counts them. Raises DistilvoError, naming the line, for anything else.
    """
    text = read_text(path, _EXPECTED)
    rows, headers, commas = _rows_and_headers(text, path)
    columns = len(rows[0].fields)
    nanoseconds = is_nanoseconds(rows[0].fields[0]) or any("[ns]" in line for line in headers)
    if columns == 8 or (columns == 17 and nanoseconds):
        w_first = _w_first(headers, path)
        euroc = nanoseconds and (commas or columns == 17)
        _tell_reading(path, euroc if w_first is None else w_first, nanoseconds, commas)
        times, poses, left = _timed(rows, path, euroc if w_first is None else w_first, nanoseconds)
        first = distinct_times(times, poses, left, str(path))
        measured = None if ASSUMED in text.split("\n", 1)[0] else times[first]
        return Trajectory(poses[first], times=measured, left_out=len(rows) - len(first), source=str(path))
    if columns in (12, 16):
        return _each_row_a_frame(rows, path)
    if columns in (13, 17):
        return _numbered(rows, path)
    raise DistilvoError(f"{rows[0].where}: found {columns} columns, expected {_EXPECTED}")


def read_kitti(path: str | Path) -> Floats:
    """Poses (N, 4, 4) of a KITTI file: each line the upper 3x4 of a pose, row by row, 12 numbers.

    Raises DistilvoError, naming the line, for anything that is not such a file; an empty file too.
    """
    rows = read_rows(path, f"rows of 12 numbers ({MATRIX})")
    if (columns := len(rows[0].fields)) in (8, 13, 16, 17):
        raise DistilvoError(
            f"{rows[0].where}: found {columns} columns, expected 12 ({MATRIX}); make such a file: distilvo convert "
            f"{path} NEW.kitti"
        )
    return poses_of_matrices(table_of(rows, 12, MATRIX), rows)


def write_kitti(path: str | Path, poses: NDArray[Any], frames: NDArray[Any] | None = None, decimals: int = 9) -> None:
    """Write poses (N, 4, 4) as a KITTI file, with their numbers ``frames`` (N,) as a first column where given.

    What was there is replaced in one step.
    """
    rows = np.asarray(poses, dtype=np.float64)[:, :3].reshape(-1, 12)
    lines = [" ".join(f"{number:.{decimals}e}" for number in row) for row in rows]
    if frames is not None:
        lines = [f"{frame} {line}" for frame, line in zip(frames, lines, strict=True)]
    write_text(Path(path), "".join(f"{line}\n" for line in lines))


def read_tum(path: str | Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of a TUM file: lines of ``timestamp tx ty tz qx qy qz qw``.

    Rows that are not finite are left out with a warning, repeated times pass. Raises DistilvoError, naming the line,
    for anything that is not such a file, or where time goes back.
    """
    return _timed(read_rows(path, f"rows of 8 numbers ({TUM})"), path, w_first=False, in_nanoseconds=False)[:2]


def read_euroc(path: str | Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of the body in EuRoC's ground truth; see :func:`read_tum`."""
    return _timed(read_rows(path, EUROC, ","), path, w_first=True, in_nanoseconds=True)[:2]


def write_tum(path: str | Path, poses: NDArray[Any], times: NDArray[Any], *, assumed: bool = False) -> None:
    """Write poses (N, 4, 4) at times (N,) in seconds as a TUM file, replacing what was there in one step.

    A comment in the file says so where times are ``assumed``: :func:`read_trajectory` then takes none from it.
    """
    poses, times = np.asarray(poses, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if len(poses) != len(times):
        raise DistilvoError(f"{path}: {len(poses)} poses but {len(times)} times; expected one time for each pose")
    quaternions = quaternions_from_rotations(poses[:, :3, :3])
    rows = np.concatenate([times[:, None], poses[:, :3, 3], quaternions], axis=1)
    lines = [" ".join(f"{number:.9f}" for number in row) for row in rows]
    write_text(Path(path), "".join(f"{line}\n" for line in ([ASSUMED] if assumed else []) + lines))


def _rows_and_headers(text: str, path: str | Path) -> tuple[list[TextRow], list[str], bool]:
    """The rows of numbers; the lines that may name their columns; and whether commas separate them."""
    lines = (line.strip() for line in text.split("\n"))
    content = [line for line in lines if line]
    headers = [line.lstrip("#% ") for line in content if line[0] in "#%"]
    first = next((line for line in content if line[0] not in "#%"), "")
    commas = "," in first
    rows = split_rows(text, path, _EXPECTED, "," if commas else None)
    if len(rows) > 1 and len(rows[0].fields) == len(rows[1].fields) and not any(map(_is_number, rows[0].fields)):
        return rows[1:], [*headers, first], commas
    return rows, headers, commas


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _w_first(headers: list[str], path: str | Path) -> bool | None:
    """Whether a header puts the w of a quaternion first; None where none names its columns."""
    for line in headers:
        names = [name.strip().lower() for name in line.split("," if "," in line else None)]
        named = [(k, match[1]) for k, name in enumerate(names) if (match := re.match(r"q\w*?_?([wxyz])\b", name))]
        if len(named) != 4:
            continue
        order = "".join(letter for _, letter in named)
        if order not in ("wxyz", "xyzw") or [k for k, _ in named] != [4, 5, 6, 7]:
            raise DistilvoError(f"{path}: its header says {line[:120]}; expected the columns {TUM}, or qw qx qy qz")
        return order == "wxyz"
    return None


def _tell_reading(path: str | Path, w_first: bool | None, nanoseconds: bool, commas: bool) -> None:
    """Note how a file of times, positions and quaternions is read, where it could be read otherwise."""
    if nanoseconds and w_first is not False:
        warnings.warn(
            f"{path}: EuRoC's layout: poses of the body (IMU), not of the camera; poses of the camera that are "
            "compared with them are off by the arm between both",
            stacklevel=3,
        )
    elif nanoseconds:
        warnings.warn(f"{path}: the times look like nanoseconds, and are multiplied by 1e-9", stacklevel=3)
    elif not w_first and commas:
        warnings.warn(f"{path}: separated by commas, read as TUM: {TUM}", stacklevel=3)


def _timed(
    rows: list[TextRow], path: str | Path, w_first: bool, in_nanoseconds: bool
) -> tuple[Floats, Floats, list[TextRow]]:
    """Times (N,) in s and poses (N, 4, 4) of the rows of a time, a position and a quaternion that are finite."""
    layout = EUROC if in_nanoseconds else TUM
    width = max(8, len(rows[0].fields)) if in_nanoseconds else 8
    numbers = table_of(rows, 8, layout, width, finite=False)
    kept = finite_rows(numbers, rows, str(path))
    numbers, rows = numbers[kept], [rows[k] for k in kept]
    times = seconds(rows) if in_nanoseconds else numbers[:, 0].copy()
    check_times(times, rows)
    return times, poses_of_quaternions(numbers[:, 1:], rows, w_first), rows


def _each_row_a_frame(rows: list[TextRow], path: str | Path) -> Trajectory:
    """Rows that are not finite are left out, and the others keep their numbers."""
    numbers = table_of(rows, len(rows[0].fields), MATRIX, finite=False)
    kept = finite_rows(numbers, rows, str(path))
    poses = poses_of_matrices(numbers[kept], [rows[k] for k in kept])
    if len(kept) == len(rows):
        return Trajectory(poses, source=str(path))
    return Trajectory(poses, kept, left_out=len(rows) - len(kept), frame_count=len(rows), source=str(path))


def _numbered(rows: list[TextRow], path: str | Path) -> Trajectory:
    """Rows of a frame number and a pose, in any order."""
    numbers = table_of(rows, len(rows[0].fields), _NUMBERED, finite=False)
    kept = finite_rows(numbers, rows, str(path))
    numbers, left = numbers[kept], [rows[k] for k in kept]
    order = frame_order(numbers[:, 0], left)
    frames = numbers[order, 0].astype(np.int64)
    poses = poses_of_matrices(numbers[:, 1:], left)[order]
    return Trajectory(poses, frames, left_out=len(rows) - len(kept), source=str(path))
