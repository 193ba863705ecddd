"""How often the tracker doubts a frame of a sound drive, and how many of twenty spoilt frames it doubts.

python benchmarks/quality.py MODEL.onnx SOURCE ... [--root DATASET ...]
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distilvo.runtime import Pose, Tracker
from distilvo.sequences import Sequence, open_dataset, open_sequence

SPOILT = 20
Frames = list[np.ndarray]
Spoil = Callable[[Frames, np.random.Generator], Frames]


def noise(frames: Frames, random: np.random.Generator) -> Frames:
    return [random.integers(0, 256, frame.shape).astype(np.uint8) for frame in frames]


SPOIL: dict[str, Spoil] = {
    "black": lambda frames, _: [np.zeros_like(frame) for frame in frames],
    "dark with noise": lambda frames, random: [frame // 64 for frame in noise(frames, random)],
    "white": lambda frames, _: [np.full_like(frame, 255) for frame in frames],
    "noise": noise,
    "frozen": lambda frames, _: [frames[0]] * len(frames),
    "upside down": lambda frames, _: [np.ascontiguousarray(frame[::-1, ::-1]) for frame in frames],
    "mirrored up": lambda frames, _: [np.ascontiguousarray(frame[::-1]) for frame in frames],
    "shuffled": lambda frames, random: [frames[k] for k in random.permutation(len(frames))],
}


def follow(model: Path, sequence: Sequence, frames: Frames, times: np.ndarray) -> list[Pose]:
    tracker = Tracker(model, sequence.camera)
    return [tracker.step(frame, t) for frame, t in zip(frames, times, strict=True)]


def doubted(poses: list[Pose]) -> str:
    counts = Counter(pose.status for pose in poses if pose.status != "ok")
    kinds = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{sum(counts.values())} of {len(poses)}" + (f" ({kinds})" if kinds else "")


def report(model: Path, sequence: Sequence) -> None:
    """Print a sound drive's doubts, then those of the same drive spoilt in its middle."""
    frames, times = list(sequence.frames()), sequence.times
    sound = follow(model, sequence, frames, times)
    print(f"{sequence.name}: {doubted(sound)} of the sound drive")
    first = (len(frames) - SPOILT) // 2
    if first < 10:
        return
    here = slice(first, first + SPOILT)
    for name, spoil in SPOIL.items():
        spoilt = frames[: here.start] + spoil(frames[here], np.random.default_rng(0)) + frames[here.stop :]
        poses = follow(model, sequence, spoilt, times)
        before, after = doubted(poses[: here.start]), doubted(poses[here.stop :])
        print(f"    {name}: {doubted(poses[here])}; before {before}, after {after}")
    left = np.r_[0 : here.start, here.stop : len(frames)]
    kept = [frames[k] for k in left]
    driven = np.linalg.norm(sound[here.stop].matrix[:3, 3] - sound[here.start - 1].matrix[:3, 3])
    for name, clock in (("dropped", times[left]), ("dropped, no time says so", times[: len(left)])):
        pose = follow(model, sequence, kept, clock)[here.start]
        bridged = np.linalg.norm(pose.motion[:3])
        print(f"    {name}: {pose.status}, one step of {bridged:.2f} m where the sound drive has {driven:.2f} m")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--root", nargs="*", default=[])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for sequence in [
        *map(open_sequence, arguments.sources),
        *(s for root in arguments.root for s in open_dataset(root)),
    ]:
        report(arguments.model, sequence)


if __name__ == "__main__":
    main()
