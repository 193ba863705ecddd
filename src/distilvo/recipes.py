"""Whole trainings: a network on ground truth, and a student from its teacher (paper, Section 4.2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distilvo.clips import Clips, FrameStore, Lessons, motion_scale
from distilvo.distill.task import (
    PROBABILISTIC,
    Distillation,
    HintLoss,
    ImitationLoss,
    Supervised,
    layer_size,
    parameters_up_to,
)
from distilvo.distill.teacher_pass import teacher_pass
from distilvo.distill.trust import ROTATION, TRANSLATION, Trust
from distilvo.models.fast import folded
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.settings import Method, Recipe
from distilvo.training import Curve, TrainingSettings, train


@dataclass(frozen=True)
class FoldTeacher:
    """How each teacher of a cross-fitted trust is trained: from the weights that the teacher itself began with."""

    recipe: Recipe
    init: PoseNetwork | None = None


@dataclass(frozen=True)
class Distilled:
    """A distilled student, what it was taught with, the trust in that, and its training curves by stage."""

    student: PoseNetwork
    lessons: Lessons
    trust: Trust
    curves: dict[str, Curve]


def train_supervised(
    architecture: Architecture,
    store: FrameStore,
    recipe: Recipe,
    folder: Path,
    label: str = "network",
    init: PoseNetwork | None = None,
    drives: Collection[int] | None = None,
) -> tuple[PoseNetwork, Curve]:
    """Train a network on ground truth alone, from random weights or from those of ``init``.

    Goes on from the checkpoint in ``folder``. ``drives`` are the indices of those to train on, all where not given.
    """
    network = _new(architecture, store, recipe)
    if init is not None:
        network.load_state_dict(init.state_dict())
        network.rescale(*motion_scale(store))
    clips = Clips(store, recipe.clip_length, recipe.batch_size, recipe.seed, mirror=recipe.mirror, drives=drives)
    settings = _settings(recipe, recipe.epochs * len(clips))
    curve = train(Supervised(network, network.scale), clips, settings, folder / "supervised.safetensors", label)
    return network, curve


def distil(
    teacher: PoseNetwork,
    architecture: Architecture,
    store: FrameStore,
    recipe: Recipe,
    folder: Path,
    cache: Path | None = None,
    label: str = "student",
    method: Method | None = None,
    fold_teacher: FoldTeacher | None = None,
) -> Distilled:
    """Distil a student, by default with attentive hints, then attentive imitation of what comes after the guided layer.

    All stages together take as many steps as ``train_supervised`` with the same recipe.

    Args:
        teacher: trained.
        architecture: of the student.
        store: the training set.
        recipe: how networks are trained.
        folder: of the checkpoints, one for each stage.
        cache: of the teacher's answers; ``folder`` where not given.
        label: for the progress bar.
        method: which losses, in which order; the paper's own where not given.
        fold_teacher: how to train the teachers of a cross-fitted trust, where ``method.folds`` asks for them.
    """
    method = method or Method()
    lessons, trust = ask(teacher, store, method, cache or folder, recipe.mirror, fold_teacher)
    clips = Clips(store, recipe.clip_length, recipe.batch_size, recipe.seed, lessons, recipe.mirror)
    student = _new(architecture, store, recipe)
    if method.inherit:
        inherit(student, teacher, store)
    curves = {}
    for name, task, steps in _Stages(student, method, clips, recipe.epochs * len(clips)):
        path = folder / f"{name}.safetensors"
        curves[name] = train(task, clips, _settings(recipe, steps), path, f"{label}: {name}")
        task.close()
    return Distilled(student, lessons, trust, curves)


def ask(
    teacher: PoseNetwork,
    store: FrameStore,
    method: Method,
    cache: Path,
    mirror: bool = False,
    fold_teacher: FoldTeacher | None = None,
) -> tuple[Lessons, Trust]:
    """Run the teacher over the training set, or read what it said, and measure how far it can be trusted."""
    layer = method.hint_layer or last_fc(teacher.architecture)
    said = teacher_pass(teacher, layer, store, cache, mirror)
    judged = said.motions
    if method.folds:
        judged = cross_fit(teacher.architecture, store, method.folds, fold_teacher, cache, mirror)
    parts = (TRANSLATION, ROTATION) if method.separate else None
    trust = Trust.fit(judged, said.truth, teacher.scale, method.trust, parts)
    return Lessons(said.motions, said.hints, trust.phi), trust


def cross_fit(
    architecture: Architecture,
    store: FrameStore,
    folds: int,
    how: FoldTeacher | None,
    cache: Path,
    mirror: bool = False,
) -> Tensor:
    """Motions (P or 2 P, 6) of teachers that were not trained on the drives that they are asked about.

    Drive ``d`` is asked of teacher ``d % folds``, which is trained on the drives of all other folds.
    """
    how = how or FoldTeacher(Recipe())
    answers = []
    for fold in range(folds):
        others = [index for index in range(len(store.drives)) if index % folds != fold]
        folder, label = cache / f"fold-{fold}-of-{folds}", f"teacher {fold + 1} of {folds}"
        network, _ = train_supervised(architecture, store, how.recipe, folder, label, how.init, others)
        answers.append(teacher_pass(network, last_fc(architecture), store, cache, mirror).motions)
    fold_of = torch.cat(
        [torch.full((drive.frames - 1,), index % folds) for index, drive in enumerate(store.drives)] * (1 + mirror)
    )
    return torch.stack(answers)[fold_of, torch.arange(len(fold_of))]


def inherit(student: PoseNetwork, teacher: PoseNetwork, store: FrameStore) -> list[str]:
    """Start the student's layers that have the teacher's name and shape from the teacher's weights; gives
    their names. A student that folds its pictures has the teacher's first layer folded.
    """
    own, theirs = student.state_dict(), teacher.state_dict()
    if student.architecture.patch > 1 and teacher.architecture.patch == 1:
        first = "convolutions.0.0.weight"
        theirs[first] = folded(theirs[first], teacher.architecture.convolutions[0][2], student.architecture.patch)
    kept = {n: v for n, v in theirs.items() if n in own and own[n].shape == v.shape}
    student.load_state_dict({**own, **kept})
    student.rescale(*motion_scale(store))
    return list(kept)


def last_fc(architecture: Architecture) -> str:
    """Path of the last FC layer in front of the branches: the teacher's hint, the student's guided layer."""
    return f"fc.{len(architecture.fc) - 1}"


def about(store: FrameStore, recipe: Recipe, **more: Any) -> dict[str, Any]:
    """What is kept with a trained model's weights."""
    data = {"sequences": len(store.drives), "frames": len(store.frames), "key": store.key}
    return {"training": {"recipe": asdict(recipe), "data": data, **more}}


