"""Decoded frames in one memory map: made once, for all processes, and complete or not there."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection
from collections.abc import Sequence as Several
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel
from distilvo.data.decoding import decode, decode_flow
from distilvo.data.flow_cells import CELL, cells
from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, exclusive, read_json, reserve, write_json
from distilvo.geometry import se3
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT, at_default_height
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.paths import check_regular
from distilvo.progress import progress
from distilvo.sequences import FlowSequence, Sequence


@dataclass(frozen=True)
class Drive:
    """One sequence inside a ``FrameCache``: its frames are ``first .. first + frames - 1``."""

    name: str
    first: int
    frames: int


class FrameCache:
    """The frames of several sequences, as a network sees them, and the true motions between them where they are known.

    Attributes:
        frames: (N, C, H, W) uint8, a read-only memory map.
        motions: (P, 6) float32 [m, rad], P = N - drives; those of drive ``d`` begin at ``drives[d].first - d``. NaN
            for all pairs of a sequence without poses. Metres are those of a camera at the default height: of one that
            is twice as high the same images show twice the motion, so networks learn it in units of the height.
        times: (N,) float64, s, of each frame.
        drives: where each sequence lies.
        camera_heights: (D,) float64, m above the road, of each drive; 1.65 where it is not known.
        flow: (N, 2, H/8, W/8) float16, a read-only memory map: true flow from each frame to the next one, right and
            down, in pixels of the frames (H, W), at the cells of ``flow_cells``; NaN where it is unknown, as at the
            last frame of each drive. None where the cache has none.
        inverse_depth: (N, H/8, W/8) float16, 1/m, likewise; 0 in the sky, NaN where it is unknown, as where the camera
            does not see the cell.
        key: hash of the content's origin and format.
        frames_key: that of the frames alone, whichever of the drives have labels.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "index.json")
        for name in ("frames.npy", "motions.npy", "times.npy"):
            check_regular(folder / name, "a file of the cache")
        self.drives = [Drive(**drive) for drive in index["drives"]]
        heights = index.get("camera_heights", [DEFAULT_CAMERA_HEIGHT] * len(self.drives))  # older caches have none
        self.camera_heights: NDArray[np.float64] = np.array(heights, np.float64)
        self.key = self.frames_key = str(index["key"])
        self.frames: NDArray[np.uint8] = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.motions: NDArray[np.float32] = np.load(folder / "motions.npy", allow_pickle=False)
        self.times: NDArray[np.float64] = np.load(folder / "times.npy", allow_pickle=False)
        self.flow = _mapped(folder / "flow.npy") if index.get("flow") else None
        self.inverse_depth = _mapped(folder / "inverse_depth.npy") if index.get("flow") else None

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether the true motion of each frame pair is known, (P,)."""
        return np.asarray(np.isfinite(self.motions).all(axis=1))

    @property
    def labelled_drives(self) -> list[int]:
        """Indices of the drives whose motions are all known."""
        known = self.labelled
        starts = [drive.first - index for index, drive in enumerate(self.drives)]
        ends = [start + drive.frames - 1 for start, drive in zip(starts, self.drives, strict=True)]
        return [index for index, (a, b) in enumerate(zip(starts, ends, strict=True)) if known[a:b].all()]

    def with_labels_of(self, drives: Collection[int]) -> FrameCache:
        """The same frames, of which only those of some drives have labels: the others are film."""
        other = copy.copy(self)
        other.motions = self.motions.copy()
        for index, drive in enumerate(self.drives):
            if index not in drives:
                start = drive.first - index
                other.motions[start : start + drive.frames - 1] = np.nan
        other.key = f"{self.key}-{hashlib.sha256(repr(sorted(drives)).encode()).hexdigest()[:8]}"
        return other

    def drive_frames(self, index: int) -> Tensor:
        """All frames of one drive, (n, C, H, W) uint8."""
        drive = self.drives[index]
        return torch.from_numpy(np.array(self.frames[drive.first : drive.first + drive.frames]))

    def drive_motions(self, index: int) -> NDArray[np.float32]:
        """The true motions of one drive, (n - 1, 6) [m, rad], metres as from the default height.

        Raises:
            DistilvoError: they are not known, the sequence has no poses.
        """
        start = self.drives[index].first - index
        motions = self.motions[start : start + self.drives[index].frames - 1]
        if not np.isfinite(motions).all():
            raise _without_poses(self.drives[index].name)
        return motions

    def in_metres(self, index: int, motions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Motions (..., 6) of one drive, as from the default height, in true metres."""
        factor = self.camera_heights[index] / DEFAULT_CAMERA_HEIGHT
        return motions * np.array([factor] * 3 + [1.0] * 3, np.float32)

    def drive_times(self, index: int) -> NDArray[np.float64]:
        """When the frames of one drive were taken, (n,), s."""
        drive = self.drives[index]
        return self.times[drive.first : drive.first + drive.frames]


