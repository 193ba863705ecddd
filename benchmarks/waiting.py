"""The share of a training step that waits for data, and the speed of decoding frames for the first time.

    python benchmarks/waiting.py [KITTI]

Students at the demo's size are distilled with hints and imitation at once, on rendered streets whose frames are already
decoded. The share is the time that a step waits for its batch over the time of the whole step. With a KITTI data set
its frames are decoded too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from distilvo.data import Clips, FrameCache, motion_scale, open_cache
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.fast_student import fast_architecture
from distilvo.models.model_folder import load_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.models.teacher import SHIPPED_TEACHER
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.sequences import open_dataset
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
    preprocessing, recipe = teacher.preprocessing, Recipe()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if data is not None:
            for size in (preprocessing.size, (192, 640)):
                report_decoding(data, Preprocessing(size, preprocessing.channels), root / "kitti")
        render_streets(root, range(5_000, 5_016), 80, preprocessing.size)
        cache = report_decoding(root, preprocessing, root / "cache")
        outputs, _ = teacher_outputs(teacher, cache, Method(), root / "cache", mirror=recipe.mirror)
        batches = Batches(Clips(cache, recipe), outputs)
        shapes = {
            "small": fast_architecture("small", preprocessing.size, preprocessing.channels),
            "the paper's, 92.95 %": student_architecture(92.95, teacher.architecture),
        }
        print("| student | threads | step (ms) | waiting (ms) | share |\n|---|---|---|---|---|")
        for name, shape in shapes.items():
            for threads in (1, 2):
                torch.set_num_threads(threads)
                waits, steps = waiting(shape, cache, endless(batches))
                numbers = f"{1e3 * steps:.1f} | {1e3 * waits:.2f} | {waits / steps:.1%}"
                print(f"| {name} | {threads} | {numbers} |", flush=True)


def report_decoding(data: Path, preprocessing: Preprocessing, folder: Path) -> FrameCache:
    """Decode a data set into an empty cache and print the speed."""
    sequences = open_dataset(data)
    begin = time.perf_counter()
    cache = open_cache(sequences, preprocessing, folder)
    rate = len(cache.frames) / (time.perf_counter() - begin)
    source_sizes = {next(sequence.frames()).shape[1::-1] for sequence in sequences}
    sources = ", ".join(f"{width}x{height}" for width, height in sorted(source_sizes))
    size = f"{preprocessing.size[1]}x{preprocessing.size[0]}"
    print(f"first decoding, {sources} to {size}, {os.cpu_count()} cores: {rate:.0f} frames/s")
    return cache


def endless(batches: Batches) -> Iterator[Batch]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


def waiting(shape: Architecture, cache: FrameCache, batches: Iterator[Batch]) -> tuple[float, float]:
    """Mean seconds that a step waits for its batch, and mean seconds of the whole step."""
    torch.manual_seed(0)
    network = PoseNetwork(shape)
    network.set_motion_scale(*motion_scale(cache))
    hint = HintLoss(shape.last_layer, True, shape.fc[-1], torch.randn(64, 128))
    task = Distillation(network, [hint], ImitationLoss("attentive", network.scale, 0.5))
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
