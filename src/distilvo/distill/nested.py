"""Inputs of a network: a tensor, or dicts and tuples of tensors, each with one row a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from distilvo.errors import DistilvoError


def moved(value: Any, device: torch.device) -> Any:
    """Tensors, in dicts and tuples too, on another device; anything else as it is."""
    return _changed(value, lambda tensor: tensor.to(device))


def cloned(value: Any) -> Any:
    """A copy of tensors, in dicts and tuples too; anything else as it is."""
    return _changed(value, torch.clone)


def tensors_of(inputs: Any) -> list[Tensor]:
    """The tensors of a tensor, or of dicts and tuples of them."""
    if isinstance(inputs, Tensor):
        return [inputs]
    values = inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, (tuple, list)) else ()
    return [tensor for value in values for tensor in tensors_of(value)]


def as_tensors(values: Any, who: str = "data") -> Any:
    """Arrays, data frames, and dicts or tuples of them, as tensors with one row a sample; doubles become single."""
    if isinstance(values, dict):
        return {name: as_tensors(value, who) for name, value in values.items()}
    if isinstance(values, tuple):
        return tuple(as_tensors(value, who) for value in values)
    try:
        return _plain(torch.as_tensor(values.to_numpy() if hasattr(values, "to_numpy") else values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DistilvoError(f"{who}: cannot be made a tensor ({error}); expected arrays of numbers") from None


def collated(items: Sequence[Any]) -> Any:
    """Items of a data set as one batch; doubles become single."""
    try:
        return _changed(default_collate(list(items)), _plain)
    except (TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise DistilvoError(
            f"data: items cannot be put into one batch ({reason}); expected tensors of one shape, or dicts and tuples "
            "of them"
        ) from None


def is_array(values: Any) -> bool:
    """Whether it is a tensor, an array or a data frame."""
    return isinstance(values, Tensor) or hasattr(values, "__array__") or hasattr(values, "to_numpy")


def count_of(inputs: Any) -> int:
    """Samples of a batch of inputs."""
    return len(tensors_of(inputs)[0])


def length(values: Any) -> int:
    """Rows of an array or data set; raises DistilvoError where those of a dict or tuple do not have equally many."""
    if not isinstance(values, (dict, tuple)):
        return len(values)
    lengths = {len(tensor) for tensor in tensors_of(values)}
    if len(lengths) != 1:
        raise DistilvoError(f"data: inputs have {sorted(lengths)} rows, expected equally many")
    return lengths.pop()


def rows_of(values: Any, index: Tensor) -> Any:
    """The rows of an index (B,) of tensors, or the items of a data set as one batch."""
    if isinstance(values, Tensor):
        return values[index]
    if isinstance(values, dict):
        return {name: rows_of(value, index) for name, value in values.items()}
    if isinstance(values, tuple):
        return tuple(rows_of(value, index) for value in values)
    return collated([values[int(number)] for number in index])


def joined(parts: Sequence[Any], order: Tensor) -> Any:
    """Inputs of two parts, one behind the other, then in the given order."""
    first = parts[0]
    if (kinds := [_kind(part) for part in parts])[0] != kinds[-1]:
        raise DistilvoError(
            f"unlabelled: inputs are {kinds[1]}, those of data {kinds[0]}; expected the same, without targets"
        )
    if isinstance(first, Tensor):
        return torch.cat(list(parts))[order]
    if isinstance(first, dict):
        return {name: joined([part[name] for part in parts], order) for name in first}
    if isinstance(first, tuple):
        return tuple(joined(list(values), order) for values in zip(*parts, strict=True))
    raise DistilvoError(f"data: inputs hold {type(first).__name__}, expected tensors, or dicts and tuples of them")


def tensor_bytes(tensor: Tensor) -> bytes:
    """The numbers of a tensor of any type."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with its tensors changed, in dicts and tuples too; lists become tuples."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _changed(one, change) for name, one in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_changed(one, change) for one in value)
    return value


def _plain(tensor: Tensor) -> Tensor:
    """As data are: on the CPU, in single precision, and with no history of how they came about."""
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def _kind(part: Any) -> str:
    """What the inputs of a sample are, in words."""
    if isinstance(part, Tensor):
        return f"{str(part.dtype).removeprefix('torch.')} of the shape {tuple(part.shape[1:])}"
    if isinstance(part, dict):
        return f"a dict of {', '.join(map(str, sorted(part, key=str)))}"
    return f"{len(part)} in a tuple" if isinstance(part, tuple) else f"a {type(part).__name__}"
