"""Decoded frames in one memory map: made once, for every process that wants them, and whole or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence as Several
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel, poses
from distilvo.clips.decode import decode
from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, exclusive, read_json, reserve, write_json
from distilvo.progress import progress
from distilvo.sequences import Sequence
from distilvo.sequences.frame_format import FrameFormat


@dataclass(frozen=True)
class Drive:
    """One sequence inside a ``FrameStore``: its frames are ``first .. first + frames - 1``."""

    name: str
    first: int
    frames: int


class FrameStore:
    """The frames of several sequences, as a network sees them, and the true motions between them.

    Attributes:
        frames: (N, C, H, W) uint8, a read-only memory map.
        motions: (N - drives, 6) float32 [m, rad]; those of drive ``d`` begin at ``drives[d].first - d``.
        times: (N,) float64, s, of each frame.
        drives: where each sequence lies.
        key: hash of the content's origin and format.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "index.json")
        self.drives = [Drive(**drive) for drive in index["drives"]]
        self.key: str = index["key"]
        self.frames: NDArray[np.uint8] = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.motions: NDArray[np.float32] = np.load(folder / "motions.npy", allow_pickle=False)
        self.times: NDArray[np.float64] = np.load(folder / "times.npy", allow_pickle=False)

    def drive_frames(self, index: int) -> Tensor:
        """All frames of one drive, (n, C, H, W) uint8."""
        drive = self.drives[index]
        return torch.from_numpy(np.array(self.frames[drive.first : drive.first + drive.frames]))

    def drive_motions(self, index: int) -> NDArray[np.float32]:
        """The true motions of one drive, (n - 1, 6)."""
        start = self.drives[index].first - index
        return self.motions[start : start + self.drives[index].frames - 1]

    def drive_times(self, index: int) -> NDArray[np.float64]:
        """When the frames of one drive were taken, (n,), s."""
        drive = self.drives[index]
        return self.times[drive.first : drive.first + drive.frames]


def open_store(sequences: Several[Sequence], form: FrameFormat, cache: Path, label: str = "decode") -> FrameStore:
    """Decode sequences with ground truth into ``cache``, or find them there; of several processes one decodes.

    Raises:
        DistilvoError: there are none, one has no poses, or a frame cannot be read.
    """
    if not sequences:
        raise DistilvoError(f"{label}: no sequences to decode; expected at least one with frames and poses")
    for sequence in sequences:
        if sequence.poses is None:
            raise DistilvoError(
                f"{sequence.name}: no ground-truth poses; training and evaluation need them (poses/NN.txt)"
            )
    key = _key(sequences, form)
    folder = cache / key

    def decode_once() -> None:
        if _is_whole(folder, sequences, form):
            return
        with exclusive(cache / f".{key}.lock", f"{label}: another process decodes these frames; waiting for it"):
            if not _is_whole(folder, sequences, form):
                _fill(sequences, form, folder, key, label)

    parallel.on_main(decode_once, makes=folder / "index.json")
    return FrameStore(folder)


def _is_whole(folder: Path, sequences: Several[Sequence], form: FrameFormat) -> bool:
    """Whether a folder of the cache holds all of it; one that was half copied, or lost its power, does not.

    Of the frames, which are many, only the shape is compared; all else as it is made.
    """
    if not folder.is_dir():
        return False
    try:
        store = FrameStore(folder)
    except Exception:  # numpy's headers are Python: damaged ones end in whatever its parser stumbles over
        return False
    motions, times, drives = _known(sequences)
    return (
        (store.key, store.drives) == (folder.name, drives)
        and store.frames.dtype == np.uint8
        and store.frames.shape == (len(times), form.channels, *form.size)
        and store.motions.dtype == motions.dtype
        and store.times.dtype == times.dtype
        and np.array_equal(store.motions, motions)
        and np.array_equal(store.times, times)
    )


def _known(sequences: Several[Sequence]) -> tuple[NDArray[np.float32], NDArray[np.float64], list[Drive]]:
    """What a store has beside its frames: motions, times, and where each sequence lies."""
    motions = [poses.motions(sequence.poses) for sequence in sequences if sequence.poses is not None]
    times = [np.asarray(sequence.times, dtype=np.float64) for sequence in sequences]
    drives, first = [], 0
    for sequence in sequences:
        drives.append(Drive(sequence.name, first, len(sequence)))
        first += len(sequence)
    return np.concatenate(motions).astype(np.float32), np.concatenate(times), drives


def _key(sequences: Several[Sequence], form: FrameFormat) -> str:
    digest = hashlib.sha256(json.dumps([form.size, form.channels]).encode())
    for sequence in sequences:
        digest.update(json.dumps([sequence.name, len(sequence), str(sequence.camera)]).encode())
        assert sequence.poses is not None
        for known in (sequence.poses, sequence.times):
            digest.update(np.ascontiguousarray(known, dtype=np.float64).tobytes())
        digest.update(sequence.fingerprint())
    return digest.hexdigest()[:16]


def _fill(sequences: Several[Sequence], form: FrameFormat, folder: Path, key: str, label: str) -> None:
    """Decode into a folder of the cache; each file appears when it is whole, and the index last."""
    motions, times, drives = _known(sequences)
    with atomic_path(folder / "frames.npy") as temporary, progress(label, len(times)) as bar:
        shape = (len(times), form.channels, *form.size)
        frames = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        reserve(temporary)
        for sequence, drive in zip(sequences, drives, strict=True):
            decode(sequence, form, frames[drive.first : drive.first + drive.frames], bar)
        frames.flush()
    _save(folder / "motions.npy", motions)
    _save(folder / "times.npy", times)
    write_json(folder / "index.json", {"key": key, "drives": [asdict(drive) for drive in drives]})


def _save(path: Path, values: NDArray[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)
