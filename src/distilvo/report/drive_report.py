"""The report of one tracked drive: against the true poses, against positions of a GPS, or alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from distilvo.geometry import se3
from distilvo.geometry.camera import Frame
from distilvo.geometry.se3 import Floats
from distilvo.pipeline.frame_statuses import counts, doubted_runs, segment_slices
from distilvo.pipeline.tracking import Tracked
from distilvo.report.results import DriveResult, Estimate, Image, Pace, ReportTable, RunResults, TableCell
from distilvo.report.score_report import score_report
from distilvo.report.thumbnails import narrowed
from distilvo.runtime import Pose
from distilvo.sequences import Sequence
from distilvo.settings import Scoring
from distilvo.trajectory.alignment import poses_of_positions
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.scores import score
from distilvo.trajectory.segments import Indices

_MOST_KEPT = 40
_KM_H = 3.6
"""Of one metre per second."""


class Album:
    """A few images of a drive whose length is not known before its end, evenly spread: twenty to forty."""

    def __init__(self) -> None:
        self.images: dict[int, Image] = {}
        self._every = 1

    def watch(self, index: int, frame: Frame, _: Pose) -> None:
        """Keep frame ``index``, made small, if its turn has come; once full, every second one goes."""
        if index % self._every:
            return
        self.images[index] = narrowed(frame).copy()
        if len(self.images) > _MOST_KEPT:
            self._every *= 2
            self.images = {frame: image for frame, image in self.images.items() if frame % self._every == 0}


def drive_report(
    sequence: Sequence, model: str, tracked: Tracked, *, images: dict[int, Image], settings: dict[str, Any]
) -> RunResults:
    """What the page of a tracked drive shows.

    Args:
        sequence: that was tracked, with its truth where it has one.
        model: name of the model that followed it.
        tracked: its poses.
        images: some of its frames.
        settings: that the drive was tracked with.
    """
    name, title = sequence.name, f"distilvo track {sequence.name}"
    if sequence.poses is not None:
        return _scored(sequence, sequence.poses, model, tracked, images=images, settings=settings)
    tables = [_status_table(model, tracked)]
    estimates, pace = {model: Estimate(tracked.poses)}, pace_of(tracked)
    if sequence.reference is None or tracked.gps_rms_m is None:
        drive = DriveResult(name, None, estimates, images, tracked.times, doubted=_doubted(tracked), pace=pace)
        notes = ["There is no ground truth: how far this is from it nobody can say."]
        return RunResults(title, tables=tables, drives=[drive], settings=settings, notes=notes)
    positions = poses_of_positions(sequence.reference)
    doubted = _doubted(tracked)
    drive = DriveResult(name, positions, estimates, images, tracked.times, "GPS", doubted=doubted, pace=pace)
    row = [TableCell(model), TableCell(f"{tracked.gps_rms_m:.2f}")]
    table = ReportTable(("estimate", "RMS distance from the GPS (m, Sim(3))"), [row])
    notes = ["The GPS is an antenna on the roof with an error of metres: compare the shapes of the paths."]
    if tracked.segments[-1]:
        notes.append("Its distance is measured of each segment by itself; the plot shows all of them aligned as one.")
    return RunResults(title, tables=[table, *tables], drives=[drive], settings=settings, notes=notes)


def _scored(
    sequence: Sequence,
    poses: Floats,
    model: str,
    tracked: Tracked,
    *,
    images: dict[int, Image],
    settings: dict[str, Any],
) -> RunResults:
    """Against true poses; segments between which no motion is known are drives of their own."""
    scores, parts = [], segment_slices(tracked.segments)
    for number, part in enumerate(parts):
        name = sequence.name if len(parts) == 1 else f"{sequence.name}, segment {number}"
        truth = Trajectory.of_frames(poses[part], None if tracked.assumed_times else tracked.times[part])
        scores.append(score(model, name, Trajectory.of_frames(tracked.poses[part]), truth, Scoring()))
    page = score_report(f"distilvo track {sequence.name}", scores, settings, more=[_status_table(model, tracked)])
    for drive, part in zip(page.drives, parts, strict=True):
        drive.images.update({frame - part.start: images[frame] for frame in images if part.start <= frame < part.stop})
    doubted = _doubted(tracked)
    page.drives[:] = [
        replace(
            drive,
            doubted=doubted[(doubted >= part.start) & (doubted < part.stop)] - part.start,
            pace=pace_of(tracked, part),
        )
        for drive, part in zip(page.drives, parts, strict=True)
    ]
    return page


def pace_of(tracked: Tracked, part: slice = slice(None)) -> Pace:
    """Speed and turn rate of a part of a drive, from each frame to the next."""
    times, segments = tracked.times[part], tracked.segments[part]
    steps = np.diff(times, prepend=np.nan)
    steps[1:][np.diff(segments) != 0] = np.nan
    motions = np.vstack([np.zeros(6), se3.motions(tracked.poses[part])])
    speed, turn, covariances = None, None, None
    if tracked.deviations is not None and tracked.covariances is not None:
        deviations, covariances = tracked.deviations[part].astype(np.float64), tracked.covariances[part]
        speed, turn = _KM_H * deviations[:, 2] / steps, np.degrees(deviations[:, 4]) / steps
    return Pace(
        times - times[0],
        _KM_H * motions[:, 2] / steps,
        np.degrees(motions[:, 4]) / steps,
        tracked.statuses[part],
        tracked.assumed_times,
        speed,
        turn,
        covariances,
    )


def _status_table(model: str, tracked: Tracked) -> ReportTable:
    """How many frames can be trusted, and which cannot."""
    frames_by_status = counts(tracked.statuses)
    headers = ("model", "frames", *frames_by_status, "segments")
    numbers = (len(tracked.statuses), *frames_by_status.values(), int(tracked.segments[-1]) + 1)
    runs = doubted_runs(tracked.statuses)
    note = f"Frames that cannot be trusted: {runs}. Their motion is not the model's." if runs else ""
    return ReportTable(headers, [[TableCell(model), *(TableCell(str(number)) for number in numbers)]], note)


def _doubted(tracked: Tracked) -> Indices:
    """The frames (D,) that cannot be trusted."""
    return np.flatnonzero([status != "ok" for status in tracked.statuses])
