"""One cell of a study: one student, distilled by the method of a row with one seed, and its errors."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo import parallel
from distilvo.data import Clips, FrameCache, open_cache
from distilvo.distill.batches import TeacherOutputs
from distilvo.distill.hints import Tap
from distilvo.distill.shapes import per_sample
from distilvo.distill.trust import Trust
from distilvo.errors import DistilvoError
from distilvo.files import read_json, remove_inside, write_json
from distilvo.models.kinds import AnyArchitecture, count_parameters, distillation_rate
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.network import Architecture
from distilvo.models.student import shaped_architecture
from distilvo.output_folders import differences
from distilvo.pipeline.evaluation import Evaluation, evaluate, network_motions
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.pipeline.recipes import (
    Distilled,
    FoldTeachers,
    about,
    begin_in_unit,
    check_layers,
    cross_fit,
    distill_student,
)
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe
from distilvo.study.plan import QUANTILES, Plan, Row
from distilvo.study.study_drives import StudyDrives, labelled_drives
from distilvo.trajectory.metrics import Errors

_OF_VALIDATION = ("validation_t_m", "validation_r_deg", "validation_ate_m")
_OF_DRIVES = ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m", "t_rel_percent", "r_rel_deg_per_100m")
TRIAL_SEED = 1_000_003
"""Of trainings that choose a learning rate: no seed of a study's own."""


