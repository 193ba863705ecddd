"""Paths that come from elsewhere: a name is no way out of a folder, and only files are read as files."""

from __future__ import annotations

import stat
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from distilvo.errors import DistilvoError

_LONGEST = 200  # bytes: file systems take 255, and endings are added
_NAMED = 5
_MOST_ENTRIES = 2000  # of a folder, that are compared with a name which is not there
_SIGNS = '/\\:*?"<>|'
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def checked_name(name: str, what: str) -> str:
    """The name, where it can be that of a folder or file on every system, and of one inside its parent.

    Args:
        name: from a file or a command line.
        what: what it names, for the message.

    Raises:
        DistilvoError: it has a separator, a drive, control characters, characters that are not UTF-8, a dot in front, a
            dot or space at the end, no characters or too many; or it is that of a device of Windows.
    """
    if not name:
        reason = "it is empty"
    elif signs := [sign for sign in name if sign in _SIGNS]:
        reason = f"it holds {signs[0]!r}"
    elif not name.isprintable():
        reason = "it holds control characters or such that are not UTF-8"
    elif name[0] in ". " or name[-1] in ". ":
        reason = "it begins or ends with a dot or a space"
    elif len(name.encode()) > _LONGEST:
        reason = f"it has {len(name.encode())} bytes; at most {_LONGEST}"
    elif name.partition(".")[0].strip().lower() in _DEVICES:
        reason = "it is that of a device on Windows"
    else:
        return name
    raise DistilvoError(f"{what} {name[:80]!r}: cannot name a folder ({reason}); expected a plain name such as best-2")


def check_distinct(names: Iterable[str], what: str) -> None:
    """Raise DistilvoError where two names are one folder, be it on a disk that does not tell upper from lower case."""
    known: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in known:
            raise DistilvoError(f"{what} {known[key]!r} and {name!r} are one folder on some disks; rename one of them")
        known[key] = name


def check_regular(path: Path, expected: str, largest: int = 2**63) -> None:
    """Raise DistilvoError where a pipe, a socket or a device lies in a file's place, or too large a file.

    Reading one may never end. A missing file and a folder are left to the reader.

    Args:
        path: of the file that is read next.
        expected: what it should be, for the message.
        largest: size, bytes.
    """
    try:
        status = path.stat()
    except OSError:
        return
    except ValueError as error:  # a zero in the name
        raise DistilvoError(f"{path}: cannot be a file's name ({error}); expected {expected}") from None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise DistilvoError(
            f"{path}: a pipe, socket or device, not a file; expected {expected}; copy it to a file first"
        )
    if stat.S_ISREG(status.st_mode) and status.st_size > largest:
        raise DistilvoError(f"{path}: has {status.st_size} bytes, more than {largest}; expected {expected}")


def check_utf8(path: Path) -> None:
    """Raise DistilvoError where a path is not UTF-8: readers in other languages cannot open it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DistilvoError(f"{path}: its name is not UTF-8, which the reader of this file needs; rename it") from None


def near(path: Path) -> str:
    """What there is instead of a path that is not there, as the beginning of a sentence: an entry with nearly its name,
    or what its folder holds; empty where that folder cannot be read.
    """
    missing = path
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    folder = missing.parent
    try:
        names = sorted(entry.name for entry in islice(folder.iterdir(), _MOST_ENTRIES) if entry.name[0] != ".")
    except OSError:
        return ""
    folded = {name.lower(): name for name in names}
    if close := get_close_matches(missing.name.lower(), folded, n=1):
        return f"did you mean {folder / folded[close[0]]}? "
    holds = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{folder} holds {holds or 'nothing'}; "
