"""The training loop: one, for teachers and students alike; it checkpoints, and goes on where it stopped."""

from __future__ import annotations

import ctypes
import json
import math
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from distilvo import parallel
from distilvo.clips import Batch, Clips
from distilvo.distill.task import Losses, Task
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.progress import progress

CHECKPOINT_EVERY_S = 30.0
CURVE_POINTS = 200
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of malloc.h


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; Adam with a short warm-up and a cosine decay to zero.

    Attributes:
        steps: optimiser steps.
        learning_rate: the highest, reached after the warm-up.
        warmup: steps of linear warm-up.
        clip_norm: gradients are scaled down to this norm.
        precision: ``no`` for 32-bit floats, ``bf16`` for mixed precision (on CPUs only where they have AVX-512 BF16).
        seed: of weights, order of clips and dropout.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 100
    clip_norm: float = 10.0
    precision: str = "no"
    seed: int = 0


Curve = list[tuple[int, float]]
"""(step, mean loss since the last point) along a training."""


def train(task: Task, clips: Clips, settings: TrainingSettings, checkpoint: Path, label: str) -> Curve:
    """Train a task's network in place, or go on from ``checkpoint``; a finished training is only read back.

    Several processes each take their share of every batch and average their gradients, so that they train as one would;
    a training may go on in another number of them.

    Args:
        task: owns the network; parameters that ask for no gradient stay as they are.
        clips: the training set.
        settings: how.
        checkpoint: file of weights, optimiser and random state, written now and then and at the end.
        label: for the progress bar.

    Returns:
        The training curve.

    Raises:
        DistilvoError: the loss is not finite, the checkpoint is of another training, or a batch cannot be shared.
    """
    share = parallel.share(clips.batch_size)
    parallel.join()
    _keep_freed_memory()
    AcceleratorState._reset_state()  # else a second training in one process could not have another precision
    on_cpus = parallel.size() > 1 and parallel.device().type == "cpu"  # or accelerate looks for GPUs, and runs alone
    accelerator = Accelerator(cpu=on_cpus, mixed_precision=settings.precision)
    trainable = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trainable, settings.learning_rate)
    with _norms_over_all(task, accelerator.device):
        model, optimiser = accelerator.prepare(task, optimiser)
        torch.manual_seed(settings.seed)
        state = _Checkpoint(checkpoint, settings, clips, task, optimiser.optimizer)
        _agree(state, settings)
        model.train()
        with _flushed_denormals(), progress(label, settings.steps, state.step) as bar:
            for batch in _batches(clips, state.step, settings.steps, share):
                _set_learning_rate(optimiser, settings, state.step)
                loss = _step(model, batch, optimiser, accelerator, settings)
                state.record(loss, settings.steps)
                bar.advance(note=f"loss {state.curve[-1][1]:.4f}" if state.curve else "")
                state.save_now_and_then()
        parallel.on_main(state.save)
    task.cpu().eval()  # where the rest of the corridor is
    parallel.broadcast(task.state_dict().values())  # running statistics are each process's own
    del model
    accelerator.free_memory()  # else its hooks on the weights would outlive it
    return state.curve


def _agree(state: _Checkpoint, settings: TrainingSettings) -> None:
    """All processes begin at the same step, each with dropout of its own; the checkpoint has rank 0's random state."""
    if float(parallel.mean(torch.tensor(float(state.step), device=parallel.device()))) != state.step:
        raise DistilvoError(f"{state.path}: not seen by all processes; --out must be on a disk that all machines share")
    if not parallel.is_main():
        torch.manual_seed(settings.seed + 1_000_003 * parallel.rank() + state.step)


@contextmanager
def _norms_over_all(task: nn.Module, device: torch.device) -> Iterator[None]:
    """Batch norms that see the whole batch, where processes share it on GPUs; torch has none for CPUs.

    They change class and back, rather than be replaced, so that hooks on them stay.
    """
    shared = parallel.size() > 1 and device.type == "cuda"
    norms: list[Any] = [module for module in task.modules() if shared and type(module) is nn.BatchNorm2d]
    for norm in norms:
        norm.__class__, norm.process_group = nn.SyncBatchNorm, None
    try:
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d
            del norm.process_group


