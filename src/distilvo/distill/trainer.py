"""The training loop: one, for teachers and students alike; it checkpoints, and goes on where it stopped."""

from __future__ import annotations

import ctypes
import gc
import math
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from distilvo import parallel
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.captured_step import CapturedStep, Step
from distilvo.distill.checkpoint import Checkpoint, Curve
from distilvo.distill.task import Losses, Task
from distilvo.distill.validation import Best
from distilvo.errors import DistilvoError
from distilvo.progress import progress
from distilvo.settings import Precision

Log = Callable[[int, dict[str, float]], object]
"""Called now and then with the step and the mean of each loss since the last call, e.g. for W&B or TensorBoard."""

BF16_IS_SLOW = (
    "bf16: this processor has no instructions for it and would be several times slower; trains in 32-bit floats"
)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of malloc.h


@dataclass(frozen=True)
class TrainingSettings:
    """How to train; Adam with a short warm-up and a cosine decay to zero.

    Attributes:
        steps: optimiser steps.
        learning_rate: the highest, reached after the warm-up.
        warmup: steps of linear warm-up.
        clip_norm: gradients are scaled down to this norm.
        precision: ``no`` for 32-bit floats, ``bf16`` for mixed precision where the device has instructions for it;
            elsewhere 32-bit floats with a note, since 16-bit ones take several times as long there.
        seed: of weights, order of clips and dropout.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 100
    clip_norm: float = 10.0
    precision: Precision = "no"
    seed: int = 0


def train(
    task: Task,
    batches: Batches,
    settings: TrainingSettings,
    checkpoint: Path,
    label: str,
    *,
    best: Best | None = None,
    log: Log | None = None,
    capture: bool = False,
) -> Curve:
    """Train a task's network in place, or go on from ``checkpoint``; a finished training is only read back.

    Several processes each take their share of every batch and average their gradients, so that they train as one would;
    a training may go on in another number of them.

    Args:
        task: owns the network; parameters that need no gradient stay as they are.
        batches: the training set.
        settings: how.
        checkpoint: file of weights, optimiser and random state, written now and then and at the end.
        label: for the progress bar.
        best: validates now and then, may end the training early, and gives the network its best weights at the end.
        log: is told the losses; by rank 0 alone.
        capture: on one GPU, run each step as a whole, which is several times as fast for a small network: where all
            batches have one shape, and the kernels of network and losses do not depend on the numbers in them.

    Returns:
        The training curve.

    Raises:
        DistilvoError: the loss is not finite (the network's weights are of no use then, and are not saved), the
            checkpoint is of another training, or a batch cannot be shared.
    """
    share = parallel.share(batches.batch_size)
    parallel.join()
    _keep_freed_memory()
    device = parallel.device()
    task.to(device)
    trainable = [parameter for parameter in task.parameters() if parameter.requires_grad]
    capture = capture and device.type == "cuda" and parallel.size() == 1
    optimiser = _optimiser(trainable, settings, device if capture else None)
    with _norms_over_all(task, device):
        model = _shared(task, device)
        torch.manual_seed(settings.seed)
        identity = {**asdict(settings), "task": task.key, "data": batches.key}
        if best is not None:
            identity["validation"] = best.key
        state = Checkpoint(checkpoint, identity, task, optimiser, best)
        _agree(state, settings)
        model.train()
        means = _Means(log)
        mixed = settings.precision == "bf16" and has_bf16(device)
        if settings.precision == "bf16" and not mixed:
            warnings.warn(BF16_IS_SLOW, stacklevel=2)
        update: Step = partial(_update, model, optimiser, trainable, settings.clip_norm, mixed)
        update = CapturedStep(update) if capture else update
        with _flushed_denormals(), progress(label, settings.steps, state.step) as bar:
            for batch in _batches(batches, state.step, settings.steps, share):
                if best is not None and best.is_over:
                    break
                _set_learning_rate(optimiser, settings, state.step)
                losses = _step(update, batch.to(device))
                means.add(losses)
                if state.record(losses["total"], settings.steps):
                    means.tell(state.step)
                if best is not None and best.is_due(state.step, settings.steps):
                    best.look(state.step, device)
                bar.advance(note=f"loss {state.curve[-1][1]:.4f}" if state.curve else "")
                state.save_now_and_then()
        parallel.on_main(state.save)
    task.cpu().eval()  # where the rest of the program works
    parallel.broadcast(task.state_dict().values())  # running statistics are each process's own
    if best is not None:
        best.give_back()
    del model, update
    if capture or parallel.size() > 1:  # not always: it takes most of a second where much is loaded
        gc.collect()  # else a recorded step's memory, and hooks of a shared network on its weights, would outlive this
    return state.curve


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for products of bf16 numbers."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if platform.machine().lower() in ("x86_64", "amd64"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _shared(task: Task, device: torch.device) -> nn.Module:
    """The task, or what averages its gradients over all processes."""
    if parallel.size() == 1:
        return task
    return DistributedDataParallel(task, device_ids=[device] if device.type == "cuda" else None)


def _agree(state: Checkpoint, settings: TrainingSettings) -> None:
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
    """Denormal numbers slow CPU training down by an order of magnitude; other code of the process may need them."""
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


def _batches(batches: Batches, first: int, last: int, share: slice) -> Iterator[Batch]:
    """Shares of the batches of steps ``first .. last - 1``; the same whether or not the training was interrupted."""
    step = first
    while step < last:
        for batch in batches.epoch(step // len(batches), step % len(batches), share):
            if step == last:
                return
            yield batch
            step += 1


def _optimiser(
    trainable: list[nn.Parameter], settings: TrainingSettings, captured_on: torch.device | None
) -> torch.optim.Optimizer:
    if captured_on is None:
        return torch.optim.Adam(trainable, settings.learning_rate)
    rate = torch.tensor(settings.learning_rate, device=captured_on)  # a graph would keep a plain number for ever
    return torch.optim.Adam(trainable, rate, fused=True, capturable=True)


def _set_learning_rate(optimiser: torch.optim.Optimizer, settings: TrainingSettings, step: int) -> None:
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    rate = settings.learning_rate * (warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps)))
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _step(update: Step, batch: Batch) -> dict[str, float]:
    losses = update(batch)
    losses = {**losses, "total": parallel.mean(losses["total"])}
    values = dict(zip(losses, torch.stack(list(losses.values())).tolist(), strict=True))  # waits for the device, once
    if not math.isfinite(values["total"]):  # in all processes, then, wherever it came from
        raise DistilvoError(f"training: the loss became {values['total']}; try a smaller --learning-rate")
    return values


def _update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    trainable: list[nn.Parameter],
    clip_norm: float,
    mixed: bool,
    batch: Batch,
) -> dict[str, Tensor]:
    """One step of the optimiser; gives the means of the losses."""
    optimiser.zero_grad()
    with torch.autocast(batch.targets.device.type, torch.bfloat16, enabled=mixed):
        losses: Losses = model(batch)
    total = losses["total"].float()
    total.backward()
    nn.utils.clip_grad_norm_(trainable, clip_norm)
    optimiser.step()
    return {name: values.detach().float().mean() for name, values in losses.items()} | {"total": total.detach()}


class _Means:
    """Means of losses since they were last told."""

    def __init__(self, log: Log | None) -> None:
        self.log = log if parallel.is_main() else None
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, losses: dict[str, float]) -> None:
        if self.log is not None:
            self.count += 1
            for name, loss in losses.items():
                self.sums[name] = self.sums.get(name, 0.0) + loss

    def tell(self, step: int) -> None:
        if self.log is not None:
            self.log(step, {name: total / self.count for name, total in self.sums.items()})
            self.sums, self.count = {}, 0
