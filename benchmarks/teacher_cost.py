"""What the teacher costs while a student is trained: steps per second, interleaved, on one thread.

    python benchmarks/teacher_cost.py
    python benchmarks/teacher_cost.py --teacher paper --shape small --rounds 5

Supervised training of the student against distillation with the teacher's cached outputs (each stage, and both at
once), and against running the teacher at every step. All on rendered streets of the teacher's size; teachers have
random weights, since times do not depend on weights.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from distilvo.data import Clips, motion_scale, open_cache
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.hints import Tap
from distilvo.distill.shapes import per_sample
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, Supervised, Task, parameters_up_to
from distilvo.models.network import PoseNetwork
from distilvo.models.student import shaped_architecture
from distilvo.models.teacher import teacher_architecture
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.sequences import open_dataset
from distilvo.settings import Method, Recipe, Shape
from distilvo.world.dataset import render_streets

RATE = 92.95
WARMUP = 2
STREETS = {"demo": (16, 80), "paper": (2, 60)}  # and frames of each
BATCH = {"demo": 8, "paper": 2}  # clips of 8 motions


def main() -> None:
    """Print one row for each way to train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="interleaved steps of each way")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--teacher", choices=("demo", "paper"), default="demo")
    parser.add_argument("--shape", choices=get_args(Shape), default="cut")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        steps = _ways(Path(folder), arguments.bf16, arguments.teacher, arguments.shape)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for run in range(arguments.rounds + WARMUP):
            for name, step in steps.items():
                begin = time.perf_counter()
                step()
                if run >= WARMUP:
                    seconds[name].append(time.perf_counter() - begin)
    plain = np.median(seconds["supervised"])
    print("| way | steps/s | of supervised |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {1 / np.median(taken):.2f} | {plain / np.median(taken):.2f} |")


def _ways(folder: Path, bf16: bool, name: str, form: Shape) -> dict[str, Callable[[], None]]:
    """A step of each way to train, by name."""
    big = PoseNetwork(teacher_architecture(name)).eval()
    streets, frames = STREETS[name]
    render_streets(folder, range(5_000, 5_000 + streets), frames, big.architecture.size)
    cache = open_cache(open_dataset(folder), big.preprocessing, folder / "cache")
    recipe = Recipe(batch_size=BATCH[name])
    outputs, _ = teacher_outputs(big, cache, Method(), folder / "cache", mirror=recipe.mirror)
    clips = Clips(cache, recipe)
    with_teacher, without_teacher = Batches(clips, outputs), Batches(clips)
    shape = shaped_architecture(form, RATE, big.architecture)
    guided, hint = shape.last_layer, big.architecture.last_layer

    def student() -> PoseNetwork:
        network = PoseNetwork(shape)
        network.set_motion_scale(*motion_scale(cache))
        return network

    def hints() -> HintLoss:
        return HintLoss(guided, True, shape.fc[-1], outputs.hints[0])

    def output(network: PoseNetwork) -> ImitationLoss:
        return ImitationLoss("attentive", network.scale, 0.5)

    plain, first, second, both, live = (student() for _ in range(5))
    trunk = parameters_up_to(second, guided, next(without_teacher.epoch(0)).inputs[:1])
    tasks: dict[str, tuple[Task, Batches]] = {
        "supervised": (Supervised(plain, plain.scale), without_teacher),
        "cached teacher, stage 1 (AHT)": (Distillation(first, [hints()]), with_teacher),
        "cached teacher, stage 2 (AIL)": (Distillation(second, imitation=output(second), frozen=trunk), with_teacher),
        "cached teacher, both at once": (Distillation(both, [hints()], output(both)), with_teacher),
    }
    ways = {name: _stepper(task, _endless(batches), bf16) for name, (task, batches) in tasks.items()}
    at_every_step = (_with_teacher(big, hint, batch) for batch in _endless(without_teacher))
    ways["teacher run at every step, both at once"] = _stepper(
        Distillation(live, [hints()], output(live)), at_every_step, bf16
    )
    return ways


def _endless(batches: Batches) -> Iterator[Batch]:
    """The batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


@torch.no_grad()
def _with_teacher(big: PoseNetwork, hint: str, batch: Batch) -> Batch:
    """A batch with the outputs of the teacher, which is run on it."""
    with Tap(big, hint) as tap:
        motions = big(batch.inputs)
        hint_values = per_sample(tap.take(), motions.shape[:-1])
        return replace(batch, teacher=motions, hints=(hint_values,), trust=torch.ones(motions.shape[:-1]))


def _stepper(task: Task, batches: Iterator[Batch], bf16: bool) -> Callable[[], None]:
    optimiser = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], 1e-4)
    task.train()

    def step() -> None:
        batch = next(batches)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            total = task(batch)["total"]
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    return step


if __name__ == "__main__":
    main()
