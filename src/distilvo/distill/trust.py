"""Trust in the teacher, sample by sample (paper, Section 3.2.5), and variants that one outlier does not rule.

The teacher's own error on the training set measures where it can be trusted: ``Phi_i = 1 - e_i / eta`` with
``eta = max(e) - min(e)`` over the whole training set. A teacher that has memorised its training set has no error
there: give ``fit`` outputs of teachers that were not trained on the samples (cross-fitting) to see where it fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from distilvo.distill.imitation import Scale
from distilvo.errors import DistilvoError
from distilvo.settings import Trusting

QUANTILE = 0.95


@dataclass(frozen=True)
class Trust:
    """The teacher's error over a training set and the trust that follows from it.

    Attributes:
        errors: e_T, ``||p_T - p_gt||^2`` of each sample, (N,), or of each part of it, (N, parts).
        etas: the error at which trust ends, one for each part; the range ``max - min`` in the paper.
        phi: trust in each sample, (N,), or in each component of it, (N, D): 1 where the teacher is right.
    """

    errors: Tensor
    etas: tuple[float, ...]
    phi: Tensor

    @classmethod
    def fit(
        cls,
        teacher: Tensor,
        truth: Tensor,
        scale: Scale = 1.0,
        kind: Trusting = "paper",
        parts: Sequence[Sequence[int]] | None = None,
    ) -> Trust:
        """Measure the teacher on the whole training set.

        Args:
            teacher: p_T, (N, D).
            truth: p_gt, (N, D).
            scale: unit of each component, (D,).
            kind: ``paper``: ``1 - e / eta``, which can fall slightly below 0 for the worst sample; ``quantile``: eta is
                the 95 % quantile of e, not below 0; ``rank``: ``1 - rank / (N - 1)``, from 1 for the smallest error to
                0 for the largest.
            parts: components to be trusted by their own error, e.g. ``((0, 1, 2), (3, 4, 5))``; all by one where not
                given.

        Raises:
            DistilvoError: an error is not finite, all are the same, so that eta is 0, or there is no such kind.
        """
        if kind not in get_args(Trusting):
            raise DistilvoError(f"trust: is {kind}, expected {' or '.join(get_args(Trusting))}")
        squares = ((teacher - truth) / scale).square()
        if not torch.isfinite(squares).all():
            raise DistilvoError(
                f"teacher: {int((~torch.isfinite(squares).all(-1)).sum())} of {len(squares)} errors are not finite; "
                "expected numbers; check the ground truth and the teacher's weights"
            )
        if parts is None:
            errors = squares.sum(-1)
            phi, eta = _phi(errors, kind)
            return cls(errors, (eta,), phi)
        phi, columns, etas = torch.ones_like(squares), [], []
        for part in parts:
            columns.append(squares[:, list(part)].sum(-1))
            own, eta = _phi(columns[-1], kind)
            phi[:, list(part)] = own[:, None]
            etas.append(eta)
        return cls(torch.stack(columns, -1), tuple(etas), phi)

    @property
    def eta(self) -> float:
        """The error at which trust ends; of parts the largest."""
        return max(self.etas)

    @property
    def of_sample(self) -> Tensor:
        """One number for each sample, (N,), as hints need it: the mean over its components where they differ."""
        return self.phi if self.phi.ndim == 1 else self.phi.mean(-1)


def _phi(errors: Tensor, kind: Trusting) -> tuple[Tensor, float]:
    extent = float(errors.max() - errors.min()) if len(errors) else 0.0
    eta = float(torch.quantile(errors.double(), QUANTILE)) if kind == "quantile" and extent > 0 else extent
    if eta <= 0:
        raise DistilvoError(
            f"teacher: all {len(errors)} errors are the same, so no sample can be trusted more than another; "
            "expected a spread; use more training data"
        )
    if kind == "rank":
        return 1 - _ranks(errors) / (len(errors) - 1), eta
    phi = 1 - errors / eta
    return (phi if kind == "paper" else phi.clamp_min(0)), eta


def _ranks(errors: Tensor) -> Tensor:
    """Rank of each error, 0 for the smallest; equal errors share the mean of their ranks."""
    _, inverse, counts = torch.unique(errors, return_inverse=True, return_counts=True)
    last = counts.cumsum(0) - 1
    return ((last - (counts - 1) / 2)[inverse]).to(errors.dtype)
