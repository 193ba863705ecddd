"""The numbers in the names of image files: a counter with gaps, times, or neither."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence as Several
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.se3 import Floats

_DIGITS = re.compile(r"(\d+)")
_STAMP = re.compile(r"(?<![\d.,])(\d{10}|\d{13}|\d{16}|\d{19})(?:[.,](\d{1,9}))?(?![\d.,])")
_UNITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_UNIX_S = 1.0e9, 2.2e9
"""UNIX times from 2001 to 2039: names that hold such numbers hold times."""
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])")
_TIME_OF_DAY = re.compile(r"(?<!\d)(?:[01]\d|2[0-3])[0-5]\d[0-5]\d")
_NAMED = 5  # missing images that a note names
_MOST_MISSING = 10_000  # that are counted
_LARGEST = 10**15  # a longer number is no counter


@dataclass(frozen=True)
class Numbering:
    """What the numbers in the names of files (N,), in order, say.

    places   (N,) how many frames after the first one each was taken; 0, 1, 2, ... where the names do not say
    meaning  what the numbers are, in words
    numbers  (N,) the one number that differs from name to name; None where there is none, or more than one
    stamps   (N,) s, where the names hold UNIX times; else None
    missing  names of the images that are missing among them, in order
    """

    places: Floats
    meaning: str
    numbers: NDArray[np.int64] | None = None
    stamps: Floats | None = None
    missing: tuple[str, ...] = ()

    def describe(self) -> str:
        """One clause: what the numbers are, and what is missing."""
        return f"{self.meaning}, {named(self.missing)}" if self.missing else self.meaning

    def notes(self) -> list[str]:
        """For the user: images that are missing, times that were read from names."""
        if self.stamps is not None:
            return [f"{self.meaning}; --times FILE gives others"]
        return [f"{self.meaning}, {named(self.missing)}; the others keep their time"] if self.missing else []


def named(missing: Several[str]) -> str:
    """How many images are missing, and the first of them by name."""
    names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    count = f"at least {_MOST_MISSING}" if len(missing) >= _MOST_MISSING else str(len(missing))
    return f"{count} missing: {names}"


def numbering(files: list[Path], by_value: bool) -> Numbering:
    """The numbers in the names of files (N,), N >= 1, that are in order.

    Args ``by_value``: they were ordered as decimal, signed or hexadecimal numbers, which count no frames.
    """
    uncounted = np.arange(len(files), dtype=np.float64)
    if (by_time := _stamps(files)) is not None:
        stamps, unit = by_time
        return Numbering(uncounted, f"times are read from the names (UNIX, {unit})", stamps=stamps)
    if all(_TIME_OF_DAY.search(_DATE.sub("_", file.stem, 1)) and _DATE.search(file.stem) for file in files):
        return Numbering(uncounted, "named by date and time")
    if by_value:
        return Numbering(uncounted, "the numbers are no counter")
    runs = _runs(files)
    numbers = np.array(runs[0].numbers, dtype=np.int64) if len(runs) == 1 and runs[0].numbers else None
    steps = [after - before for run in runs for before, after in pairwise(run.numbers)]
    if not steps:
        return Numbering(uncounted, "without numbers to count by", numbers)
    usual = Counter(sorted(steps)).most_common(1)[0][0]
    if usual == 0 or steps.count(usual) < len(steps) / 2 or any(step % usual for step in steps):
        return Numbering(uncounted, f"the numbers are no counter: steps of {min(steps)} to {max(steps)}", numbers)
    missing = [name for run in runs for name in run.missing(usual)]
    every = "" if usual == 1 else f" in steps of {usual}"
    spans = [f"{run.numbers[0]} to {run.numbers[-1]}" for run in runs if run.numbers]
    spans = spans if len(spans) <= _NAMED else [spans[0], "...", spans[-1]]
    meaning = f"numbered {', '.join(spans)}{every}" + ("" if missing else ", none missing")
    return Numbering(_places(runs, usual), meaning, numbers, missing=tuple(missing))


@dataclass(frozen=True)
class _Run:
    """Neighbours whose names differ in one number alone: before, number as written, after; no number where alone."""

    names: list[tuple[str, str, str]]

    @property
    def numbers(self) -> list[int]:
        return [int(number) for _, number, _ in self.names if number]

    def missing(self, usual: int) -> list[str]:
        """Names that the counter lacks, written like the name before the gap."""
        missing: list[str] = []
        for (before, number, after), following in zip(self.names, self.numbers[1:], strict=False):
            for absent in range(int(number) + usual, following, usual):
                if len(missing) == _MOST_MISSING:
                    return missing
                missing.append(f"{before}{absent:0{len(number)}d}{after}")
        return missing


def _runs(files: list[Path]) -> list[_Run]:
    """Neighbours in one folder whose names differ in one number; where names are equal, folders are what differs."""
    names_differ = len({file.stem for file in files}) > 1
    texts = [file.stem if names_differ else str(file.parent) for file in files]
    ends = [file.suffix if names_differ else f"/{file.name}" for file in files]
    pieces = [_DIGITS.split(text) for text in texts]
    folders = [str(file.parent) if names_differ else "" for file in files]
    runs = _grouped(pieces, folders, ends)
    return runs if len(runs) < len(files) else _grouped(pieces, [""] * len(files), ends)


def _grouped(pieces: list[list[str]], folders: list[str], ends: list[str]) -> list[_Run]:
    """Runs of names by folder, words, and all numbers but the last one that differs among names of the same words."""
    values: dict[tuple[str, ...], list[set[int]]] = {}
    for split in pieces:
        seen = values.setdefault(_word_key(split), [set() for _ in split[1::2]])
        for numbers, part in zip(seen, split[1::2], strict=True):
            numbers.add(int(part))
    counters = []
    for split in pieces:
        varying = [k for k, numbers in enumerate(values[_word_key(split)]) if len(numbers) > 1]
        counters.append(
            2 * varying[-1] + 1 if varying and all(int(split[2 * k + 1]) < _LARGEST for k in varying) else None
        )

    def constant(index: int) -> tuple[object, ...]:
        return folders[index], *(part.casefold() for k, part in enumerate(pieces[index]) if k != counters[index])

    runs = []
    for _, group in groupby(range(len(pieces)), key=constant):
        names = []
        for index in group:
            split, place = pieces[index], counters[index]
            if place is None:
                names.append(("".join(split), "", ends[index]))
            else:
                names.append(("".join(split[:place]), split[place], "".join(split[place + 1 :]) + ends[index]))
        runs.append(_Run(names))
    return runs


def _word_key(split: list[str]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in split[::2])


def _places(runs: list[_Run], usual: int) -> Floats:
    """Places of all files: within a run by the counter, one frame on from one run to the next."""
    places: list[int] = []
    for run in runs:
        begin = places[-1] + 1 if places else 0
        counted = run.numbers or [0] * len(run.names)
        places += [begin + (number - counted[0]) // usual for number in counted]
    return np.array(places, dtype=np.float64)


def _stamps(files: list[Path]) -> tuple[Floats, str] | None:
    """UNIX times in the names, s, and their unit; None unless every name has exactly one, and they ascend."""
    matches = [_STAMP.findall(file.stem) for file in files]
    if any(len(match) != 1 for match in matches):
        return None
    whole, fractions = [match[0][0] for match in matches], [match[0][1] for match in matches]
    digits = len(whole[0])
    if any(len(number) != digits for number in whole) or (digits != 10 and any(fractions)):
        return None
    stamps = np.array([_seconds(*parts) for parts in zip(whole, fractions, strict=True)])
    inside = ((stamps >= _UNIX_S[0]) & (stamps < _UNIX_S[1])).all()
    return (stamps, _UNITS[digits]) if inside and (np.diff(stamps) > 0).all() else None


def _seconds(whole: str, fraction: str) -> float:
    return float(f"{whole[:10]}.{whole[10:]}{fraction}0")
