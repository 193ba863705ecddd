"""What the plots of a report show: positions, errors and the frames that they belong to, worked out by hand."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo import poses
from distilvo.report.figures import Figures, _kept, _peaks, trust_histogram
from distilvo.report.measures import by_length, length_grid
from distilvo.report.results import DriveResult, Estimate, TrustResult, frames_to_show
from distilvo.report.style import Palette
from distilvo.settings import Scoring
from test_report import MODELS, drive


def numbers(array: Any, dtype: str = "<f4") -> np.ndarray:
    return np.frombuffer(base64.b64decode(array["bdata"]), dtype=dtype)


def figures_of(*drives: DriveResult, how: Scoring | None = None) -> Figures:
    return Figures(list(drives), how or Scoring(), Palette(MODELS))


def test_trajectory_figure_holds_the_aligned_positions() -> None:
    found = drive()
    moved = found.truth.copy()
    moved[:, :3, 3] = 2.0 * found.truth[:, :3, 3] + [5.0, 0.0, -3.0]
    one = DriveResult("09", found.truth, {"teacher": Estimate(moved)})
    spec = figures_of(one).trajectories(one)
    truth, teacher = (go.Figure(spec).data[k] for k in (0, 1))
    for axis, column in (("x", 0), ("y", 2)):
        np.testing.assert_allclose(numbers(teacher[axis]), found.truth[:, column, 3], atol=1e-5)
        np.testing.assert_allclose(numbers(truth[axis]), found.truth[:, column, 3], atol=1e-5)
    assert spec["layout"]["yaxis"]["scaleanchor"] == "x"
    unaligned = figures_of(one, how=Scoring(align="none")).trajectories(one)
    np.testing.assert_allclose(numbers(unaligned["data"][1]["x"]), moved[:, 0, 3], atol=1e-4)


def straight_and_longer() -> tuple[np.ndarray, np.ndarray]:
    """A drive of 1 m a frame, and an estimate whose steps are 0.01, 0.02 ... 1.00 m too long."""
    straight = poses.trajectory(np.tile([0, 0, 1.0, 0, 0, 0], (100, 1)))
    longer = poses.trajectory(np.column_stack([np.zeros((100, 2)), 1.0 + np.arange(1, 101) / 100, np.zeros((100, 3))]))
    return straight, longer


def test_error_boxes_of_known_errors() -> None:
    straight, longer = straight_and_longer()
    translation, rotation = figures_of(DriveResult("09", straight, {"teacher": Estimate(longer)})).error_boxes()
    box = translation["data"][0]
    # The quantile q of 0.01, 0.02 ... 1.00 lies at 0.01 + 0.99 q.
    assert [box[name][0] for name in ("lowerfence", "q1", "median", "q3", "upperfence")] == pytest.approx(
        [0.0595, 0.2575, 0.505, 0.7525, 0.9505]
    )
    assert box["mean"][0] == pytest.approx(0.505)
    assert rotation["data"][0]["upperfence"][0] == pytest.approx(0.0, abs=1e-6)


def test_relative_errors_along_the_way_belong_to_their_frames() -> None:
    straight, longer = straight_and_longer()
    kept = np.array([*range(50), *range(51, 101)])  # frame 50 is not estimated: no pair ends at 50 or at 51
    one = DriveResult("09", straight, {"teacher": Estimate(longer[kept], kept)})
    line = figures_of(one).relative_error(one)["data"][0]
    frames = numbers(line["customdata"], "<i4")
    assert frames.tolist() == [k for k in range(1, 101) if k not in (50, 51)]
    np.testing.assert_allclose(numbers(line["x"]), frames, atol=1e-4)
    np.testing.assert_allclose(numbers(line["y"]), frames / 100, atol=1e-4)


def test_errors_by_length_worked_out_by_hand() -> None:
    straight, longer = straight_and_longer()
    one = DriveResult("09", straight, {"teacher": Estimate(longer)})
    lengths = length_grid([one])
    assert lengths == (10, 20, 30, 40, 50, 60, 70, 80)  # of a way of 100 m
    there, percent, degrees = by_length([one], Scoring(), lengths)["teacher"]
    assert there == list(lengths) and degrees == pytest.approx([0] * 8, abs=1e-6)
    # A stretch of 80 m from frame 0 or 10 ends at the first frame beyond: 81 steps, whose errors are summed.
    expected = [sum(range(1 + k, 82 + k)) / 100 / 80 * 100 for k in (0, 10)]
    assert percent[-1] == pytest.approx(sum(expected) / 2)
    assert length_grid([DriveResult("09", np.repeat(straight, 3, axis=0), {})])[-1] == 80
    assert length_grid([DriveResult("long", poses.trajectory(np.tile([0, 0, 3.0, 0, 0, 0], (100, 1))), {})])[-1] == 800


def test_trust_histogram_counts_every_sample() -> None:
    spec = trust_histogram(TrustResult(np.repeat([0.0, 0.5, 1.0], [1, 20, 300]), 1.0, [], []))
    assert numbers(spec["data"][0]["y"])[[0, 20, 39]].tolist() == [1, 20, 300]


@given(frames=st.integers(2, 5000), lines=st.integers(1, 400))
def test_long_lines_are_thinned_but_keep_their_ends(frames: int, lines: int) -> None:
    nothing = Estimate(np.empty((0, 4, 4)))
    one = DriveResult("", np.empty((0, 4, 4)), dict.fromkeys(map(str, range(lines)), nothing))
    kept = _kept(frames, figures_of(one).points)
    assert kept[0] == 0 and kept[-1] == frames - 1 and len(kept) <= 1500
    assert (np.diff(kept) > 0).all() and np.diff(kept).max() - np.diff(kept).min() <= 1


@given(values=st.lists(st.floats(0, 10), min_size=1, max_size=300), points=st.integers(1, 40))
def test_thinned_errors_keep_their_peaks(values: list[float], points: int) -> None:
    frames, shown = _peaks(np.arange(5, 5 + len(values)), np.array(values), points)
    assert len(shown) == min(points, len(values)) and shown.max() == max(values)
    assert all(values[frame - 5] == value for frame, value in zip(frames, shown, strict=True))


@given(frames=st.integers(1, 5000), drives=st.integers(1, 300))
def test_pictures_are_spread_over_the_whole_drive(frames: int, drives: int) -> None:
    chosen = frames_to_show(frames, drives)
    assert chosen[0] == 0 and chosen[-1] == frames - 1 and len(chosen) == min(frames, max(6, min(40, 160 // drives)))
