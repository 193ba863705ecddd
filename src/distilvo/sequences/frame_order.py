"""The order of image files by their names, and which numbers are missing among them.

The rule: folders in natural order, then the names in them, without suffix and without regard to case. In natural order
a number counts as a number: frame2 before frame10, ``X`` before ``X (1)``. Names that are numbers with a sign or a
decimal point, or hexadecimal numbers, are ordered by their value. Where names can be ordered in two ways there is a
note that names two files; where their order cannot be known, a refusal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.sequences.name_numbers import Numbering, numbering

_Keys = list[Any] | None

_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_DECIMAL = re.compile(r"(\d+[.,]\d+)", re.ASCII)
_DOTTED = re.compile(r"\d[.,]\d+[.,]\d")  # a date or a version, and no decimal point
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(?=.*[a-f])[0-9a-f]{16,}", re.IGNORECASE)
_YEAR_LAST = re.compile(r"(?<!\d)(\d\d)[-_.](\d\d)[-_.]((?:19|20)\d\d)(?!\d)")
_HALF_OF_DAY = re.compile(r"(?<![a-z])[ap]m(?![a-z])", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"(?<!\d)[1-9]\d{8,}")
_BIG_COUNTER = 900
_UNIT_STEP = 3  # digits between seconds, ms, us and ns
_WORDS = "ordered by the words and numbers in the names"
_LISTED = 3  # folders and kinds of names that a note lists


@dataclass(frozen=True)
class FrameOrder:
    """Image files in the order of their names.

    files      (N,) in order
    rule       how they were ordered, in words
    numbering  the numbers in their names, and those that are missing
    notes      for the user: what could be meant in another way, and what is missing
    """

    files: list[Path]
    rule: str
    numbering: Numbering
    notes: list[str]

    def describe(self) -> str:
        """First and last name, the rule, and what is missing: one line."""
        first, last = self.files[0], self.files[-1]
        return f"{_told(first, last)} to {_told(last, first)}, {self.rule}; {self.numbering.describe()}"


def order_frames(files: Iterable[Path], where: str) -> FrameOrder:
    """Order image files, one at least; ``where`` names the folder or the pattern that they are from.

    Raises DistilvoError where two names are those of one frame, or no order can be known.
    """
    ordered = sorted(files, key=lambda file: (_natural(file), str(file)))
    _refuse_unordered(ordered, where)
    rule, notes = _WORDS, []
    for name, keys in ((name, of(ordered)) for name, of in _VALUES.items()):
        if keys is None:
            continue
        by_value = [file for _, file in sorted(zip(keys, ordered, strict=True), key=lambda pair: pair[0])]
        rule = f"ordered by the names as {name} numbers"
        notes = [f"{rule}: {_first_swap(by_value, ordered)}"] if by_value != ordered else []
        ordered = by_value
        break
    else:
        _refuse_twins(ordered, where)
        notes += _note_of_decimals(ordered) or _note_of_plain_order(ordered)
        notes += _note_of_kinds(ordered)
    notes += _note_of_folders(ordered)
    numbers = numbering(ordered, by_value=rule != _WORDS)
    _refuse_overflow(ordered, numbers, where)
    return FrameOrder(ordered, rule, numbers, notes + numbers.notes())


def _natural(file: Path) -> tuple[Any, ...]:
    """Folders, then the name without its suffix, each as words and numbers in turn."""
    return tuple(_words(part) for part in (*file.parent.parts, file.stem))


def _words(text: str) -> tuple[int | str, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text.casefold()))


def _signed_keys(files: list[Path]) -> _Keys:
    """Where each name is one number, and some have a sign, a decimal point or an exponent."""
    stems = [file.stem for file in files]
    if not all(_NUMBER.fullmatch(stem) for stem in stems) or all(stem.isdecimal() for stem in stems):
        return None
    values = [Decimal(stem.replace(",", ".")) for stem in stems]
    return _distinct([(_natural(file)[:-1], value) for file, value in zip(files, values, strict=True)])


def _decimal_keys(files: list[Path]) -> _Keys:
    """Where each name holds a number with a decimal point among its words."""
    if any(_DOTTED.search(file.stem) or not _DECIMAL.search(file.stem) for file in files):
        return None
    keys = []
    for file in files:
        parts = enumerate(_DECIMAL.split(file.stem.casefold()))
        values = [(Decimal(part.replace(",", ".")),) if k % 2 else _words(part) for k, part in parts]
        keys.append((_natural(file)[:-1], tuple(values)))
    return _distinct(keys)


def _hexadecimal_keys(files: list[Path]) -> _Keys:
    """Where each name is a hexadecimal number, all as long as the first, with letters in some."""
    stems = [file.stem for file in files]
    alike = all(_HEXADECIMAL.fullmatch(stem) and len(stem) == len(stems[0]) for stem in stems)
    digits, letters = (any(test(c) for stem in stems for c in stem) for test in (str.isdigit, str.isalpha))
    if not (alike and digits and letters):
        return None
    return _distinct([(_natural(file)[:-1], int(file.stem, 16)) for file in files])


_VALUES: dict[str, Callable[[list[Path]], _Keys]] = {
    "signed or decimal": _signed_keys,
    "decimal": _decimal_keys,
    "hexadecimal": _hexadecimal_keys,
}


def _distinct(keys: list[Any]) -> _Keys:
    """The keys, or None where two are equal: 1.1 and 1.10 are then no decimal numbers."""
    return keys if len(set(keys)) == len(keys) else None


def _refuse_unordered(files: list[Path], where: str) -> None:
    """Raise DistilvoError where the names have no order, or have one in several units."""
    advice = "rename them in the order in which they were taken, such as 000000.png"
    identifiers = [file for file in files if _IDENTIFIER.fullmatch(file.stem.replace("-", ""))]
    if len(files) > 1 and len(identifiers) == len(files):
        raise DistilvoError(f"{where}: names such as {files[0].name} and {files[1].name} have no order; {advice}")
    dates = [(file, match) for file in files if (match := _YEAR_LAST.search(file.stem))]
    for (file, date), (other, later) in pairwise(dates):
        if date.groups() != later.groups():
            what = "dates with the year last, which sort by day"
            raise DistilvoError(f"{where}: {file.name} and {other.name} have {what}; {advice}, or by year first")
    halves = {match[0].lower(): file for file in files if (match := _HALF_OF_DAY.search(file.stem))}
    if len(halves) > 1:
        names = " and ".join(file.name for file in halves.values())
        raise DistilvoError(f"{where}: {names} have times of twelve hours, am and pm; {advice}")
    long = {len(match[0]): file for file in files if (match := _LONG_NUMBER.search(file.stem))}
    if long and max(long) - min(long) >= _UNIT_STEP:
        names = f"{long[min(long)].name} has {min(long)} digits and {long[max(long)].name} {max(long)}"
        raise DistilvoError(f"{where}: {names}: times in several units, expected one; {advice}")


def _refuse_twins(files: list[Path], where: str) -> None:
    """Raise DistilvoError where two names in one folder are of one frame: the same numbers, other words or suffix."""
    seen: dict[tuple[Any, ...], Path] = {}
    for file in files:
        words = _words(file.stem)
        keys = {(file.parent, "words", words), (file.parent, "numbers", words[1::2] or words)}
        if others := [seen[key] for key in keys if key in seen]:
            raise DistilvoError(
                f"{where}: {others[0].name} and {file.name} have the same number; expected one image for each frame; "
                f"give a pattern in quotes that matches one of them, such as '{file.parent}/{_pattern(others[0])}'"
            )
        seen |= dict.fromkeys(keys, file)


def _refuse_overflow(files: list[Path], numbering: Numbering, where: str) -> None:
    """Raise DistilvoError where a counter seems to have begun anew in mid-drive, as cameras do after 9999."""
    numbers = numbering.numbers
    if numbers is None or len(numbering.missing) <= len(files):
        return
    if numbers[0] <= 1 and numbers[-1] > _BIG_COUNTER and set(str(numbers[-1])) == {"9"}:
        gap = int(np.diff(numbers).argmax())
        raise DistilvoError(
            f"{where}: {files[gap].name} is followed by {files[gap + 1].name}: the counter may have begun anew after "
            f"{files[-1].name}; put the images before that into one folder and the others into a second one"
        )


def _pattern(file: Path) -> str:
    return re.sub(r"\d+", "*", file.name)


def _first_swap(ordered: list[Path], other: list[Path]) -> str:
    """The first two files that another order has the other way round."""
    first, second = next((a, b) for a, b in zip(ordered, other, strict=True) if a != b)
    return f"{_told(first, second)} before {_told(second, first)}"


def _told(file: Path, beside: Path) -> str:
    """A file's name; with its folder, where that differs from the one of the file beside it."""
    return file.name if file.parent == beside.parent else f"{file.parent.name}/{file.name}"


