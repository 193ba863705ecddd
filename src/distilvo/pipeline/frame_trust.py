"""How far a teacher's motions are trusted, frame pair by frame pair, with labels and without."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from distilvo.data import FrameCache, mean_and_unit, motion_scale
from distilvo.distill.batches import TeacherOutputs
from distilvo.distill.error_prediction import rank_correlation
from distilvo.distill.nested import tensor_bytes
from distilvo.distill.teacher_pass import Tables, outputs_key, teacher_pass
from distilvo.distill.trust import Trust, sample_errors, squared_errors
from distilvo.distill.trust_choice import check_labels, measure_trust
from distilvo.distill.trust_file import kept_trust
from distilvo.errors import DistilvoError
from distilvo.models.motion_network import MotionNetwork
from distilvo.pipeline.consistency import inconsistency
from distilvo.pipeline.frame_statistics import pair_statistics
from distilvo.pipeline.frame_teacher import drive_of_pair, run_teacher, with_mirrored
from distilvo.settings import Method

TRANSLATION, ROTATION = (0, 1, 2), (3, 4, 5)
"""Components of a motion that can be trusted each by its own error."""


def teacher_outputs(
    teacher: MotionNetwork | Tensor,
    cache: FrameCache,
    method: Method,
    folder: Path,
    *,
    mirror: bool = False,
    judged: Tensor | None = None,
    phi: Tensor | None = None,
) -> tuple[TeacherOutputs, Trust]:
    """Run the teacher over a training set, or read what it gave, and say how far it is trusted.

    Args:
        teacher: trained; or motions (P, 6) [m, rad] of each frame pair, NaN where there is none.
        cache: the training set; pairs without a label have NaN for a motion.
        method: its hint layer, and which trust.
        folder: of what the teacher gave.
        mirror: of the mirrored frames, too.
        judged: motions (P or 2 P, 6) to measure the error with, instead of the teacher's own.
        phi: trust in each pair, (P or 2 P,), or in each component of it, instead of one that is measured.

    Raises:
        DistilvoError: labels are missing for this kind of trust, or consistency is wanted of motions without a network.
    """
    truth = with_mirrored(torch.from_numpy(cache.motions), mirror)
    if isinstance(teacher, Tensor):
        hints: tuple[Tensor, ...] = ()
        motions, unit = with_mirrored(teacher, mirror), unit_of(cache, teacher)[1]
    else:
        if phi is None:
            check_labels(method.trust, truth[:, 0])  # before the teacher runs, which takes long
        given = run_teacher(teacher, method.hint_layer or teacher.architecture.last_layer, cache, folder, mirror)
        motions, hints, unit = given.motions, (given.hints,), teacher.scale
    if phi is not None:
        trust = Trust(phi, sample_errors(squared_errors(motions, truth, unit)), (), "given")
    else:
        trust = _trust(teacher, cache, method, motions, judged, hints, unit, folder, mirror)
    return TeacherOutputs(motions, trust.phi, hints), trust


def unit_of(cache: FrameCache, motions: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unit of the labelled motions of a training set; where none is labelled, of a teacher's (P, 6)."""
    return motion_scale(cache) if cache.labelled.any() else mean_and_unit(motions)


def _trust(
    teacher: MotionNetwork | Tensor,
    cache: FrameCache,
    method: Method,
    outputs: Tensor,
    judged: Tensor | None,
    hints: tuple[Tensor, ...],
    unit: Tensor,
    folder: Path,
    mirror: bool,
) -> Trust:
    """The trust of a method; one that takes time is kept in the folder."""
    motions = outputs if judged is None else judged
    truth = with_mirrored(torch.from_numpy(cache.motions), mirror)
    parts = (TRANSLATION, ROTATION) if method.separate else None
    kind = method.trust or ("quantile" if cache.labelled.all() else "learned")
    if kind not in ("learned", "consistency"):
        return measure_trust(method.trust, motions, truth, unit, parts=parts)
    if isinstance(teacher, Tensor) and kind == "consistency":
        raise DistilvoError(
            "trust: consistency is that of a network, and the teacher is a trajectory; take learned or none"
        )

    # Outside of what one process makes alone: a teacher is run by all of them together.
    contradictions = _kept_signs(teacher, cache, unit, folder, outputs) if isinstance(teacher, MotionNetwork) else []

    def make() -> Trust:
        if kind == "consistency":
            squares = squared_errors(motions, truth, unit)
            left_over = relative_contradiction(contradictions, motions[: len(cache.motions)] / unit).repeat(
                1 + mirror, 1
            )
            return _consistent(left_over, squares, method.separate)
        more = torch.cat([pair_statistics(cache), *contradictions], 1).nan_to_num().repeat(1 + mirror, 1)
        groups = drive_of_pair(cache, mirror)
        return measure_trust(kind, motions, truth, unit, hints=hints, more=more, groups=groups, parts=parts)

    network = teacher if isinstance(teacher, MotionNetwork) else torch.nn.Identity()
    given = hashlib.sha256(tensor_bytes(motions)).hexdigest()
    key = outputs_key(network, cache.key, given, kind, method.separate, mirror, method.hint_layer)
    return kept_trust(folder / f"trust-{key}.safetensors", make)


def _kept_signs(teacher: MotionNetwork, cache: FrameCache, unit: Tensor, folder: Path, outputs: Tensor) -> list[Tensor]:
    """How far a teacher contradicts itself on each pair, three times (P, 2): from a file where it is there."""
    path = folder / f"consistency-{outputs_key(teacher, cache.frames_key, unit.tolist())}.safetensors"

    def run(_: int) -> Tables:
        left = inconsistency(teacher, cache, unit, outputs)
        return {"outputs": torch.cat([left.backward, left.two_frame, left.mirrored], 1)}

    return list(teacher_pass(run, [len(cache.motions)], path)["outputs"].split(2, 1))


def relative_contradiction(signs: Sequence[Tensor], motions: Tensor) -> Tensor:
    """How far a teacher contradicts itself for the size of the motion: of signs (P, 2) and motions (P, 6) in units.

    The geometric mean of the signs, so that none rules, over the squared motion and its median. Without that no turn
    would be trusted: all signs grow with the motion, the error does not.
    """
    size = torch.stack([motions[:, list(part)].square().sum(-1) for part in (TRANSLATION, ROTATION)], -1)
    mean = torch.stack([sign.clamp_min(1e-9).log() for sign in signs]).nanmean(0).exp()
    return mean / (size + size.nanmedian(0).values)


def _consistent(left_over: Tensor, squares: Tensor, separate: bool) -> Trust:
    """``Phi = m / (m + c)``, c is what is left over of translation and rotation, (P, 2), m its median."""
    errors = [squares[:, list(part)].sum(-1) for part in (TRANSLATION, ROTATION)]
    if not separate:
        trust = Trust.of(left_over.sum(-1), "ratio")
        return _renamed(trust, torch.stack(errors).sum(0))
    ratios = [Trust.of(column, "ratio") for column in left_over.unbind(-1)]
    columns = [_renamed(ratio, error) for ratio, error in zip(ratios, errors, strict=True)]
    return Trust.by_parts(columns, (TRANSLATION, ROTATION), squares.shape[-1])


def _renamed(ratio: Trust, errors: Tensor) -> Trust:
    """A trust by what is left over, with the true errors beside it and what it is worth where there are labels."""
    known = ~errors.isnan()
    worth = (rank_correlation(ratio.errors[known], errors[known]),) if int(known.sum()) > 1 else ()
    return Trust(ratio.phi, errors, ratio.etas, "consistency", predicted=ratio.errors, worth=worth)
