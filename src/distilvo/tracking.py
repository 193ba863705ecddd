"""A model over a source of frames, as a live tracker sees it: one frame after the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import claim_folder, write_json
from distilvo.metrics import Errors, errors, gps_rms
from distilvo.progress import console, progress
from distilvo.report.tracked import Album, tracked
from distilvo.report.write import write_report
from distilvo.runtime import Pose, Tracker
from distilvo.sequences import Camera, Sequence, open_sequence
from distilvo.sequences.base import Frame
from distilvo.sequences.camera import canonical_intrinsics, field_of_view_mismatch
from distilvo.settings import SourceKind
from distilvo.trajectories import Trajectory, write_kitti, write_tum

MOST_UNSEEN = 0.02
"""Share of the model's view that a camera may miss before the user is warned."""


@dataclass(frozen=True)
class Track:
    """A tracked drive.

    Attributes:
        times: (N,) s.
        poses: (N, 4, 4) camera-to-world; the first camera is the world.
        frames_per_second: decoding, scaling and the model, one thread for the model; and what watches the run.
        errors: against the ground truth, where there is one.
        gps_rms_m: RMS distance from the positions of a GPS after a Sim(3) alignment, where there are such and no poses.
        pictures: a few along the way, small, by frame.
    """

    times: NDArray[np.float64]
    poses: NDArray[np.float64]
    frames_per_second: float
    errors: Errors | None
    gps_rms_m: float | None
    pictures: dict[int, NDArray[np.uint8]]

    def summary(self) -> dict[str, Any]:
        """As ``summary.json`` has it."""
        known = {} if self.errors is None else {
            name: getattr(self.errors, name) for name in ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m")
        }  # fmt: skip
        if self.gps_rms_m is not None:
            known["gps_rms_m"] = self.gps_rms_m
        return {"frames": len(self.poses), "frames_per_second": self.frames_per_second, **known}


Watch = Callable[[int, Frame, Pose], None]
"""Is told of each frame when its pose is known: the frame's number from 0, the frame, the pose."""


def track(sequence: Sequence, model: Path, label: str = "track", watch: Watch | None = None) -> Track:
    """Run an exported model over a sequence; ``watch`` is called for each frame.

    Raises:
        DistilvoError: model or frames cannot be read, or there are fewer than two frames.
    """
    tracker = Tracker(model, sequence.camera)
    _warn_of_view(sequence.name, sequence.camera, tracker.size)
    times, estimates, album = [], [], Album()
    begin = time.perf_counter()
    with progress(label, len(sequence)) as bar:
        for index, frame in enumerate(sequence.frames()):
            t = float(sequence.times[index])  # not before: a live camera has no times until it has frames
            pose = tracker.step(frame, t)
            estimates.append(pose.matrix)
            times.append(t)
            album.add(index, frame)
            if watch is not None:
                watch(index, frame, pose)
            bar.advance()
    seconds = time.perf_counter() - begin
    if len(estimates) < 2:
        raise DistilvoError(
            f"{sequence.name}: {len(estimates)} frames; expected at least two, motion lies between frames"
        )
    poses = np.stack(estimates)
    measured = None if sequence.poses is None else errors(poses, sequence.poses)
    gps = None
    if sequence.poses is None and sequence.reference is not None:
        gps = gps_rms(poses, sequence.reference)
    return Track(np.array(times), poses, len(poses) / seconds, measured, gps, album.pictures)


def write_track(result: Track, folder: Path) -> None:
    """Write ``trajectory.tum``, ``trajectory.kitti`` and, last, ``summary.json``."""
    write_tum(folder / "trajectory.tum", result.poses, result.times)
    write_kitti(folder / "trajectory.kitti", result.poses)
    write_json(folder / "summary.json", result.summary())


def _warn_of_view(name: str, camera: Camera | None, size: tuple[int, int]) -> None:
    if camera is None:
        warnings.warn(
            f"{name}: the camera's intrinsics are not known, so the scale and the rotations may be off by the "
            "ratio of its field of view to that of KITTI (82 x 29 degrees)",
            stacklevel=3,
        )
        return
    unseen = field_of_view_mismatch(camera, canonical_intrinsics(size), size)
    if unseen > MOST_UNSEEN:
        warnings.warn(
            f"{name}: the camera does not see {unseen:.0%} of the view that the model was trained on; "
            "its edges are repeated there",
            stacklevel=3,
        )


def run_track(
    source: Path,
    model: Path,
    out: Path,
    intrinsics: tuple[float, float, float, float] | None,
    kind: SourceKind | None,
    topic: str | None,
    view: bool,
    record: Path | None,
) -> None:
    """Track a source and write the trajectory; ``view`` and ``record``: show it with rerun, see ``distilvo.view``."""
    watching = _watching(view, record)
    settings = {"source": str(source), "model": str(model), "intrinsics": intrinsics, "kind": kind, "topic": topic}
    claim_folder(out, "track", settings)
    sequence = open_sequence(source, kind, topic)
    if intrinsics is not None:
        height, width = next(iter(sequence.frames())).shape[:2]
        sequence.camera = Camera(*intrinsics, width=width, height=height)
    onnx = model if model.suffix == ".onnx" else _onnx(model, out)
    with watching(sequence) as watch:
        result = track(sequence, onnx, watch=watch)
    write_track(result, out)
    timed = "decoding, scaling, one model thread" + ("" if watch is None else ", rerun")
    console.print(f"{len(result.poses)} frames, {result.frames_per_second:.0f} frames/s ({timed})")
    if result.errors is not None:
        e = result.errors
        console.print(f"RMS-RPE {e.rms_rpe_t_m:.3f} m, {e.rms_rpe_r_deg:.3f} deg; ATE {e.ate_m:.2f} m, Sim(3)")
    if result.gps_rms_m is not None:
        console.print(f"RMS distance from the GPS {result.gps_rms_m:.2f} m, Sim(3); the GPS itself is off by metres")
    console.print(f"Trajectory: {out / 'trajectory.tum'}, {out / 'trajectory.kitti'}")
    page = tracked(
        sequence.name,
        _name(model),
        Trajectory(result.poses, times=result.times),
        sequence.poses,
        sequence.reference,
        result.pictures,
        settings,
    )
    if write_report(out, page):
        console.print(f"Report: {out / 'report.html'}   pictures: {out / 'plots'}")


def _name(model: Path) -> str:
    """What a model is called: an ONNX file like its folder, where it has the name that export gives."""
    if model.suffix != ".onnx":
        return model.resolve().name
    return model.resolve().parent.name if model.name == "model.onnx" else model.stem


def _watching(view: bool, record: Path | None) -> Callable[[Sequence], AbstractContextManager[Watch | None]]:
    """What shows a run, or records it, or does neither; what is missing or in the way is told at once."""
    if record is None and not view:
        return lambda _: nullcontext()
    if record is not None and view:
        raise DistilvoError("--view and --record: expected one of them; rerun opens the recorded file later")
    from distilvo.view import check_new, live, recorded

    if record is None:
        return live
    check_new(record)
    return partial(recorded, path=record)


def _onnx(model: Path, out: Path) -> Path:
    """The exported file of a model folder, made where it is missing: only then is torch needed."""
    if not model.is_dir() or not (model / "config.json").is_file():
        raise DistilvoError(f"{model}: not a model; expected an ONNX file or a model folder with config.json")
    if (model / "model.onnx").exists():
        return model / "model.onnx"
    from distilvo.verbs import export_model

    export_model(model, out / "model.onnx")  # anew each time: the model may have been trained on since
    return out / "model.onnx"
