"""``distilvo track``: a model over a source of frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from distilvo.commands.export import export_model
from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.paths import near
from distilvo.progress import console
from distilvo.settings import Gaps, SourceOptions

if TYPE_CHECKING:
    from distilvo.pipeline.tracking import Tracked, Watch
    from distilvo.sequences import Sequence

    Watching = Callable[[Sequence], AbstractContextManager[Watch | None]]


@dataclass(frozen=True)
class Track:
    """Run a model over a source of frames, a camera too, and write the trajectory."""

    source: Positional[str]
    """Sequence of a data set, folder or 'pattern' of images, video, bag, camera:0 or rtsp://...: docs/sources.md."""
    model: Path | None = None
    """Model folder or ONNX file; the student that comes with the package where not given."""
    out: Path = Path("runs/track")
    """Folder for trajectory.tum, trajectory.kitti and summary.json."""
    options: Annotated[SourceOptions, arg(name="")] = field(default_factory=SourceOptions)
    gaps: Gaps = "velocity"
    """What bridges frames without a motion that can be trusted (gaps in time, dark or implausible images): the velocity
    of the last frames, for 3 s at most, or nothing: a new segment begins."""
    view: bool = False
    """Show frame, trajectory and ground truth live in the window of rerun (extra view)."""
    record: Path | None = None
    """Write what --view shows to this new .rrd file, for rerun to open later: needs no display."""

    def run(self) -> None:
        """Track the source, and write trajectory and report."""
        from distilvo.pipeline.model_rate import at_models_rate
        from distilvo.pipeline.tracking import track, tracker_of, write_track
        from distilvo.report.drive_report import Album, drive_report
        from distilvo.report.report_files import write_report
        from distilvo.sequences import open_sequence

        watching = _watching(self.view, self.record)
        sequence = open_sequence(self.source, **vars(self.options))
        album = Album()
        with tempfile.TemporaryDirectory() as scratch:
            tracker = tracker_of(sequence, _onnx(self.model, Path(scratch)), self.gaps)
            settings = self._settings() | {"camera_height": tracker.camera_height}
            claim_folder(self.out, "track", settings)
            if self.options.fps is None and self.options.stride == 1:
                sequence, line = at_models_rate(sequence, tracker.rate_hz)
                if line:
                    console.print(line)
            with watching(sequence) as watch:
                watchers = (album.watch,) if watch is None else (album.watch, watch)
                tracked = track(sequence, tracker, watchers=watchers)
        write_track(tracked, self.out)
        _tell(tracked, "" if watch is None else ", rerun")
        console.print(f"Trajectory: {self.out / 'trajectory.tum'}, {self.out / 'trajectory.kitti'}")
        page = drive_report(sequence, _name(self.model), tracked, images=album.images, settings=settings)
        if write_report(self.out, page):
            console.print(f"Report: {self.out / 'report.html'}   plots: {self.out / 'plots'}")

    def _settings(self) -> dict[str, Any]:
        """What the run is made from: source (without a password) and model."""
        from distilvo.runtime.packaged_models import DEFAULT
        from distilvo.sequences.address import shown

        options = {name: str(value) for name, value in vars(self.options).items() if value is not None}
        return {"source": shown(self.source), "model": str(self.model or DEFAULT), "gaps": self.gaps, **options}


def _tell(tracked: Tracked, more: str) -> None:
    timed = f"decoding, preprocessing, one model thread{more}"
    console.print(f"{len(tracked.poses)} frames, {tracked.frames_per_second:.0f} frames/s ({timed})")
    _tell_doubts(tracked)
    known = tracked.end_deviation_m
    end = "" if known is None else f"; by the model the end is known to {known:.2f} m (standard deviation)"
    console.print(f"Camera {tracked.camera_height:g} m above the road{end}")
    if (e := tracked.errors) is not None:
        rpe = f"RMS-RPE {e.rms_rpe_t_m:.3f} m, {e.rms_rpe_r_deg:.3f} deg"
        console.print(f"{rpe}; ATE {e.ate_m:.2f} m, {_sim3(e.ate_scale)}")
    if tracked.gps_rms_m is not None:
        gps = f"RMS distance from the GPS {tracked.gps_rms_m:.2f} m, {_sim3(tracked.gps_scale)}"
        console.print(f"{gps}; the GPS itself is off by metres")


def _sim3(scale: float | None) -> str:
    from distilvo.trajectory.alignment import scale_text

    return "Sim(3)" if scale is None else f"Sim(3), scale {scale_text(scale)}"


def _tell_doubts(tracked: Tracked) -> None:
    from distilvo.pipeline.frame_statuses import doubted_runs

    doubted = sum(status != "ok" for status in tracked.statuses)
    if not doubted:
        console.print("All frames can be trusted")
        return
    segments = int(tracked.segments[-1]) + 1
    parts = f"; the drive is in {segments} segments" if segments > 1 else ""
    runs = doubted_runs(tracked.statuses)
    console.print(f"{doubted} of {len(tracked.statuses)} frames cannot be trusted: {runs}{parts} (frames.csv)")


def _name(model: Path | None) -> str:
    """What a model is called: an ONNX file like its folder, where it has the name that export gives."""
    if model is None:
        from distilvo.runtime.packaged_models import DEFAULT

        return DEFAULT
    if model.suffix != ".onnx":
        return model.resolve().name
    return model.resolve().parent.name if model.name == "model.onnx" else model.stem


def _watching(view: bool, record: Path | None) -> Watching:
    """What shows a run, or records it, or does neither; what is missing or in the way is an error before any work."""
    if record is None and not view:
        return lambda _: nullcontext()
    if record is not None and view:
        raise DistilvoError("--view and --record: expected one of them; rerun opens the recorded file later")
    from distilvo.viewer.live_view import check_new, live, recorded

    if record is None:
        return live
    check_new(record)
    return partial(recorded, path=record)


def _onnx(model: Path | None, scratch: Path) -> Path:
    """The ONNX file of a model, exported to ``scratch`` where a folder has none: only then is torch needed."""
    from distilvo.runtime.packaged_models import model_path

    model = model_path(model)
    if model.suffix == ".onnx":
        return model
    if not model.is_dir() or not (model / "config.json").is_file():
        instead = "" if model.exists() else near(model)
        raise DistilvoError(f"{model}: not a model; {instead}expected an ONNX file or a model folder with config.json")
    if (model / "model.onnx").exists():
        return model / "model.onnx"
    export_model(model, scratch / "model.onnx")
    return scratch / "model.onnx"
