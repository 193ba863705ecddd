"""Turns a big visual-odometry network into a small, fast one. Try: distilvo demo"""

# One class for each verb; what costs time to import is imported inside the verb that needs it.

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from distilvo import parallel
from distilvo.errors import DistilvoError
from distilvo.settings import DemoSettings, Method, Recipe, Scoring, Shape, SourceKind

Size = tuple[int, int]


@dataclass(frozen=True)
class Demo:
    """Streets, teacher, trust, student, comparison, ONNX and report in one go; goes on where it was interrupted."""

    out: Path = Path("runs/demo")
    """Folder of the run."""
    settings: Annotated[DemoSettings, arg(name="")] = field(default_factory=DemoSettings)

    def run(self) -> None:
        from distilvo.demo import run_demo

        run_demo(self.settings, self.out)


@dataclass(frozen=True)
class Render:
    """Render streets of the built-in world in KITTI odometry layout, at 10 Hz."""

    out: Path
    """Data set's folder; streets that are there already are kept."""
    seed: int = 0
    """Of the first street; the next ones count up."""
    streets: int = 1
    """How many."""
    frames: int = 200
    """Pictures in each street."""
    size: Size = (192, 640)
    """Height and width, pixels."""
    poses: Path | None = None
    """Drive along this pose file (KITTI: 12 numbers a row) instead of a street of the world's own making."""
    hard: float = 0.0
    """Share of the streets, 0 to 1, that are hard to read: dark, blurred, foggy or crowded."""

    def run(self) -> None:
        from distilvo.verbs import render

        seeds = range(self.seed, self.seed + self.streets)
        render(self.out, seeds, self.frames, self.size, self.poses, self.hard)


@dataclass(frozen=True)
class Train:
    """Train a teacher, or a student without one, on ground truth."""

    data: Positional[Path]
    """Data set in KITTI odometry layout: DATA/sequences/NN and DATA/poses/NN.txt."""
    out: Path
    """Model folder to write."""
    teacher: str = "demo"
    """Which teacher: paper or demo."""
    rate: float | None = None
    """Train the student with at least so many per cent fewer parameters instead of the teacher itself."""
    init: Path | None = None
    """Go on from the weights of this model folder; it then says which network, not --teacher and --rate."""
    init_flownet: Path | None = None
    """Begin with the convolutions of this FlowNetS checkpoint (.pth.tar, .pth, .safetensors); fits --teacher paper."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences to train on; all where not given."""
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)

    def run(self) -> None:
        from distilvo.verbs import train

        train(self.data, self.out, self.teacher, self.rate, self.init, self.init_flownet, self.sequences, self.recipe)


@dataclass(frozen=True)
class Distill:
    """Distil a student from a trained teacher; by default attentive hints, then attentive imitation."""

    data: Positional[Path]
    """Data set in KITTI odometry layout."""
    out: Path
    """Model folder to write."""
    teacher: Path | None = None
    """The teacher's model folder; the shipped demo teacher where not given."""
    rate: float = 92.95
    """At least so many per cent of the teacher's parameters go."""
    shape: Shape = "cut"
    """cut: layers are taken away; slim: all are kept, but narrow; nano, small, base: made for speed, of any --rate."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences to train on; all where not given."""
    recipe: Annotated[Recipe, arg(name="")] = field(default_factory=Recipe)
    method: Annotated[Method, arg(name="")] = field(default_factory=Method)
    fold_teacher: Recipe = field(default_factory=Recipe)
    """How each teacher of a cross-fitted trust is trained (with --folds)."""
    fold_init: Path | None = None
    """The weights that each of them begins with: those that the teacher itself began with (with --folds)."""

    def run(self) -> None:
        from distilvo.verbs import distill

        distill(
            self.data, self.out, self.teacher, self.rate, self.shape, self.sequences, self.recipe, self.method,
            self.fold_teacher, self.fold_init,
        )  # fmt: skip


