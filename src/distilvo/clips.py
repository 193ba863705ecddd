"""Decoded frames in one memory map, and the fixed-length clips that networks are trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from collections.abc import Sequence as Several
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import poses
from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, read_json, write_json
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
        drives: where each sequence lies.
        key: hash of the content's origin and format.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / "index.json")
        self.drives = [Drive(**drive) for drive in index["drives"]]
        self.key: str = index["key"]
        self.frames: NDArray[np.uint8] = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.motions: NDArray[np.float32] = np.load(folder / "motions.npy", allow_pickle=False)

    def drive_frames(self, index: int) -> Tensor:
        """All frames of one drive, (n, C, H, W) uint8."""
        drive = self.drives[index]
        return torch.from_numpy(np.array(self.frames[drive.first : drive.first + drive.frames]))

    def drive_motions(self, index: int) -> NDArray[np.float32]:
        """The true motions of one drive, (n - 1, 6)."""
        start = self.drives[index].first - index
        return self.motions[start : start + self.drives[index].frames - 1]


def open_store(sequences: Several[Sequence], form: FrameFormat, cache: Path, label: str = "decode") -> FrameStore:
    """Decode sequences with ground truth into ``cache``, or find them there.

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
    if not (folder / "index.json").exists():
        _decode(sequences, form, folder, key, label)
    return FrameStore(folder)


def _key(sequences: Several[Sequence], form: FrameFormat) -> str:
    digest = hashlib.sha256(json.dumps([form.size, form.channels]).encode())
    for sequence in sequences:
        digest.update(json.dumps([sequence.name, len(sequence), str(sequence.camera)]).encode())
        assert sequence.poses is not None
        digest.update(np.ascontiguousarray(sequence.poses).tobytes())
    return digest.hexdigest()[:16]


def _decode(sequences: Several[Sequence], form: FrameFormat, folder: Path, key: str, label: str) -> None:
    total = sum(len(sequence) for sequence in sequences)
    drives, motions, position = [], [], 0
    with atomic_path(folder / "frames.npy") as temporary, progress(label, total) as bar:
        shape = (total, form.channels, *form.size)
        frames = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        for sequence in sequences:
            drives.append({"name": sequence.name, "first": position, "frames": len(sequence)})
            for frame in sequence.frames():
                frames[position] = form.apply(frame, sequence.camera)
                position += 1
                bar.advance()
            assert sequence.poses is not None
            motions.append(poses.motions(sequence.poses))
        frames.flush()
    with atomic_path(folder / "motions.npy") as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(motions).astype(np.float32))
    write_json(folder / "index.json", {"key": key, "drives": drives})


@dataclass(frozen=True)
class Batch:
    """Clips for one step of training; ``teacher``, ``hints`` and ``trust`` only where a teacher has been asked.

    Attributes:
        inputs: (B, T + 1, C, H, W) float32, values 0..255.
        targets: (B, T, 6) true motions.
        teacher: (B, T, 6) the teacher's motions.
        hints: (B, T, K) the teacher's hint.
        trust: (B, T) Phi.
    """

    inputs: Tensor
    targets: Tensor
    teacher: Tensor | None = None
    hints: Tensor | None = None
    trust: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = (None if value is None else value.to(device) for value in (self.teacher, self.hints, self.trust))
        return Batch(self.inputs.to(device), self.targets.to(device), *moved)


@dataclass(frozen=True)
class Lessons:
    """What a teacher has to say of each frame pair of a store: its motions (P, 6), hints (P, K) and trust (P,)."""

    teacher: Tensor
    hints: Tensor
    trust: Tensor


class Clips:
    """Clips of ``length`` motions from a store, in an order that depends on seed and epoch alone."""

    def __init__(
        self,
        store: FrameStore,
        length: int,
        batch_size: int,
        seed: int,
        lessons: Lessons | None = None,
        mirror: bool = False,
    ) -> None:
        """Args ``mirror``: flip half of the clips, and their motions, left to right; not with lessons: hints cannot be.

        Raises:
            DistilvoError: no drive is long enough, or there are fewer clips than one batch.
        """
        self.store, self.length, self.seed, self.lessons, self.mirror = store, length, seed, lessons, mirror
        self.batch_size = batch_size
        per_drive = [(drive.frames - 1) // length for drive in store.drives]
        if sum(per_drive) < batch_size:
            raise DistilvoError(
                f"training data: {sum(per_drive)} clips of {length + 1} frames in {len(store.drives)} sequences; "
                f"expected at least one batch of {batch_size}; use more frames, shorter clips or a smaller batch"
            )
        self._per_drive = per_drive
        asked = "" if lessons is None else hashlib.sha256(lessons.hints.numpy().tobytes()).hexdigest()[:16]
        self.key = f"{store.key} {length} {batch_size} {seed} {mirror} {asked}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return sum(self._per_drive) // self.batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from number ``start`` on; each drive is cut at a random phase."""
        rng = np.random.default_rng([self.seed, number])
        firsts = []
        for index, (drive, clips) in enumerate(zip(self.store.drives, self._per_drive, strict=True)):
            phase = rng.integers(drive.frames - clips * self.length) if clips else 0
            firsts += [(index, drive.first + phase + clip * self.length) for clip in range(clips)]
        order = rng.permutation(len(firsts))
        for batch in range(len(self)):
            chosen = [firsts[i] for i in order[batch * self.batch_size : (batch + 1) * self.batch_size]]
            flips = rng.random(self.batch_size) < 0.5
            light = torch.from_numpy(rng.normal(size=(2, self.batch_size, 1, 1, 1, 1)).astype(np.float32))
            if batch >= start:
                yield self._batch(chosen, flips if self.mirror else None, light)

    def _batch(self, chosen: list[tuple[int, int]], flips: NDArray[np.bool_] | None, light: Tensor) -> Batch:
        frames = np.stack([self.store.frames[first : first + self.length + 1] for _, first in chosen])
        pairs = np.array([np.arange(first - index, first - index + self.length) for index, first in chosen])
        inputs, targets = torch.from_numpy(frames).float(), torch.from_numpy(self.store.motions[pairs])
        if flips is not None:
            chosen_flips = torch.from_numpy(flips)
            inputs[chosen_flips] = inputs[chosen_flips].flip(-1)
            targets[chosen_flips] *= torch.tensor([-1.0, 1, 1, 1, -1, -1])
        inputs = ((1 + 0.2 * light[0]) * inputs + 15 * light[1]).clamp_(0, 255)  # another exposure for each clip
        if self.lessons is None:
            return Batch(inputs, targets)
        lessons, index = self.lessons, torch.from_numpy(pairs)
        return Batch(inputs, targets, lessons.teacher[index], lessons.hints[index], lessons.trust[index])


def motion_scale(store: FrameStore) -> tuple[Tensor, Tensor]:
    """Mean motion (6,) and unit of each component (6,) of a training set.

    The unit is the RMS distance from the mean, one for translation and one for rotation: metres and radians then weigh
    alike, and predicting the mean gives an error of 1 in each. (The paper does not say how it weighs them.)
    """
    motions = torch.from_numpy(store.motions)
    variance = (motions - motions.mean(0)).square().mean(0)
    kinds = torch.stack([variance[:3].sum(), variance[3:].sum()]).sqrt()
    return motions.mean(0), kinds.repeat_interleave(3).clamp_min(1e-6)
