"""A run shown live in rerun's window, or written to a file that it opens later. Needs the extra ``view``."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rerun as rr

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path
from distilvo.pipeline.tracking import Watch
from distilvo.sequences import Sequence
from distilvo.viewer.drive_scene import DriveScene

PORT = 9876  # rerun's default: a viewer that is open already shows the next run, too
START_S = 30.0  # longest wait for the viewer


@contextmanager
def live(sequence: Sequence) -> Iterator[Watch]:
    """Show a run in rerun's window, which stays open afterwards. If the window is closed earlier, the run goes on.

    Yields the function to call with each frame and its pose.

    Raises:
        DistilvoError: there is no window and none can be opened.
    """
    stream = _stream()
    stream.connect_grpc(_viewer())
    try:
        scene = DriveScene(stream, sequence)
        try:
            stream.flush(timeout_sec=START_S)
        except RuntimeError as error:
            raise DistilvoError(
                f"port {PORT}: the program there is not rerun's viewer ({error}); end it, or take --record FILE.rrd"
            ) from None
        yield scene.step
        try:
            stream.flush()
        except RuntimeError:
            warnings.warn("rerun's viewer was closed before the end; the run went on without it", stacklevel=3)
    finally:
        stream.disconnect()


@contextmanager
def recorded(sequence: Sequence, path: Path) -> Iterator[Watch]:
    """Write a run to a new ``.rrd`` file. The file appears at ``path`` when the run is over, not before.

    Yields the function to call with each frame and its pose.

    Raises:
        DistilvoError: see :func:`check_new`, or the file cannot be written.
    """
    check_new(path)
    with atomic_path(path) as temporary:
        stream = _stream()
        try:
            with _writing(path):
                stream.save(temporary)
            yield DriveScene(stream, sequence).step
            with _writing(path):
                stream.flush()
        finally:
            stream.disconnect()


def check_new(path: Path) -> None:
    """Raise DistilvoError unless ``path`` can be a new file that rerun's viewer opens."""
    if path.suffix != ".rrd":
        raise DistilvoError(f"{path}: expected a name that ends in .rrd; rerun's viewer opens no other")
    if path.exists():
        raise DistilvoError(f"{path}: exists already; choose another --record, or remove it")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise DistilvoError(
            f"{path}: cannot be written ({error}); free some space or choose another --record"
        ) from None


def _stream() -> rr.RecordingStream:
    stream = rr.RecordingStream("distilvo")
    stream.set_log_tick_enabled(False)
    stream.set_log_time_enabled(False)
    return stream


def _viewer() -> str:
    """The address of rerun's viewer on this computer; the viewer is started if none is open."""
    url = f"rerun+http://127.0.0.1:{PORT}/proxy"
    if _answers():
        return url
    # Not rr.spawn: it looks in PATH alone, opens the port to the whole network, and reports no failure.
    command = [sys.executable, "-m", "rerun_cli", "--bind", "127.0.0.1", "--port", str(PORT), "--expect-data-soon"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
            if _answers():
                time.sleep(1.0)  # the port opens before the window, which may fail
                break
        if process.poll() is None and _answers():
            return url
        log.seek(0)
        lines = log.read().decode(errors="replace").strip().splitlines()
    reason = lines[-1].rsplit(": ", 1)[-1][:200] if lines else f"no answer in {START_S:.0f} s"
    raise DistilvoError(f"rerun's viewer cannot be opened ({reason}); without a display take --record FILE.rrd")


def _answers() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
