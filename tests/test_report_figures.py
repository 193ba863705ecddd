"""What the plots of a report show: positions, errors and the frames that they belong to, worked out by hand."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.geometry import se3
from distilvo.report.error_statistics import by_length, length_grid
from distilvo.report.matplotlib_renderer import plain, write_plot
from distilvo.report.plot_specs import Axis, BarMark, BoxMark, HistogramMark, LineMark, Panel, Plot, PointMark
from distilvo.report.plotly_renderer import plotly_figure, points_of_a_line
from distilvo.report.results import DriveResult, Estimate, Reliability, RunResults, TrustResult, frames_to_show
from distilvo.report.run_plots import RunPlots, run_plots
from distilvo.report.thinning import evenly_spread, peaks
from distilvo.report.trust_plots import trust_plot
from distilvo.settings import Scoring
from test_report import drive, results


def numbers(array: Any, dtype: str = "<f4") -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["bdata"]), dtype=dtype)


def plots_of(*drives: DriveResult, how: Scoring | None = None) -> RunPlots:
    return run_plots(RunResults("run", drives=list(drives), how=how or Scoring()))


def panel_of(plot: Plot | None, number: int = 0) -> Panel:
    assert plot is not None
    return plot.panels[number]


def test_trajectory_plot_holds_the_aligned_positions() -> None:
    truth = drive().truth
    assert truth is not None
    moved = truth.copy()
    moved[:, :3, 3] = 2.0 * truth[:, :3, 3] + [5.0, 0.0, -3.0]
    one = DriveResult("09", truth, {"teacher": Estimate(moved)})
    panel = plots_of(one).drives[0].trajectory.panels[0]
    assert [mark.name for mark in panel.lines] == ["truth", "teacher"] and panel.equal
    for line in panel.lines:
        np.testing.assert_allclose(np.stack([line.x, line.y], axis=1), truth[:, [0, 2], 3], atol=1e-9)
    unaligned = plots_of(one, how=Scoring(align="none")).drives[0].trajectory
    np.testing.assert_allclose(unaligned.panels[0].lines[1].x, moved[:, 0, 3])
    start, end = (mark for mark in panel.marks if isinstance(mark, PointMark))
    assert (start.name, start.x, start.y) == ("start", 0, 0)
    assert (end.name, end.x, end.y) == ("end", truth[-1, 0, 3], truth[-1, 2, 3])


def test_each_plot_says_its_unit_and_its_alignment() -> None:
    how = Scoring(delta=10, unit="m", align="first")
    plots = run_plots(replace(results(), how=how))
    titles = {panel.title for plot in plots.every() for panel in plot.panels}
    assert titles == {
        "RMS-RPE, translation (m over 10 m, first pose aligned)",
        "RMS-RPE, rotation (degrees over 10 m, first pose aligned)",
        "ATE (m, first pose aligned)",
        "translation error (m over 10 m, first pose aligned)",
        "rotation error (degrees over 10 m, first pose aligned)",
        "translation error (%, first pose aligned)",
        "rotation error (degrees/100 m, first pose aligned)",
        "position error (m, first pose aligned)",
        "translation error of each pair of frames (m over 10 m, first pose aligned)",
        "",  # of the trajectory, the training curves and the trust: their axes and their note have it
    }
    assert plots.drives[0].trajectory.note.endswith("aligned with the truth (first pose aligned).")


def straight_and_longer() -> tuple[np.ndarray, np.ndarray]:
    """A drive of 1 m a frame, and an estimate whose steps are 0.01, 0.02 ... 1.00 m too long."""
    straight = se3.trajectory(np.tile([0, 0, 1.0, 0, 0, 0], (100, 1)))
    longer = se3.trajectory(np.column_stack([np.zeros((100, 2)), 1.0 + np.arange(1, 101) / 100, np.zeros((100, 3))]))
    return straight, longer


def test_error_boxes_of_known_errors() -> None:
    straight, longer = straight_and_longer()
    plots = plots_of(DriveResult("09", straight, {"teacher": Estimate(longer)}))
    translation, rotation = (panel_of(plots.spread, number).marks[0] for number in (0, 1))
    assert isinstance(translation, BoxMark) and isinstance(rotation, BoxMark)
    # The quantile q of 0.01, 0.02 ... 1.00 lies at 0.01 + 0.99 q.
    assert translation.quantiles == pytest.approx((0.0595, 0.2575, 0.505, 0.7525, 0.9505))
    assert translation.mean == pytest.approx(0.505)
    assert rotation.quantiles[-1] == pytest.approx(0.0, abs=1e-6)


def test_errors_along_the_way_belong_to_their_frames() -> None:
    straight, longer = straight_and_longer()
    kept = np.array([*range(50), *range(51, 101)])  # frame 50 is not estimated: no pair ends there
    one = DriveResult("09", straight, {"teacher": Estimate(longer[kept], kept)})
    (plots,) = plots_of(one, how=Scoring(align="none")).drives
    position, relative = (panel_of(plots.along, number).lines[0] for number in (0, 1))
    assert relative.frames is not None and position.frames is not None
    assert relative.frames.tolist() == [k for k in range(1, 101) if k != 50]
    np.testing.assert_allclose(relative.x, relative.frames, atol=1e-9)
    across = np.where(relative.frames == 51, 0.50, 0.0)  # from 49 to 51: the steps of 50 and of 51
    np.testing.assert_allclose(relative.y, relative.frames / 100 + across, atol=1e-9)
    assert relative.spiky and not position.spiky
    assert position.frames.tolist() == kept.tolist()
    np.testing.assert_allclose(position.y, kept * (kept + 1) / 200, atol=1e-9)  # the sum of all steps up to there


def test_without_true_poses_there_are_no_relative_errors() -> None:
    straight, longer = straight_and_longer()
    gps = DriveResult("09", straight, {"teacher": Estimate(longer)}, reference="GPS")
    plots = plots_of(gps)
    assert plots.spread is None and plots.lengths is None
    assert plots.drives[0].along is not None and len(plots.drives[0].along.panels) == 1
    assert plots.drives[0].trajectory.panels[0].lines[0].name == "GPS"
    alone = plots_of(DriveResult("09", None, {"teacher": Estimate(longer)}))
    assert alone.drives[0].along is None
    assert [line.name for line in alone.drives[0].trajectory.panels[0].lines] == ["teacher"]


def test_errors_by_length_worked_out_by_hand() -> None:
    straight, longer = straight_and_longer()
    one = DriveResult("09", straight, {"teacher": Estimate(longer)})
    lengths = length_grid([one])
    assert lengths == (10, 20, 30, 40, 50, 60, 70, 80)  # of a way of 100 m
    measured, percent, degrees = by_length([one], Scoring(), lengths)["teacher"]
    assert measured == list(lengths) and degrees == pytest.approx([0] * 8, abs=1e-6)
    # A segment of 80 m from frame 0 or 10 ends at the first frame beyond: 81 steps, whose errors are summed.
    expected = [sum(range(1 + k, 82 + k)) / 100 / 80 * 100 for k in (0, 10)]
    assert percent[-1] == pytest.approx(sum(expected) / 2)
    line = panel_of(plots_of(one).lengths).lines[0]
    assert line.x.tolist() == measured and line.y.tolist() == percent
    assert length_grid([DriveResult("09", np.repeat(straight, 3, axis=0), {})])[-1] == 80
    assert length_grid([DriveResult("long", se3.trajectory(np.tile([0, 0, 3.0, 0, 0, 0], (100, 1))), {})])[-1] == 800


def test_trust_histogram_counts_every_sample() -> None:
    plot = trust_plot(TrustResult(np.repeat([0.0, 0.5, 1.0], [1, 20, 300]), 1.0, [], []))
    (bars,) = plot.panels[0].marks
    assert isinstance(bars, HistogramMark) and bars.counts[[0, 20, 39]].tolist() == [1, 20, 300]
    assert numbers(plotly_figure(plot.panels[0], 9)["data"][0]["y"])[[0, 20, 39]].tolist() == [1, 20, 300]
    assert "321 samples, η = 1, median Φ 1.000" in plot.note and plot.strips == ()


def test_reliability_of_a_trust_has_the_true_errors_of_ten_groups_by_the_predicted_one(tmp_path: Path) -> None:
    """Predicted 1 to 20, true ten times that: groups of two, whose middle is that of both numbers."""
    predicted = np.arange(20.0, 0.0, -1.0)
    one = Reliability("rotation", predicted, 10 * predicted, 1.0)
    plot = trust_plot(TrustResult(np.ones(3), 1.0, [], [], "learned", "a note", (one,)))
    assert len(plot.panels) == 2 and plot.panels[1].title == "rotation: rank correlation 1.00"
    middle, quarter, three_quarters = plot.panels[1].lines
    assert middle.x.tolist() == [1.5 + 2 * k for k in range(10)]
    assert middle.y.tolist() == [15.0 + 20 * k for k in range(10)]
    assert (quarter.y[0], three_quarters.y[0]) == (12.5, 17.5)
    assert "ê is the error that was predicted" in plot.note and plot.note.endswith("A note.")
    drawn = write_plot(tmp_path, plot)[1].read_text()  # the histogram before has no lines to name
    assert all(f"{share} % of the true errors" in drawn for share in (25, 50, 75))


def line(values: np.ndarray, **details: Any) -> LineMark:
    return LineMark("teacher", 10.0 * np.arange(len(values)), values, "#0072b2", "dashdot", **details)


def test_page_has_the_numbers_of_the_marks() -> None:
    values = np.array([1.0, 3.0, 2.0, 5.0])
    box, bar = BoxMark("m", "#112233", (1, 2, 3, 4, 5), 3.5), BarMark("m", "#112233", 7.0, "7.0")
    marks = [line(values, frames=np.array([4, 5, 6, 8])), PointMark("start", 1, 2, "square"), box, bar]
    figure = plotly_figure(Panel("title", Axis("x"), Axis("y"), marks), 50)
    drawn = go.Figure(figure).data
    assert [numbers(drawn[0][name]).tolist() for name in "xy"] == [[0, 10, 20, 30], values.tolist()]
    assert numbers(drawn[0]["customdata"], "<i4").tolist() == [4, 5, 6, 8]
    assert (drawn[0].name, drawn[0].line.color, drawn[0].line.dash) == ("teacher", "#0072b2", "dashdot")
    assert (drawn[1].x, drawn[1].y, drawn[1].meta) == ((1.0,), (2.0,), "ink")
    quantiles = [drawn[2][name][0] for name in ("lowerfence", "q1", "median", "q3", "upperfence")]
    assert quantiles == [1, 2, 3, 4, 5] and drawn[2].mean == (3.5,)
    assert (drawn[3].x, drawn[3].y, drawn[3].text) == ((7.0,), ("m",), ("7.0",))
    assert figure["layout"]["title"]["text"] == "title"


def test_page_follows_the_axes_of_a_panel() -> None:
    flat, rising = line(np.ones(3)), Axis("loss", log=True)
    layout = plotly_figure(Panel("", Axis("x", from_zero=True), rising, [flat]), 50)["layout"]
    assert layout["yaxis"]["type"] == "log" and layout["xaxis"]["rangemode"] == "tozero"
    assert "title" not in layout and "scaleanchor" not in layout["yaxis"]
    layout = plotly_figure(Panel("", Axis(), Axis(), [flat], equal=True), 50)["layout"]
    assert layout["yaxis"]["scaleanchor"] == "x" and layout["dragmode"] == "pan"


def test_long_lines_of_a_page_are_thinned_and_spiky_ones_keep_their_peak() -> None:
    values = np.zeros(1000)
    values[457] = 9.0
    frames = np.arange(1000)
    panel = Panel("", Axis(), Axis(), [line(values, frames=frames), line(values, frames=frames, spiky=True)])
    even, spiky = plotly_figure(panel, 60)["data"]
    assert len(numbers(even["y"])) == len(numbers(spiky["y"])) == 60
    assert numbers(even["customdata"], "<i4")[[0, -1]].tolist() == [0, 999]
    assert numbers(spiky["y"]).max() == 9.0
    assert numbers(spiky["customdata"], "<i4")[numbers(spiky["y"]).argmax()] == 457
    dotted = plotly_figure(Panel("", Axis(), Axis(), [line(values, dots=True)]), 60)["data"][0]
    assert len(numbers(dotted["y"])) == 1000 and dotted["mode"] == "lines+markers"


@pytest.mark.parametrize("spiky", [False, True])
def test_a_thinned_line_is_broken_where_values_are_not_known(spiky: bool) -> None:
    values = np.zeros(3000)
    values[[0, 1, 1000, 1700, 1701, 1702]] = np.nan
    mark = line(values, frames=np.arange(3000), spiky=spiky)
    shown = plotly_figure(Panel("", Axis(), Axis(), [mark]), 60)["data"][0]
    frames, known = numbers(shown["customdata"], "<i4"), ~np.isnan(numbers(shown["y"]))
    assert {0, 1000, 1700} <= set(frames[~known].tolist()) and (np.diff(frames) > 0).all()
    assert known.sum() >= 59  # the others are as many as ever, but where an evenly spread one is not known


def test_file_is_drawn_to_scale(tmp_path: Path) -> None:
    """A box from 2 to 3 of an axis from 0 to 4 covers the third quarter of it."""
    marks = [BoxMark("m", "#ff0000", (0, 2, 2.5, 3, 4), 2.5)]
    plot = Plot("boxes.of", "Title", "", [Panel("", Axis(from_zero=True), Axis(), marks)], (6, 2))
    png, svg = write_plot(tmp_path, plot)
    assert (png.name, svg.name) == ("boxes.of.png", "boxes.of.svg")
    image = cv2.imread(str(png)).astype(int)
    red = (image[..., 2] - image[..., 1]) > 128
    columns = np.flatnonzero(red.any(axis=0))
    tall = np.flatnonzero(red.sum(axis=0) > 0.9 * red.sum(axis=0).max())  # edges and median of the box
    assert (tall.min() - columns.min()) / np.ptp(columns) == pytest.approx(0.5, abs=0.02)
    assert (tall.max() - columns.min()) / np.ptp(columns) == pytest.approx(0.75, abs=0.02)


@given(frames=st.integers(2, 5000), lines=st.integers(0, 2000))
def test_long_lines_are_thinned_but_keep_their_ends(frames: int, lines: int) -> None:
    most = points_of_a_line(lines)
    kept = evenly_spread(frames, most)
    assert 50 <= most <= 1500 and most * lines <= max(30_000, 50 * lines)
    assert kept[0] == 0 and kept[-1] == frames - 1 and len(kept) == min(frames, most)
    assert (np.diff(kept) > 0).all() and np.diff(kept).max() - np.diff(kept).min() <= 1


@given(values=st.lists(st.floats(0, 10), min_size=1, max_size=300), points=st.integers(1, 40))
def test_thinned_errors_keep_their_peaks(values: list[float], points: int) -> None:
    kept = peaks(np.array(values), points)
    assert len(kept) == min(points, len(values)) and max(values[k] for k in kept) == max(values)
    assert (np.diff(kept) > 0).all()


@given(frames=st.integers(1, 5000), drives=st.integers(1, 300))
def test_images_are_spread_over_the_whole_drive(frames: int, drives: int) -> None:
    chosen = frames_to_show(frames, drives)
    assert chosen[0] == 0 and chosen[-1] == frames - 1 and len(chosen) == min(frames, max(6, min(40, 160 // drives)))


def test_spaces_that_do_not_break_are_drawn_as_spaces() -> None:
    assert plain("90\N{NO-BREAK SPACE}%\n5\N{NARROW NO-BREAK SPACE}$ \x1b") == "90 %\n5 \\$ \\x1b"
