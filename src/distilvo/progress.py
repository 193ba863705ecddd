"""Progress with time left: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from distilvo import parallel
from distilvo.errors import printable

_NAME_WIDTH = 12
"""Columns of a terminal that the names in a table have at least."""
_ENDLESS = 1000


class _PlainConsole(Console):
    """Prints names as they are: no escape sequence of a file's name reaches the terminal; and numbers whole."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Where the terminal is too narrow for a table its lines run on, for rich would leave digits out; text is never
        broken: a path would end in the middle.
        """
        for table in (thing for thing in objects if isinstance(thing, Table)):
            for column in table.columns:
                lines = [line for text in (column.header, *column.cells) for line in str(text).split("\n")]
                parts = lines if column.no_wrap else " ".join(lines).split()
                longest = max(map(cell_len, parts), default=0)
                column.min_width = longest if column.justify == "right" else min(longest, _NAME_WIDTH)
            needed = self.measure(table, options=self.options.update(width=_ENDLESS)).minimum
            if needed > self.width:
                table.width, options["crop"] = needed, False
        if all(isinstance(thing, str) for thing in objects):
            options["soft_wrap"] = True
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Strings, before they are laid out."""
        return super().render_str(_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Whatever is laid out, each part with its style beside its text."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(_lines(part.text), part.style)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


console = _PlainConsole(quiet=not parallel.is_main())
LOG_EVERY_S = 15.0


_silent = False


def silence() -> None:
    """Show nothing from this process: another one shows the progress of the whole."""
    global _silent
    _silent = True


class Bar(Protocol):
    """Progress of a running task."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """``count`` more are done; ``note`` is shown behind them."""


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Bar]:
    """Show how far a task of ``total`` parts is; 0 where the number is not known, as with a live camera."""
    if _silent or console.quiet:
        yield _NoBar()
        return
    if not console.is_terminal:
        yield _LogBar(label, total, done)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
    )
    with Progress(
        *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False), console=console
    ) as bars:
        yield _RichBar(bars, bars.add_task(label, total=total or None, completed=done, note=""))


class _NoBar:
    def advance(self, count: int = 1, note: str = "") -> None: ...


class _RichBar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, count: int = 1, note: str = "") -> None:
        self._bars.advance(self._task, count)
        if note:
            self._bars.update(self._task, note=note)


class _LogBar:
    def __init__(self, label: str, total: int, done: int) -> None:
        self._label, self._total, self._done, self._first = label, total, done, done
        self._begin = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last >= LOG_EVERY_S:
            self._last = now
            left = (now - self._begin) / max(1, self._done - self._first) * (self._total - self._done)
            ahead = f"/{self._total}, {left:.0f} s left" if self._total else ""
            print(printable(f"{self._label}: {self._done}{ahead} {note}".rstrip()), flush=True)
