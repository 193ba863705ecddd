"""Samples to train on, labelled or not: arrays, or data sets that are read item by item; each has its own number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from distilvo.distill.nested import as_tensors, collated, is_array, joined, length, rows_of, tensor_bytes, tensors_of
from distilvo.errors import DistilvoError
from distilvo.progress import progress


class Items(Protocol):
    """A map-style data set, as ``torch.utils.data.Dataset`` is."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int, /) -> Any:
        """The item of a number."""


@dataclass(frozen=True)
class Indexed:
    """A map-style data set whose items have their number behind them, for a loader and a loop of one's own."""

    data: Items

    def __len__(self) -> int:
        """How many."""
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """``(inputs, target, index)`` where an item is ``(inputs, target)``."""
        return (*self.data[index], index)


@dataclass(frozen=True)
class SampleBatch:
    """One batch of a ``SampleSet``: inputs, targets (NaN where there is no label), numbers and weights of samples."""

    inputs: Any
    targets: Tensor
    index: Tensor
    weights: Tensor | None = None


@dataclass(frozen=True)
class SampleSet:
    """N samples: those of ``data`` with targets, then those of ``unlabelled`` without.

    Attributes:
        data: ``(inputs, targets)`` as arrays, or a map-style data set of such pairs.
        unlabelled: inputs alone, as an array or a map-style data set; None for none.
        sample_weights: (N,) where they are given; one with weight 0 is as if it were not there, its label NaN.
        chosen: numbers of the samples that batches are made of; all where None.
        batch_size: samples in a batch, those of all processes together.
        seed: of the order.
        augmented: items may differ each time they are read.
    """

    data: Any
    unlabelled: Any = None
    sample_weights: Tensor | None = None
    chosen: Tensor | None = None
    batch_size: int = 64
    seed: int = 0
    augmented: bool = False

    def __post_init__(self) -> None:
        if not (isinstance(self.data, tuple) and len(self.data) == 2) and not _is_items(self.data):
            raise DistilvoError(
                f"data: is a {type(self.data).__name__}, expected (inputs, targets) as arrays, or a data set with "
                "len() and numbers; not a loader: the order of the samples is ours"
            )
        if self.unlabelled is not None and not hasattr(self.unlabelled, "__getitem__"):
            raise DistilvoError(
                f"unlabelled: is a {type(self.unlabelled).__name__}, expected inputs as an array, or a data set with "
                "len() and numbers"
            )
        if self._arrays is not None and length(self._arrays[0]) != len(self._arrays[1]):
            raise DistilvoError(
                f"data: {length(self._arrays[0])} inputs and {len(self._arrays[1])} targets; expected equally many"
            )
        if self.sample_weights is not None and len(self.sample_weights) != self.samples:
            raise DistilvoError(
                f"weights: {len(self.sample_weights)} for {self.samples} samples; expected equally many"
            )

    @cached_property
    def _arrays(self) -> tuple[Any, Tensor] | None:
        """Inputs and targets of the labelled part, where they are arrays."""
        if not isinstance(self.data, tuple):
            return None
        return as_tensors(self.data[0]), _floats(as_tensors(self.data[1]))

    @cached_property
    def _more(self) -> Any:
        """Inputs of the unlabelled part as tensors, or its items as they are."""
        if self.unlabelled is None or (_is_items(self.unlabelled) and not is_array(self.unlabelled)):
            return self.unlabelled
        return as_tensors(self.unlabelled)

    @property
    def labelled(self) -> int:
        """Samples of ``data``: some of them may have NaN for a target."""
        return len(self.data) if self._arrays is None else len(self._arrays[1])

    @property
    def samples(self) -> int:
        """N."""
        more = self._more
        return self.labelled + (0 if more is None else length(more))

    @property
    def key(self) -> str:
        """Hash of the content, order and batch size."""
        chosen = "all" if self.chosen is None else hashlib.sha256(tensor_bytes(self.chosen)).hexdigest()[:16]
        weights = (
            "" if self.sample_weights is None else hashlib.sha256(tensor_bytes(self.sample_weights)).hexdigest()[:16]
        )
        return f"{self.facts.digest} {chosen} {weights} {self.batch_size} {self.seed}"

    @cached_property
    def facts(self) -> Facts:
        """Targets, statistics and hash of all samples; reads each of them once."""
        return read_through(self)

    def checked(self) -> SampleSet:
        """The same, with batches that are not larger than the set.

        Raises DistilvoError where no sample has a label.
        """
        if not bool(self.facts.is_labelled.any()):
            raise DistilvoError(f"data: none of {self.labelled} samples has a label; expected some that are not NaN")
        return self.of(torch.arange(self.samples))

    def of(self, chosen: Tensor) -> SampleSet:
        """The same samples with the same numbers, of which batches hold the chosen ones alone."""
        other = replace(self, chosen=chosen, batch_size=min(self.batch_size, len(chosen)))
        other.__dict__["facts"] = self.facts  # nothing is read twice
        return other

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self._count // self.batch_size

    @property
    def _count(self) -> int:
        return self.samples if self.chosen is None else len(self.chosen)

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[SampleBatch]:
        """The batches of an epoch from number ``start`` on, in an order that depends on seed and number alone."""
        order = torch.randperm(
            self._count, generator=torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        )
        if self.chosen is not None:
            order = self.chosen[order]
        for batch in range(start, len(self)):
            yield self.read(order[batch * self.batch_size : (batch + 1) * self.batch_size][share])

    def in_order(self, size: int = 256) -> Iterator[SampleBatch]:
        """All samples once, by their numbers."""
        for part in torch.arange(self.samples).split(size):
            yield self.read(part)

    def read(self, index: Tensor) -> SampleBatch:
        """The samples of given numbers, (B,), as one batch."""
        weights = None if self.sample_weights is None else self.sample_weights[index]
        own = index < self.labelled
        parts, targets = [], []
        if own.any():
            inputs, labels = self._read_labelled(index[own])
            parts.append(inputs)
            targets.append(labels)
        if not own.all():
            parts.append(rows_of(self._more, index[~own] - self.labelled))
            shape = targets[0].shape[1:] if targets else self.target_shape
            targets.append(torch.full((len(index[~own]), *shape), torch.nan))
        back = torch.cat([own.nonzero()[:, 0], (~own).nonzero()[:, 0]]).argsort()
        known = torch.cat(targets)[back]
        if weights is not None:
            known[weights == 0] = torch.nan
        return SampleBatch(joined(parts, back), known, index, weights)

    @cached_property
    def target_shape(self) -> torch.Size:
        """Of the target of one sample."""
        return self._read_labelled(torch.tensor([0]))[1].shape[1:]

    def _read_labelled(self, index: Tensor) -> tuple[Any, Tensor]:
        if self._arrays is not None:
            inputs, targets = self._arrays
            return rows_of(inputs, index), targets[index]
        pairs = [self.data[int(number)] for number in index]
        if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
            raise DistilvoError(
                f"data: item {int(index[0])} is a {type(pairs[0]).__name__}, expected (inputs, target); give samples "
                "without targets as unlabelled="
            )
        return collated([inputs for inputs, _ in pairs]), _floats(collated([as_tensors(target) for _, target in pairs]))


