"""A training step of a network that sees flow could be recorded as a CUDA graph: it takes nothing from the CPU."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from distilvo.distill.batches import Batch
from distilvo.distill.task import Supervised
from distilvo.models.kinds import network_of
from tiny_flow import FINE

ELSEWHERE = torch.device("meta")  # tensors without numbers: whatever asks for one fails on them, as in a graph


class FromTheCpu(TorchDispatchMode):
    """Notes where numbers of the CPU go to the other device."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: dict[str, Any] | None = None
    ) -> Any:
        keywords = keywords or {}
        tensors = [leaf for leaf in tree_leaves((arguments, keywords)) if isinstance(leaf, Tensor)]
        goes = any(one.device == ELSEWHERE for one in tensors) or keywords.get("device") == ELSEWHERE
        if goes and any(one.device.type == "cpu" and one.dim() for one in tensors):
            self.places.append(str([line for line in traceback.extract_stack() if "distilvo" in line.filename][-1]))
        return function(*arguments, **keywords)


def step() -> list[str]:
    network = network_of(FINE)
    task = Supervised(network, network.scale).to(ELSEWHERE).train()
    batch = Batch(torch.zeros(2, 4, 1, *FINE.size, device=ELSEWHERE), torch.zeros(2, 3, 6, device=ELSEWHERE))
    with FromTheCpu() as copies:
        task(batch)["total"].backward()
    return copies.places


def test_constants_go_to_another_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # has no notion of such tensors
    step()  # the steps before the recorded one
    assert step() == []
