"""Text tables of data sets: rows of fields, read with the file and the line at hand for the error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.poses import FURTHEST_M, Floats


@dataclass(frozen=True)
class Row:
    """One line's fields, and where it stands: ``file, line 3``."""

    where: str
    fields: list[str]


def read_text(path: Path, expected: str) -> str:
    """The file's text; DistilvoError, saying what was ``expected``, where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise DistilvoError(f"{path}: cannot be read ({reason}); expected {expected}") from None


def read_rows(path: Path, expected: str, separator: str | None = None) -> list[Row]:
    """The rows, one at least, of a file separated by ``separator`` (white space where None).

    Blank lines and lines that begin with ``#`` or ``%`` are passed over.
    """
    rows = []
    for number, line in enumerate(read_text(path, expected).split("\n"), start=1):
        text = line.strip()
        if text and text[0] not in "#%":
            rows.append(Row(f"{path}, line {number}", [field.strip() for field in text.split(separator)]))
    if not rows:
        raise DistilvoError(f"{path}: the file has no rows, expected {expected}; unpack it again")
    return rows


def read_table(path: Path, columns: int, expected: str, separator: str | None = None) -> tuple[Floats, list[Row]]:
    """The first ``columns`` numbers of every row, (N, columns), N >= 1; all rows must be as long as the first."""
    rows = read_rows(path, expected, separator)
    width = max(columns, len(rows[0].fields))
    for row in rows:
        if len(row.fields) != width:
            raise DistilvoError(f"{row.where}: found {len(row.fields)} columns, expected {width} ({expected})")
    return np.array([numbers(row.fields[:columns], row.where) for row in rows]), rows


def numbers(fields: Iterable[str], where: str) -> list[float]:
    """Finite numbers, or DistilvoError with the place."""
    return [_number(field, where) for field in fields]


def nanoseconds(field: str, where: str) -> int:
    """A time stamp in whole nanoseconds: as a float it would lose its last digits."""
    if not (field.isascii() and field.isdigit() and len(field) <= 19):
        raise DistilvoError(f"{where}: {field!r}, expected a time in whole nanoseconds, such as 1403636579763555584")
    return int(field)


def check_times(times: Floats, rows: list[Row]) -> None:
    """Raise DistilvoError, naming the row, where times (N,) in seconds go back."""
    for k in np.flatnonzero(np.diff(times) < 0)[:1] + 1:
        raise DistilvoError(
            f"{rows[k].where}: time {times[k]:.6f} s after {times[k - 1]:.6f} s; expected times in order; "
            "sort the rows by time"
        )


def check_positions(positions: Floats, rows: list[Row]) -> None:
    """Raise DistilvoError, naming the row, where positions (N, 3) in metres are nowhere on this planet."""
    furthest = np.abs(positions).max(axis=1)
    for k in np.flatnonzero(furthest > FURTHEST_M)[:1]:
        raise DistilvoError(f"{rows[k].where}: {furthest[k]:.3g} m from the origin, expected metres; restore the file")


def check_pinhole(projection: Floats, where: str) -> None:
    """Raise DistilvoError where a projection (3, 4) is not that of a rectified camera."""
    pinhole = np.array([[projection[0, 0], 0, projection[0, 2]], [0, projection[1, 1], projection[1, 2]], [0, 0, 1]])
    if not np.allclose(projection[:, :3], pinhole, rtol=0, atol=1e-6) or np.abs(projection[:, 3]).max() > FURTHEST_M:
        raise DistilvoError(
            f"{where}: no projection matrix of a rectified camera, expected fx 0 cx x 0 fy cy y 0 0 1 z"
        )


def _number(field: str, where: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if (
        not math.isfinite(value) or "_" in field or not field.isascii()
    ):  # Python takes 1_0 for ten, and digits of every script
        raise DistilvoError(f"{where}: {field!r}, expected a finite number")
    return value