def open_cache(
    sequences: Several[Sequence],
    preprocessing: Preprocessing,
    cache: Path,
    label: str = "decode",
    *,
    need_poses: bool = True,
    flow: bool = False,
) -> FrameCache:
    """Decode sequences into ``cache``, or take them from there; of several processes one decodes.

    Args:
        sequences: with ground truth, or without where it is not needed.
        preprocessing: of their frames.
        cache: folder of all caches.
        label: for the progress bar.
        need_poses: refuse a sequence without poses; else its motions are NaN.
        flow: the cache holds true flow and inverse depth too.

    Raises:
        DistilvoError: there are none, some have no poses or no flow where they are needed, or a file cannot be read.
    """
    if not sequences:
        expected = "frames and poses" if need_poses else "frames"
        raise DistilvoError(f"{label}: no sequences to decode; expected at least one with {expected}")
    for sequence in sequences:
        if need_poses and sequence.poses is None:
            raise _without_poses(sequence.name)
    if flow and (lacking := [one.name for one in sequences if not isinstance(one, FlowSequence)]):
        raise DistilvoError(
            f"{label}: no true flow and depth of {', '.join(lacking)}; expected the folders flow and depth beside "
            "image_2, as 'distilvo render --flow' writes them"
        )
    key = _key(sequences, preprocessing, flow)
    folder = cache / key

    def decode_once() -> None:
        if _is_whole(folder, sequences, preprocessing, flow):
            return
        with exclusive(cache / f".{key}.lock", f"{label}: another process decodes these frames; waiting for it"):
            if not _is_whole(folder, sequences, preprocessing, flow):
                _fill(sequences, preprocessing, folder, key, label, flow)

    parallel.on_main(decode_once, makes=folder / "index.json")
    return FrameCache(folder)


def _without_poses(name: str) -> DistilvoError:
    return DistilvoError(f"{name}: no ground-truth poses; training and evaluation need them (poses/NN.txt)")


