"""A model over a source of frames, as a live tracker sees it: one frame after the other."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import write_json
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT, Camera, Frame, field_of_view_mismatch, view_not_known
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.pipeline.frame_statuses import counts, gps_rms, segment_errors, write_statuses
from distilvo.progress import progress
from distilvo.runtime import Pose, Status, Tracker
from distilvo.sequences import Sequence
from distilvo.sequences.brightness import GreyLevels
from distilvo.settings import Gaps
from distilvo.trajectory.formats import write_kitti, write_tum
from distilvo.trajectory.metrics import Errors

MOST_UNSEEN = 0.02
"""Share of the model's view that a camera may miss before the user is warned."""

Watch = Callable[[int, Frame, Pose], None]
"""Called with each frame once its pose is there: the frame's number from 0, the frame, the pose."""


@dataclass(frozen=True)
class Tracked:
    """A tracked drive.

    Attributes:
        times: (N,) s.
        poses: (N, 4, 4) camera-to-world; the first camera is the world.
        frames_per_second: decoding, preprocessing and the model, one thread for the model; and what watches the run.
        errors: against the ground truth, where there is one.
        statuses: of each frame, see ``runtime.frame_quality``.
        segments: (N,) of each frame; between poses of two segments no motion is known.
        gps_rms_m: RMS distance from the positions of a GPS after a Sim(3) alignment, where there are such and no poses.
        gps_scale: by what that alignment scaled the trajectory; None for several segments.
        assumed_times: whether ``times`` are counted at an assumed rate.
        camera_height: metres above the road that lengths were taken for.
        deviations: (N, 6) [m, rad] standard deviation of each motion's error; None where the model states none.
        covariances: (N, 6, 6) of each pose since the first one of its segment, see ``runtime.Pose``; None likewise.
    """

    times: NDArray[np.float64]
    poses: NDArray[np.float64]
    frames_per_second: float
    errors: Errors | None
    gps_rms_m: float | None
    statuses: tuple[Status, ...]
    segments: NDArray[np.int64]
    gps_scale: float | None = None
    assumed_times: bool = False
    camera_height: float = DEFAULT_CAMERA_HEIGHT
    deviations: NDArray[np.float32] | None = None
    covariances: NDArray[np.float64] | None = None

    @property
    def end_deviation_m(self) -> float | None:
        """Standard deviation of the last position, m, all directions together; None where the model states none."""
        return None if self.covariances is None else float(np.sqrt(np.trace(self.covariances[-1, :3, :3])))

    def summary(self) -> dict[str, Any]:
        """As ``summary.json`` has it."""
        measures: dict[str, Any] = {"frames": len(self.poses), "frames_per_second": self.frames_per_second}
        measures |= {"statuses": counts(self.statuses), "segments": int(self.segments[-1]) + 1}
        measures |= {"camera_height_m": self.camera_height, "end_deviation_m": self.end_deviation_m}
        if self.errors is not None:
            names = ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m", "ate_scale")
            measures |= {name: getattr(self.errors, name) for name in names}
        if self.gps_rms_m is not None:
            measures |= {"gps_rms_m": self.gps_rms_m, "gps_scale": self.gps_scale}
        return measures


def tracker_of(sequence: Sequence, model: Path, gaps: Gaps = "velocity") -> Tracker:
    """A tracker of the sequence's camera and its height; warns where the height is not known.

    Raises:
        DistilvoError: the ONNX file cannot be read.
    """
    height = sequence.camera_height
    if height is None:
        warnings.warn(f"{sequence.name}: {height_not_known()}", stacklevel=2)
        height = DEFAULT_CAMERA_HEIGHT
    return Tracker(model, sequence.camera, gaps=gaps, camera_height=height)


def height_not_known() -> str:
    """What a person should know where nothing tells the camera's height."""
    return f"camera height not known: {DEFAULT_CAMERA_HEIGHT:g} m taken (--camera-height); lengths grow with it"


