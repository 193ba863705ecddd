"""Gradients of which no single sample takes more than its share."""

from __future__ import annotations

import torch
from torch import Tensor

_MOST = 3.0
"""Times the median norm of a batch."""


def evened(values: Tensor) -> Tensor:
    """The same values (N, ...), whose gradient is cut for samples where its norm is far above the batch's median.

    A solver's solution moves without bound where its equations hardly determine it: one such pair of frames would
    decide where all weights go. Gradients that are not finite are left out.
    """
    if not (values.requires_grad and torch.is_grad_enabled()):
        return values
    same = values.view_as(values)
    same.register_hook(_cut)
    return same


def _cut(gradient: Tensor) -> Tensor:
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    norms = gradient.flatten(1).norm(dim=1)
    factor = (_MOST * norms.median() / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_max(1.0)
    return gradient * factor.view(-1, *[1] * (gradient.dim() - 1))