class Workshop:
    """Makes the cells of a study from the plan, the frames, the teacher and its outputs."""

    def __init__(self, plan: Plan, out: Path, drives: StudyDrives) -> None:
        self.plan, self.out, self.drives = plan, out, drives
        self.train, self.test = drives.train, drives.test
        self.teacher, _ = load_model(out / "teacher")
        self.outputs = out / "cache"

    def fold_teachers(self, row: Row) -> FoldTeachers | None:
        """Teachers of a cross-fitted trust, with the first weights of the teacher; None where a row has no folds."""
        if not row.folds:
            return None
        begin = self.out / "teacher_begin"
        if not begin.exists():
            return FoldTeachers(row.folds, self.plan.fold_teacher)
        network, config = load_model(begin, to_train=True)
        begin_in_unit(network, config, self.train)
        return FoldTeachers(row.folds, self.plan.fold_teacher, network)

    def data(self, row: Row) -> FrameCache:
        """The part of the training set that a row is trained on, with the labels that it has."""
        labelled = labelled_drives(self.plan, self.train)
        if row.labels == "all" or not labelled:
            return self.train
        if row.labels == "film":
            return self.train.with_labels_of(labelled)
        sequences = open_dataset(self.out / "data/train")
        chosen = [sequences[index] for index in labelled]
        return open_cache(chosen, self.teacher.architecture.preprocessing, self.outputs, "labelled drives")

    def epochs(self, row: Row, share: float = 1.0) -> int:
        """Of a row, so that all rows of one budget take as many optimiser steps, whatever they are trained on."""
        batches = [len(Clips(data, self.plan.recipe)) for data in (self.train, self.data(row))]
        return max(1, round(self.plan.recipe.epochs * row.budget * share * batches[0] / batches[1]))

    def teacher_outputs(self, row: Row) -> tuple[TeacherOutputs, Trust]:
        """The teacher's outputs for a row's students, and the trust in them."""
        mirror, folds, data = self.plan.recipe.mirror, self.fold_teachers(row), self.data(row)
        judged = None if folds is None else cross_fit(self.teacher, data, folds, self.outputs, mirror)
        phi = self.oracle(row)
        return teacher_outputs(self.teacher, data, row.method, self.outputs, mirror=mirror, judged=judged, phi=phi)

    def oracle(self, row: Row) -> Tensor | None:
        """Trust by the true error of all that a row is trained on, where it wants that."""
        if not row.oracle:
            return None
        method = replace(row.method, trust="ratio")
        _, trust = teacher_outputs(self.teacher, self.train, method, self.outputs, mirror=self.plan.recipe.mirror)
        return trust.phi

    def architecture(self, row: Row) -> AnyArchitecture:
        """The architecture of a row's student."""
        return _architecture(self.plan, row, self.teacher.architecture)

    def path(self, row: Row, seed: int) -> Path:
        """The file of a finished cell."""
        return self.out / "cells" / row.name / f"{seed}.json"

    def is_done(self, row: Row, seed: int) -> bool:
        """Whether a cell is finished.

        Raises:
            DistilvoError: the cell was made with other settings of its row.
        """
        return _is_made(self.path(row, seed), row)

    def make(self, row: Row, seed: int) -> None:
        """Train and measure one cell; a finished one is left as it is."""
        if self.is_done(row, seed):
            return
        path, begin = self.path(row, seed), time.monotonic()
        recipe = replace(self.plan.recipe, seed=seed, epochs=self.epochs(row), learning_rate=self.learning_rate(row))
        distilled = self._distil(row, recipe, path.with_suffix(""))
        seconds = time.monotonic() - begin
        student, phi, architecture = distilled.student, distilled.trust.phi, self.architecture(row)
        save_model(student, self.out / "models" / row.name / str(seed), about(self.data(row), recipe, row=row.name))
        facts = {
            "row": row.name,
            "settings": _settings(row),
            "method": row.method.blend,
            "hint": row.method.hint,
            "schedule": row.method.schedule,
            "rate": distillation_rate(architecture, self.teacher.architecture),
            "seed": seed,
            "parameters": count_parameters(architecture),
            "learning_rate": recipe.learning_rate,
            **self._validation(student),
            "train_s": seconds,
            "steps": sum(points[-1][0] for points in distilled.curves.values()),
            "hint_error": self._hint_error(row, student),
            "trust": {"mean": float(phi.mean()), "least": float(phi.min())},
        }
        write_json(path, facts | measures(evaluate(network_motions(student), self.test, f"{row.name} {seed}")))
        remove_inside(path.with_suffix(""), self.out)

    def trial_row(self, row: Row) -> Row:
        """The first row that differs from this one in its budget alone, with the plan's: they share their trials."""
        same = next(one for one in self.plan.rows.values() if one.training == row.training)
        return replace(same, budget=1.0)

    def trial_path(self, row: Row, learning_rate: float) -> Path:
        """The file of a finished trial of a learning rate."""
        return self.out / "trials" / self.trial_row(row).name / f"{learning_rate:g}.json"

    def is_tried(self, row: Row, learning_rate: float) -> bool:
        """Whether a trial is finished; raises as ``is_done`` does."""
        return _is_made(self.trial_path(row, learning_rate), self.trial_row(row))

    def try_rate(self, row: Row, learning_rate: float) -> None:
        """Train a row once with a learning rate and write its errors on the drives for validation."""
        if self.is_tried(row, learning_rate):
            return
        assert self.plan.choice is not None
        row, path = self.trial_row(row), self.trial_path(row, learning_rate)
        epochs = self.epochs(row, self.plan.choice.budget)
        recipe = replace(self.plan.recipe, seed=TRIAL_SEED, epochs=epochs, learning_rate=learning_rate)
        student = self._distil(row, recipe, path.with_suffix("")).student
        write_json(path, {"settings": _settings(row), **self._validation(student)})
        remove_inside(path.with_suffix(""), self.out)

    def learning_rate(self, row: Row) -> float:
        """The learning rate of a row: of those tried the one with the smallest errors on the drives for validation.

        Errors of translation and rotation have no common unit: their product decides.
        """
        if self.plan.choice is None:
            return self.plan.recipe.learning_rate

        def error(learning_rate: float) -> float:
            measured = read_json(self.trial_path(row, learning_rate))
            return float(measured["validation_t_m"] * measured["validation_r_deg"])

        return min(self.plan.choice.learning_rates, key=error)

    def _distil(self, row: Row, recipe: Recipe, checkpoints: Path) -> Distilled:
        return distill_student(
            self.teacher,
            self.architecture(row),
            self.data(row),
            recipe,
            checkpoints,
            method=row.method,
            outputs=self.outputs,
            label=f"{row.name} {recipe.seed}",
            fold_teachers=self.fold_teachers(row),
            phi=self.oracle(row),
        )

    def _validation(self, student: MotionNetwork) -> dict[str, float | None]:
        if self.drives.validation is None:
            return dict.fromkeys(_OF_VALIDATION)
        total = evaluate(network_motions(student), self.drives.validation, "validation").total
        errors = (total.rms_rpe_t_m, total.rms_rpe_r_deg, total.ate_m)
        return dict(zip(_OF_VALIDATION, errors, strict=True))

    def _hint_error(self, row: Row, student: MotionNetwork) -> float | None:
        """Held-out reconstruction error of the hint as a share of its variance.

        None where the layers differ in size, or the student was trained with a projection between them.
        """
        method = row.method
        if method.hint_form in (None, "mean"):
            return None
        guided = method.guided_layer or student.architecture.last_layer
        hint = method.hint_layer or self.teacher.architecture.last_layer
        hints = run_teacher(self.teacher, hint, self.test, self.outputs).hints
        outputs = _outputs(student, guided, self.test)
        if outputs.shape != hints.shape:
            return None
        variance = (hints - hints.mean(0)).square().sum(-1).mean()
        return float((outputs - hints).square().sum(-1).mean() / variance)