def track(sequence: Sequence, tracker: Tracker, watchers: tuple[Watch, ...] = ()) -> Tracked:
    """Run a new tracker of the sequence's camera over the sequence; each of ``watchers`` is called for each frame.

    Raises:
        DistilvoError: frames cannot be read, the model fails, or there are fewer than two frames.
    """
    _check_times(sequence)
    _warn_of_view(sequence.name, sequence.camera, tracker.preprocessing)
    times: list[float] = []
    estimates: list[Pose] = []
    levels = GreyLevels()
    begin = time.perf_counter()
    for index, frame, pose in _poses(sequence, tracker):
        estimates.append(pose)
        times.append(pose.time)
        levels.add(frame)
        for watch in watchers:
            watch(index, frame, pose)
    seconds = time.perf_counter() - begin
    if len(estimates) < 2:
        raise DistilvoError(
            f"{sequence.name}: {len(estimates)} frames; expected at least two, motion lies between frames"
        )
    if note := levels.note():
        warnings.warn(f"{sequence.name}: {note}", stacklevel=2)
    poses = np.stack([pose.matrix for pose in estimates])
    statuses, segments = tuple(pose.status for pose in estimates), np.array([pose.segment for pose in estimates])
    measured = None if sequence.poses is None else segment_errors(poses, sequence.poses, segments)
    gps, scale = None, None
    if sequence.poses is None and sequence.reference is not None:
        gps, scale = gps_rms(poses, sequence.reference, segments)
    rate = len(poses) / seconds
    deviations = [pose.motion_deviation for pose in estimates if pose.motion_deviation is not None]
    covariances = [pose.covariance for pose in estimates if pose.covariance is not None]
    return Tracked(
        np.array(times), poses, rate, measured, gps, statuses, segments, scale, sequence.assumed_times,
        camera_height=tracker.camera_height,
        deviations=np.stack(deviations) if deviations else None,
        covariances=np.stack(covariances) if covariances else None,
    )  # fmt: skip


def write_track(tracked: Tracked, folder: Path) -> None:
    """Write ``trajectory.tum``, ``trajectory.kitti``, ``frames.csv`` and, last, ``summary.json``."""
    write_tum(folder / "trajectory.tum", tracked.poses, tracked.times, assumed=tracked.assumed_times)
    write_kitti(folder / "trajectory.kitti", tracked.poses)
    write_statuses(folder / "frames.csv", tracked.times, tracked.statuses, tracked.segments, tracked.deviations)
    write_json(folder / "summary.json", tracked.summary())


def _poses(sequence: Sequence, tracker: Tracker) -> Iterator[tuple[int, Frame, Pose]]:
    with progress("track", len(sequence)) as bar:
        for index, frame in enumerate(sequence.frames()):
            t = float(sequence.times[index])  # not before: a live camera has no times until it has frames
            yield index, frame, tracker.step(frame, t)
            bar.advance()


def _check_times(sequence: Sequence) -> None:
    """Raise DistilvoError where times do not go forward; those of a live source are not known before its frames."""
    times = sequence.times
    for k in np.flatnonzero(np.diff(times) <= 0)[:1] + 1:
        raise DistilvoError(
            f"{sequence.name}: frame {k} is at {times[k]:.6f} s, the one before at {times[k - 1]:.6f} s; tracking "
            "needs times that go forward: remove the frame, or give --times FILE"
        )


def _warn_of_view(name: str, camera: Camera | None, preprocessing: Preprocessing) -> None:
    if camera is None:
        warnings.warn(f"{name}: {'; '.join(view_not_known())}", stacklevel=3)
        return
    unseen = field_of_view_mismatch(camera, preprocessing.intrinsics, preprocessing.size)
    if unseen > MOST_UNSEEN:
        warnings.warn(
            f"{name}: the camera does not see {unseen:.0%} of the view that the model was trained on; "
            "its edges are repeated there",
            stacklevel=3,
        )
