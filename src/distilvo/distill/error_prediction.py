"""Trust where labels are missing: a small regressor predicts the teacher's error from what the teacher shows.

A random forest is fitted on the labelled samples, from features such as the teacher's output and hidden layer, to the
logarithm of the teacher's error. ``Phi = m / (m + predicted error)``, m is the median error. Each labelled sample is
predicted by a forest that has not seen it, nor others of its group. The rank correlation of these predictions with the
true errors is what the trust is worth; where that is nothing, every sample is trusted alike, and the note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from distilvo.distill.trust import Trust, ranks
from distilvo.errors import DistilvoError
from distilvo.progress import progress

FEWEST = 20
"""Labelled samples that a regressor can be fitted on."""
LEAST_WORTH = 0.1
"""Rank correlation; one that chance alone may give is worth nothing either."""
TREES, FOLDS = 200, 5
LEAST_IN_LEAF, SHARE_IN_LEAF = 3, 0.01
MOST_IN_TREE = 2000
"""Samples that one tree is grown on: hours of film would take hours of forests."""
WIDEST = 64
"""Values of a layer that become features; of a wider one the leading principal components."""


def learned_trust(
    features: Tensor | Sequence[Tensor], errors: Tensor, groups: Tensor | None = None, seed: int = 0
) -> Trust:
    """Predict the teacher's error on all samples from the labelled ones, and trust it accordingly.

    Args:
        features: (N, F), finite; or several such sets: the one that predicts best on held-out samples is
            taken. Many features of few films tell the films apart, not the error: give a small set, too.
        errors: e_T, (N,); NaN where there is no label.
        groups: (N,) integers; samples of one group, such as the frames of one film, do not judge each other.
        seed: of the forest and of the folds.

    Raises:
        DistilvoError: shapes differ, a feature is not finite, or scikit-learn is not installed.
    """
    sets = [features] if isinstance(features, Tensor) else list(features)
    for one in sets:
        _check(one, errors)
    known = ~errors.isnan()
    if reason := _unfit(errors[known], None if groups is None else groups[known]):
        return _no_trust(errors, f"learned trust: {reason}; the teacher is trusted alike on all samples")
    median, count = errors[known].median(), int(known.sum())
    logs = errors[known].clamp_min(float(median) * 1e-4).log()
    fits = []
    with progress("learn trust", len(sets)) as bar:
        for one in sets:
            held_out, everywhere = _predict(one, known, logs, groups, seed)
            fits.append((rank_correlation(held_out, logs), held_out, everywhere))
            bar.advance()
    worth, held_out, everywhere = max(fits, key=lambda fit: fit[0])
    if worth < max(LEAST_WORTH, 2 / count**0.5):
        reason = f"its rank correlation with the true error is {worth:.2f} on {count} held-out samples"
        note = f"learned trust is worth nothing: {reason}; the teacher is trusted alike on all samples"
        return replace(_no_trust(errors, note), worth=(worth,))
    predicted = everywhere.clone()
    predicted[known] = held_out
    predicted = predicted.exp()
    return Trust(median / (median + predicted), errors, (float(median),), "learned", predicted, (worth,))


def _check(features: Tensor, errors: Tensor) -> None:
    if features.ndim != 2 or errors.shape != features.shape[:1]:
        raise DistilvoError(
            f"learned trust: errors have the shape {tuple(errors.shape)}, features {tuple(features.shape)}; expected "
            "(N,) and (N, F)"
        )
    if not features.isfinite().all():
        raise DistilvoError(
            f"learned trust: {int((~features.isfinite()).any(-1).sum())} of {len(features)} samples have features that "
            "are not finite; expected numbers"
        )


def trust_features(outputs: Tensor, hints: Sequence[Tensor] = (), more: Tensor | None = None) -> Tensor:
    """What a teacher's error is predicted from, (N, F): its outputs, hints, their norms, and what is given besides.

    Args:
        outputs: p_T, (N, ...); NaN where the teacher gave nothing.
        hints: Psi_T of each layer, (N, K) each.
        more: (N, M) cheap statistics, e.g. mean and spread of the inputs.
    """
    columns = []
    for values in (outputs, *hints):
        flat = values.flatten(1) if values.ndim > 1 else values[:, None]
        flat = flat.float().nan_to_num(0.0)
        columns += [_leading(flat), flat.square().mean(1, keepdim=True).sqrt()]
    if more is not None:
        columns.append(more.float())
    return torch.cat(columns, 1)


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two (n,), 0 where one of them is constant."""
    one, two = (ranks(values.double()) for values in (first, second))
    one, two = one - one.mean(), two - two.mean()
    spread = float((one.square().sum() * two.square().sum()).sqrt())
    return float((one * two).sum()) / spread if spread > 0 else 0.0


def _unfit(errors: Tensor, groups: Tensor | None) -> str:
    """Why no regressor can be fitted; empty where one can."""
    if len(errors) < FEWEST:
        return f"{len(errors)} labelled samples, expected at least {FEWEST}"
    if groups is not None and len(groups.unique()) < 2:
        return "all labelled samples are of one group, expected two and more"
    if not float(errors.median()) > 0:
        return "half of the teacher's errors on labelled samples are 0 (was it trained on them?), expected a spread"
    return ""


def _no_trust(errors: Tensor, note: str) -> Trust:
    return Trust(torch.ones(len(errors)), errors, (), "none", note=note)


def _predict(features: Tensor, known: Tensor, logs: Tensor, groups: Tensor | None, seed: int) -> tuple[Tensor, Tensor]:
    """Log errors of the labelled samples, each by a forest without its fold, and of all samples by one of all."""
    try:
        from sklearn.ensemble import RandomForestRegressor
        from sklearn.model_selection import GroupKFold, KFold, cross_val_predict
    except ImportError:
        raise DistilvoError("learned trust: needs scikit-learn; pip install 'distilvo[train]'") from None
    count = min(len(logs), MOST_IN_TREE)
    leaf = max(LEAST_IN_LEAF, round(SHARE_IN_LEAF * count))
    forest = RandomForestRegressor(
        TREES, min_samples_leaf=leaf, max_features=1 / 3, max_samples=count / len(logs), random_state=seed
    )
    labelled, target = features[known].numpy(), logs.numpy()
    if groups is None:
        folds, own = KFold(FOLDS, shuffle=True, random_state=seed), None
    else:
        own = groups[known].numpy()
        folds = GroupKFold(min(FOLDS, len(groups[known].unique())))
    held_out = cross_val_predict(forest, labelled, target, groups=own, cv=folds)
    everywhere = forest.fit(labelled, target).predict(features.numpy())
    return torch.as_tensor(held_out, dtype=logs.dtype), torch.as_tensor(everywhere, dtype=logs.dtype)


def _leading(values: Tensor) -> Tensor:
    """Values (N, K) themselves, or their leading principal components where there are too many."""
    if values.shape[1] <= WIDEST:
        return values
    centred = values - values.mean(0)
    sample = centred[:: max(1, len(centred) // 1024)]
    directions = torch.linalg.svd(sample, full_matrices=False).Vh[:WIDEST]
    return centred @ directions.T
