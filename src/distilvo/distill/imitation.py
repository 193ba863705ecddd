"""Ways to blend ground truth and a teacher's outputs into one loss (paper, Section 3.2).

Pure functions on predictions (..., D), e.g. (batch, time, 6), that give one loss per sample (...). Notation: ``p_gt``
ground truth, ``p_T`` teacher, ``p_S`` student, ``a`` alpha. ``scale`` (D,) is the unit of each component: it brings
quantities together that cannot be added, such as metres and radians.
"""

from __future__ import annotations

import torch
from torch import Tensor

Scale = Tensor | float


def squared_error(prediction: Tensor, target: Tensor, scale: Scale = 1.0) -> Tensor:
    """``|| (p - q) / scale ||^2`` over the last dimension."""
    return ((prediction - target) / scale).square().sum(-1)


def ground_truth_only(student: Tensor, truth: Tensor, scale: Scale = 1.0) -> Tensor:
    """The student loss alone: ``||p_S - p_gt||^2``."""
    return squared_error(student, truth, scale)


def teacher_only(student: Tensor, teacher: Tensor, scale: Scale = 1.0) -> Tensor:
    """The imitation loss alone: ``||p_S - p_T||^2``; it needs no ground truth."""
    return squared_error(student, teacher, scale)


def minimum(student: Tensor, truth: Tensor, teacher: Tensor, scale: Scale = 1.0) -> Tensor:
    """Whichever is nearer: ``min(||p_S - p_gt||^2, ||p_S - p_T||^2)`` (Section 3.2.1)."""
    return torch.minimum(squared_error(student, truth, scale), squared_error(student, teacher, scale))


def additional(student: Tensor, truth: Tensor, teacher: Tensor, alpha: float = 0.5, scale: Scale = 1.0) -> Tensor:
    """Imitation as an additional loss: ``a ||p_S - p_gt||^2 + (1 - a) ||p_S - p_T||^2`` (Section 3.2.2)."""
    return alpha * squared_error(student, truth, scale) + (1 - alpha) * squared_error(student, teacher, scale)


def upper_bound(student: Tensor, truth: Tensor, teacher: Tensor, alpha: float = 0.5, scale: Scale = 1.0) -> Tensor:
    """Imitation only where the student is worse than its teacher (Section 3.2.3, after Chen et al., NIPS 2017).

    ``a ||p_S - p_gt||^2 + (1 - a) L``, with ``L = ||p_S - p_T||^2`` where ``||p_S - p_gt||^2 > ||p_T - p_gt||^2``,
    else 0.
    """
    own = squared_error(student, truth, scale)
    worse = own > squared_error(teacher, truth, scale)
    return alpha * own + (1 - alpha) * worse * squared_error(student, teacher, scale)


def laplace(
    student: Tensor, truth: Tensor, teacher: Tensor, log_sigma: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Probabilistic imitation (PIL), Laplace: ``a ||p_S - p_gt||^2 + (1 - a) (||p_S - p_T|| / sigma + log sigma)``.

    Section 3.2.4; the constant is left out. ``log_sigma`` (...) is one more output of the student.
    """
    # not norm(): its gradient where student and teacher agree would be NaN
    distance = squared_error(student, teacher, scale).clamp_min(1e-12).sqrt()
    imitation = distance * torch.exp(-log_sigma) + log_sigma
    return alpha * squared_error(student, truth, scale) + (1 - alpha) * imitation


def gaussian(
    student: Tensor, truth: Tensor, teacher: Tensor, log_sigma: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Probabilistic imitation (PIL), Gaussian.

    ``a ||p_S - p_gt||^2 + (1 - a) (||p_S - p_T||^2 / (2 sigma^2) + log sigma)``. Section 3.2.4; the
    constant is left out. ``log_sigma`` (...) is one more output of the student.
    """
    imitation = squared_error(student, teacher, scale) * torch.exp(-2 * log_sigma) / 2 + log_sigma
    return alpha * squared_error(student, truth, scale) + (1 - alpha) * imitation


def attentive_imitation(
    student: Tensor, truth: Tensor, teacher: Tensor, trust: Tensor, alpha: float = 0.5, scale: Scale = 1.0
) -> Tensor:
    """Attentive imitation loss (AIL): ``a ||p_S - p_gt||^2 + (1 - a) Phi ||p_S - p_T||^2`` (Section 3.2.5).

    ``trust`` is Phi of each sample, (...), or of each component of it, (..., D); see ``distilvo.distill.trust``.
    """
    squares = ((student - teacher) / scale).square()
    whole = trust.ndim < squares.ndim
    imitation = trust * squares.sum(-1) if whole else (trust * squares).sum(-1)
    return alpha * squared_error(student, truth, scale) + (1 - alpha) * imitation