class _Stages:
    """The stages of a method, each as (name, task, steps); each is made when the one before is done."""

    def __init__(self, student: PoseNetwork, method: Method, clips: Clips, steps: int) -> None:
        self.student, self.method, self.clips, self.steps = student, method, clips, steps
        self.guided = method.guided_layer or last_fc(student.architecture)
        first = next(clips.epoch(0))
        self.example = replace(first, inputs=first.inputs[:1], targets=first.targets[:1])

    def __iter__(self) -> Any:
        method, student = self.method, self.student
        if method.hint == "none":
            yield "imitation", Distillation(student, imitation=self._imitation()), self.steps
        elif method.schedule == "joint":
            both = Distillation(student, self._hint(), self._imitation(), method.hint_weight)
            yield "joint", both, self.steps
        else:
            first = round(method.hint_share * self.steps)
            trunk = parameters_up_to(student, self.guided, self.example.inputs)
            rest = set(student.parameters()) - set(trunk)
            yield "hint", Distillation(student, self._hint(), frozen=rest), first
            frozen = trunk if method.freeze else ()
            yield "imitation", Distillation(student, imitation=self._imitation(), frozen=frozen), self.steps - first

    def _hint(self) -> HintLoss:
        assert self.clips.lessons is not None
        sizes = layer_size(self.student, self.guided, self.example), self.clips.lessons.hints.shape[-1]
        return HintLoss(self.student, self.guided, self.method.hint == "attentive", sizes)

    def _imitation(self) -> ImitationLoss:
        uncertain = None
        if self.method.blend in PROBABILISTIC:
            uncertain = self.guided, layer_size(self.student, self.guided, self.example)
        return ImitationLoss(self.student, self.method.blend, self.student.scale, self.method.alpha, uncertain)


def _settings(recipe: Recipe, steps: int) -> TrainingSettings:
    return TrainingSettings(
        steps, recipe.learning_rate, min(100, steps // 5), precision=recipe.precision, seed=recipe.seed
    )


def _new(architecture: Architecture, store: FrameStore, recipe: Recipe) -> PoseNetwork:
    torch.manual_seed(recipe.seed)
    network = PoseNetwork(architecture)
    network.set_motion_scale(*motion_scale(store))
    return network
