"""Small studies without the processes and exported files of large ones, which take most of their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distilvo.study import runner


def work_here(patch: pytest.MonkeyPatch) -> None:
    """Make the cells of all studies in this process from now on; latencies are 1, 2, ... ms."""

    def in_this_process(
        work: Callable[..., Any],
        tasks: list[tuple[Any, ...]],
        *,
        on_done: Callable[[Any], None],
        begin: Callable[..., None],
        arguments: tuple[Any, ...],
        **_: object,
    ) -> None:
        if tasks:
            begin(*arguments)
        for task in tasks:
            on_done(work(*task))

    patch.setattr(runner, "in_processes", in_this_process)
    patch.setattr(runner.progress_bars, "silence", lambda: None)
    patch.setattr(runner, "export_onnx", lambda *_: None)
    patch.setattr(runner, "latencies_ms", lambda files: [1.0 + index for index in range(len(files))])
