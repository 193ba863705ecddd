"""What test_parallel compares: done by one process, and under torchrun by two."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from distilvo import parallel
from distilvo.commands import main as cli
from distilvo.data import Clips, FrameCache, motion_scale, open_cache
from distilvo.distill import checkpoint, trainer
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.regressor import distill_regressor
from distilvo.distill.task import Losses, Supervised
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.network import PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.pipeline.recipes import FoldTeachers, distill_student, train_supervised
from distilvo.sequences import open_dataset
from distilvo.settings import PAPER, Recipe
from tiny_teacher import TINY

EXACT = replace(TINY, batch_norm=False, dropout=0.0)


RECIPE = Recipe(epochs=2, clip_length=3, batch_size=4, mirror=True)


INTERRUPTED_AT = 5


METHODS = {
    "two-stage": PAPER,
    "joint, projected, probabilistic": replace(PAPER, blend="gaussian", schedule="joint", hint_layer="lstm.0"),
    "sigma on frozen layers": replace(PAPER, blend="laplace"),
}


class Broken(Supervised):
    """Its loss is no number in the last process."""

    def forward(self, batch: Any) -> Losses:
        total = super().forward(batch)["total"]
        return {"total": total * float("nan") if parallel.rank() == parallel.size() - 1 else total}


def make(store: FrameCache) -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(EXACT)
    network.set_motion_scale(*motion_scale(store))
    return network.eval()


def weights(network: PoseNetwork) -> str:
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def count_steps() -> list[int]:
    """For each step of training from now on, the clips that this process has of it."""
    clips: list[int] = []
    real = trainer._step

    def step(model: Any, batch: Batch, *arguments: Any) -> float:
        clips.append(len(batch.inputs))
        return real(model, batch, *arguments)

    trainer._step = step
    return clips


def count_drives() -> list[int]:
    """For each drive that a teacher is run on from now on, its frames."""
    frames: list[int] = []
    real = PoseNetwork.predict

    def predict(network: PoseNetwork, drive: torch.Tensor) -> torch.Tensor:
        frames.append(len(drive))
        return real(network, drive)

    PoseNetwork.predict = predict
    return frames


def regress(out: Path) -> dict[str, Any]:
    """``distill_regressor`` in two ways: a module over two parts of the samples, and a function over one."""
    torch.manual_seed(0)
    x = torch.rand(5000, 2, generator=torch.Generator().manual_seed(1)) * 4 - 2
    y = x.sin() + (x > 1) * 0.5
    teacher = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    rows: list[int] = []
    teacher.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])) if len(given[0]) > 1 else None)
    results = {}
    for name, source, kept, more in (
        ("module", teacher, 5000, {"hints": ("0", "0"), "schedule": "two-stage"}),
        ("function", torch.sin, 150, {"blend": "gaussian", "sigma_layer": "1"}),
    ):
        student = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        made = distill_regressor(
            source,
            student,
            (x[:100], y[:100]),
            unlabelled=x[100:kept],
            validation=(x[-50:], y[-50:]),
            baseline=True,
            training=TrainingSettings(40, 1e-2),
            batch_size=16,
            folder=out / name,
            **more,
        )
        tensors = [*student.state_dict().values(), *made.baseline.state_dict().values(), made.trust.phi]
        results[name] = {
            "numbers": torch.cat([tensor.flatten() for tensor in tensors]).tolist(),
            "table": str(made),
            "curves": made.curves,
        }
        results[name]["rows"] = sum(rows) - 50  # without those of the table
    return results


def do_all(data: Path, out: Path) -> dict[str, Any]:
    """What is compared: trainings on ground truth and from a teacher, one that goes on, and one that fails."""
    store = open_cache(open_dataset(data), Preprocessing((48, 160), 1), out / "cache")
    teacher = make(store)
    results: dict[str, Any] = {"curves": {}, "weights": {}}
    steps = count_steps()
    network, results["curves"]["resumed"] = train_supervised(EXACT, store, RECIPE, out / "begun")
    results["clips"] = list(steps)
    results["weights"]["resumed"] = weights(network)
    network, results["curves"]["supervised"] = train_supervised(EXACT, store, RECIPE, out / "supervised")
    results["weights"]["supervised"] = weights(network)
    small, drives = student_architecture(60, EXACT), count_drives()
    for name, method in METHODS.items():
        made = distill_student(teacher, small, store, RECIPE, out / name, outputs=out / "outputs", method=method)
        results["curves"] |= {f"{name}: {stage}": curve for stage, curve in made.curves.items()}
        results["weights"][name] = weights(made.student)
    results["drives"] = len(drives)
    results["regressor"] = regress(out / "regressor")
    folds = FoldTeachers(2, replace(RECIPE, epochs=1, mirror=False))
    # batch norm and dropout: not what one process does, yet alike in all
    made = distill_student(teacher, TINY, store, RECIPE, out / "c", method=PAPER, fold_teachers=folds)
    results["weights"]["cross-fitted"] = weights(made.student)
    results["phi"] = float(made.trust.phi.mean())
    batches = Batches(Clips(store, replace(RECIPE, mirror=False)))
    with pytest.raises(DistilvoError) as failure:
        train(Broken(teacher, teacher.scale), batches, TrainingSettings(4), out / "broken.safetensors", "broken")
    return results | {"failure": str(failure.value)}


def main() -> None:
    """Under torchrun: ``all DATA OUT``, or ``lose RANK`` and a command line in which that process is killed."""
    torch.set_num_threads(1)
    if sys.argv[1] == "all":
        data, out = map(Path, sys.argv[2:])
        (out / f"rank-{parallel.rank()}.json").write_text(json.dumps(do_all(data, out)))
        return
    lost, sys.argv = int(sys.argv[2]), ["distilvo", *sys.argv[3:]]
    checkpoint.EVERY_S = 0.0
    steps, real = [], trainer._step

    def step(*arguments: Any) -> float:
        steps.append(1)
        if len(steps) > INTERRUPTED_AT and parallel.rank() == lost:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    trainer._step = step
    cli.main()


if __name__ == "__main__":
    main()
