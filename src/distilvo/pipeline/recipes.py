"""Whole trainings on drives: a network on ground truth, and a student from its teacher (paper, Section 4.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distilvo.data import Clips, FrameCache, motion_scale
from distilvo.distill.batches import Batch, Batches, TeacherOutputs
from distilvo.distill.checkpoint import Curve
from distilvo.distill.task import (
    PROBABILISTIC,
    Distillation,
    HintLoss,
    ImitationLoss,
    Supervised,
    layer_size,
    parameters_up_to,
)
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.distill.trust import Trust
from distilvo.models.fast_student import space_to_depth_kernel
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.settings import Method, Recipe

TRANSLATION, ROTATION = (0, 1, 2), (3, 4, 5)
"""Components of a motion that can be trusted each by its own error."""

Stage = tuple[str, Distillation, int]
"""Name, task and optimiser steps."""


@dataclass(frozen=True)
class FoldTeachers:
    """How the teachers of a cross-fitted trust are trained: each on the drives of all folds but one.

    Attributes:
        folds: how many, at least 2.
        recipe: of each.
        init: the weights that each begins with; random ones where not given.
    """

    folds: int
    recipe: Recipe
    init: PoseNetwork | None = None


@dataclass(frozen=True)
class Distilled:
    """A distilled student, what its teacher gave it, the trust in that, and the training curves by stage."""

    student: PoseNetwork
    teacher: TeacherOutputs
    trust: Trust
    curves: dict[str, Curve]


def train_supervised(
    architecture: Architecture,
    cache: FrameCache,
    recipe: Recipe,
    folder: Path,
    *,
    label: str = "network",
    init: PoseNetwork | None = None,
    drives: Collection[int] | None = None,
) -> tuple[PoseNetwork, Curve]:
    """Train a network on ground truth alone, from random weights or from those of ``init``.

    Goes on from the checkpoint in ``folder``. ``drives`` are the indices of those to train on, all where not given.
    """
    network = _new(architecture, cache, recipe)
    if init is not None:
        network.load_state_dict(init.state_dict())
        network.rescale(*motion_scale(cache))
    batches = Batches(Clips(cache, recipe, drives))
    settings = _settings(recipe, recipe.epochs * len(batches))
    curve = train(Supervised(network, network.scale), batches, settings, folder / "supervised.safetensors", label)
    return network, curve


def distill_student(
    teacher: PoseNetwork,
    architecture: Architecture,
    cache: FrameCache,
    recipe: Recipe,
    folder: Path,
    *,
    method: Method | None = None,
    outputs: Path | None = None,
    label: str = "student",
    fold_teachers: FoldTeachers | None = None,
) -> Distilled:
    """Distill a student; all stages together take as many steps as ``train_supervised`` with the same recipe.

    Args:
        teacher: trained.
        architecture: of the student.
        cache: the training set.
        recipe: how networks are trained.
        folder: of the checkpoints, one for each stage.
        method: which losses, in which order; the best known where not given, ``settings.PAPER`` is the paper's.
        outputs: folder of the teacher's outputs; ``folder`` where not given.
        label: for the progress bar.
        fold_teachers: measure the teacher's error with these instead, each on drives that it was not trained on.
    """
    method = method or Method()
    known, trust = teacher_outputs(
        teacher, cache, method, outputs or folder, mirror=recipe.mirror, fold_teachers=fold_teachers
    )
    batches = Batches(Clips(cache, recipe), known)
    student = _new(architecture, cache, recipe)
    if method.inherit:
        inherit(student, teacher, cache)
    curves = {}
    for name, task, steps in _stages(student, method, batches, recipe.epochs * len(batches)):
        path = folder / f"{name}.safetensors"
        curves[name] = train(task, batches, _settings(recipe, steps), path, f"{label}: {name}")
        task.close()
    return Distilled(student, known, trust, curves)


def teacher_outputs(
    teacher: PoseNetwork,
    cache: FrameCache,
    method: Method,
    folder: Path,
    *,
    mirror: bool = False,
    fold_teachers: FoldTeachers | None = None,
) -> tuple[TeacherOutputs, Trust]:
    """Run the teacher over the training set, or read what it gave, and measure how far it can be trusted."""
    layer = method.hint_layer or last_fc(teacher.architecture)
    given = run_teacher(teacher, layer, cache, folder, mirror)
    judged = given.motions
    if fold_teachers is not None:
        judged = cross_fit(teacher.architecture, cache, fold_teachers, folder, mirror)
    parts = (TRANSLATION, ROTATION) if method.separate else None
    trust = Trust.fit(judged, given.truth, teacher.scale, method.trust, parts)
    return TeacherOutputs(given.motions, given.hints, trust.phi), trust


def cross_fit(
    architecture: Architecture, cache: FrameCache, how: FoldTeachers, folder: Path, mirror: bool = False
) -> Tensor:
    """Motions (P or 2 P, 6) of teachers that were not trained on the drives that they are run on.

    Drive ``d`` goes to teacher ``d % folds``, which is trained on the drives of all other folds.
    """
    motions = []
    for fold in range(how.folds):
        others = [index for index in range(len(cache.drives)) if index % how.folds != fold]
        own, label = folder / f"fold-{fold}-of-{how.folds}", f"teacher {fold + 1} of {how.folds}"
        network, _ = train_supervised(architecture, cache, how.recipe, own, label=label, init=how.init, drives=others)
        motions.append(run_teacher(network, last_fc(architecture), cache, folder, mirror).motions)
    fold_of = torch.cat(
        [torch.full((drive.frames - 1,), index % how.folds) for index, drive in enumerate(cache.drives)] * (1 + mirror)
    )
    return torch.stack(motions)[fold_of, torch.arange(len(fold_of))]


def inherit(student: PoseNetwork, teacher: PoseNetwork, cache: FrameCache) -> list[str]:
    """Start the student's layers that have the teacher's name and shape from the teacher's weights; gives
    their names. For a student that turns space to depth the teacher's first layer is rewritten.
    """
    own, theirs = student.state_dict(), teacher.state_dict()
    if student.architecture.patch > 1 and teacher.architecture.patch == 1:
        first = "convolutions.0.0.weight"
        stride = teacher.architecture.convolutions[0][2]
        theirs[first] = space_to_depth_kernel(theirs[first], stride, student.architecture.patch)
    kept = {n: v for n, v in theirs.items() if n in own and own[n].shape == v.shape}
    student.load_state_dict({**own, **kept})
    student.rescale(*motion_scale(cache))
    return list(kept)


def last_fc(architecture: Architecture) -> str:
    """Path of the last FC layer in front of the branches: the teacher's hint, the student's guided layer."""
    return f"fc.{len(architecture.fc) - 1}"


def about(cache: FrameCache, recipe: Recipe, **more: Any) -> dict[str, Any]:
    """What is kept with a trained model's weights."""
    data = {"sequences": len(cache.drives), "frames": len(cache.frames), "key": cache.key}
    return {"training": {"recipe": asdict(recipe), "data": data, **more}}


