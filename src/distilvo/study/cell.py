"""One cell of a study: a student made in one way with one seed, and how good it is."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.clips import FrameStore
from distilvo.distill.hints import Tap, per_sample
from distilvo.distill.teacher_pass import teacher_pass
from distilvo.errors import DistilvoError
from distilvo.evaluation import Evaluation, evaluate, network_motions, truth
from distilvo.files import read_json, write_json
from distilvo.metrics import rpe
from distilvo.models.files import load_model, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import count_parameters, distillation_rate, shaped_architecture
from distilvo.recipes import FoldTeacher, about, distil, last_fc
from distilvo.study.plan import QUANTILES, Plan, Row


class Bench:
    """Where a study's cells are made: the plan, the streets, the teacher and what it said."""

    def __init__(self, plan: Plan, out: Path, train: FrameStore, test: FrameStore) -> None:
        self.plan, self.out, self.train, self.test = plan, out, train, test
        self.teacher, _ = load_model(out / "teacher")
        self.answers = out / "cache"

    @property
    def fold_teacher(self) -> FoldTeacher:
        """Teachers of a cross-fitted trust begin where the teacher began."""
        begin = self.out / "teacher_begin"
        return FoldTeacher(self.plan.fold_teacher, load_model(begin)[0] if begin.exists() else None)

    def architecture(self, row: Row) -> Architecture:
        """The shape of a row's student."""
        shape = shaped_architecture(row.shape, row.rate, self.teacher.architecture)
        return replace(shape, dropout=self.plan.dropout)

    def path(self, row: Row, seed: int) -> Path:
        """The file that a finished cell leaves behind."""
        return self.out / "cells" / row.name / f"{seed}.json"

    def is_done(self, row: Row, seed: int) -> bool:
        """Whether a cell is there.

        Raises:
            DistilvoError: there is one of this name that was made in another way.
        """
        path = self.path(row, seed)
        if not path.exists():
            return False
        if read_json(path)["asked"] != asdict(row.method) | {"rate": row.rate, "shape": row.shape}:
            raise DistilvoError(
                f"{path}: row '{row.name}' was made with other settings; rename the row or remove the file"
            )
        return True

    def make(self, row: Row, seed: int) -> None:
        """Train and measure one cell; one that is there already is left as it is."""
        if self.is_done(row, seed):
            return
        done, plan, architecture = self.path(row, seed), self.plan, self.architecture(row)
        recipe = replace(plan.recipe, seed=seed)
        work = done.with_suffix("")
        begin = time.monotonic()
        label = f"{row.name} {seed}"
        made = distil(
            self.teacher, architecture, self.train, recipe, work, self.answers, label, row.method, self.fold_teacher
        )
        seconds = time.monotonic() - begin
        save_model(made.student, self.out / "models" / row.name / str(seed), about(self.train, recipe, row=row.name))
        found = evaluate(network_motions(made.student), self.test, label)
        own = {
            "row": row.name,
            "asked": asdict(row.method) | {"rate": row.rate, "shape": row.shape},
            "method": row.method.blend,
            "hint": row.method.hint,
            "schedule": row.method.schedule,
            "rate": distillation_rate(architecture, self.teacher.architecture),
            "seed": seed,
            "parameters": count_parameters(architecture),
            "train_s": seconds,
            "steps": sum(points[-1][0] for points in made.curves.values()),
            "hint_error": self._hint_error(row, made.student),
            "trust": {"mean": float(made.trust.phi.mean()), "least": float(made.trust.phi.min())},
        }
        write_json(done, own | measures(found, self.test))
        shutil.rmtree(work)

    def _hint_error(self, row: Row, student: PoseNetwork) -> float | None:
        """Held-out reconstruction error of the hint as a share of its variance; None where sizes differ, or no hint."""
        method = row.method
        if method.hint == "none":
            return None
        guided = method.guided_layer or last_fc(student.architecture)
        hint = method.hint_layer or last_fc(self.teacher.architecture)
        said = teacher_pass(self.teacher, hint, self.test, self.answers).hints
        found = _outputs(student, guided, self.test)
        if found.shape != said.shape:
            return None
        variance = (said - said.mean(0)).square().sum(-1).mean()
        return float((found - said).square().sum(-1).mean() / variance)


def measures(found: Evaluation, store: FrameStore) -> dict[str, Any]:
    """Errors of a model on a store, as ``Cell`` and ``Reference`` have them."""
    pairs = [rpe(found.estimates[drive.name], truth(store, index)) for index, drive in enumerate(store.drives)]
    translation, rotation = (np.concatenate(errors) for errors in zip(*pairs, strict=True))
    return {
        "rms_rpe_t_m": found.rms_rpe_t_m,
        "rms_rpe_r_deg": found.rms_rpe_r_deg,
        "ate_m": found.ate_m,
        "error_t_m": _quantiles(translation),
        "error_r_deg": _quantiles(np.rad2deg(rotation)),
    }


def _quantiles(errors: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.percentile(errors, QUANTILES)]


@torch.no_grad()
def _outputs(network: PoseNetwork, path: str, store: FrameStore) -> Tensor:
    """What a layer gives for each frame pair of a store, (P, K)."""
    outputs = []
    with Tap(network, path) as tap:
        for index in range(len(store.drives)):
            frames = store.drive_frames(index)
            tap.values.clear()
            network.predict(frames)
            outputs.append(per_sample(tap.value, (1, len(frames) - 1))[0])
    return torch.cat(outputs)