@contextmanager
def _flushed_denormals() -> Iterator[None]:
    """Denormal numbers slow CPU training down by an order of magnitude; others in the process may want theirs."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _keep_freed_memory() -> None:
    """Tell glibc not to hand large blocks back after each step: getting them again costs a quarter of the time."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            libc.mallopt(option, value)


def _batches(clips: Clips, first: int, last: int, share: slice) -> Iterator[Batch]:
    """Shares of the batches of steps ``first .. last - 1``; the same whether or not the training was interrupted."""
    step = first
    while step < last:
        for batch in clips.epoch(step // len(clips), step % len(clips), share):
            if step == last:
                return
            yield batch
            step += 1


def _set_learning_rate(optimiser: torch.optim.Optimizer, settings: TrainingSettings, step: int) -> None:
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    factor = warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    for group in optimiser.param_groups:
        group["lr"] = settings.learning_rate * factor


def _step(
    model: nn.Module, batch: Batch, optimiser: Any, accelerator: Accelerator, settings: TrainingSettings
) -> float:
    batch = batch.to(accelerator.device)
    with accelerator.autocast():
        losses: Losses = model(batch)
    total = losses["total"]
    loss = float(parallel.mean(total.detach()))
    if not math.isfinite(loss):  # in all processes, then, wherever it came from
        raise DistilvoError(f"training: the loss became {loss}; try a smaller --learning-rate")
    optimiser.zero_grad()
    accelerator.backward(total)
    accelerator.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], settings.clip_norm)
    optimiser.step()
    return loss


class _Checkpoint:
    """Where a training stands: one safetensors file, tensors and a JSON header, whole or not there.

    All processes read it and rank 0 writes it; nothing in it depends on how many there are.
    """

    def __init__(
        self,
        path: Path,
        settings: TrainingSettings,
        clips: Clips,
        task: Task,
        optimiser: torch.optim.Optimizer,
    ) -> None:
        self.path, self.task, self.optimiser = path, task, optimiser
        self.identity: dict[str, Any] = {**asdict(settings), "task": task.key, "clips": clips.key}
        self.step = 0
        self.curve: Curve = []
        self._sum, self._count = 0.0, 0
        self._saved = time.monotonic()
        if path.exists():
            self._load()

    def record(self, loss: float, steps: int) -> None:
        """Count one step and its loss."""
        self.step += 1
        self._sum, self._count = self._sum + loss, self._count + 1
        if self._count >= max(1, steps // CURVE_POINTS) or self.step == steps:
            self.curve.append((self.step, self._sum / self._count))
            self._sum, self._count = 0.0, 0

    def save_now_and_then(self) -> None:
        if parallel.is_main() and time.monotonic() - self._saved > CHECKPOINT_EVERY_S:
            self.save()

    def save(self) -> None:
        tensors = {f"task.{name}": tensor for name, tensor in self.task.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        tensors["random"] = torch.get_rng_state()
        header = {
            "step": self.step,
            "curve": self.curve,
            "identity": self.identity,
            "loss": [self._sum, self._count],
        }
        write_tensors(self.path, tensors, {"training": json.dumps(header)})
        self._saved = time.monotonic()

    def _load(self) -> None:
        try:
            self._restore()
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DistilvoError(f"{self.path}: not a whole checkpoint ({reason}); remove it to begin anew") from None

    def _restore(self) -> None:
        with safe_open(self.path, "pt") as file:
            header = json.loads(file.metadata()["training"])
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        task = _strip(tensors, "task.")
        shapes = {name: tensor.shape for name, tensor in self.task.state_dict().items()}
        if header.get("identity") != self.identity or {name: t.shape for name, t in task.items()} != shapes:
            raise DistilvoError(
                f"{self.path}: is of a training with other settings, data or network; choose another folder"
            )
        self.task.load_state_dict(task)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _strip(tensors, "optimiser.").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
        self.step, self.curve = header["step"], [tuple(point) for point in header["curve"]]
        self._sum, self._count = header["loss"]


def _strip(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
