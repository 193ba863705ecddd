"""Every plot of a run, each defined here once: which data, which names, units and alignments, which colours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from distilvo.report.error_statistics import Spread, by_length, length_grid, spread
from distilvo.report.film_plots import film_plots
from distilvo.report.pace_plots import ellipses, pace_plot
from distilvo.report.plot_specs import (
    INK,
    Axis,
    BarMark,
    BoxMark,
    DotsMark,
    LineMark,
    Mark,
    Panel,
    Plot,
    PointMark,
)
from distilvo.report.results import Curves, DriveResult, ModelRow, RunResults
from distilvo.report.style import ALIGNMENTS, LEAST_TRUSTED, Palette, label, over
from distilvo.report.trust_plots import trust_plot
from distilvo.settings import Scoring
from distilvo.trajectory.segments import travelled

QUANTILES = (5, 25, 50, 75, 95)
"""Per cent: ends of the whiskers, edges and middle of a box."""
_TRUTH_WIDTH = 3.0
_ROW_INCHES, _HEAD_INCHES = 0.5, 1.6


@dataclass(frozen=True, eq=False)
class DrivePlots:
    """The plots of one drive; ``along`` is None where no truth is known, ``pace`` where it was not tracked."""

    drive: DriveResult
    trajectory: Plot
    along: Plot | None
    pace: Plot | None = None


@dataclass(frozen=True, eq=False)
class RunPlots:
    """The plots of a run; None where there is nothing to draw. ``drives`` are those that have estimates."""

    errors: Plot | None
    spread: Plot | None
    lengths: Plot | None
    curves: Plot | None
    trust: Plot | None
    drives: list[DrivePlots]
    films: list[Plot] = field(default_factory=list)

    def every(self) -> list[Plot]:
        """Those that there are, in one list."""
        of_drives = [plot for drive in self.drives for plot in (drive.trajectory, drive.along, drive.pace)]
        plots = [self.errors, self.spread, self.lengths, self.curves, self.trust, *self.films, *of_drives]
        return [plot for plot in plots if plot is not None]


def run_plots(results: RunResults) -> RunPlots:
    """The plots of a run.

    Raises:
        DistilvoError: an estimate does not fit its drive.
    """
    drives = [drive for drive in results.drives if drive.estimates]
    plotter = _Plotter(results.how, run_palette(results))
    return RunPlots(
        errors=plotter.errors(results.rows),
        spread=plotter.spread(drives),
        lengths=plotter.lengths(drives),
        curves=plotter.curves(results.curves),
        trust=None if results.trust is None else trust_plot(results.trust),
        drives=[
            DrivePlots(
                drive,
                plotter.trajectory(drive),
                plotter.along(drive),
                None if drive.pace is None else pace_plot(drive.name, drive.pace),
            )
            for drive in drives
        ],
        films=film_plots(results.films),
    )


def run_palette(results: RunResults) -> Palette:
    """The look of every model, and training, of a run."""
    models = [name for drive in results.drives for name in drive.estimates]
    in_tables = [row[0].text for table in results.tables for row in table.rows]
    return Palette([*(row.name for row in results.rows), *models, *results.curves, *in_tables])


class _Plotter:
    """Each method defines one plot, or gives None where there is nothing to draw."""

    def __init__(self, how: Scoring, palette: Palette) -> None:
        self._how, self._palette = how, palette
        self._relative, self._ate = over(how), ALIGNMENTS[how.ate_alignment]

    def errors(self, rows: list[ModelRow]) -> Plot | None:
        """Three panels of bars, one bar for each model, the value at its end; shorter is better."""
        if not rows:
            return None
        measures = (
            (f"RMS-RPE, translation (m{self._relative})", "rms_rpe_t_m", 4),
            (f"RMS-RPE, rotation (degrees{self._relative})", "rms_rpe_r_deg", 4),
            (f"ATE (m, {self._ate})", "ate_m", 3),
        )
        panels = [Panel(title, Axis(), Axis(), self._bars(rows, field, digits)) for title, field, digits in measures]
        return Plot("errors", "Errors over all drives; shorter is better", "", panels, _of_rows(14, len(rows)))

    def spread(self, drives: list[DriveResult]) -> Plot | None:
        """Boxes of the relative errors of all pairs of frames: translation and rotation."""
        translation, rotation = spread(drives, self._how)
        if not translation:
            return None
        panels = [
            self._boxes(translation, f"translation error (m{self._relative})"),
            self._boxes(rotation, f"rotation error (degrees{self._relative})"),
        ]
        note = (
            f"Relative pose error over {self._how.over} of all drives. Boxes hold the middle half, whiskers the "
            "middle 90\N{NO-BREAK SPACE}%; the dashed line is the mean."
        )
        return Plot("spread", "Errors of single frames", note, panels, _of_rows(12, len(translation)))

    def lengths(self, drives: list[DriveResult]) -> Plot | None:
        """KITTI's errors by the length of the segment: translation and rotation."""
        lines = by_length(drives, self._how, length_grid(drives))
        if not lines:
            return None
        aligned = ALIGNMENTS[self._how.relative_alignment]
        titles = f"translation error (%, {aligned})", f"rotation error (degrees/100 m, {aligned})"
        x, y = Axis("length of the segment (m)"), Axis(from_zero=True)
        panels = [
            Panel(title, x, y, [self._line(model, line[0], line[part], dots=True) for model, line in lines.items()])
            for part, title in enumerate(titles, 1)
        ]
        note = (
            f"As the KITTI benchmark measures them ({aligned}): over segments of so many metres of the true path, the "
            "mean of all that begin at every tenth frame."
        )
        return Plot("lengths", "Errors by path length", note, panels, (12, 4.8))

    def curves(self, curves: Curves) -> Plot | None:
        """The loss along each training, on a logarithmic axis."""
        lines: list[Mark] = []
        for training, points in curves.items():
            if points:
                steps, losses = np.array(points, dtype=np.float64).T
                lines.append(self._line(training, steps, losses))
        note = "Trainings have different losses (ground truth, hints, imitation): compare the shapes, not the heights."
        panel = Panel("", Axis("training step"), Axis("training loss", log=True), lines)
        return Plot("curves", "Training", note, [panel], (8, 5)) if lines else None

    def trajectory(self, drive: DriveResult) -> Plot:
        """The drive from above, x to the right and z up the page, every estimate aligned as for the ATE."""
        marks: list[Mark] = []
        note = "The drive from above."
        if drive.truth is not None:
            name, frames = drive.reference or "truth", np.arange(len(drive.way))
            note = f"The drive from above, each estimate aligned with the {name} ({self._ate})."
            marks.append(LineMark(name, drive.way[:, 0], drive.way[:, 2], INK, width=_TRUTH_WIDTH, frames=frames))
        for model, estimate in drive.estimates.items():
            positions = drive.aligned(model, self._how)
            marks.append(self._line(model, positions[:, 0], positions[:, 2], frames=estimate.places))
            if len(doubted := np.flatnonzero(np.isin(estimate.places, drive.doubted))):
                x, z = positions[doubted, 0], positions[doubted, 2]
                marks.append(DotsMark("cannot be trusted", x, z, LEAST_TRUSTED, estimate.places[doubted]))
        if drive.truth is None and drive.pace is not None and drive.pace.covariances is not None:
            marks.append(ellipses(drive.way, drive.pace.covariances))
            note += " Ellipses: where the camera may be by what the model states of its motions, which are taken for "
            note += "independent, counted from the first frame of each segment."
        (start_x, _, start_z), (end_x, _, end_z) = drive.way[0], drive.way[-1]
        marks += [PointMark("start", start_x, start_z, "open circle"), PointMark("end", end_x, end_z, "square")]
        panel = Panel("", Axis("x, right (m)"), Axis("z, forward (m)"), marks, equal=True)
        return Plot(f"trajectory_{_in_file_name(drive)}", f"Drive {drive.name}", note, [panel], (7.5, 7))

    def along(self, drive: DriveResult) -> Plot | None:
        """The errors over the metres driven: of the position, and of each pair of frames where poses are known."""
        if drive.truth is None:
            return None
        driven = travelled(drive.way)
        position: list[Mark] = []
        relative: list[Mark] = []
        for model, estimate in drive.estimates.items():
            distance = np.linalg.norm(drive.aligned(model, self._how) - drive.way[estimate.places], axis=1)
            position.append(self._line(model, driven[estimate.places], distance, frames=estimate.places))
            if drive.has_poses and len((errors := drive.deviations(model, self._how)).rpe_t_m):
                ends = errors.rpe_ends
                relative.append(self._line(model, driven[ends], errors.rpe_t_m, frames=ends, spiky=True))
        x, y = Axis("metres driven"), Axis(from_zero=True)
        panels = [Panel(f"position error (m, {self._ate})", x, y, position)]
        if relative:
            panels.append(Panel(f"translation error of each pair of frames (m{self._relative})", x, y, relative))
        size = (9.0, 1.2 + 2.8 * len(panels))
        return Plot(f"along_{_in_file_name(drive)}", f"Drive {drive.name}", "", panels, size, stacked=True)

    def _bars(self, rows: list[ModelRow], field: str, digits: int) -> list[Mark]:
        values = [(row.name, float(getattr(row, field))) for row in rows]
        return [
            BarMark(label(name), self._palette.colour(name), value, f"{value:.{digits}f}") for name, value in values
        ]

    def _boxes(self, errors: Spread, title: str) -> Panel:
        boxes: list[Mark] = [_box(label(model), self._palette.colour(model), errors[model]) for model in errors]
        return Panel(title, Axis(from_zero=True), Axis(), boxes)

    def _line(self, model: str, x: Any, y: Any, **details: Any) -> LineMark:
        colour, dash = self._palette.colour(model), self._palette.dash(model)
        return LineMark(label(model), np.asarray(x), np.asarray(y), colour, dash, **details)


def _box(name: str, colour: str, errors: NDArray[np.float64]) -> BoxMark:
    low, quarter, median, three_quarters, high = map(float, np.percentile(errors, QUANTILES))
    return BoxMark(name, colour, (low, quarter, median, three_quarters, high), float(errors.mean()))


def _of_rows(width: float, rows: int) -> tuple[float, float]:
    """Inches of a plot with a row for each model."""
    return width, _HEAD_INCHES + _ROW_INCHES * rows


def _in_file_name(drive: DriveResult) -> str:
    """Quoting keeps different names different, and none of them leaves the folder."""
    return quote(drive.name, safe=" ", errors="surrogateescape")
