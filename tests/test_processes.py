"""Processes that end with the command, commands that end with one line, and two commands in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from distilvo.children import in_processes
from distilvo.errors import DistilvoError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

PATIENCE_S = 60.0  # for machines under load; what is waited for takes a second or two
HEAD = "import os, sys, time\nfrom pathlib import Path\n"
WORK = HEAD + (
    "def begin(folder):\n"
    "    Path(folder, f'{os.getpid()}.pid').touch()\n"
    "def work(task):\n"
    "    time.sleep(600)\n"
)  # fmt: skip
COMMAND = """
import sys
import pool_work
from distilvo.children import in_processes
from distilvo.commands import main as cli

class Verb:
    def run(self):
        how = {"workers": 2, "on_done": print, "where": "out", "begin": pool_work.begin, "arguments": ("pids",)}
        in_processes(pool_work.work, [(k,) for k in range(4)], **how)

if __name__ == "__main__":
    cli._verb = Verb
    cli.main()
"""
STUCK = (
    HEAD
    + """
from distilvo import interruption
from distilvo.commands import main as cli
interruption.PATIENCE_S = 0.2

class Verb:
    def run(self):
        Path("pids/x.pid").touch()
        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:
                pass  # as a library may do

cli._verb = Verb
cli.main()
"""
)


def wait_for(event: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not event():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # in a container nobody may collect an orphan that has ended
    try:
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a Python program in a folder of its own; it is killed after the test."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "pids").mkdir()
    (tmp_path / "pool_work.py").write_text(WORK)

    def begin(code: str) -> subprocess.Popen[str]:
        (tmp_path / "command.py").write_text(code)
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "command"],
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        with suppress(ProcessLookupError):  # workers, too, where they outlive the command
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def pids(tmp_path: Path, count: int) -> list[int]:
    """Of the workers, once there are so many."""
    wait_for(lambda: len(list((tmp_path / "pids").iterdir())) >= count, "the workers did not start")
    return [int(path.stem) for path in (tmp_path / "pids").iterdir() if path.stem.isdigit()]


@pytest.mark.parametrize(
    ("number", "group", "status", "line"),
    [
        (signal.SIGINT, True, 130, "interrupted; "),  # as a terminal sends it: to the workers, too
        (signal.SIGTERM, False, 143, "ended by SIGTERM; "),
        (signal.SIGKILL, False, -9, None),
    ],
)
def test_workers_end_with_the_command(
    number: signal.Signals,
    group: bool,
    status: int,
    line: str | None,
    start: Callable[[str], subprocess.Popen[str]],
    tmp_path: Path,
) -> None:
    process = start(COMMAND)
    workers = pids(tmp_path, 2)
    (os.killpg if group else os.kill)(process.pid, number)
    assert process.wait(PATIENCE_S) == status
    wait_for(lambda: not any(map(lives, workers)), "workers outlive the command")
    assert process.stderr is not None
    errors = process.stderr.read()
    if line is None:
        assert "Traceback" not in errors
    else:
        assert errors == f"distilvo: {line}the same command goes on from here\n"


def test_a_command_that_takes_no_notice_is_ended(start: Callable[[str], subprocess.Popen[str]], tmp_path: Path) -> None:
    process = start(STUCK)
    pids(tmp_path, 1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130
    assert process.stderr is not None
    assert process.stderr.read() == "distilvo: interrupted; the same command goes on from here\n"


def test_a_signal_in_code_that_is_a_string_gives_the_same_status(
    start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    """As in the import of a module with dataclasses: Python then ends by the signal itself."""
    code = STUCK.replace("while True:", 'exec("time.sleep(600)")')
    process = start(code[: code.index("            try:")] + code[code.index("cli._verb") :])
    pids(tmp_path, 1)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE_S) == 130


CAMERA = (
    HEAD
    + """
import signal
from distilvo import interruption
from distilvo.commands import main as cli
from distilvo.sequences.live_camera import _interruptible
interruption.PATIENCE_S = 0.1

class Verb:
    def run(self):
        with _interruptible() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted.wait(30)
        time.sleep(1)  # writes what was tracked
        Path("pids/written").touch()

cli._verb = Verb
cli.main()
"""
)


def test_ctrl_c_that_ends_a_live_camera_does_not_end_the_command(
    start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    assert start(CAMERA).wait(PATIENCE_S) == 0
    assert (tmp_path / "pids" / "written").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_a_process_ends_with_the_pipe_of_its_parent(kept: bool) -> None:
    code = "from distilvo.children import end_with_pipe; import time; end_with_pipe(); print(1, flush=True)"
    command = [sys.executable, "-c", code + ("" if kept else "; time.sleep(600)")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"1\n"
        if not kept:
            process.stdin.close()
        assert process.wait(PATIENCE_S) == (0 if kept else 1)
        assert process.stderr.read() == b""


SLOW_IMPORT = (
    HEAD
    + """
import signal
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "tyro":
            os.kill(os.getpid(), getattr(signal, os.environ["SENT"]))
            time.sleep(600)
sys.meta_path.insert(0, Slow())
from distilvo.__main__ import main
sys.argv = ["distilvo", "--help"]
main()
"""
)


@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_among_the_imports_is_one_line(number: str, status: int) -> None:
    command = [sys.executable, "-c", SLOW_IMPORT]
    done = subprocess.run(
        command, env={**os.environ, "SENT": number}, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == status
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("distilvo: ")


def test_the_installed_command_begins_with_the_thin_module() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"distilvo": "distilvo.__main__:main"}


def square(number: int) -> int:
    return number**2


def fail(number: int) -> int:
    raise DistilvoError(f"task {number}: failed")


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_and_errors_of_processes() -> None:
    results: list[int] = []
    in_processes(square, [(2,), (3,)], workers=1, on_done=results.append, where="out")
    assert results == [4, 9]
    with pytest.raises(DistilvoError, match="task 7: failed"):
        in_processes(fail, [(7,)], workers=1, on_done=results.append, where="out")
    with pytest.raises(DistilvoError, match=r"out: a process was killed \(out of memory\?\); run again"):
        in_processes(die, [(1,)], workers=1, on_done=results.append, where="out")
