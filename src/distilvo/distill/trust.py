"""Trust in the teacher, sample by sample (paper, Section 3.2.5), and variants that one outlier does not rule.

The teacher's own error on the training set measures where it can be trusted: ``Phi_i = 1 - e_i / eta`` with
``eta = max(e) - min(e)`` over the whole training set. A teacher that has memorised its training set has no error
there: outputs of teachers that were not trained on the samples (cross-fitting) show where it fails.

Where labels are missing the error is not known; ``distilvo.distill.error_prediction`` predicts it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from distilvo.distill.shapes import Scale, by_component, check_same, components_last
from distilvo.errors import DistilvoError

ErrorTrust = Literal["quantile", "rank", "ratio", "paper", "none"]
"""Kinds of trust that follow from the teacher's error alone."""

QUANTILE = 0.95
ROUNDING = 1e-9
"""Of the largest squared error: smaller ones are those of single precision beside it, in whatever unit they are."""


@dataclass(frozen=True)
class Trust:
    """Trust in a teacher's outputs for N samples, and what it follows from.

    Attributes:
        phi: trust in each sample, (N,), each position of it, (N, T), or each component, (N, D): 1 where the teacher is
            right.
        errors: e_T, ``||p_T - p_gt||^2`` of each sample or position, or of each part of a sample, (N, parts); NaN where
            it is not known.
        etas: of each part the error at which trust ends; with ``ratio`` and ``learned`` at which it is half.
        kind: how it was made.
        predicted: of a learned trust: the errors that were predicted, of the shape of ``errors``.
        worth: of a learned trust: rank correlation of predicted and true error on labelled samples that were held out,
            for each part.
        note: what a person should know, e.g. that a learned trust was worth nothing.
    """

    phi: Tensor
    errors: Tensor
    etas: tuple[float, ...]
    kind: str
    predicted: Tensor | None = None
    worth: tuple[float, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, errors: Tensor, kind: ErrorTrust = "quantile") -> Trust:
        """Trust by errors that are known.

        Args:
            errors: e_T of each sample, (N,), or of each position of it, (N, T): at least 0.
            kind: ``quantile``: ``1 - e / eta``, eta is the 95 % quantile of e, not below 0; ``rank``:
                ``1 - rank / (n - 1)``, from 1 for the smallest error to 0 for the largest; ``ratio``: ``m / (m + e)``,
                m is the median of e; where quantile or median is 0 up to rounding, ``max - min`` stands for it;
                ``paper``: ``1 - e / (max - min)``, which falls below 0 for the worst samples, and far below where no
                error is small; ``none``: 1.

        Raises:
            DistilvoError: an error is not finite or below 0, all are the same, or there is no such kind.
        """
        if kind not in get_args(ErrorTrust):
            raise DistilvoError(f"trust: is {kind}, expected {' or '.join(get_args(ErrorTrust))}")
        if kind == "none":
            return cls(torch.ones_like(errors), errors, (), kind)
        if wrong := int((~(torch.isfinite(errors) & (errors >= 0))).sum()):
            raise DistilvoError(
                f"teacher: {wrong} of {errors.numel()} errors are not finite numbers from 0 on; check the ground truth "
                "and the teacher's weights; where labels are missing, take learned trust or none"
            )
        phi, eta = _phi(errors.flatten(), kind)
        return cls(phi.reshape(errors.shape), errors, (eta,), kind)

    @classmethod
    def by_parts(cls, columns: Sequence[Trust], parts: Sequence[Sequence[int]], components: int) -> Trust:
        """Trust (N, D) where each part of the components has its own; components of no part are trusted wholly."""
        phi = columns[0].phi.new_ones(len(columns[0].phi), components)
        for part, column in zip(parts, columns, strict=True):
            phi[:, list(part)] = column.phi[:, None]
        blank = torch.full_like(columns[0].errors, torch.nan)
        predicted = [blank if column.predicted is None else column.predicted for column in columns]
        return cls(
            phi,
            torch.stack([column.errors for column in columns], -1),
            tuple(next(iter(column.etas), math.nan) for column in columns),
            ", ".join(dict.fromkeys(column.kind for column in columns)),
            torch.stack(predicted, -1) if any(column.predicted is not None for column in columns) else None,
            tuple(next(iter(column.worth), math.nan) for column in columns) if any(c.worth for c in columns) else (),
            "; ".join(dict.fromkeys(column.note for column in columns if column.note)),
        )

    @property
    def eta(self) -> float:
        """The error at which trust ends, or is half; of parts the largest; NaN where trust does not follow from it."""
        return max((eta for eta in self.etas if not math.isnan(eta)), default=math.nan)

    @property
    def facts(self) -> dict[str, Any]:
        """Kind, etas and worth as JSON can hold them: None for what is no number."""
        etas, worth = ([None if math.isnan(one) else one for one in some] for some in (self.etas, self.worth))
        return {"kind": self.kind, "etas": etas, "worth": worth, "note": self.note}

    @property
    def of_sample(self) -> Tensor:
        """One number for each sample, (N,): the mean over its components or positions where they differ."""
        return self.phi if self.phi.ndim == 1 else self.phi.flatten(1).mean(-1)