def _stages(student: PoseNetwork, method: Method, batches: Batches, steps: int) -> Iterator[Stage]:
    """The stages of a method; each is made when the one before is done."""
    guided = method.guided_layer or last_fc(student.architecture)
    first = next(batches.epoch(0))
    example = replace(first, inputs=first.inputs[:1], targets=first.targets[:1])
    if method.hint == "none":
        yield "imitation", Distillation(student, imitation=_imitation(student, method, guided, example)), steps
    elif method.schedule == "joint":
        hint = _hint(student, method, guided, example)
        imitation = _imitation(student, method, guided, example)
        yield "joint", Distillation(student, hint, imitation, method.hint_weight), steps
    else:
        hints = round(0.5 * steps)
        trunk = parameters_up_to(student, guided, example.inputs)
        rest = set(student.parameters()) - set(trunk)
        yield "hint", Distillation(student, _hint(student, method, guided, example), frozen=rest), hints
        imitation, frozen = _imitation(student, method, guided, example), trunk if method.freeze else ()
        yield "imitation", Distillation(student, imitation=imitation, frozen=frozen), steps - hints


def _hint(student: PoseNetwork, method: Method, guided: str, example: Batch) -> HintLoss:
    assert example.hints is not None
    sizes = layer_size(student, guided, example), example.hints.shape[-1]
    return HintLoss(student, guided, method.hint == "attentive", sizes)


def _imitation(student: PoseNetwork, method: Method, guided: str, example: Batch) -> ImitationLoss:
    uncertain = (guided, layer_size(student, guided, example)) if method.blend in PROBABILISTIC else None
    return ImitationLoss(student, method.blend, student.scale, method.alpha, uncertain)


def _settings(recipe: Recipe, steps: int) -> TrainingSettings:
    return TrainingSettings(
        steps, recipe.learning_rate, min(100, steps // 5), precision=recipe.precision, seed=recipe.seed
    )


def _new(architecture: Architecture, cache: FrameCache, recipe: Recipe) -> PoseNetwork:
    torch.manual_seed(recipe.seed)
    network = PoseNetwork(architecture)
    network.set_motion_scale(*motion_scale(cache))
    return network