@dataclass(frozen=True)
class Study:
    """Compare methods over seeds and rates, and print the paper's tables; goes on where it was interrupted."""

    plan: Positional[str]
    """Name of a preset (builtin, fallible, kitti) or a TOML file; docs/study.md says what it holds."""
    out: Path
    """Folder of the study."""
    data: Path | None = None
    """Data set in KITTI odometry layout, where the plan names sequences."""
    teacher: Path | None = None
    """The teacher's model folder; the shipped demo teacher where not given."""
    workers: int | None = None
    """Students trained at once, one thread each; one for each core where not given."""

    def run(self) -> None:
        from distilvo.study.plan import read_plan
        from distilvo.study.run import run_study

        run_study(read_plan(self.plan), self.out, self.data, self.teacher, self.workers)


@dataclass(frozen=True)
class Evaluate:
    """Score models and trajectory files against ground truth; models beside always predicting the mean motion."""

    models: Positional[tuple[Path, ...]] = ()
    """Model folders, the first one is what the others' parameters are compared with; trajectory files (KITTI, with or
    without a leading frame number, or TUM) and folders of them."""
    data: Path | None = None
    """Data set in KITTI odometry layout: what models are run on."""
    out: Path | None = None
    """Folder for metrics and trajectories."""
    sequences: tuple[str, ...] = ()
    """Names of the sequences; all where not given."""
    truth: tuple[Path, ...] = ()
    """Ground truth for trajectory files: files, or a folder of them, where it is not --data."""
    estimate: tuple[Path, ...] = ()
    """More trajectory files. With several sequences a file is called like its sequence."""
    scoring: Annotated[Scoring, arg(name="")] = field(default_factory=Scoring)
    json: bool = False
    """Print one JSON object instead of the table."""

    def run(self) -> None:
        from distilvo.matching import is_trajectory
        from distilvo.report.publish import evaluate_files
        from distilvo.scoring import Request

        named = dict.fromkeys(path for path in self.models if is_trajectory(path))
        files = tuple(named | dict.fromkeys(self.estimate))
        models = tuple(path for path in self.models if path not in named)
        request = Request(models, files, self.truth, self.data, self.sequences, self.out, self.scoring, self.json)
        if files and not models:  # no need to wait for torch
            evaluate_files(request)
            return
        from distilvo.verbs import evaluate

        evaluate(request)


@dataclass(frozen=True)
class Export:
    """Write a model as one ONNX file and check that it gives the same poses."""

    model: Positional[Path]
    """Model folder."""
    out: Path | None = None
    """ONNX file; MODEL/model.onnx where not given."""
    int8: bool = False
    """Write it with int8 convolutions too, as model.int8.onnx, and compare size, latency and errors of both."""
    data: Path | None = None
    """Data set with poses that --int8 is calibrated and measured on, best one that the model was not trained on;
    streets of the built-in world where not given."""
    sequences: tuple[str, ...] = ()
    """Names of its sequences; all where not given. The first quarter of them calibrates, the rest is measured on."""

    def run(self) -> None:
        from distilvo.verbs import export

        export(self.model, self.out, self.int8, self.data, self.sequences)


@dataclass(frozen=True)
class TrackVerb:
    """Run a model over a source of frames, a camera too, and write the trajectory."""

    source: Positional[Path]
    """Sequence of a data set, folder or 'pattern' of pictures, video, bag, or camera:0: see docs/sources.md."""
    model: Path
    """Model folder or ONNX file."""
    out: Path = Path("runs/track")
    """Folder for trajectory.tum, trajectory.kitti and summary.json."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx fy cx cy of the camera, pixels, where the source does not tell."""
    kind: SourceKind | None = None
    """What the source is, where a guess by its path would be wrong."""
    topic: str | None = None
    """Topic of a bag with the pictures; needed where there are several."""
    view: bool = False
    """Show frame, trajectory and ground truth live in the window of rerun (extra view)."""
    record: Path | None = None
    """Write what --view shows to this new .rrd file, for rerun to open later: needs no display."""

    def run(self) -> None:
        from distilvo.tracking import run_track

        run_track(self.source, self.model, self.out, self.intrinsics, self.kind, self.topic, self.view, self.record)


