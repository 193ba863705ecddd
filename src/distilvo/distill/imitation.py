"""Losses on the output: how a student blends ground truth and teacher (paper, Section 3.2).

All functions take predictions of any shape (..., D) and return one value per sample (...), so that a trust per sample
can weigh them; the caller takes the mean. They work for any regressor, not only for poses.
"""

from __future__ import annotations

from torch import Tensor


def squared_error(prediction: Tensor, target: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """``|| (p - q) / scale ||^2`` over the last dimension.

    ``scale`` (D,) brings quantities of different units together: metres and radians have no sum.
    """
    return ((prediction - target) / scale).square().sum(-1)


def ground_truth_only(student: Tensor, truth: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """The student loss alone: ``||p_S - p_gt||^2``."""
    return squared_error(student, truth, scale)


def attentive_imitation(
    student: Tensor, truth: Tensor, teacher: Tensor, trust: Tensor, alpha: float = 0.5, scale: Tensor | float = 1.0
) -> Tensor:
    """Attentive imitation loss (AIL): ``a ||p_S - p_gt||^2 + (1 - a) Phi ||p_S - p_T||^2`` (Section 3.2.5).

    Args:
        student: p_S, (..., D).
        truth: p_gt, (..., D).
        teacher: p_T, (..., D).
        trust: Phi of each sample, (...); see ``distilvo.distill.trust``.
        alpha: weight of the ground truth, 0..1.
        scale: unit of each component, (D,).
    """
    imitation = squared_error(student, teacher, scale)
    return alpha * squared_error(student, truth, scale) + (1 - alpha) * trust * imitation
