"""What share of a training step is spent waiting for data, and how fast frames are decoded the first time.

    python benchmarks/waiting.py [KITTI]

Students at the demo's size, distilled with hints and imitation at once, on rendered streets whose frames are decoded
already: the time that a step waits for its batch over the time of the whole step. With the folder of a KITTI data set
its frames are decoded, too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from distilvo.clips import Batch, Clips, FrameStore, motion_scale, open_store
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss
from distilvo.models.fast import fast_architecture
from distilvo.models.files import load_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.models.teacher import SHIPPED_TEACHER
from distilvo.recipes import ask, last_fc
from distilvo.sequences import open_dataset
from distilvo.sequences.frame_format import FrameFormat
from distilvo.settings import Method, Recipe
from distilvo.world.dataset import render_streets

WARM_UP, STEPS = 5, 40


def main() -> None:
    """Print the decoding speed, then one row for each student and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, help="KITTI data set, to be decoded for the first time")
    data = parser.parse_args().data
    torch.set_flush_denormal(True)
    teacher, _ = load_model(SHIPPED_TEACHER)
    form, recipe = teacher.architecture.frame_format, Recipe()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if data is not None:
            for size in (form.size, (192, 640)):
                report_decoding(data, FrameFormat(size, form.channels), root / "kitti")
        render_streets(root, range(5_000, 5_016), 80, form.size)
        store = report_decoding(root, form, root / "cache")
        lessons, _ = ask(teacher, store, Method(), root / "cache")
        clips = Clips(store, recipe.clip_length, recipe.batch_size, 0, lessons)
        shapes = {
            "small": fast_architecture("small", form.size, form.channels),
            "the paper's, 92.95 %": student_architecture(92.95, teacher.architecture),
        }
        print("| student | threads | step (ms) | waiting (ms) | share |\n|---|---|---|---|---|")
        for name, shape in shapes.items():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                waits, steps = waiting(shape, store, endless(clips))
                figures = f"{1e3 * steps:.1f} | {1e3 * waits:.2f} | {waits / steps:.1%}"
                print(f"| {name} | {threads} | {figures} |", flush=True)


def report_decoding(data: Path, form: FrameFormat, cache: Path) -> FrameStore:
    """Decode a data set into an empty cache and say how fast that was."""
    sequences = open_dataset(data)
    begin = time.perf_counter()
    store = open_store(sequences, form, cache)
    rate = len(store.frames) / (time.perf_counter() - begin)
    sizes = {next(sequence.frames()).shape[1::-1] for sequence in sequences}
    sources = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
    print(f"first decoding, {sources} to {form.size[1]}x{form.size[0]}, {os.cpu_count()} cores: {rate:.0f} frames/s")
    return store


def endless(clips: Clips) -> Iterator[Batch]:
    """The batches of one epoch after the other."""
    epoch = 0
    while True:
        yield from clips.epoch(epoch)
        epoch += 1


def waiting(shape: Architecture, store: FrameStore, batches: Iterator[Batch]) -> tuple[float, float]:
    """Mean seconds that a step waits for its batch, and mean seconds of the whole step."""
    torch.manual_seed(0)
    network = PoseNetwork(shape)
    network.set_motion_scale(*motion_scale(store))
    hint = HintLoss(network, last_fc(shape), True, (shape.fc[-1], 128))
    task = Distillation(network, hint, ImitationLoss(network, "attentive", network.scale, 0.5))
    optimiser = torch.optim.Adam(task.parameters(), 1e-4)
    task.train()
    waited, taken = [], []
    for _ in range(WARM_UP + STEPS):
        begin = time.perf_counter()
        batch = next(batches)
        waited.append(time.perf_counter() - begin)
        total = task(batch)["total"]
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 10.0)
        optimiser.step()
        taken.append(time.perf_counter() - begin)
    return float(np.mean(waited[WARM_UP:])), float(np.mean(taken[WARM_UP:]))


if __name__ == "__main__":
    main()
