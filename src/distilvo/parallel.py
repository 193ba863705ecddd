"""Several processes that train as one, as ``torchrun`` starts them; alone, all of this is free.

Each process has a rank. Rank 0 does what is done once, writes every file and prints every line. Short exchanges
in the middle of a training have a limit of ``TIMEOUT``; waiting for rank 0 to decode frames, or for the last one in a
teacher pass, has none. Torch is imported when processes meet, not before.
"""

from __future__ import annotations

import atexit
import gc
import itertools
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilvo.errors import DistilvoError

if TYPE_CHECKING:
    import torch

TIMEOUT = timedelta(minutes=10)
POLL_S = 0.05
FILE_APPEARS_WITHIN_S = 60.0  # network file systems remember for a while that a file was not there

_store: Any = None
"""What torchrun keeps for its processes to leave notes in; none before ``join``."""
_notes = itertools.count()  # every process comes to the same notes in the same order


def size() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "LOCAL_RANK" in os.environ else 1


def rank() -> int:
    """Which of them this one is."""
    return int(os.environ.get("RANK", 0)) if size() > 1 else 0


def is_main() -> bool:
    """Whether this process writes files and shows progress."""
    return rank() == 0


def share(batch_size: int) -> slice:
    """Which clips of a whole batch this process takes.

    Raises:
        DistilvoError: processes cannot have equally many.
    """
    each, left = divmod(batch_size, size())
    if left:
        raise DistilvoError(
            f"batch-size: is {batch_size} for {size()} processes together, expected a multiple of {size()}"
        )
    return slice(rank() * each, (rank() + 1) * each)


def device() -> torch.device:
    """This process's GPU, or the CPU where there is none."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())


@contextmanager
def on_device(network: torch.nn.Module) -> Iterator[torch.device]:
    """Lend a network to this process's device, and have it back on the CPU."""
    there = device()
    network.to(there)
    try:
        yield there
    finally:
        network.cpu()


def join() -> None:
    """Meet the other processes, once: gloo between CPUs, NCCL between GPUs."""
    global _store
    if size() == 1 or _store is not None:
        return
    import torch
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore

    if (own := device()).type == "cuda":
        torch.cuda.set_device(own)
    try:
        store, _, _ = next(distributed.rendezvous("env://", timeout=TIMEOUT))  # type: ignore[attr-defined]
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise DistilvoError(
            f"rank {rank()} of {size()}: cannot reach the others at {where} ({str(error).splitlines()[0]}); "
            "start all processes by torchrun, and let that port through"
        ) from None
    # With --max-restarts the store outlives the processes: notes of those before must not be read.
    store = PrefixStore(f"distilvo {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo"
        group = PrefixStore("group", store)
        distributed.init_process_group(backend, store=group, rank=rank(), world_size=size(), timeout=TIMEOUT)
        atexit.register(part)  # gloo's threads, left alone, abort a process that ends
    _store = PrefixStore("notes", store)


def on_main(work: Callable[[], object], makes: Path | None = None) -> None:
    """Do work in rank 0 alone, while the others wait for it; its error is everyone's.

    Args:
        work: what to do.
        makes: file that it leaves behind, for all to read.

    Raises:
        DistilvoError: rank 0 failed, or the file cannot be seen from here.
    """
    if size() == 1:
        work()
        return
    join()
    note = f"main {next(_notes)}"
    if is_main():
        try:
            work()
        except Exception as error:
            known = isinstance(error, (DistilvoError, OSError))
            _store.set(note, json.dumps(str(error) if known else f"rank 0 failed: {type(error).__name__}: {error}"))
            raise
        _store.set(note, json.dumps(None))
        return
    _wait(lambda: _store.check([note]))
    failure = json.loads(_store.get(note))
    if failure is not None:
        raise DistilvoError(failure)
    if makes is not None:
        _expect_file(makes)


def barrier() -> None:
    """Wait for all processes, however long they take."""
    if size() == 1:
        return
    join()
    note = f"barrier {next(_notes)}"
    _store.add(note, 1)
    _wait(lambda: _store.add(note, 0) == size())


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes."""
    if size() == 1:
        return value
    from torch import distributed

    value = value.clone()
    distributed.all_reduce(value)
    return value / size()


def broadcast(tensors: Iterable[torch.Tensor]) -> None:
    """Give tensors the values that rank 0 has."""
    if size() == 1:
        return
    from torch import distributed

    for tensor in tensors:
        distributed.broadcast(tensor, src=0)


def part() -> None:
    """Leave the other processes, where they were met."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
        gc.collect()  # a traceback may still hold the network that was shared, and with it gloo's threads


@contextmanager
def team() -> Iterator[None]:
    """Meet, work, and part; where another process is lost, or all get SIGTERM, that is one line.

    Raises:
        DistilvoError: it happened.
    """
    if size() == 1:
        yield
        return
    signal.signal(signal.SIGTERM, _told_to_end)
    try:
        join()
        yield
        barrier()
    except RuntimeError as error:
        if _tells_of_loss(error):
            raise _lost() from None
        raise
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    part()


def speaks() -> bool:
    """Whether this process shows why all of them end: the first one that calls this."""
    if size() == 1:
        return True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process ends anyway
    with suppress(RuntimeError):
        return _store is None or int(_store.add("spoken", 1)) == 1
    return True  # the store is gone, and who has spoken cannot be known


def _wait(done: Callable[[], bool]) -> None:
    while not done():  # not in one long call, which signals could not reach
        time.sleep(POLL_S)


def _expect_file(path: Path) -> None:
    end = time.monotonic() + FILE_APPEARS_WITHIN_S
    while not path.exists():
        if time.monotonic() > end:
            raise DistilvoError(
                f"{path}: written by rank 0, not seen by rank {rank()}; --out must be on a disk that all machines share"
            )
        time.sleep(POLL_S)


def _tells_of_loss(error: RuntimeError) -> bool:
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo" in str(error)  # gloo has no class of its own


def _lost() -> DistilvoError:
    return DistilvoError(
        f"rank {rank()} of {size()}: another process was lost (out of memory?), or all got SIGTERM; "
        "the same command goes on from the last checkpoint, with fewer or more processes too"
    )


def _told_to_end(*_: object) -> None:
    raise _lost()
