"""Which trust is taken: by the teacher's error where all samples have labels, by a predicted error where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast, get_args

import torch
from torch import Tensor

from distilvo.distill.error_prediction import learned_trust, trust_features
from distilvo.distill.shapes import Scale
from distilvo.distill.trust import ErrorTrust, Trust, sample_errors, squared_errors
from distilvo.errors import DistilvoError
from distilvo.settings import NEEDS_EVERY_LABEL, Trusting

KINDS = ("learned", *get_args(ErrorTrust))


def measure_trust(
    kind: Trusting | None,
    outputs: Tensor,
    truth: Tensor,
    scale: Scale = 1.0,
    *,
    hints: Sequence[Tensor] = (),
    more: Tensor | None = None,
    groups: Tensor | None = None,
    parts: Sequence[Sequence[int]] | None = None,
) -> Trust:
    """Trust in a teacher's outputs for N samples; 0 where it gave nothing.

    Args:
        kind: as ``Trust.of`` has them, or ``learned``; None: ``learned`` where labels are missing, else ``quantile``,
            or ``none`` where all errors are the same, with a note.
        outputs: p_T, (N,), (N, D), (N, T, D) or (N, C, H, W); NaN where the teacher gave nothing.
        truth: p_gt, of the same shape; NaN where there is no label.
        scale: unit of each component.
        hints: Psi_T, (N, K) each, for a learned trust.
        more: (N, M) cheap statistics for a learned trust.
        groups: (N,) samples of one group do not judge each other's learned trust.
        parts: components to be trusted by their own error; of targets (N, D) alone.

    Raises:
        DistilvoError: labels are missing and the kind needs them all, or as in ``Trust.of`` and ``learned_trust``.
    """
    squares = squared_errors(outputs, truth, scale)
    columns = [sample_errors(squares[:, list(part)]) for part in parts] if parts else [sample_errors(squares)]
    given = ~outputs.flatten(1).isnan().all(1) if outputs.ndim > 1 else ~outputs.isnan()
    is_missing = bool((columns[0].isnan() & given[(...,) + (None,) * (columns[0].ndim - 1)]).any())
    if kind == "learned" or (kind is None and is_missing):
        features = [trust_features(outputs, hints, more)] + ([] if more is None else [more.float()])
        columns = [column if column.ndim == 1 else column.nanmean(-1) for column in columns]
        trusts = [learned_trust(features, column, groups) for column in columns]
    else:
        trusts = [_by_error(column, given, kind) if kind else _robust(column, given) for column in columns]
        least = min(float(trust.phi.min()) for trust in trusts)
        if least < 0 and bool((truth.isnan() & ~outputs.isnan()).any()):
            raise DistilvoError(
                f"trust: Phi falls to {least:.3g}, and parts of labels are missing, where the loss then has no lower "
                "bound; take quantile, rank or learned"
            )
    trusts = [replace(trust, phi=_where(given, trust.phi)) for trust in trusts]
    return trusts[0] if parts is None else Trust.by_parts(trusts, parts, squares.shape[-1])


def check_labels(kind: Trusting | None, errors: Tensor) -> None:
    """Raise DistilvoError where a kind of trust needs all errors, and some are NaN, for lack of a label."""
    missing = int(errors.isnan().sum())
    if missing and kind in NEEDS_EVERY_LABEL:
        raise DistilvoError(
            f"trust: {kind} needs the label of every sample, {missing} of {errors.numel()} have none; take learned or "
            "none"
        )


def _robust(errors: Tensor, given: Tensor) -> Trust:
    """Trust by quantile; alike for all samples where their errors are the same, as of a teacher that has none."""
    try:
        return _by_error(errors, given, "quantile")
    except DistilvoError as reason:
        return replace(Trust.of(errors, "none"), note=str(reason))


def _by_error(errors: Tensor, given: Tensor, kind: Trusting) -> Trust:
    """Trust by the errors of what the teacher gave, all of which must be known."""
    if kind == "none":
        return Trust.of(errors, "none")
    if kind not in KINDS:
        raise DistilvoError(f"trust: is {kind}, expected {', '.join(KINDS)}")
    check_labels(kind, errors[given])
    known = Trust.of(errors[given], cast(ErrorTrust, kind))
    phi = torch.zeros_like(errors)
    phi[given] = known.phi
    return replace(known, phi=phi, errors=errors)


def _where(given: Tensor, phi: Tensor) -> Tensor:
    """No trust in what the teacher did not give."""
    return phi * given.reshape(len(given), *[1] * (phi.ndim - 1))