@dataclass(frozen=True)
class Check:
    """Say what a source of frames holds, and whether its poses are those of its pictures; status 2 if not usable."""

    source: Positional[Path]
    """Sequence of a data set, folder or 'pattern' of pictures, video, bag, or camera:0: see docs/sources.md."""
    kind: SourceKind | None = None
    """What the source is, where a guess by its path would be wrong."""
    topic: str | None = None
    """Topic of a bag with the pictures; needed where there are several."""
    intrinsics: tuple[float, float, float, float] | None = None
    """fx fy cx cy of the camera, pixels, where the source does not tell."""
    model: Path | None = None
    """Model folder or ONNX file: the size of its pictures is compared, too."""
    json: bool = False
    """Print one JSON object instead of the lines."""

    def run(self) -> None:
        from distilvo.check import run_check

        run_check(self.source, self.kind, self.topic, self.intrinsics, self.model, self.json)


@dataclass(frozen=True)
class Bench:
    """Measure models side by side: size, arithmetic, memory, latency, frames/s; see docs/bench.md."""

    models: Positional[tuple[Path, ...]] = ()
    """Model folders and ONNX files."""
    against: str | None = None
    """What speed is compared with: a model folder, an ONNX file, or a teacher, paper or demo; else the first model."""
    rivals: bool = False
    """Measure a classical tracker and DeepVO beside them: the latter takes 5 GB of memory."""
    rounds: int = 100
    """Turns of each model."""
    json: bool = False
    """Print one JSON object instead of the tables."""

    def run(self) -> None:
        from distilvo.bench.run import run_bench

        run_bench(self.models, self.against, self.rivals, self.rounds, self.json)


VERBS: dict[str, Any] = {
    "demo": Demo,
    "render": Render,
    "train": Train,
    "distill": Distill,
    "study": Study,
    "evaluate": Evaluate,
    "export": Export,
    "track": TrackVerb,
    "check": Check,
    "bench": Bench,
}
TRAINING_PACKAGES = {"accelerate", "matplotlib", "numba", "onnx", "onnxscript", "plotly", "safetensors", "torch"}
EXTRAS = {name: ("train", f"this needs {name}, which only running a model does not") for name in TRAINING_PACKAGES} | {
    "rerun": ("view", "--view and --record need rerun")
}
"""What to install where a package is missing, and why."""
SEVERAL_PROCESSES = (Train, Distill)


def main() -> None:
    """Entry point: one line on the error output and status 2 for what the user can mend, 130 for Ctrl-C."""
    for name, silence in (("OPENCV_FFMPEG_LOGLEVEL", "-8"), ("OPENCV_LOG_LEVEL", "OFF"), ("RUST_LOG", "off")):
        os.environ.setdefault(name, silence)  # their complaints come before ours, and say less
    warnings.showwarning = _show_warning  # type: ignore[assignment]
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
    """What the command line asks for; of several processes, one complains."""
    if parallel.size() == 1:
        return _parse()
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            verb = _parse()
    except SystemExit:
        if parallel.speaks():
            print(said.getvalue(), end="", file=sys.stderr, flush=True)
        raise
    if not isinstance(verb, SEVERAL_PROCESSES):
        name = next(name for name, kind in VERBS.items() if isinstance(verb, kind))
        raise DistilvoError(f"{name}: runs in one process, as all but train and distill do; leave torchrun out")
    return verb


def _parse() -> Any:
    return tyro.extras.subcommand_cli_from_dict(VERBS, prog="distilvo", description=__doc__)


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
