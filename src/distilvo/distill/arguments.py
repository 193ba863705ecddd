"""What ``distill_regressor`` is given, checked before any work; each raises DistilvoError where it is wrong."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from distilvo.distill.nested import as_tensors, is_array
from distilvo.distill.sample_set import Facts, SampleSet
from distilvo.distill.shapes import components_last
from distilvo.distill.teachers import HintSource
from distilvo.distill.trust import sample_errors, squared_errors
from distilvo.distill.trust_choice import KINDS, check_labels
from distilvo.errors import DistilvoError
from distilvo.settings import Trusting


def layer_pairs(hints: Any) -> list[tuple[HintSource, str]]:
    """Hints as a list of pairs."""
    is_one = isinstance(hints, tuple) and len(hints) == 2 and isinstance(hints[1], str)
    pairs = [hints] if is_one else list(hints)
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[1], str)):
            raise DistilvoError(f"hints: {pair!r} is no pair; expected (layer of the teacher, layer of the student)")
    return [(source, path) for source, path in pairs]


def sample_weights(weights: Any) -> Tensor | None:
    """Sample weights with a mean of 1."""
    if weights is None:
        return None
    values = as_tensors(weights, "weights").float()
    if values.ndim != 1 or not bool((values.isfinite() & (values >= 0)).all()) or not float(values.sum()) > 0:
        raise DistilvoError(
            f"weights: have the shape {tuple(values.shape)}; expected (N,) numbers from 0 on, not all 0"
        )
    return values / values.mean()


def unit_of_targets(scale: Any, facts: Facts) -> Tensor:
    """Unit of each component of a target, (D,): the given one, or the spread of the labels."""
    rows = components_last(facts.targets).flatten(0, -2)
    if scale is None:
        unit = (rows - rows.nanmean(0)).square().nanmean(0).sqrt()
        unit = torch.where(unit > 1e-6 * unit.nan_to_num().max(), unit, 1.0)  # 1 for what is always the same
    else:
        unit = as_tensors(scale, "scale").float()
        unit = unit.expand(rows.shape[1:]) if unit.numel() == 1 else unit
    if unit.shape != rows.shape[1:] or not bool((unit > 0).all()):
        raise DistilvoError(
            f"scale: has the shape {tuple(unit.shape)}, expected positive numbers, one or ({rows.shape[1]},)"
        )
    return unit


def held_out(name: str, data: Any, samples: SampleSet) -> SampleSet | None:
    """Data to validate or test on, with targets of the shape of those that are trained on."""
    if data is None:
        return None
    other = SampleSet(data).checked()
    own, expected = (tuple(side for side in one.target_shape if side != 1) for one in (other, samples))
    if own != expected:
        raise DistilvoError(
            f"{name}: targets of a sample have the shape {tuple(other.target_shape)}, those of data "
            f"{tuple(samples.target_shape)}; expected the same"
        )
    return other


def group_numbers(groups: Any, count: int) -> Tensor | None:
    """Numbers of groups, (N,)."""
    if groups is None:
        return None
    numbers = as_tensors(groups, "groups").long()
    if numbers.shape != (count,):
        raise DistilvoError(f"groups: have the shape {tuple(numbers.shape)}, expected ({count},)")
    return numbers


def trust_or_kind(trust: Any, samples: SampleSet, teacher: Any) -> Tensor | Trusting | None:
    """Trust (N,) where it is given as an array; else the kind that is wanted, as it is."""
    count = samples.samples
    if not is_array(trust):
        if trust not in (None, *KINDS):
            raise DistilvoError(f"trust: is {trust}, expected {', '.join(KINDS)}, or an array")
        if not is_array(teacher):  # of outputs that are there already it is known which samples have none
            targets, weights = samples.facts.targets, samples.sample_weights
            errors = sample_errors(squared_errors(targets, targets))
            check_labels(trust, errors if weights is None else errors[weights > 0])
        return cast(Trusting | None, trust)
    phi = as_tensors(trust, "trust").float()
    if phi.shape != (count,) or not bool(((phi >= 0) & (phi <= 1)).all()):
        raise DistilvoError(
            f"trust: an array of the shape {tuple(phi.shape)}, expected ({count},) numbers of 0 to 1, one for each "
            "sample"
        )
    return phi
