"""Whole trainings: a network on ground truth, and a student from its teacher in two stages (paper, Section 4.2)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from distilvo.clips import Clips, FrameStore, Lessons, motion_scale
from distilvo.distill.task import HintStage, ImitationStage, Supervised, parameters_up_to
from distilvo.distill.teacher_pass import teacher_pass
from distilvo.distill.trust import Trust
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.settings import Recipe
from distilvo.training import Curve, TrainingSettings, train


@dataclass(frozen=True)
class Distilled:
    """A distilled student, the trust that it was taught with, and its training curves by stage."""

    student: PoseNetwork
    trust: Trust
    curves: dict[str, Curve]


def train_supervised(
    architecture: Architecture,
    store: FrameStore,
    recipe: Recipe,
    folder: Path,
    label: str = "network",
    init: PoseNetwork | None = None,
) -> tuple[PoseNetwork, Curve]:
    """Train a network on ground truth alone, from random weights or from those of ``init``.

    Goes on from the checkpoint in ``folder``.
    """
    network = _new(architecture, store, recipe)
    if init is not None:
        network.load_state_dict(init.state_dict())
        network.rescale(*motion_scale(store))
    clips = cut(store, recipe)
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
) -> Distilled:
    """Distil a student: attentive hint training, then attentive imitation of what comes after the guided layer.

    Both stages together take as many steps as ``train_supervised`` with the same recipe.

    Args:
        teacher: trained; its last FC layer is the hint.
        architecture: of the student; its last FC layer is guided.
        store: the training set.
        recipe: how.
        folder: of the checkpoints, one for each stage.
        cache: of the teacher's answers; ``folder`` where not given.
        label: for the progress bar.
    """
    lessons, trust = teacher_pass(teacher, last_fc(teacher.architecture), store, cache or folder)
    student = _new(architecture, store, recipe)
    guided = last_fc(architecture)
    clips = cut(store, recipe, lessons)
    steps = recipe.epochs * len(clips)
    hint_steps = round(recipe.hint_share * steps)
    trunk = parameters_up_to(student, guided, next(clips.epoch(0)).inputs[:1])
    first = HintStage(student, guided)
    settings = _settings(recipe, hint_steps)
    hints = train(first, clips, settings, folder / "hint.safetensors", f"{label}: hints")
    first.tap.close()
    stage = ImitationStage(student, student.scale, recipe.alpha, trunk)
    settings = _settings(recipe, steps - hint_steps)
    imitation = train(stage, clips, settings, folder / "imitation.safetensors", f"{label}: imitation")
    student.requires_grad_(True)  # whoever trains it further finds it whole
    return Distilled(student, trust, {"hint": hints, "imitation": imitation})


def cut(store: FrameStore, recipe: Recipe, lessons: Lessons | None = None) -> Clips:
    """The training set as clips. Those with lessons are not mirrored: a teacher's hints cannot be."""
    return Clips(store, recipe.clip_length, recipe.batch_size, recipe.seed, lessons, recipe.mirror and lessons is None)


def last_fc(architecture: Architecture) -> str:
    """Path of the last FC layer in front of the branches: the teacher's hint, the student's guided layer."""
    return f"fc.{len(architecture.fc) - 1}"


def about(store: FrameStore, recipe: Recipe, **more: Any) -> dict[str, Any]:
    """What is kept with a trained model's weights."""
    data = {"sequences": len(store.drives), "frames": len(store.frames), "key": store.key}
    return {"training": {"recipe": asdict(recipe), "data": data, **more}}


def _settings(recipe: Recipe, steps: int) -> TrainingSettings:
    return TrainingSettings(
        steps, recipe.learning_rate, min(100, steps // 5), precision=recipe.precision, seed=recipe.seed
    )


def _new(architecture: Architecture, store: FrameStore, recipe: Recipe) -> PoseNetwork:
    torch.manual_seed(recipe.seed)
    network = PoseNetwork(architecture)
    network.set_motion_scale(*motion_scale(store))
    return network
