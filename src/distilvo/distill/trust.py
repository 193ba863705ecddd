"""Trust in the teacher, sample by sample (paper, Section 3.2.5).

The teacher's own error on the training set says where it can be believed: ``Phi_i = 1 - e_i / eta`` with
``eta = max(e) - min(e)`` over the whole training set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from distilvo.distill.imitation import squared_error
from distilvo.errors import DistilvoError


@dataclass(frozen=True)
class Trust:
    """The teacher's error over a training set and the trust that follows from it.

    Attributes:
        errors: e_T, ``||p_T - p_gt||^2`` of each sample, (N,).
        eta: their range, ``max - min``.
    """

    errors: Tensor
    eta: float

    @classmethod
    def fit(cls, teacher: Tensor, truth: Tensor, scale: Tensor | float = 1.0) -> Trust:
        """Measure the teacher on the whole training set.

        Args:
            teacher: p_T, (N, D).
            truth: p_gt, (N, D).
            scale: unit of each component, (D,).

        Raises:
            DistilvoError: an error is not finite, or all are the same, so that eta is 0.
        """
        errors = squared_error(teacher, truth, scale)
        if not torch.isfinite(errors).all():
            raise DistilvoError(
                f"teacher: {int((~torch.isfinite(errors)).sum())} of {len(errors)} errors are not finite; "
                "expected numbers; check the ground truth and the teacher's weights"
            )
        eta = float(errors.max() - errors.min()) if len(errors) else 0.0
        if eta <= 0:
            raise DistilvoError(
                f"teacher: all {len(errors)} errors are the same, so no sample can be trusted more than another; "
                "expected a spread; use more training data"
            )
        return cls(errors, eta)

    @property
    def phi(self) -> Tensor:
        """Phi of each sample, (N,): 1 where the teacher is right, about 0 or slightly below where it errs most."""
        return 1 - self.errors / self.eta
