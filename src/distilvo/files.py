"""Files that are whole or not there: everything is written to a temporary name beside its place, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distilvo.errors import DistilvoError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it takes the name ``path``, on failure it is removed.

    Raises:
        DistilvoError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise DistilvoError(
            f"{path}: cannot be written ({error.strerror or error}); free some space or choose another --out"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read, in one piece; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DistilvoError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DistilvoError(f"{path}: no such file; check the path") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DistilvoError(f"{path}: not JSON ({error}); expected a file that distilvo wrote") from None


def claim_folder(folder: Path, kind: str, settings: dict[str, Any]) -> Path:
    """Make an output folder ours, or come back to it; a folder of other content is never written into.

    A file ``distilvo.json`` inside names what the folder is and the settings it was begun with: the same settings go on
    where an interrupted run stopped.

    Raises:
        DistilvoError: the folder holds something else, or a run with other settings.
    """
    marker = folder / "distilvo.json"
    claim = json.loads(json.dumps({"kind": kind, "settings": settings}))
    if marker.exists():
        found = read_json(marker)
        if found != claim:
            raise DistilvoError(
                f"{folder}: holds {_difference(found, claim)}; choose another --out or remove the folder"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DistilvoError(f"{folder}: exists and was not made by 'distilvo {kind}'; choose another --out")
    else:
        write_json(marker, claim)
    return folder


def _difference(found: Any, claim: dict[str, Any]) -> str:
    if not isinstance(found, dict) or found.get("kind") != claim["kind"]:
        kind = found.get("kind") if isinstance(found, dict) else None
        return f"a run of '{kind}', not of '{claim['kind']}'"
    before, now = found.get("settings", {}), claim["settings"]
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return (
        "a run with other settings ("
        + ", ".join(f"{key}: {before.get(key)} -> {now.get(key)}" for key in changed)
        + ")"
    )
