"""Convolutions from FlowNetS (Dosovitskiy et al., ICCV 2015), as the paper's teacher begins (Section 4.1).

The layout is that of the best-known PyTorch checkpoints (ClementPinard/FlowNetPytorch). A ``.pth.tar`` file is a
pickle: torch's weights-only reader reads it, and this reader runs no code of the file.
"""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from distilvo.errors import DistilvoError
from distilvo.models.network import PoseNetwork

LAYERS = ("conv1", "conv2", "conv3", "conv3_1", "conv4", "conv4_1", "conv5", "conv5_1", "conv6", "conv6_1")
MEAN = (0.411, 0.432, 0.45)
"""What FlowNetS subtracts from the three channels that conv1 sees of a frame, in [0, 1].

It is the mean blue, green and red. Weights from Caffe take BGR frames. The published PyTorch weights (2018) take RGB,
but they were trained with the mean in this order too: FlowNetPytorch changed it in January 2020 (its issue 80)."""
_NORM = ("weight", "bias", "running_mean", "running_var")


@torch.no_grad()
def load_flownet(network: PoseNetwork, path: Path) -> list[str]:
    """Fill a network's convolutions in place, from the first one on, as long as names and shapes fit.

    FlowNetS takes two stacked frames as x / 255 - ``MEAN``, this network takes them as x / 127.5 - 1. The weights and
    bias of conv1 change accordingly. The result is exact except at the border of the image: FlowNetS pads with its mean
    colour, this network with mid-grey. Where the file's name contains "caffe", conv1 is converted from BGR to RGB.
    Batch norm is folded, as in evaluation, into convolutions that have none here.

    Args:
        network: stacks two RGB frames; convolutions that are not filled stay as they are.
        path: ``.safetensors``, or a ``.pth`` or ``.pth.tar`` with tensors by name, bare or under ``state_dict``.

    Returns:
        One line for each convolution: what filled it, or why nothing did.

    Raises:
        DistilvoError: the file is missing, damaged, holds more than tensors or fits nowhere; the network is unchanged.
    """
    tensors, blocks = _read(path), [cast(nn.Sequential, block) for block in network.convolutions]
    layers: list[list[Tensor]] = []
    reason = "FlowNetS has no more"
    for name, block in zip(LAYERS, blocks, strict=False):
        keys = _keys(tensors, name)
        if misfit := _misfit(tensors, keys, cast(nn.Conv2d, block[0])):
            reason = misfit
            break
        layers.append(parts := [tensors[key].double() for key in keys])  # folded in float64, rounded once
        if not all(part.isfinite().all() for part in parts) or (len(parts) > 2 and parts[-1].min() < 0):
            raise DistilvoError(f"{path}: {name} has values not finite or variances below zero; get the file anew")
    if not layers:
        raise DistilvoError(
            f"{path}: nothing fits {network.architecture.name}: {reason}; choose a FlowNetS checkpoint and a network "
            "on two stacked RGB frames, such as --architecture paper"
        )
    notes = [_fill(block, *layer) for block, layer in zip(blocks, layers, strict=False)]
    order = "BGR" if "caffe" in path.name.lower() else "RGB"
    _take_our_input(cast(nn.Conv2d, blocks[0][0]), order)
    notes[0] += f"; input order {order}"
    filled = [f"convolutions.{i}: filled from {LAYERS[i]}{note}" for i, note in enumerate(notes)]
    return filled + [f"convolutions.{i}: not filled, {reason}" for i in range(len(layers), len(blocks))]


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by name, without the ``module.`` that data-parallel training puts in front."""
    if not path.is_file():
        raise DistilvoError(f"{path}: no such file; expected a FlowNetS checkpoint (.pth.tar, .pth or .safetensors)")
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickle_weights(path)
    except SafetensorError as error:
        raise DistilvoError(f"{path}: no whole safetensors file ({error}); get it or convert it anew") from None
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    named = content.items() if isinstance(content, dict) else ()
    tensors = {str(name).removeprefix("module."): value for name, value in named if isinstance(value, Tensor)}
    return {name: t for name, t in tensors.items() if t.layout == torch.strided and t.device.type == "cpu"}


def _unpickle_weights(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the pickle's protocol: an error follows where it matters
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file makes the reader raise almost anything
        needed = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        damaged = f"no whole PyTorch checkpoint ({type(error).__name__}); get it anew and do not unpack a .pth.tar"
        refused = (
            f"refused: it needs {needed and needed[1]}, which is no weight and could run code; if you trust its "
            "source, save torch.load(FILE, weights_only=False)['state_dict'] with safetensors.torch.save_file as "
            "FILE.safetensors and give that"
        )
        raise DistilvoError(f"{path}: {refused if needed else damaged}") from None


def _keys(tensors: dict[str, Tensor], name: str) -> list[str]:
    """Names of a layer's tensors: its kernel, then its bias or its batch norm."""
    norm = [f"{name}.1.{part}" for part in _NORM]
    return [f"{name}.0.weight", *(norm if any(key in tensors for key in norm) else [f"{name}.0.bias"])]


def _misfit(tensors: dict[str, Tensor], keys: list[str], convolution: nn.Conv2d) -> str:
    """Why a layer of the checkpoint cannot fill a convolution of ours; empty where it can."""
    shapes = [tuple(convolution.weight.shape)] + [(convolution.out_channels,)] * (len(keys) - 1)
    for key, shape in zip(keys, shapes, strict=True):
        if key not in tensors:
            return f"{key} is missing, expected shape {shape} (found {', '.join([*tensors][:3]) or 'no tensor'})"
        if tuple(tensors[key].shape) != shape:
            return f"{key} has shape {tuple(tensors[key].shape)}, expected {shape}"
    if keys[0] == "conv1.0.weight" and convolution.in_channels != 6:
        return f"conv1.0.weight has shape {shapes[0]}, expected 6 input channels"
    return ""


def _fill(block: nn.Sequential, kernel: Tensor, *rest: Tensor) -> str:
    """Copy a layer into (convolution, batch norm or none, activation); returns a note on the batch norm."""
    norm = block[1] if isinstance(block[1], nn.BatchNorm2d) else None
    bias, note = kernel.new_zeros(len(kernel)) if len(rest) > 1 else rest[0], ""
    if len(rest) > 1 and norm is not None:
        norm.load_state_dict(dict(zip(_NORM, rest, strict=True)), strict=False)
        note = " with its batch norm"
    elif len(rest) > 1:
        weight, offset, mean, variance = rest
        factor = weight / (variance + 1e-5).sqrt()  # torch's default epsilon, which FlowNetPytorch keeps
        kernel, bias, note = kernel * factor[:, None, None, None], offset - mean * factor, ", batch norm folded in"
    elif norm is not None:
        norm.reset_parameters()
        note = "; the batch norm behind it is new, FlowNetS has none"
    convolution = cast(nn.Conv2d, block[0])
    convolution.weight.copy_(kernel)
    cast(Tensor, convolution.bias).copy_(bias)
    return note


def _take_our_input(convolution: nn.Conv2d, order: str) -> None:
    """Adapt conv1 to this network's input: with u = x / 127.5 - 1, x / 255 - mean is u / 2 + (1 / 2 - mean)."""
    kernel = convolution.weight.double()
    shift = 0.5 - torch.tensor(MEAN + MEAN, dtype=torch.float64, device=kernel.device)
    cast(Tensor, convolution.bias).add_(torch.einsum("oihw,i->o", kernel, shift))
    convolution.weight.copy_((kernel.unflatten(1, (2, 3)).flip(2).flatten(1, 2) if order == "BGR" else kernel) / 2)