def squared_errors(teacher: Tensor, truth: Tensor, scale: Scale = 1.0) -> Tensor:
    """``((p_T - p_gt) / scale)^2`` of each component, with the components last; NaN where one is not known.

    Args:
        teacher: (N,), (N, D), (N, T, D) or (N, C, H, W).
        truth: of the same shape.
        scale: one number or (D,).
    """
    check_same(teacher=teacher, truth=truth)
    teacher, truth = by_component(scale, teacher=components_last(teacher), truth=components_last(truth))
    return ((teacher - truth) / scale).square()


def sample_errors(squares: Tensor) -> Tensor:
    """Errors (N,) or (N, T) from squares (N, D), (N, T, D) or (N, H, W, C), over what is known; NaN where nothing is.

    Where some components are not known, the others stand for them.
    """
    known = (~squares.isnan()).sum(-1)
    errors = torch.where(known > 0, squares.nansum(-1) * (squares.shape[-1] / known), torch.nan)
    return errors.flatten(1).nanmean(-1) if squares.ndim > 3 else errors


def check_bounded(phi: Tensor, alpha: float) -> None:
    """Raise DistilvoError where attentive imitation with this trust has no lower bound.

    The student's own error has weight ``a``, imitation ``(1 - a) Phi``: where the sum is below 0, the loss falls for
    ever as the student moves away from both.
    """
    least = float(phi.min()) if phi.numel() else 0.0
    if alpha + (1 - alpha) * least < 0:
        raise DistilvoError(
            f"trust: Phi falls to {least:.3g}, so the loss has no lower bound with alpha {alpha:g}; the teacher's "
            "smallest error is large beside the spread of its errors (an offset?); take quantile or rank"
        )


def _phi(errors: Tensor, kind: ErrorTrust) -> tuple[Tensor, float]:
    extent = float(errors.max() - errors.min()) if len(errors) else 0.0
    if extent <= 0:
        raise DistilvoError(
            f"teacher: all {len(errors)} errors are the same, so no sample can be trusted more than another; "
            "expected a spread; use more training data, or no trust (none)"
        )
    if kind == "rank":
        return 1 - ranks(errors) / (len(errors) - 1), float(errors.max())
    eta = extent
    if kind in ("quantile", "ratio"):
        usual = _quantile(errors, QUANTILE if kind == "quantile" else 0.5)
        eta = usual if usual > ROUNDING * extent else extent  # most errors can be 0, up to rounding
    if kind == "ratio":
        return eta / (eta + errors), eta
    phi = 1 - errors / eta
    return (phi if kind == "paper" else phi.clamp_min(0)), eta


def _quantile(errors: Tensor, share: float) -> float:
    """Linear between the two nearest errors; ``torch.quantile`` takes 16 million at most."""
    ordered = errors.double().sort().values
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def ranks(errors: Tensor) -> Tensor:
    """Rank of each number, 0 for the smallest; equal ones share the mean of their ranks."""
    _, inverse, counts = torch.unique(errors, return_inverse=True, return_counts=True)
    last = counts.cumsum(0) - 1
    return ((last - (counts - 1) / 2)[inverse]).to(errors.dtype)
