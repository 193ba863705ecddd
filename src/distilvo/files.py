"""Files that are whole or not there: everything is written to a temporary name beside its place, then renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilvo import parallel
from distilvo.errors import DistilvoError

if TYPE_CHECKING:
    from torch import Tensor

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a file system that has no locks."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the name ``path``, on failure it is removed.

    Temporary files of ``path`` that killed processes left behind are removed first.

    Raises:
        DistilvoError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_litter(path)
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
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            warnings.warn(while_waiting, stacklevel=3)
            lock.acquire()
    except NotImplementedError:
        pass  # no locks here
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise _cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()


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
    """Write a text file in one piece."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


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
    try:
        return json.loads(read_utf8(path))
    except FileNotFoundError:
        raise DistilvoError(f"{path}: no such file; check the path") from None
    except (ValueError, RecursionError) as error:
        raise DistilvoError(f"{path}: not JSON ({error}); expected a file that distilvo wrote") from None


def claim_folder(folder: Path, kind: str, settings: Mapping[str, object]) -> Path:
    """Claim an output folder: a new one, or that of an interrupted run with the same settings, which then goes on.

    The file ``distilvo.json`` in it holds the kind of the run and its settings. Nothing is ever written into a folder
    with other content. Of several processes one claims the folder for all.

    Raises:
        DistilvoError: the folder holds something else, or a run with other settings.
    """
    parallel.on_main(lambda: _claim(folder, kind, settings))
    return folder


def _claim(folder: Path, kind: str, settings: Mapping[str, object]) -> None:
    marker = folder / "distilvo.json"
    claim = json.loads(json.dumps({"kind": kind, "settings": settings}))
    if marker.exists():
        owner = read_json(marker)
        if owner != claim:
            raise DistilvoError(
                f"{folder}: holds {_difference(owner, claim)}; choose another --out or remove the folder"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DistilvoError(f"{folder}: exists and was not made by 'distilvo {kind}'; choose another --out")
    else:
        write_json(marker, claim)


def _difference(owner: Any, claim: dict[str, Any]) -> str:
    if not isinstance(owner, dict) or owner.get("kind") != claim["kind"]:
        kind = owner.get("kind") if isinstance(owner, dict) else None
        return f"a run of '{kind}', not of '{claim['kind']}'"
    before, now = owner.get("settings", {}), claim["settings"]
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return (
        "a run with other settings ("
        + ", ".join(f"{key}: {before.get(key)} -> {now.get(key)}" for key in changed)
        + ")"
    )


def _remove_litter(path: Path) -> None:
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)\.part")
    with suppress(OSError):  # tidying only: a folder that cannot be used is an error when it is written to
        for file in path.parent.iterdir():
            if (litter := name.fullmatch(file.name)) and not _lives(int(litter[1])):
                file.unlink()


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
