"""Ctrl-C and SIGTERM end a command with one line, from its first import to its last: never with a traceback.

Before the work begins they end the process at once. From ``expect`` on they raise KeyboardInterrupt, so that what is
open is closed; what has not ended after ``PATIENCE_S``, since it computes or caught the exception, is ended then.
Files are whole or not there in any case, and children end with their parent.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import Any

from distilvo import parallel

PATIENCE_S = 4.0
_LINES = {
    signal.SIGINT: "interrupted; the same command goes on from here",
    signal.SIGTERM: "ended by SIGTERM; the same command goes on from here",
}
_received = 0  # number of the first signal
_told = False  # whether its line was shown
_registered = False
_watch: tuple[socket.socket, socket.socket] | None = None


def end_at_once() -> None:
    """From now on a signal shows its line and ends the process: for the time of the imports."""
    _handle(_end)


def expect() -> None:
    """From now on the first signal raises KeyboardInterrupt; the second ends the process."""
    global _watch
    if not _handle(_raise):
        return
    if _watch is None:
        _watch = socket.socketpair()
        _watch[1].setblocking(False)
        Thread(target=_end_in_time, args=(_watch[0],), daemon=True).start()
    signal.set_wakeup_fd(_watch[1].fileno(), warn_on_full_buffer=False)


def status() -> int | None:
    """What the process ends with where a signal came, 128 and its number; None where none did."""
    return 128 + _received if _received else None


def tell() -> None:
    """Show the line of the signal that came, once."""
    global _told
    if not _told:
        _told = True
        first = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""  # behind the terminal's ^C
        line = f"{first}distilvo: {_LINES[signal.Signals(_received)]}\n"
        os.write(2, line.encode())


def _handle(handler: Any) -> bool:
    """Whether the signals are this module's: not those of processes under torchrun, which ``parallel.team`` handles."""
    global _registered
    if parallel.size() > 1 or current_thread() is not main_thread():
        return False
    if not _registered:
        _registered = True
        atexit.register(_leave)  # first of all, so that it comes last
    for number in _LINES:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells leave it for what runs behind them
            signal.signal(number, handler)
    return True


def _raise(number: int, frame: FrameType | None) -> None:
    global _received
    if _received:
        _end(number, frame)
    _received = number
    raise KeyboardInterrupt


def _end(number: int, _: FrameType | None) -> None:
    global _received
    _received = _received or number
    tell()
    os._exit(128 + _received)


def _leave() -> None:
    """Python would end by SIGINT itself where the exception passed through code that is a string, as of dataclasses."""
    if _told:
        with suppress(OSError, ValueError, AttributeError):  # closed, or none
            sys.stdout.flush()
        os._exit(128 + _received)


def _end_in_time(signals: socket.socket) -> None:
    while (number := signals.recv(1)[0]) not in _LINES:  # written at once, even while the main thread computes
        pass
    time.sleep(PATIENCE_S)
    _end(number, None)
