"""Turns a big visual-odometry network into a small, fast one. Try: distilvo demo"""

# What costs time to import is imported inside the verb that needs it.

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from typing import Any

import tyro

from distilvo import __version__, parallel
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
from distilvo.errors import DistilvoError

VERBS: dict[str, Any] = {
    "demo": Demo,
    "render": Render,
    "train": Train,
    "distill": Distill,
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
SEVERAL_PROCESSES = (Train, Distill)


def main() -> None:
    """Entry point: one line on the error output and status 2 for what the user can mend, 130 for Ctrl-C."""
    for name, silence in (("OPENCV_FFMPEG_LOGLEVEL", "-8"), ("OPENCV_LOG_LEVEL", "OFF"), ("RUST_LOG", "off")):
        os.environ.setdefault(name, silence)  # their complaints come before ours, and say less
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    if sys.argv[1:] == ["--version"]:
        print(f"distilvo {__version__}")
        return
    try:
        with parallel.team():
            _verb().run()
    except DistilvoError as error:
        _end(f"distilvo: {error}", 2)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        extra, reason = EXTRAS[package]
        _end(f"distilvo: {reason}: pip install 'distilvo[{extra}]'", 2)
    except OSError as error:
        _end(f"distilvo: {_reason(error)}; check path, permissions and free space", 2)
    except KeyboardInterrupt:
        _end("\ndistilvo: interrupted; the same command goes on from here", 130)


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
        raise DistilvoError(f"{name}: runs in one process, as all but train and distill do; leave torchrun out")
    return verb


def _parse(arguments: Sequence[str]) -> Any:
    verbs = VERBS | {"distill": PaperDistill} if _wants_paper(arguments) else VERBS
    return tyro.extras.subcommand_cli_from_dict(verbs, prog="distilvo", description=__doc__, args=arguments)


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
        print(f"distilvo: note: {message}", file=sys.stderr)
