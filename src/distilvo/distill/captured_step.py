"""A training step as one CUDA graph: recorded once, then started as a whole.

A step of a small network is some hundred kernels of a few microseconds each. A CPU takes longer to start them one by
one than a GPU to run them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields

import torch
from torch import Tensor

from distilvo.distill.batches import Batch
from distilvo.distill.nested import cloned, tensors_of

Step = Callable[[Batch], dict[str, Tensor]]
"""Forward, backward and the optimiser's update on one batch; gives its losses, one number each."""

_BEFORE = 3  # steps that run one kernel at a time: libraries choose their kernels in them, and memory is laid out


class CapturedStep:
    """Runs a step on batches of one shape, and on a device with CUDA.

    For a step whose kernels do not depend on what the numbers are, and whose optimiser is ``capturable``.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._ran = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None
        self._losses: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of the batch; the tensors hold those of the next one once that has run."""
        self._ran += 1
        if self._ran == _BEFORE + 1:
            self._record(batch)
        if self._graph is None or self._batch is None:
            return self._aside(batch)
        for mine, new in zip(_tensors(self._batch), _tensors(batch), strict=True):
            mine.copy_(new)
        self._graph.replay()
        return self._losses

    def _record(self, batch: Batch) -> None:
        """Record the step; where that is impossible all steps run one kernel at a time, with a note."""
        graph, self._batch = torch.cuda.CUDAGraph(), _copied(batch)
        try:
            with torch.cuda.graph(graph):
                self._losses = self._step(self._batch)
            self._graph = graph
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            warnings.warn(f"no CUDA graph of a training step ({reason}); trains without, more slowly", stacklevel=2)

    def _aside(self, batch: Batch) -> dict[str, Tensor]:
        """One kernel at a time, on a stream of its own, as recording will be."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This instance was constructed with capturable=True")
            losses = self._step(batch)
        torch.cuda.current_stream().wait_stream(stream)
        return losses


def _tensors(batch: Batch) -> list[Tensor]:
    return tensors_of(tuple(getattr(batch, field.name) for field in fields(batch)))


def _copied(batch: Batch) -> Batch:
    return Batch(**{field.name: cloned(getattr(batch, field.name)) for field in fields(batch)})
