"""What the teacher costs while a student is trained: steps per second, in turns, on one thread.

    python benchmarks/teacher_cost.py
    python benchmarks/teacher_cost.py --teacher paper --shape small --rounds 5

Supervised training of the student against distillation with the teacher's cached answers (each stage, and both at
once), and against asking the teacher at every step. All on rendered streets of the teacher's size; the paper's teacher
has random weights, on which no time depends.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from distilvo.clips import Batch, Clips, motion_scale, open_store
from distilvo.distill.hints import Tap
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, Supervised, Task, parameters_up_to
from distilvo.models.files import load_model
from distilvo.models.network import PoseNetwork
from distilvo.models.student import shaped_architecture
from distilvo.models.teacher import SHIPPED_TEACHER, teacher
from distilvo.recipes import ask, last_fc
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
    parser.add_argument("--rounds", type=int, default=40, help="steps of each way, taken in turns")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--teacher", choices=("demo", "paper"), default="demo")
    parser.add_argument("--shape", choices=get_args(Shape), default="cut")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        steps = _ways(Path(folder), arguments.bf16, arguments.teacher, arguments.shape)
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(arguments.rounds + WARMUP):
            for name, step in steps.items():
                begin = time.perf_counter()
                step()
                if turn >= WARMUP:
                    seconds[name].append(time.perf_counter() - begin)
    plain = np.median(seconds["supervised"])
    print("| way | steps/s | of supervised |\n|---|---|---|")
    for name, taken in seconds.items():
        print(f"| {name} | {1 / np.median(taken):.2f} | {plain / np.median(taken):.2f} |")


def _ways(folder: Path, bf16: bool, name: str, form: Shape) -> dict[str, Callable[[], None]]:
    big = load_model(SHIPPED_TEACHER)[0] if name == "demo" else teacher(name).eval()
    streets, frames = STREETS[name]
    render_streets(folder, range(5_000, 5_000 + streets), frames, big.architecture.size)
    store = open_store(open_dataset(folder), big.architecture.frame_format, folder / "cache")
    lessons, _ = ask(big, store, Method(), folder / "cache")
    recipe = Recipe(batch_size=BATCH[name])
    taught = Clips(store, recipe.clip_length, recipe.batch_size, 0, lessons)
    alone = Clips(store, recipe.clip_length, recipe.batch_size, 0)
    shape = shaped_architecture(form, RATE, big.architecture)
    guided, hint = last_fc(shape), last_fc(big.architecture)

    def student() -> PoseNetwork:
        network = PoseNetwork(shape)
        network.set_motion_scale(*motion_scale(store))
        return network

    def hints(network: PoseNetwork) -> HintLoss:
        return HintLoss(network, guided, True, (shape.fc[-1], big.architecture.fc[-1]))

    def output(network: PoseNetwork) -> ImitationLoss:
        return ImitationLoss(network, "attentive", network.scale, 0.5)

    plain, first, second, both, live = (student() for _ in range(5))
    trunk = parameters_up_to(second, guided, next(alone.epoch(0)).inputs[:1])
    tasks: dict[str, tuple[Task, Clips]] = {
        "supervised": (Supervised(plain, plain.scale), alone),
        "cached teacher, stage 1 (AHT)": (Distillation(first, hints(first)), taught),
        "cached teacher, stage 2 (AIL)": (Distillation(second, None, output(second), frozen=trunk), taught),
        "cached teacher, both at once": (Distillation(both, hints(both), output(both)), taught),
    }
    ways = {name: _stepper(task, _batches(clips), bf16) for name, (task, clips) in tasks.items()}
    asking = (_asked(big, hint, batch) for batch in _batches(alone))
    ways["teacher asked at every step, both at once"] = _stepper(
        Distillation(live, hints(live), output(live)), asking, bf16
    )
    return ways


def _batches(clips: Clips) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from clips.epoch(epoch)
        epoch += 1


@torch.no_grad()
def _asked(big: PoseNetwork, hint: str, batch: Batch) -> Batch:
    with Tap(big, hint) as tap:
        motions = big(batch.inputs)
        return replace(batch, teacher=motions, hints=tap.value, trust=torch.ones(motions.shape[:-1]))


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
