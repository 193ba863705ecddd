"""The report of one tracked drive: against the true poses, against positions of a GPS, or alone."""

from __future__ import annotations

from typing import Any

from distilvo.alignment import poses_of_positions
from distilvo.metrics import gps_rms
from distilvo.poses import Floats
from distilvo.report.comparison import comparison
from distilvo.report.pictures import narrowed
from distilvo.report.results import Cell, DriveResult, Estimate, Picture, ReportTable, RunResults
from distilvo.scoring import score
from distilvo.settings import Scoring
from distilvo.trajectories import Trajectory

_MOST_KEPT = 40


class Album:
    """A few pictures of a drive whose length is not known before its end, evenly spread: twenty to forty."""

    def __init__(self) -> None:
        self.pictures: dict[int, Picture] = {}
        self._every = 1

    def add(self, frame: int, picture: Picture) -> None:
        """Keep a frame's picture, made small, if its turn has come; once full, every second one goes."""
        if frame % self._every:
            return
        self.pictures[frame] = narrowed(picture).copy()
        if len(self.pictures) > _MOST_KEPT:
            self._every *= 2
            self.pictures = {kept: shown for kept, shown in self.pictures.items() if kept % self._every == 0}


def tracked(
    name: str,
    model: str,
    estimate: Trajectory,
    truth: Floats | None,
    reference: Floats | None,
    pictures: dict[int, Picture],
    settings: dict[str, Any],
) -> RunResults:
    """What the page of a tracked drive shows.

    Args:
        name: of the drive.
        model: that followed it.
        estimate: its N poses with their times.
        truth: (N, 4, 4) camera-to-world, or None.
        reference: (N, 3) east, north, up, m, of a GPS, or None.
        pictures: some of its frames.
        settings: that the drive was tracked with.
    """
    title = f"distilvo track {name}"
    if truth is not None:
        found = score(model, name, Trajectory(estimate.poses), Trajectory(truth, times=estimate.times), Scoring())
        page = comparison(title, [found], settings)
        page.drives[0].pictures.update(pictures)
        return page
    drive = DriveResult(name, None, {model: Estimate(estimate.poses)}, pictures, estimate.times)
    if reference is None:
        notes = ["There is no ground truth: how far this is from it nobody can say."]
        return RunResults(title, drives=[drive], settings=settings, notes=notes)
    gps = DriveResult(name, poses_of_positions(reference), drive.estimates, pictures, estimate.times, reference="GPS")
    rms = Cell(f"{gps_rms(estimate.poses, reference):.2f}")
    table = ReportTable(("estimate", "RMS distance from the GPS (m, Sim(3))"), [[Cell(model), rms]])
    notes = ["The GPS is an antenna on the roof with an error of metres: compare the shapes of the paths."]
    return RunResults(title, tables=[table], drives=[gps], settings=settings, notes=notes)