@dataclass(frozen=True)
class Facts:
    """What is known of a whole set of N samples before it is trained on.

    Attributes:
        targets: (N, ...); NaN where there is no label.
        statistics: (N, 4) mean, spread, smallest and largest number of each sample's inputs.
        checksums: (N,) of the inputs, which tell whether they are the same when they are read again.
        digest: hash of all targets, and of all inputs where these are the same each time.
    """

    targets: Tensor
    statistics: Tensor
    checksums: Tensor
    digest: str

    @property
    def is_labelled(self) -> Tensor:
        """(N,) whether a sample has a label, or a part of one."""
        return ~self.targets.flatten(1).isnan().all(1) if self.targets.ndim > 1 else ~self.targets.isnan()


def read_through(samples: SampleSet) -> Facts:
    """Read every sample once. Raises DistilvoError where there are none, or some are infinite."""
    if not samples.samples or not samples.labelled:
        raise DistilvoError("data: has no samples; expected at least one with a target")
    if samples.samples > samples.labelled:
        samples.read(torch.tensor([0, samples.labelled]))  # whether both are alike
    digest, targets, statistics, sums = hashlib.sha256(), [], [], []
    with progress("read samples", samples.samples) as bar:
        for batch in samples.in_order():
            for tensor in [] if samples.augmented else tensors_of(batch.inputs):
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor_bytes(tensor))
            digest.update(tensor_bytes(batch.targets))
            targets.append(batch.targets)
            _refuse_infinite(batch)
            rows = _flat(batch.inputs, len(batch.index))
            statistics.append(torch.stack([rows.mean(1), rows.std(1, correction=0), rows.amin(1), rows.amax(1)], 1))
            sums.append(checksums(batch.inputs, len(batch.index)))
            bar.advance(len(batch.index))
    every = torch.cat(targets)
    if every.isinf().any():
        raise DistilvoError(
            f"data: {int(every.isinf().sum())} targets are infinite; expected numbers, or NaN for no label"
        )
    return Facts(every, torch.cat(statistics), torch.cat(sums), digest.hexdigest()[:16])


def _refuse_infinite(batch: SampleBatch) -> None:
    for tensor in _by_sample(batch.inputs, len(batch.index)):
        if (infinite := tensor.isposinf().any(1)).any():  # -inf is what a mask of attention holds
            wrong = int(batch.index[infinite][0])
            raise DistilvoError(f"data: inputs of sample {wrong} are infinite; expected numbers")


def checksums(inputs: Any, count: int) -> Tensor:
    """One number for each of ``count`` samples, (count,) float64, which another order of its values changes, too."""
    rows = _flat(inputs, count).double()
    weights = torch.rand(rows.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (rows * weights).sum(1)


def _flat(inputs: Any, count: int) -> Tensor:
    """All numbers of each sample's inputs, (count, K)."""
    rows = _by_sample(inputs, count)
    return torch.cat(rows, 1).nan_to_num() if rows else torch.zeros(count, 1)


def _by_sample(inputs: Any, count: int) -> list[Tensor]:
    """The tensors of the inputs that have a row a sample, as (count, K) each."""
    return [tensor.reshape(count, -1).float() for tensor in tensors_of(inputs) if tensor.ndim and len(tensor) == count]


def _is_items(data: Any) -> bool:
    return hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (tuple, dict, str))


def _floats(targets: Any) -> Tensor:
    if not isinstance(targets, Tensor) or not targets.ndim:
        raise DistilvoError(f"data: targets are a {type(targets).__name__}, expected one array with a row a sample")
    return targets.float()
