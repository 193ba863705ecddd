"""Whether the architecture that a file states can be a network's: a small file can claim any size."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch

from distilvo.data.flow_cells import CELL
from distilvo.models.flow_network import FlowArchitecture
from distilvo.models.kinds import AnyArchitecture, network_of
from distilvo.models.network import Architecture
from distilvo.paths import checked_name

_LARGEST = 10_000  # number of pixels on a side, or of channels or units in a layer
_LARGEST_MAP = 2**26  # numbers, 256 MB
_MOST_LAYERS = 100


def check_architecture(architecture: AnyArchitecture) -> None:
    """Raise TypeError or ValueError where the values are not of the kind that an architecture has."""
    if type(architecture.name) is not str:
        raise ValueError("expected a name")
    if isinstance(architecture, FlowArchitecture):
        _check_flow(architecture)
    else:
        _check_pose(architecture)
    checked_name(architecture.name, "architecture")
    with torch.device("meta"):  # takes no memory: one digit too many could need more than there is
        network_of(architecture)


def _check_pose(a: Architecture) -> None:
    pairs = (a.size, a.grid, a.student_grid or a.grid, a.reach)
    if any(len(pair) != 2 for pair in pairs) or any(len(layer) != 3 for layer in a.convolutions):
        raise ValueError("expected size, grid and reach of 2 numbers, and 3 for each convolution")
    _check_layers(a.convolutions, a.lstm, a.fc)
    _check_sizes([*chain(*pairs[:3], *a.convolutions), *a.fc, *a.lstm, a.channels, a.branch, a.patch, len(a.fc)])
    _check_numbers("shared", a.shared, len(a.convolutions))
    _check_numbers("reach", a.reach, max(a.size))
    if not 0 <= a.dropout < 1 or type(a.batch_norm) is not bool:
        raise ValueError("expected a dropout from 0 to less than 1, and batch_norm true or false")
    rows, columns = (-(-pixels // a.patch) for pixels in a.size)
    maps = [a.channels * a.size[0] * a.size[1]]
    for index, (channels, _, stride) in enumerate(a.convolutions, start=1):
        rows, columns = -(-rows // stride), -(-columns // stride)
        maps.append((channels + a.displacements * (index == a.shared)) * rows * columns)
    _check_maps(maps)


def _check_flow(a: FlowArchitecture) -> None:
    if not (len(a.size) == len(a.reach) == len(a.fine_reach) == 2 and all(len(layer) == 3 for layer in a.encoder)):
        raise ValueError("expected size, reach and fine reach of 2 numbers, and 3 for each layer of the encoder")
    _check_layers(a.encoder, a.comparison, a.context, a.refinement)
    if not (a.encoder and a.comparison and a.context and a.refinement):
        raise ValueError("expected at least one layer of each kind")
    _check_sizes([*a.size, *chain(*a.encoder), *a.comparison, *a.context, *a.refinement, a.patch, a.block])
    _check_numbers("squeeze", a.squeeze, _LARGEST)
    _check_numbers("fine", a.fine, len(a.encoder) - 1)
    _check_numbers("reach", a.reach, max(a.size))
    _check_numbers("fine_reach", a.fine_reach, max(a.size))
    if any(side % (2 * CELL) for side in a.size):
        raise ValueError(f"size is {a.size}, expected multiples of {2 * CELL} pixels")
    if any(side % a.block for side in a.size):
        raise ValueError(f"block is {a.block}, expected a divisor of both sides of the size {a.size}")
    if any(kernel % 2 == 0 for _, kernel, _ in a.encoder):
        raise ValueError("expected odd kernels in the encoder")
    shrinking, maps = a.patch, [a.size[0] * a.size[1]]
    for number, (channels, _, stride) in enumerate(a.encoder, start=1):
        shrinking *= stride
        maps.append(channels * a.size[0] * a.size[1] // shrinking**2)
        if number == a.fine and shrinking != CELL // 2:
            raise ValueError(f"the fine stage is at {shrinking} pixels, expected {CELL // 2}")
    if shrinking != CELL:
        raise ValueError(f"the encoder ends at {shrinking} pixels, expected {CELL}")
    compared = max((2 * down + 1) * (2 * right + 1) for down, right in (a.reach, a.fine_reach))
    _check_maps([*maps, compared * 4 * a.cells[0] * a.cells[1]])


def _check_layers(*kinds: tuple[Any, ...]) -> None:
    if any(len(layers) > _MOST_LAYERS for layers in kinds):
        raise ValueError(f"expected at most {_MOST_LAYERS} layers of each kind")


def _check_sizes(numbers: Iterable[Any]) -> None:
    if any(type(number) is not int or not 1 <= number <= _LARGEST for number in numbers):
        raise ValueError(f"expected sizes that are whole numbers from 1 to {_LARGEST}")


def _check_numbers(name: str, value: Any, most: int) -> None:
    """Of one number, or of several."""
    numbers = value if isinstance(value, tuple) else (value,)
    if any(type(number) is not int or not 0 <= number <= most for number in numbers):
        raise ValueError(f"{name} is {value}, expected 0 to {most}")


def _check_maps(maps: list[int]) -> None:
    """The frame itself included."""
    if max(maps) > _LARGEST_MAP:
        raise ValueError(f"a feature map has {max(maps)} numbers, expected at most {_LARGEST_MAP}")
