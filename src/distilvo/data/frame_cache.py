"""Decoded frames in one memory map: made once, for all processes, and complete or not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence as Several
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel
from distilvo.data.decoding import decode
from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, exclusive, read_json, reserve, write_json
from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.paths import check_regular
from distilvo.progress import progress
from distilvo.sequences import Sequence


@dataclass(frozen=True)
class Drive:
    """One sequence inside a ``FrameCache``: its frames are ``first .. first + frames - 1``."""

    name: str
    first: int
    frames: int


class FrameCache:
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
        for name in ("frames.npy", "motions.npy", "times.npy"):
            check_regular(folder / name, "a file of the cache")
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


def open_cache(
    sequences: Several[Sequence], preprocessing: Preprocessing, cache: Path, label: str = "decode"
) -> FrameCache:
    """Decode sequences with ground truth into ``cache``, or take them from there; of several processes one decodes.

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
    key = _key(sequences, preprocessing)
    folder = cache / key

    def decode_once() -> None:
        if _is_whole(folder, sequences, preprocessing):
            return
        with exclusive(cache / f".{key}.lock", f"{label}: another process decodes these frames; waiting for it"):
            if not _is_whole(folder, sequences, preprocessing):
                _fill(sequences, preprocessing, folder, key, label)

    parallel.on_main(decode_once, makes=folder / "index.json")
    return FrameCache(folder)


def _is_whole(folder: Path, sequences: Several[Sequence], preprocessing: Preprocessing) -> bool:
    """Whether a folder of the cache is complete; it may not be after an interrupted copy or a power failure.

    Of the frames only the shape is compared, of motions, times and drives every number.
    """
    if not folder.is_dir():
        return False
    try:
        store = FrameCache(folder)
    except Exception:  # numpy parses headers as Python: damaged ones raise errors of many kinds
        return False
    motions, times, drives = _without_frames(sequences)
    return (
        (store.key, store.drives) == (folder.name, drives)
        and store.frames.dtype == np.uint8
        and store.frames.shape == (len(times), preprocessing.channels, *preprocessing.size)
        and store.motions.dtype == motions.dtype
        and store.times.dtype == times.dtype
        and np.array_equal(store.motions, motions)
        and np.array_equal(store.times, times)
    )


def _without_frames(sequences: Several[Sequence]) -> tuple[NDArray[np.float32], NDArray[np.float64], list[Drive]]:
    """The content of a cache without its frames: motions, times, and the place of each sequence."""
    motions = [se3.motions(sequence.poses) for sequence in sequences if sequence.poses is not None]
    times = [np.asarray(sequence.times, dtype=np.float64) for sequence in sequences]
    drives, first = [], 0
    for sequence in sequences:
        drives.append(Drive(sequence.name, first, len(sequence)))
        first += len(sequence)
    return np.concatenate(motions).astype(np.float32), np.concatenate(times), drives


def _key(sequences: Several[Sequence], preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256(json.dumps([preprocessing.size, preprocessing.channels]).encode())
    for sequence in sequences:
        digest.update(json.dumps([sequence.name, len(sequence), str(sequence.camera)]).encode())
        assert sequence.poses is not None
        for array in (sequence.poses, sequence.times):
            digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
        digest.update(sequence.fingerprint())
    return digest.hexdigest()[:16]


def _fill(sequences: Several[Sequence], preprocessing: Preprocessing, folder: Path, key: str, label: str) -> None:
    """Decode into a folder of the cache; each file appears when it is whole, and the index last."""
    motions, times, drives = _without_frames(sequences)
    with atomic_path(folder / "frames.npy") as temporary, progress(label, len(times)) as bar:
        shape = (len(times), preprocessing.channels, *preprocessing.size)
        frames = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        reserve(temporary)
        for sequence, drive in zip(sequences, drives, strict=True):
            decode(sequence, preprocessing, frames[drive.first : drive.first + drive.frames], bar)
        frames.flush()
    _save(folder / "motions.npy", motions)
    _save(folder / "times.npy", times)
    write_json(folder / "index.json", {"key": key, "drives": [asdict(drive) for drive in drives]})


def _save(path: Path, values: NDArray[np.float32] | NDArray[np.float64]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)