def _note_of_decimals(files: list[Path]) -> list[str]:
    """Numbers with a point that cannot be decimal ones: 1.1 and 1.10 are two."""
    if not all(_DECIMAL.search(file.stem) and not _DOTTED.search(file.stem) for file in files):
        return []
    by_words = sorted(files, key=lambda file: [Decimal(n.replace(",", ".")) for n in _DECIMAL.findall(file.stem)])
    swap = _first_swap(files, by_words) if files != by_words else f"{files[0].name} is the first"
    return [f"two numbers in each name, and no decimal point, since some would be equal: {swap}"]


def _note_of_plain_order(files: list[Path]) -> list[str]:
    plain = sorted(files, key=str)
    return [f"{_WORDS}: {_first_swap(files, plain)}"] if plain != files else []


def _note_of_folders(files: list[Path]) -> list[str]:
    folders = Counter(file.parent for file in files)
    if len(folders) == 1 or max(folders.values()) == 1:
        return []
    listed = ", ".join(f"{folder.name} ({count})" for folder, count in list(folders.items())[:_LISTED])
    more = ", ..." if len(folders) > _LISTED else ""
    return [f"{len(folders)} folders, taken one after the other as one drive: {listed}{more}"]


def _note_of_kinds(files: list[Path]) -> list[str]:
    """Names that differ in more than numbers are in the order of the alphabet."""
    kinds = Counter(re.sub(r"\d+", "#", file.stem.casefold()) for file in files)
    if len(kinds) == 1:
        return []
    listed = ", ".join(f"'{kind}' ({count})" for kind, count in list(kinds.items())[:_LISTED])
    more = ", ..." if len(kinds) > _LISTED else ""
    return [f"{len(kinds)} kinds of names, in the order of the alphabet: {listed}{more}"]
