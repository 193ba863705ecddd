"""Files that are whole or not there: everything is written to a temporary name beside its place, then renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilvo.errors import DistilvoError
from distilvo.paths import check_regular

if TYPE_CHECKING:
    from filelock import FileLock
    from torch import Tensor

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a file system that has no locks."""
_LARGEST_JSON = 64 * 1024**2  # bytes
MARKER = "distilvo.json"
CLAIMS: dict[Path, FileLock | None] = {}
"""Folders that this process has claimed, and the locks that keep other processes out of them until it ends."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the name ``path``, on failure it is removed.

    Temporary files of ``path`` that killed processes left behind are removed first.

    Raises:
        DistilvoError: the disk is full, the folder cannot be written, or a claimed folder was removed meanwhile.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    check_claim(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_litter(path.parent, re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.part"))
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # a second error would hide the first
            temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> DistilvoError:
    return DistilvoError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or choose another --out"
    )


@contextmanager
def exclusive(path: Path, while_waiting: str) -> Iterator[None]:
    """Hold a lock that other processes wait for; it is free again when its owner ends, however it ends.

    On a file system without locks (some network disks) several processes may hold it at once.

    Args:
        path: of the lock's file, an empty one that may stay behind.
        while_waiting: note for the user where another process holds it.

    Raises:
        DistilvoError: the file cannot be written.
    """
    lock = locked(path, lambda: warnings.warn(while_waiting, stacklevel=5))
    try:
        yield
    finally:
        lock.release()


def locked(path: Path, when_busy: Callable[[], None]) -> FileLock:
    """A lock that this process holds, or that is not locked where the file system has no locks."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            when_busy()
            lock.acquire()
    except NotImplementedError:
        pass  # no locks here
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise _cannot_write(path, error) from error
    return lock


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder of this process beside ``folder``; on success it takes that name, else it is removed.

    Where another process has made ``folder`` meanwhile, its one stays.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
    check_claim(folder)
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of an earlier process of this number
        draft.mkdir(parents=True)
        yield draft
        try:
            os.replace(draft, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def remove_drafts(parent: Path) -> None:
    """Remove the drafts of folders that killed processes have left behind."""
    _remove_litter(parent, re.compile(r"\.[^/]+\.(\d+)\.unfinished"))


def remove_inside(folder: Path, parent: Path) -> None:
    """Remove a folder, unless a link on the way to it leads out of ``parent``: then it stays with all that it holds."""
    if folder.resolve().is_relative_to(parent.resolve()) and not folder.is_symlink():
        shutil.rmtree(folder)


def reserve(path: Path) -> None:
    """Fill the holes of a file with space, so that a full disk is an error now, not a signal once the file is mapped.

    Raises:
        OSError: the disk is full.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # this file system cannot reserve
                raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece, with what is not UTF-8, as names of files may be, as ``\\udcff``."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, value: object) -> None:
    """Write JSON that people can read, in one piece; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, in one piece.

    Raises:
        DistilvoError: the disk is full or the folder cannot be written.
    """
    from safetensors.torch import save

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        # save_file would keep others from reading it, and has an error of its own for a full disk
        temporary.write_bytes(save(whole, metadata))


def read_utf8(path: Path) -> str:
    """The text of a file, without a byte-order mark; every line ends with a newline alone.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8; the message says so where it is UTF-16.
    """
    data = path.read_bytes()
    # Of plain text in UTF-16 every other byte is zero.
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(data) > 1 and any(data[:40:2]) != any(data[1:40:2])):
        raise ValueError("UTF-16 text; save it as UTF-8")
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DistilvoError: the file is missing or is no JSON.
    """
    check_regular(path, "a file that distilvo wrote", _LARGEST_JSON)
    try:
        return json.loads(read_utf8(path))
    except FileNotFoundError:
        raise DistilvoError(f"{path}: no such file; check the path") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
        raise DistilvoError(f"{path}: not JSON ({error}); expected a file that distilvo wrote") from None


def claimed_folders() -> tuple[Path, ...]:
    """The folders that this process has claimed."""
    return tuple(CLAIMS)


def share_claims(folders: tuple[Path, ...]) -> None:
    """Tell a process of ``children`` what its parent has claimed, and keeps others out of."""
    CLAIMS.update(dict.fromkeys(folders))


def check_claim(path: Path) -> None:
    """Raise DistilvoError where ``path`` lies in a claimed folder that is gone: it is not made again in parts."""
    for folder in CLAIMS:
        if Path(os.path.abspath(path)).is_relative_to(folder) and not (folder / MARKER).exists():
            raise DistilvoError(f"{folder}: was removed while distilvo worked in it; the same command begins anew")


def _remove_litter(parent: Path, name: re.Pattern[str]) -> None:
    """Remove files and folders of processes that live no more, whose number is the name's first group."""
    with suppress(OSError):  # tidying only: a folder that cannot be used is an error when it is written to
        for path in parent.iterdir():
            if (litter := name.fullmatch(path.name)) and not _lives(int(litter[1])):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()


def _lives(process: int) -> bool:
    if os.name != "posix":  # on Windows signal 0 is Ctrl-C
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
