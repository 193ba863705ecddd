"""The report of one tracked drive: against the true poses, against positions of a GPS, or alone."""

from __future__ import annotations

from typing import Any

from distilvo.geometry.camera import Frame
from distilvo.pipeline.tracking import Tracked
from distilvo.report.results import DriveResult, Estimate, Image, ReportTable, RunResults, TableCell
from distilvo.report.score_report import score_report
from distilvo.report.thumbnails import narrowed
from distilvo.runtime import Pose
from distilvo.sequences import Sequence
from distilvo.settings import Scoring
from distilvo.trajectory.alignment import poses_of_positions
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.scores import score

_MOST_KEPT = 40


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
        truth = Trajectory(sequence.poses, times=tracked.times)
        scored = score(model, name, Trajectory(tracked.poses), truth, Scoring())
        page = score_report(title, [scored], settings)
        page.drives[0].images.update(images)
        return page
    estimates = {model: Estimate(tracked.poses)}
    if sequence.reference is None or tracked.gps_rms_m is None:
        drive = DriveResult(name, None, estimates, images, tracked.times)
        notes = ["There is no ground truth: how far this is from it nobody can say."]
        return RunResults(title, drives=[drive], settings=settings, notes=notes)
    positions = poses_of_positions(sequence.reference)
    drive = DriveResult(name, positions, estimates, images, tracked.times, reference="GPS")
    row = [TableCell(model), TableCell(f"{tracked.gps_rms_m:.2f}")]
    table = ReportTable(("estimate", "RMS distance from the GPS (m, Sim(3))"), [row])
    notes = ["The GPS is an antenna on the roof with an error of metres: compare the shapes of the paths."]
    return RunResults(title, tables=[table], drives=[drive], settings=settings, notes=notes)
