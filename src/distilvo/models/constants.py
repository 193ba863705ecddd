"""Constant tensors of the geometry, where the numbers are that they meet."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def beside(constant: Tensor, like: Tensor) -> Tensor:
    """A constant of a module on the device and in the type of another tensor; it is copied to a GPU once.

    A step that is recorded as a CUDA graph can copy nothing from the CPU.
    """
    return constant.to(like) if like.device.type == "cpu" else _there(constant, like.device, like.dtype)


@cache
def _there(constant: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # else it could not be used in training later
        return constant.to(device, dtype)