def _is_whole(folder: Path, sequences: Several[Sequence], preprocessing: Preprocessing, flow: bool) -> bool:
    """Whether a folder of the cache is complete; it may not be after an interrupted copy or a power failure.

    Of frames, flow and depth only the shape is compared, of motions, times and drives every number.
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
        and np.array_equal(store.motions, motions, equal_nan=True)
        and np.array_equal(store.times, times)
        and np.array_equal(store.camera_heights, _camera_heights(sequences))
        and _has_flow(store, preprocessing) == flow
    )


def _has_flow(store: FrameCache, preprocessing: Preprocessing) -> bool:
    """Whether a cache holds flow and depth of all its frames."""
    count, grid = len(store.frames), cells(preprocessing.size)
    maps = ((store.flow, (count, 2, *grid)), (store.inverse_depth, (count, *grid)))
    return all(each is not None and each.dtype == np.float16 and each.shape == shape for each, shape in maps)


def _without_frames(sequences: Several[Sequence]) -> tuple[NDArray[np.float32], NDArray[np.float64], list[Drive]]:
    """The content of a cache without its frames: motions, times, and the place of each sequence."""
    motions = [_motions(sequence) for sequence in sequences]
    times = [np.asarray(sequence.times, dtype=np.float64) for sequence in sequences]
    drives, first = [], 0
    for sequence in sequences:
        drives.append(Drive(sequence.name, first, len(sequence)))
        first += len(sequence)
    return np.concatenate(motions).astype(np.float32), np.concatenate(times), drives


def _motions(sequence: Sequence) -> NDArray[np.float64]:
    """The true motions (n - 1, 6) as from the default height; NaN where there are no poses."""
    if sequence.poses is None:
        return np.full((len(sequence) - 1, 6), np.nan)
    return at_default_height(se3.motions(sequence.poses), sequence.camera_height)


def _camera_heights(sequences: Several[Sequence]) -> list[float]:
    known = [sequence.camera_height for sequence in sequences]
    return [DEFAULT_CAMERA_HEIGHT if height is None else height for height in known]


def _key(sequences: Several[Sequence], preprocessing: Preprocessing, flow: bool) -> str:
    """Hash of a cache's content; without flow and known camera heights as ever, so that older caches stay good."""
    form = [preprocessing.size, preprocessing.channels, *(["centred"] if preprocessing.centred else [])]
    form += [CELL] if flow else []
    digest = hashlib.sha256(json.dumps(form).encode())
    for sequence in sequences:
        height = [] if sequence.camera_height is None else [sequence.camera_height]
        digest.update(json.dumps([sequence.name, len(sequence), str(sequence.camera), *height]).encode())
        if flow and isinstance(sequence, FlowSequence):
            digest.update(sequence.flow_fingerprint())
        for array in (sequence.poses, sequence.times):
            known = b"no poses" if array is None else np.ascontiguousarray(array, dtype=np.float64).tobytes()
            digest.update(known)
        digest.update(sequence.fingerprint())
    return digest.hexdigest()[:16]


def _fill(
    sequences: Several[Sequence], preprocessing: Preprocessing, folder: Path, key: str, label: str, flow: bool
) -> None:
    """Decode into a folder of the cache; each file appears when it is whole, and the index last."""
    motions, times, drives = _without_frames(sequences)
    with atomic_path(folder / "frames.npy") as temporary, progress(label, len(times)) as bar:
        shape = (len(times), preprocessing.channels, *preprocessing.size)
        frames = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        reserve(temporary)
        for sequence, drive in zip(sequences, drives, strict=True):
            decode(sequence, preprocessing, frames[drive.first : drive.first + drive.frames], bar)
        frames.flush()
    if flow:
        _fill_flow(sequences, preprocessing, folder, drives, label)
    _save(folder / "motions.npy", motions)
    _save(folder / "times.npy", times)
    places = [asdict(drive) for drive in drives]
    index = {"key": key, "drives": places, "camera_heights": _camera_heights(sequences), "flow": flow}
    write_json(folder / "index.json", index)


def _fill_flow(
    sequences: Several[Sequence], preprocessing: Preprocessing, folder: Path, drives: list[Drive], label: str
) -> None:
    count, grid = drives[-1].first + drives[-1].frames, cells(preprocessing.size)
    with (
        atomic_path(folder / "flow.npy") as flow_file,
        atomic_path(folder / "inverse_depth.npy") as depth_file,
        progress(f"{label} (flow)", count) as bar,
    ):
        flow, inverse_depth = (
            np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
            for file, shape in ((flow_file, (count, 2, *grid)), (depth_file, (count, *grid)))
        )
        reserve(flow_file)
        reserve(depth_file)
        for sequence, drive in zip(sequences, drives, strict=True):
            if isinstance(sequence, FlowSequence):
                part = slice(drive.first, drive.first + drive.frames)
                decode_flow(sequence, preprocessing, flow[part], inverse_depth[part], bar)
        flow.flush()
        inverse_depth.flush()


def _save(path: Path, values: NDArray[np.float32] | NDArray[np.float64]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)


def _mapped(path: Path) -> NDArray[np.float16]:
    check_regular(path, "a file of the cache")
    return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
