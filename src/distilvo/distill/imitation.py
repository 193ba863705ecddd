"""Ways to blend ground truth and a teacher's outputs into one loss (paper, Section 3.2).

Pure functions on predictions (..., D), e.g. (batch, time, 6), or (N,) for targets of one number, that give one loss per
sample, (...) or (N,). Notation: ``p_gt`` ground truth, ``p_T`` teacher, ``p_S`` student, ``a`` alpha. ``scale``, one
number or (D,), is the unit of each component: it brings quantities together that cannot be added, such as metres and
radians.

**NaN means unknown.** Where ``p_gt`` is NaN the sample, or this component of it, has no label: it is imitated alone,
with weight 1. Where ``p_T`` is NaN the teacher gave nothing, and the ground truth has weight 1.

All raise DistilvoError where shapes differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from distilvo.distill.shapes import Scale, by_component
from distilvo.errors import DistilvoError


def squared_error(prediction: Tensor, target: Tensor, scale: Scale = 1.0) -> Tensor:
    """``|| (p - q) / scale ||^2`` over the last dimension, over the components that the target has."""
    prediction, target = by_component(scale, prediction=prediction, target=target)
    return _squares(prediction, target, scale).sum(-1)


def ground_truth_only(student: Tensor, truth: Tensor, scale: Scale = 1.0) -> Tensor:
    """The student loss alone: ``||p_S - p_gt||^2``."""
    return squared_error(student, truth, scale)


def teacher_only(student: Tensor, teacher: Tensor, scale: Scale = 1.0) -> Tensor:
    """The imitation loss alone: ``||p_S - p_T||^2``; it needs no ground truth."""
    return squared_error(student, teacher, scale)


def minimum(student: Tensor, truth: Tensor, teacher: Tensor, scale: Scale = 1.0) -> Tensor:
    """Whichever is nearer: ``min(||p_S - p_gt||^2, ||p_S - p_T||^2)`` (Section 3.2.1)."""
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    own, imitation = _squares(student, truth, scale), _squares(student, teacher, scale)
    both = ~(truth.isnan() | teacher.isnan())
    nearer = torch.minimum((own * both).sum(-1), (imitation * both).sum(-1))
    return nearer + ((own + imitation) * ~both).sum(-1)


def additional(student: Tensor, truth: Tensor, teacher: Tensor, alpha: float = 0.5, scale: Scale = 1.0) -> Tensor:
    """Imitation as an additional loss: ``a ||p_S - p_gt||^2 + (1 - a) ||p_S - p_T||^2`` (Section 3.2.2)."""
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    return _weighed(student, truth, teacher, _squares(student, teacher, scale), alpha, scale)


def upper_bound(student: Tensor, truth: Tensor, teacher: Tensor, alpha: float = 0.5, scale: Scale = 1.0) -> Tensor:
    """Imitation only where the student is worse than its teacher (Section 3.2.3, after Chen et al., NIPS 2017).

    ``a ||p_S - p_gt||^2 + (1 - a) L``, with ``L = ||p_S - p_T||^2`` where ``||p_S - p_gt||^2 > ||p_T - p_gt||^2``,
    else 0.
    """
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    known = ~teacher.isnan()
    own, theirs = (_squares(one, truth, scale) for one in (student, torch.where(known, teacher, truth)))
    worse = (own * known).sum(-1, keepdim=True) > (theirs * known).sum(-1, keepdim=True)
    imitation = _squares(student, teacher, scale) * (worse | truth.isnan())
    return _weighed(student, truth, teacher, imitation, alpha, scale)


def laplace(
    student: Tensor, truth: Tensor, teacher: Tensor, log_sigma: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Probabilistic imitation (PIL), Laplace: ``a ||p_S - p_gt||^2 + (1 - a) (||p_S - p_T|| / sigma + log sigma)``.

    Section 3.2.4; the constant is left out. ``log_sigma`` (...), one a sample, is one more output of the student.
    """
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    # not norm(): its gradient where student and teacher agree would be NaN
    distance = _squares(student, teacher, scale).sum(-1).clamp_min(1e-12).sqrt()
    _check_lead(log_sigma, distance)
    imitation = distance * torch.exp(-log_sigma) + log_sigma
    return _with_sigma(student, truth, teacher, imitation, alpha, scale)


def gaussian(
    student: Tensor, truth: Tensor, teacher: Tensor, log_sigma: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Probabilistic imitation (PIL), Gaussian.

    ``a ||p_S - p_gt||^2 + (1 - a) (||p_S - p_T||^2 / (2 sigma^2) + log sigma)``. Section 3.2.4; the
    constant is left out. ``log_sigma`` (...), one a sample, is one more output of the student.
    """
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    squares = _squares(student, teacher, scale).sum(-1).clamp_min(1e-12)  # else sigma, and the loss, fall for ever
    _check_lead(log_sigma, squares)
    imitation = squares * torch.exp(-2 * log_sigma) / 2 + log_sigma
    return _with_sigma(student, truth, teacher, imitation, alpha, scale)


def attentive_imitation(
    student: Tensor, truth: Tensor, teacher: Tensor, trust: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Attentive imitation loss (AIL): ``a ||p_S - p_gt||^2 + (1 - a) Phi ||p_S - p_T||^2`` (Section 3.2.5).

    ``trust`` is Phi of each sample, (...), or of each component of it, (..., D); see ``distilvo.distill.trust``.
    """
    whole = trust.shape == (student.shape if student.ndim == 1 else student.shape[:-1])
    student, truth, teacher = by_component(scale, student=student, truth=truth, teacher=teacher)
    if not whole and trust.shape != student.shape:
        raise DistilvoError(
            f"trust: has the shape {tuple(trust.shape)}, expected {tuple(student.shape[:-1])}, one number a sample, or "
            f"{tuple(student.shape)}, one a component"
        )
    phi = trust[..., None] if whole else trust
    return _weighed(student, truth, teacher, phi * _squares(student, teacher, scale), alpha, scale)


def _squares(prediction: Tensor, target: Tensor, scale: Scale) -> Tensor:
    """Squared error of each component, 0 where the target is NaN."""
    return (torch.where(target.isnan(), 0, prediction - target) / scale).square()


def _weighed(student: Tensor, truth: Tensor, teacher: Tensor, imitation: Tensor, alpha: float, scale: Scale) -> Tensor:
    """``a own + (1 - a) imitation``, summed over the components; where one is unknown the other has weight 1."""
    own = torch.where(truth.isnan(), 0.0, torch.where(teacher.isnan(), 1.0, alpha))
    return (own * _squares(student, truth, scale) + (1 - own) * imitation).sum(-1)


def _with_sigma(
    student: Tensor, truth: Tensor, teacher: Tensor, imitation: Tensor, alpha: float, scale: Scale
) -> Tensor:
    """The same for an imitation of whole samples, (...): unknown is what has no known component."""
    no_truth, no_teacher = truth.isnan().all(-1), teacher.isnan().all(-1)
    own = torch.where(no_truth, 0.0, torch.where(no_teacher, 1.0, alpha))
    return own * _squares(student, truth, scale).sum(-1) + torch.where(no_teacher, 0.0, 1 - own) * imitation


def _check_lead(log_sigma: Tensor, samples: Tensor) -> None:
    if log_sigma.shape != samples.shape:
        raise DistilvoError(
            f"log_sigma: has the shape {tuple(log_sigma.shape)}, expected {tuple(samples.shape)}, one for each sample"
        )