def check_rows(plan: Plan, teacher: AnyArchitecture) -> None:
    """Raise DistilvoError, naming the row, where there is no student of a row, or a layer of it is not there."""
    for row in plan.rows.values():
        advice = "; or give another --teacher"
        try:
            student = _architecture(plan, row, teacher)
            advice = ""
            check_layers(teacher, student, row.method)
        except DistilvoError as error:
            raise DistilvoError(f"row '{row.name}': {error}{advice}") from None


def _architecture(plan: Plan, row: Row, teacher: AnyArchitecture) -> AnyArchitecture:
    shape = shaped_architecture(row.shape, row.rate, teacher)
    return replace(shape, dropout=plan.dropout) if isinstance(shape, Architecture) else shape


def measures(evaluation: Evaluation) -> dict[str, Any]:
    """Errors of a model on a cache, as ``Cell`` and ``Reference`` have them."""
    total, pooled = evaluation.total, evaluation.pooled
    return {
        "rms_rpe_t_m": total.rms_rpe_t_m,
        "rms_rpe_r_deg": total.rms_rpe_r_deg,
        "ate_m": total.ate_m,
        "t_rel_percent": total.t_rel_percent,
        "r_rel_deg_per_100m": total.r_rel_deg_per_100m,
        "error_t_m": _quantiles(pooled.rpe_t_m),
        "error_r_deg": _quantiles(pooled.rpe_r_deg),
        "error_ate_m": _quantiles(pooled.ate_m),
        "drives": {name: _of_drive(errors) for name, errors in evaluation.errors.items()},
    }


def _of_drive(errors: Errors) -> dict[str, float | None]:
    return {name: getattr(errors, name) for name in _OF_DRIVES}


def _is_made(path: Path, row: Row) -> bool:
    if not path.exists():
        return False
    if changed := differences(read_json(path)["settings"], _settings(row)):
        raise DistilvoError(
            f"{path}: row '{row.name}' was made with other settings ({changed}); rename the row or remove the file"
        )
    return True


def _settings(row: Row) -> dict[str, Any]:
    """Settings of a row, as the files of its cells hold them."""
    more = {"rate": row.rate, "shape": row.shape, "folds": row.folds, "labels": row.labels, "oracle": row.oracle}
    return asdict(row.method) | more | {"budget": row.budget}


def _quantiles(errors: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.percentile(errors, QUANTILES)]


@torch.no_grad()
def _outputs(network: MotionNetwork, path: str, cache: FrameCache) -> Tensor:
    """Outputs of a layer for each frame pair of a cache, (P, K)."""
    outputs = []
    with parallel.on_device(network) as device, Tap(network, path) as tap:
        for index in range(len(cache.drives)):
            frames = cache.drive_frames(index)
            network.predict(frames.to(device))
            outputs.append(per_sample(tap.take(), (1, len(frames) - 1))[0].cpu())
    return torch.cat(outputs)
