"""Real drives: any models beside two classical trackers, measured in one way. Prints a table per drive, writes a JSON.

    python benchmarks/real_film.py KITTI --models runs/demo/models/student_distilled other/model.onnx --out real.json

KITTI is a folder in the layout of KITTI odometry, with poses. A model is a folder or an ONNX file, and runs as
``distilvo track`` runs it; a folder without model.onnx is exported first. The classical trackers see the grey image at
its full size. All run on one thread; frames/s include decoding.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from distilvo import DistilvoError
from distilvo.bench.klt import KltTracker
from distilvo.bench.road_plane import RoadPlaneTracker
from distilvo.commands.export import export_model
from distilvo.files import write_json
from distilvo.geometry import se3
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT, Camera, Frame
from distilvo.geometry.se3 import Floats
from distilvo.pipeline.tracking import track, tracker_of
from distilvo.sequences import Sequence, open_dataset
from distilvo.trajectory.metrics import deviations

Run = tuple[Floats, float, int]
"""Poses (N, 4, 4), frames/s, and how many frames the tracker itself does not vouch for."""

HEADERS = (
    "tracker",
    "RMS-RPE trans (m)",
    "of the step (%)",
    "scale ratio",
    "RMS-RPE rot (deg)",
    "median",
    "pitch, yaw, roll (RMS, deg)",
    "ATE (m, Sim(3))",
    "its scale",
    "doubted frames",
    "frames/s",
)


def main() -> None:
    """Measure all trackers on all drives, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kitti", type=Path)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, help="a JSON file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    results: dict[str, dict[str, dict[str, float | None]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        models = {_label(model, arguments.models): _onnx(model, Path(scratch)) for model in arguments.models}
        for drive in open_dataset(arguments.kitti):
            trackers: dict[str, tuple[bool, Callable[[Sequence], Run]]] = {
                name: (True, lambda sequence, path=path: run_model(path, sequence)) for name, path in models.items()
            }
            trackers["KLT + essential matrix (no lengths)"] = False, run_klt
            trackers["KLT + road plane"] = True, run_road_plane
            results[drive.name] = {
                name: measures(*run(drive), _truth(drive), scaled) for name, (scaled, run) in trackers.items()
            }
            print("\n".join(table(drive, results[drive.name])), flush=True)
    if arguments.out is not None:
        write_json(arguments.out, results)


def run_model(path: Path, sequence: Sequence) -> Run:
    """A model, as ``distilvo track`` runs it."""
    with tracker_of(sequence, path) as tracker:
        tracked = track(sequence, tracker)
    return tracked.poses, tracked.frames_per_second, sum(status != "ok" for status in tracked.statuses)


def run_klt(sequence: Sequence) -> Run:
    """The tracker whose steps all have length 1."""
    tracker = KltTracker(_camera(sequence))

    def step(image: Frame) -> tuple[Floats, bool]:
        return tracker.step(image), True

    return _timed(sequence, step)


def run_road_plane(sequence: Sequence) -> Run:
    """The tracker with the scale of the road; the camera's height is KITTI's where the drive does not tell it."""
    tracker = RoadPlaneTracker(_camera(sequence), sequence.camera_height or DEFAULT_CAMERA_HEIGHT)

    def step(image: Frame) -> tuple[Floats, bool]:
        status = tracker.step(image).status
        return tracker.pose, status in ("ok", "standing")

    return _timed(sequence, step)


def measures(
    poses: Floats, frames_per_second: float, doubted: int, truth: Floats, scaled: bool
) -> dict[str, float | None]:
    """All measures of a drive; those of lengths are None for a tracker without scale."""
    single = deviations(poses, truth)
    estimated, true = se3.relative(poses), se3.relative(truth)
    steps, true_steps = (np.linalg.norm(motions[:, :3, 3], axis=1) for motions in (estimated, true))
    angles = np.rad2deg(se3.motions_from_matrices(se3.between(true, estimated))[:, 3:])
    pitch, yaw, roll = np.sqrt(np.square(angles).mean(axis=0)).tolist()
    statistics = single.statistics()
    error = statistics["rms_rpe_t_m"]
    assert error is not None
    lengths: dict[str, float | None] = {
        "rms_rpe_t_m": error,
        "rms_rpe_t_percent_of_step": 100 * error / float(true_steps.mean()),
        "scale_ratio": float(steps.sum() / true_steps.sum()),
        "ate_scale": single.ate_scale,
    }
    return {
        **(lengths if scaled else dict.fromkeys(lengths)),
        "rms_rpe_r_deg": statistics["rms_rpe_r_deg"],
        "median_rpe_r_deg": statistics["median_rpe_r_deg"],
        "rms_pitch_deg": pitch,
        "rms_yaw_deg": yaw,
        "rms_roll_deg": roll,
        "ate_m": statistics["ate_m"],
        "doubted_frames": doubted,
        "frames_per_second": frames_per_second,
    }


def table(drive: Sequence, rows: dict[str, dict[str, float | None]]) -> list[str]:
    """Markdown lines of one drive."""
    steps = np.linalg.norm(np.diff(_truth(drive)[:, :3, 3], axis=0), axis=1)
    lines = [f"\n{drive.name}: {len(drive)} frames, {steps.sum():.0f} m, mean step {steps.mean():.2f} m\n"]
    lines += [f"| {' | '.join(HEADERS)} |", "|" + "---|" * len(HEADERS)]
    for name, row in rows.items():
        turns = ", ".join(_show(row[f"rms_{angle}_deg"], 3) for angle in ("pitch", "yaw", "roll"))
        cells = [
            name,
            _show(row["rms_rpe_t_m"], 3),
            _show(row["rms_rpe_t_percent_of_step"], 1),
            _show(row["scale_ratio"], 3),
            _show(row["rms_rpe_r_deg"], 3),
            _show(row["median_rpe_r_deg"], 3),
            turns,
            _show(row["ate_m"], 2),
            _show(row["ate_scale"], 3),
            _show(row["doubted_frames"], 0),
            _show(row["frames_per_second"], 0),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _timed(sequence: Sequence, step: Callable[[Frame], tuple[Floats, bool]]) -> Run:
    poses, sure = [], []
    begin = time.perf_counter()
    for frame in sequence.frames():
        image = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        pose, known = step(image)
        poses.append(pose.copy())
        sure.append(known)
    return np.stack(poses), len(poses) / (time.perf_counter() - begin), sure.count(False)


def _camera(sequence: Sequence) -> Camera:
    if sequence.camera is None:
        raise DistilvoError(f"{sequence.name}: no intrinsics; a classical tracker needs them")
    return sequence.camera


def _truth(sequence: Sequence) -> Floats:
    if sequence.poses is None:
        raise DistilvoError(f"{sequence.name}: no poses; nothing to measure against")
    return sequence.poses


def _label(model: Path, models: list[Path]) -> str:
    """A folder's name, and an ONNX file's with that of its folder; the whole path where that is not unique."""
    names = [path.name if path.suffix != ".onnx" else f"{path.parent.name}/{path.name}" for path in models]
    name = names[models.index(model)]
    return name if names.count(name) == 1 else str(model)


def _onnx(model: Path, scratch: Path) -> Path:
    if model.suffix == ".onnx":
        return model
    if (model / "model.onnx").exists():
        return model / "model.onnx"
    path = scratch / f"{len(list(scratch.iterdir()))}.onnx"
    export_model(model, path)
    return path


def _show(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
