"""Processes that this one starts, and that end with it: with an error, Ctrl-C, SIGTERM and SIGKILL too."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread
from typing import Any

from distilvo.errors import DistilvoError

_WAIT_S = 0.5


def in_processes(
    work: Callable[..., Any],
    tasks: Iterable[tuple[Any, ...]],
    *,
    workers: int,
    on_done: Callable[[Any], None],
    where: str,
    begin: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    while_waiting: Callable[[], None] | None = None,
) -> None:
    """Do ``work(*task)`` for each task, in processes of their own.

    At an error tasks that have not begun are dropped and those that have are finished; at Ctrl-C or SIGTERM they are
    killed.

    Args:
        work: a function of a module.
        tasks: its arguments.
        workers: processes.
        on_done: called with each result, in the order in which they come.
        where: for the message where a process is lost.
        begin: called with ``arguments`` in each process before its first task.
        while_waiting: called in this process about twice a second, e.g. to show progress within tasks.

    Raises:
        DistilvoError: a process was lost.
    """
    others = set(multiprocessing.active_children())
    # Fork would copy the locks of torch's threads.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (begin, arguments))
    try:
        with _interrupts_held():
            results = [pool.submit(work, *task) for task in tasks]
        for result in _completed(results, while_waiting):
            on_done(result.result())
        pool.shutdown()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            for child in set(multiprocessing.active_children()) - others:
                child.kill()
        pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise DistilvoError(
                f"{where}: a process was killed (out of memory?); run again, it goes on (a study: with fewer --workers)"
            ) from None
        raise


def _completed(results: Iterable[Future[Any]], while_waiting: Callable[[], None] | None) -> Iterator[Future[Any]]:
    """The results in the order in which they come."""
    waiting = set(results)
    while waiting:
        try:
            for result in as_completed(waiting, None if while_waiting is None else _WAIT_S):
                waiting.remove(result)
                yield result
        except TimeoutError:
            assert while_waiting is not None
            while_waiting()


def end_with_pipe() -> None:
    """From now on end this process when its standard input is closed: when the process that holds it ends."""

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin: its lock must be free when this process ends
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends its children
    Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back; processes that are started meanwhile never get it, not even while they import."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
