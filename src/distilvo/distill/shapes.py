"""Shapes of predictions, targets and hints: checked before anything is computed, since torch broadcasts in silence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, is_tensor

from distilvo.errors import DistilvoError

Scale = Tensor | float


def check_same(**tensors: Tensor) -> None:
    """Raise DistilvoError where two tensors, given by name, have different shapes; the line says both."""
    (first, one), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != one.shape:
            raise DistilvoError(
                f"{name}: has the shape {tuple(tensor.shape)}, {first} has {tuple(one.shape)}; expected the same; "
                "reshape one of them, for torch would broadcast"
            )


def by_component(scale: Scale, **tensors: Tensor) -> list[Tensor]:
    """Tensors with the components of a sample last, (..., D); of one-dimensional ones each number is a sample.

    Raises:
        DistilvoError: the shapes differ, one is a single number, or ``scale`` is neither one number nor (D,).
    """
    check_same(**tensors)
    name, one = next(iter(tensors.items()))
    if one.ndim == 0:
        raise DistilvoError(f"{name}: is a single number, expected (N,), or (..., D) with the components last")
    values = [tensor[..., None] if tensor.ndim == 1 else tensor for tensor in tensors.values()]
    components = values[0].shape[-1]
    if is_tensor(scale) and scale.ndim and tuple(scale.shape) not in ((1,), (components,)):
        raise DistilvoError(
            f"scale: has the shape {tuple(scale.shape)}, expected one number, or ({components},) as {name} has the "
            f"shape {tuple(one.shape)}"
        )
    return values


def components_last(values: Tensor) -> Tensor:
    """Targets of any kind as (..., D): (N,) as (N, 1), dense ones, (N, C, H, W), as (N, H, W, C)."""
    if values.ndim == 1:
        return values[:, None]
    return values if values.ndim < 4 else values.movedim(1, -1)


def like_target(prediction: Tensor, target: Sequence[int], who: str) -> Tensor:
    """Outputs (B, ...) with the shape of targets (B, *target), where they differ in dimensions of size 1 alone.

    Raises:
        DistilvoError: they differ in more.
    """
    shape = (len(prediction) if prediction.ndim else 1, *target)
    if tuple(prediction.shape) == shape:
        return prediction
    if [n for n in prediction.shape if n != 1] == [n for n in shape if n != 1]:
        return prediction.reshape(shape)
    raise DistilvoError(
        f"{who}: gives the shape {tuple(prediction.shape)}, the targets have {shape}; expected the same"
    )


def per_sample(value: Tensor, lead: Sequence[int]) -> Tensor:
    """A layer's output as one vector for each sample, (*lead, K), whatever the layer works on.

    Args:
        value: (*lead, ...), or with time folded into the batch, (B * T, ...); of a layer that sees single frames,
            (B * (T + 1), ...), a pair's second frame counts.
        lead: shape of the samples, (B,) or (B, T), or of pixels, (B, H, W), for a layer's (B, K, H, W).

    Raises:
        DistilvoError: the output is of another shape.
    """
    lead = tuple(lead)
    if len(lead) == 3:
        value = components_last(value)
    if value.shape[: len(lead)] == lead:
        return value.flatten(len(lead)) if value.ndim > len(lead) else value[..., None]
    if value.ndim and len(value) == math.prod(lead):
        return value.unflatten(0, lead).flatten(len(lead)) if value.ndim > 1 else value.unflatten(0, lead)[..., None]
    if value.ndim and len(lead) == 2 and len(value) == lead[0] * (lead[1] + 1):
        return value.unflatten(0, (lead[0], lead[1] + 1))[:, 1:].flatten(2)
    raise DistilvoError(
        f"hint layer: gives {tuple(value.shape)}, expected one vector for each of {lead} samples; choose another layer"
    )
