"""Output folders: who works in one, and what the run was that made it."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from distilvo import parallel
from distilvo.errors import DistilvoError
from distilvo.files import CLAIMS, MARKER, locked, read_json, write_json

_LOCK = ".distilvo.lock"
_OWN = re.compile(r"\.distilvo\.lock|\.?distilvo\.json(\.\d+\.part)?")
"""What lies in a folder that is being claimed."""


def claim_folder(folder: Path, kind: str, settings: Mapping[str, object]) -> Path:
    """Claim an output folder: a new one, or that of an interrupted run with the same settings, which then goes on.

    The file ``distilvo.json`` in it holds the kind of the run and its settings. Nothing is ever written into a folder
    with other content; a run that made nothing but a cache is forgotten. The claim is held until this process ends:
    another one that claims the folder waits. Of several processes under torchrun one claims the folder for all.

    Raises:
        DistilvoError: the folder holds something else, or a run with other settings.
    """
    parallel.on_main(lambda: _claim(folder, kind, json.loads(json.dumps({"kind": kind, "settings": settings}))))
    return folder


def _claim(folder: Path, kind: str, claim: dict[str, Any]) -> None:
    place, marker = Path(os.path.abspath(folder)), folder / MARKER

    def wait() -> None:
        _refuse(folder, claim, made_nothing=False)
        warnings.warn(f"{folder}: another distilvo works in this folder; waiting for it to end", stacklevel=6)

    _refuse(folder, claim, made_nothing=True)  # before anything is written
    lock = CLAIMS.pop(place, None)
    if lock is None or not marker.exists():  # the lock of a folder that was removed is none
        lock = locked(folder / _LOCK, wait)
    # Without a lock another process may be about to begin.
    _refuse(folder, claim, made_nothing=lock.is_locked)
    if not marker.exists() or read_json(marker) != claim:
        write_json(marker, claim)
    CLAIMS[place] = lock


def _refuse(folder: Path, claim: dict[str, Any], made_nothing: bool) -> None:
    """Raise DistilvoError where a folder cannot be claimed; with ``made_nothing`` it can where no run made a file."""
    marker = folder / MARKER
    foreign = folder.exists() and (not folder.is_dir() or not all(_OWN.fullmatch(f.name) for f in folder.iterdir()))
    if marker.exists():  # asked last: another process may be about to claim the folder
        owner = read_json(marker)
        if owner != claim and not (made_nothing and _is_empty(folder)):
            raise DistilvoError(
                f"{folder}: holds {_difference(owner, claim)}; choose another --out, or the settings that it has"
            )
    elif foreign:
        raise DistilvoError(f"{folder}: exists and was not made by 'distilvo {claim['kind']}'; choose another --out")


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds no files but the claim's marker and locks, and a cache, which serves all settings."""
    own = (folder / MARKER, folder / _LOCK)
    made = (path for part in folder.iterdir() if part.name != "cache" for path in chain((part,), part.rglob("*")))
    return not any(path.is_symlink() or not path.is_dir() for path in made if path not in own)


def _difference(owner: Any, claim: dict[str, Any]) -> str:
    if not isinstance(owner, dict) or owner.get("kind") != claim["kind"]:
        kind = owner.get("kind") if isinstance(owner, dict) else None
        return f"a run of '{kind}', not of '{claim['kind']}'"
    return f"a run with other settings ({differences(owner.get('settings', {}), claim['settings'])})"


def differences(before: Any, now: Any) -> str:
    """What differs between two settings as JSON has them: each with its path of keys, before and now; empty if none."""
    return ", ".join(_changes(before, now))


def _changes(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [
            change
            for key in keys
            for change in _changes(before.get(key), now.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if before == now else [f"{path}: {before} -> {now}"]
