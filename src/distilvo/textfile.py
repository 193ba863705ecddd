"""Text files of numbers, read with file and line at hand for the error: the one parser of every reader.

A byte-order mark is skipped. Blank lines and lines that begin with ``#`` or ``%`` are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import read_utf8
from distilvo.paths import check_regular

Floats = NDArray[np.float64]

_LARGEST = 2**30  # bytes: some ten million poses


@dataclass(frozen=True)
class TextRow:
    """One line's fields, and where it stands: ``file, line 3``."""

    where: str
    fields: list[str]


def read_text(path: str | Path, expected: str) -> str:
    """The file's text. Raises DistilvoError, with what was ``expected``, where the file cannot be read."""
    check_regular(Path(path), expected, _LARGEST)
    try:
        return read_utf8(Path(path))
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "not a text file"
    except ValueError as error:
        reason = str(error)
    raise DistilvoError(f"{path}: cannot be read ({reason}); expected {expected}")


def read_rows(path: str | Path, expected: str, separator: str | None = None) -> list[TextRow]:
    """The rows, one at least, of a file separated by ``separator`` (white space where None)."""
    return split_rows(read_text(path, expected), path, expected, separator)


def split_rows(text: str, path: str | Path, expected: str, separator: str | None = None) -> list[TextRow]:
    """:func:`read_rows` of a text that was read from ``path``."""
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if content and content[0] not in "#%":
            rows.append(TextRow(f"{path}, line {number}", [field.strip() for field in content.split(separator)]))
    if not rows:
        raise DistilvoError(f"{path}: the file is empty, expected {expected}; copy or unpack it again")
    return rows


def read_table(
    path: str | Path, columns: int, expected: str, separator: str | None = None
) -> tuple[Floats, list[TextRow]]:
    """The first ``columns`` numbers of every row, (N, columns), N >= 1; all rows must be as long as the first."""
    rows = read_rows(path, expected, separator)
    return table_of(rows, columns, expected, width=max(columns, len(rows[0].fields))), rows


def table_of(
    rows: list[TextRow], columns: int, expected: str, width: int | None = None, *, finite: bool = True
) -> Floats:
    """The first ``columns`` numbers of rows that all have ``width`` fields (``columns`` where not given).

    NaN and infinity are errors, unless ``finite`` is False.
    """
    width = columns if width is None else width
    for row in rows:
        if len(row.fields) != width:
            raise DistilvoError(f"{row.where}: found {len(row.fields)} columns, expected {width} ({expected})")
    return np.array([numbers(row.fields[:columns], row.where, "column", finite=finite) for row in rows])


def numbers(fields: Iterable[str], where: str, kind: str = "number", *, finite: bool = True) -> list[float]:
    """Finite numbers; raises DistilvoError with the place and with the one at fault: ``kind`` 1, 2, ...

    NaN and infinity pass where ``finite`` is False.
    """
    return [_number(field, f"{where}: {kind} {place}", finite) for place, field in enumerate(fields, start=1)]


def nanoseconds(field: str, where: str) -> int:
    """A time stamp in whole nanoseconds: as a float it would lose its last digits."""
    if not (field.isascii() and field.isdigit() and len(field) <= 19):
        raise DistilvoError(f"{where}: {field!r}, expected a time in whole nanoseconds, such as 1403636579763555584")
    return int(field)


def check_times(times: Floats, rows: list[TextRow]) -> None:
    """Raise DistilvoError, naming the row, where times (N,) in seconds go back; repeats pass."""
    for k in np.flatnonzero(np.diff(times) < 0)[:1] + 1:
        raise DistilvoError(
            f"{rows[k].where}: time {times[k]:.6f} s after {times[k - 1]:.6f} s; expected times in order; "
            "sort the rows by time"
        )


def _number(field: str, where: str, finite: bool) -> float:
    try:
        value = float(field)
    except ValueError:
        value, finite = math.nan, True
    # Python takes 1_0 for ten, and digits of every script.
    if (finite and not math.isfinite(value)) or "_" in field or not field.isascii():
        raise DistilvoError(f"{where} is {field[:40]!r}, expected a finite number")
    return value
