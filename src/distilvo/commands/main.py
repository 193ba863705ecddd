"""Turns a big visual-odometry network into a small, fast one. Try: distilvo demo"""

# What costs time to import is imported inside the verb that needs it.

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields
from itertools import pairwise
from typing import Any

import tyro

from distilvo import __version__, interruption, parallel
from distilvo.commands.adapt import Adapt
from distilvo.commands.bench import Bench
from distilvo.commands.check import Check
from distilvo.commands.convert import Convert
from distilvo.commands.demo import Demo
from distilvo.commands.distill import Distill, PaperDistill
from distilvo.commands.evaluate import Evaluate
from distilvo.commands.export import Export
from distilvo.commands.render import Render
from distilvo.commands.study import Study
from distilvo.commands.track import Track
from distilvo.commands.train import Train
from distilvo.commands.train_flow import TrainFlow
from distilvo.errors import DistilvoError, printable
from distilvo.settings import MOST_PIXELS

VERBS: dict[str, Any] = {
    "demo": Demo,
    "render": Render,
    "train": Train,
    "train-flow": TrainFlow,
    "distill": Distill,
    "adapt": Adapt,
    "study": Study,
    "evaluate": Evaluate,
    "export": Export,
    "track": Track,
    "check": Check,
    "bench": Bench,
    "convert": Convert,
}
TRAINING_PACKAGES = {"matplotlib", "onnx", "onnxscript", "plotly", "pydantic", "safetensors", "torch"}
EXTRAS = {name: ("train", f"this needs {name}, which only running a model does not") for name in TRAINING_PACKAGES} | {
    "numba": ("world", "the built-in world needs numba"),
    "rerun": ("view", "--view and --record need rerun"),
}
"""What to install where a package is missing, and why."""
ENVIRONMENT = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # their complaints come before ours, and say less
    "OPENCV_LOG_LEVEL": "OFF",
    "RUST_LOG": "off",
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MOST_PIXELS),
}
SEVERAL_PROCESSES = (Train, TrainFlow, Distill, Adapt)


def main() -> None:
    """Entry point: one line on the error output, and status 2 for what the user can mend, 130 or 143 for a signal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names and signs that a terminal's encoding does not have
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    if sys.argv[1:] == ["--version"]:
        print(f"distilvo {__version__}")
        return
    interruption.expect()
    try:
        with parallel.team():
            _verb().run()
        sys.stdout.flush()  # here, where a closed pipe is told from an error, and not when Python ends
    except BaseException as error:
        if (status := interruption.status()) is not None:  # whatever a library made of the KeyboardInterrupt
            interruption.tell()
            sys.exit(status)
        _explain(error)
        raise


def _explain(error: BaseException) -> None:
    """End with one line and the status of an error that the user can mend; return from any other."""
    match error:
        case DistilvoError():
            _end(f"distilvo: {error}", 2)
        case ModuleNotFoundError() if (package := (error.name or "").split(".")[0]) in EXTRAS:
            extra, reason = EXTRAS[package]
            _end(f"distilvo: {reason}: pip install 'distilvo[{extra}]'", 2)
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is not written yet goes nowhere
            sys.exit(128 + 13)  # as other programs end, by SIGPIPE
        case OSError():
            _end(f"distilvo: {printable(_reason(error))}; check path, permissions and free space", 2)
        case _ if _is_out_of_memory(error):
            _end("distilvo: not enough memory; close other programs, or choose smaller images, batches or files", 2)
        case KeyboardInterrupt():
            _end("\ndistilvo: interrupted; the same command goes on from here", 130)


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own, and torch's, whose class is not imported here; on a CPU torch raises a plain RuntimeError."""
    named = type(error).__name__ == "OutOfMemoryError"
    return named or isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)


def _verb() -> Any:
    """The verb with its flags; of several processes, one shows what is wrong with the command line."""
    if parallel.size() == 1:
        return _parse(sys.argv[1:])
    output = io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            verb = _parse(sys.argv[1:])
    except SystemExit:
        if parallel.speaks():
            print(output.getvalue(), end="", file=sys.stderr, flush=True)
        raise
    if not isinstance(verb, SEVERAL_PROCESSES):
        name = next(name for name, kind in VERBS.items() if isinstance(verb, kind))
        raise DistilvoError(
            f"{name}: runs in one process, as all but train, train-flow, distill and adapt do; leave torchrun out"
        )
    return verb


def _parse(arguments: Sequence[str]) -> Any:
    verbs = VERBS | {"distill": PaperDistill} if _wants_paper(arguments) else VERBS
    verb = tyro.extras.subcommand_cli_from_dict(verbs, prog="distilvo", description=__doc__, args=arguments)
    _refuse_empty_lists(verb, arguments)
    return verb


def _refuse_empty_lists(verb: Any, arguments: Sequence[str]) -> None:
    """``--sequences`` with nothing behind it, as an empty variable of a shell leaves it, is not the flag left out."""
    for field in fields(verb):
        flag = "--" + field.name.replace("_", "-")
        if flag in arguments and getattr(verb, field.name) == ():
            raise DistilvoError(f"{flag}: nothing behind it; expected one value or more, or leave it out")


def _wants_paper(arguments: Sequence[str]) -> bool:
    """Whether ``--preset paper`` is there: the flags beside it then change the paper's method, not the best one."""
    return "--preset=paper" in arguments or ("--preset", "paper") in pairwise(arguments)


def _end(line: str, status: int) -> None:
    if parallel.speaks():
        print(line, file=sys.stderr, flush=True)
    sys.exit(status)


def _reason(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    return what if error.filename is None else f"{error.filename}: {what}"


def _show_warning(message: Warning | str, *_: Any) -> None:
    if parallel.is_main():
        print(f"distilvo: note: {printable(str(message))}", file=sys.stderr)
