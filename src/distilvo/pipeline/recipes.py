"""Whole trainings on drives: a network on ground truth, and a student from its teacher (paper, Section 4.2)."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Sequence as Several
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distilvo.data import Clips, FrameCache, motion_scale
from distilvo.distill.batches import Batches, TeacherOutputs
from distilvo.distill.checkpoint import Curve
from distilvo.distill.hints import Tap
from distilvo.distill.stages import stages
from distilvo.distill.task import Supervised
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.distill.trust import Trust
from distilvo.errors import DistilvoError
from distilvo.models.fast_student import space_to_depth_kernel
from distilvo.models.flow_network import FlowArchitecture, FlowNetwork
from distilvo.models.kinds import AnyArchitecture, network_of
from distilvo.models.model_folder import knows_flow_alone
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.network import PoseNetwork
from distilvo.pipeline.frame_teacher import drive_of_pair, run_teacher
from distilvo.pipeline.frame_trust import teacher_outputs, unit_of
from distilvo.pipeline.model_rate import data_rate
from distilvo.pipeline.uncertainty import fit_uncertainty, head_at_rest
from distilvo.sequences import Sequence
from distilvo.settings import Method, Recipe


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
    init: MotionNetwork | None = None


@dataclass(frozen=True)
class Distilled:
    """A distilled student, what its teacher gave it, the trust in that, and the training curves by stage."""

    student: MotionNetwork
    teacher: TeacherOutputs
    trust: Trust
    curves: dict[str, Curve]


def train_supervised(
    architecture: AnyArchitecture,
    cache: FrameCache,
    recipe: Recipe,
    folder: Path,
    *,
    label: str = "network",
    init: MotionNetwork | None = None,
    drives: Collection[int] | None = None,
) -> tuple[MotionNetwork, Curve]:
    """Train a network on ground truth alone, from random weights or from those of ``init``.

    Goes on from the checkpoint in ``folder``. ``drives`` are the indices of those to train on, all with poses where not
    given.
    """
    drives = _labelled(cache, drives)
    check_mirror(architecture, recipe)
    unit = motion_scale(cache)
    network = _new(architecture, unit, recipe)
    if init is not None:
        network.load_state_dict(init.state_dict())
        network.rescale(*unit)
    batches = Batches(Clips(cache, recipe, drives))
    settings = _settings(recipe, recipe.epochs * len(batches))
    with head_at_rest(network):
        task, path = Supervised(network, network.scale), folder / "supervised.safetensors"
        curve = train(task, batches, settings, path, label, capture=isinstance(network, PoseNetwork))
    fit_uncertainty(network, cache, drives)
    return network, curve


def check_mirror(architecture: AnyArchitecture, recipe: Recipe) -> None:
    """Raise DistilvoError where frames are to be mirrored whose optical axis is not in their middle column.

    Mirrored, they are of another camera, and the output of a network that sees both lies between them
    (benchmarks/paper.md).
    """
    if recipe.mirror and not architecture.preprocessing.centred:
        raise DistilvoError(
            f"--mirror: the optical axis of the frames of {architecture.name} is not in their middle, so mirrored ones "
            "are of another camera; leave it out, or begin with a teacher that was trained by this version"
        )


def check_layers(teacher: AnyArchitecture, student: AnyArchitecture, method: Method) -> None:
    """Raise DistilvoError where the teacher does not have the hint layer, or the student not the guided layer."""
    wanted = {"hint layer of the teacher": (teacher, method.hint_layer)}
    wanted |= {"guided layer of the student": (student, method.guided_layer)}
    for which, (architecture, layer) in wanted.items():
        if layer is None:
            continue
        try:
            with torch.device("meta"), Tap(network_of(architecture), layer):
                pass
        except DistilvoError as error:
            raise DistilvoError(f"{which}: {error}") from None


def distill_student(
    teacher: MotionNetwork | Tensor,
    architecture: AnyArchitecture,
    cache: FrameCache,
    recipe: Recipe,
    folder: Path,
    *,
    method: Method | None = None,
    outputs: Path | None = None,
    label: str = "student",
    fold_teachers: FoldTeachers | None = None,
    phi: Tensor | None = None,
    init: MotionNetwork | None = None,
    drives: Collection[int] | None = None,
) -> Distilled:
    """Distill a student; all stages together take as many steps as ``train_supervised`` with the same recipe.

    Args:
        teacher: trained; or motions (P, 6) [m, rad] of each frame pair, NaN where there is none, e.g. of trajectories.
        architecture: of the student.
        cache: the training set; drives without poses are imitated alone.
        recipe: how networks are trained.
        folder: of the checkpoints, one for each stage.
        method: which losses, in which order; this project's default where not given, ``settings.PAPER`` is the paper's.
        outputs: folder of the teacher's outputs; ``folder`` where not given.
        label: for the progress bar.
        fold_teachers: measure the teacher's error with these instead, each on drives that it was not trained on.
        phi: trust in each pair, (P or 2 P,), or each of its components, instead of one that is measured.
        init: the student's first weights, with its own unit of motion.
        drives: indices of the drives to train on; all where not given.
    """
    method = method or Method()
    check_mirror(architecture, recipe)
    if isinstance(teacher, MotionNetwork):
        check_layers(teacher.architecture, architecture, method)
    if isinstance(teacher, Tensor):
        method = replace(method, hint="none", inherit=False)
    if method.hint_form is None and isinstance(teacher, FlowNetwork) and isinstance(architecture, FlowArchitecture):
        method = replace(method, hint_form="maps")
    outputs = outputs or folder
    judged = None if fold_teachers is None else cross_fit(teacher, cache, fold_teachers, outputs, recipe.mirror)
    known, trust = teacher_outputs(teacher, cache, method, outputs, mirror=recipe.mirror, judged=judged, phi=phi)
    batches = Batches(Clips(cache, recipe, drives), known)
    unit = unit_of(cache, known.outputs)
    student = _new(architecture, unit, recipe)
    if init is not None:
        student.load_state_dict(init.state_dict())
    elif method.inherit and isinstance(teacher, MotionNetwork):
        inherit(student, teacher, unit)
    guided = [method.guided_layer or architecture.last_layer]
    curves = {}
    steps = recipe.epochs * len(batches)
    with head_at_rest(student):
        for stage in stages(student, method, batches, steps, student.scale, guided=guided):
            path = folder / f"{stage.name}.safetensors"
            settings = _settings(recipe, stage.steps)
            name, capture = f"{label}: {stage.name}", isinstance(student, PoseNetwork)
            curves[stage.name] = train(stage.task, batches, settings, path, name, capture=capture)
            stage.task.close()
    fit_uncertainty(student, cache, _labelled(cache, drives))
    return Distilled(student, known, trust, curves)


def cross_fit(
    teacher: MotionNetwork | Tensor, cache: FrameCache, how: FoldTeachers, folder: Path, mirror: bool = False
) -> Tensor:
    """Motions (P or 2 P, 6) of teachers that were not trained on the drives that they are run on.

    Drive ``d`` goes to teacher ``d % folds``, which is trained on the drives of all other folds.

    Raises:
        DistilvoError: the teacher is no network.
    """
    if isinstance(teacher, Tensor):
        raise DistilvoError("teacher: is a trajectory, expected a network, whose like can be trained on other drives")
    architecture, motions = teacher.architecture, []
    for fold in range(how.folds):
        others = [index for index in range(len(cache.drives)) if index % how.folds != fold]
        own, label = folder / f"fold-{fold}-of-{how.folds}-{cache.key}", f"teacher {fold + 1} of {how.folds}"
        network, _ = train_supervised(architecture, cache, how.recipe, own, label=label, init=how.init, drives=others)
        motions.append(run_teacher(network, architecture.last_layer, cache, folder, mirror).motions)
    fold_of = drive_of_pair(cache, mirror) % how.folds
    return torch.stack(motions)[fold_of, torch.arange(len(fold_of))]


def begin_in_unit(network: MotionNetwork, config: dict[str, Any], cache: FrameCache) -> None:
    """Give a network of a model folder that was never trained on motions the unit of the set to learn them on.

    Else its random motions would be kept, in a unit that means nothing.
    """
    if knows_flow_alone(config):
        network.set_motion_scale(*motion_scale(cache))


def inherit(student: MotionNetwork, teacher: MotionNetwork, unit: tuple[Tensor, Tensor]) -> list[str]:
    """Start the student's layers that have the teacher's name and shape from the teacher's weights; gives their names.

    For a student that turns space to depth the teacher's first layer is rewritten. ``unit``: as of ``motion_scale``.
    """
    own, theirs = student.state_dict(), teacher.state_dict()
    if isinstance(teacher, PoseNetwork) and student.architecture.patch > 1 and teacher.architecture.patch == 1:
        first = "convolutions.0.0.weight"
        stride = teacher.architecture.convolutions[0][2]
        theirs[first] = space_to_depth_kernel(theirs[first], stride, student.architecture.patch)
    kept = {n: v for n, v in theirs.items() if n in own and own[n].shape == v.shape}
    student.load_state_dict({**own, **kept})
    student.rescale(*unit)
    return list(kept)


def about(cache: FrameCache, recipe: Recipe, sequences: Several[Sequence] = (), **more: Any) -> dict[str, Any]:
    """What is kept with a trained model's weights.

    Args:
        cache: what it was trained on.
        recipe: how it was trained.
        sequences: what the cache was made of, where it is not known that they have times of their own.
        more: further facts of the training.
    """
    data = {"sequences": len(cache.drives), "frames": len(cache.frames), "key": cache.key}
    training = {"recipe": asdict(recipe), "data": data, **more}
    return {"rate_hz": data_rate(cache, sequences), "training": training}


def _labelled(cache: FrameCache, drives: Collection[int] | None) -> list[int]:
    """Those of the drives, or of all, that have poses."""
    labelled = cache.labelled_drives
    return [index for index in labelled if drives is None or index in drives]


def _settings(recipe: Recipe, steps: int) -> TrainingSettings:
    return TrainingSettings(
        steps, recipe.learning_rate, min(100, steps // 5), precision=recipe.precision, seed=recipe.seed
    )


def _new(architecture: AnyArchitecture, unit: tuple[Tensor, Tensor], recipe: Recipe) -> MotionNetwork:
    torch.manual_seed(recipe.seed)
    network = network_of(architecture)
    network.set_motion_scale(*unit)
    return network
