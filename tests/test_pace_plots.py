"""Speed, turn rate and ellipses of a tracked drive: by hand, and on the page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from distilvo.geometry import se3
from distilvo.pipeline.tracking import Tracked
from distilvo.report.drive_report import drive_report, pace_of
from distilvo.report.pace_plots import BAND, ellipses, pace_plot
from distilvo.report.page import write_page
from distilvo.report.plot_specs import DotsMark, LineMark, Plot
from distilvo.report.results import RunResults
from distilvo.report.run_plots import run_plots
from distilvo.runtime import Status

STEP = np.array([0.0, 0.0, 1.0, 0.0, 0.02, 0.0])
N = 30


@dataclass
class Source:
    name: str = "a drive"
    poses: np.ndarray | None = None
    reference: np.ndarray | None = None


def tracked(stated: bool = True, second: int = N, statuses: dict[int, Status] | None = None, **more: bool) -> Tracked:
    """1 m and 0.02 rad to the right in each step of 0.1 s; frames from ``second`` on are a segment of their own."""
    poses = se3.trajectory(np.tile(STEP, (N - 1, 1)))
    words = tuple((statuses or {}).get(k, "ok") for k in range(N))
    deviations = np.tile(np.array([0.01, 0.01, 0.05, 0.001, 0.002, 0.001], np.float32), (N, 1)) if stated else None
    covariances = np.arange(N)[:, None, None] * np.diag([0.01, 0.02, 0.04, 1e-5, 1e-5, 1e-5]) if stated else None
    segments = (np.arange(N) >= second).astype(int)
    times = 5 + 0.1 * np.arange(N)
    return Tracked(
        times, poses, 30.0, None, None, words, segments, deviations=deviations, covariances=covariances, **more
    )  # fmt: skip


def lines(plot: Plot, panel: int) -> dict[str, LineMark]:
    return {mark.name: mark for mark in plot.panels[panel].marks if isinstance(mark, LineMark)}


def page(of: Tracked, source: Source | None = None) -> RunResults:
    return drive_report(source or Source(), "m", of, images={}, settings={})  # type: ignore[arg-type]


def test_speed_and_turn_rate_by_hand() -> None:
    pace = pace_of(tracked())
    assert np.isnan(pace.speed_km_h[0]) and pace.speed_km_h[1:] == pytest.approx(36.0)  # 10 m/s
    assert pace.turn_deg_s[1:] == pytest.approx(np.degrees(0.2))
    assert pace.speed_deviation is not None and pace.speed_deviation[1:] == pytest.approx(1.8, rel=1e-5)
    assert pace.turn_deviation is not None and pace.turn_deviation[1:] == pytest.approx(np.degrees(0.02), rel=1e-5)
    assert pace.seconds[[0, -1]] == pytest.approx([0, 2.9])


def test_reverse_is_below_zero() -> None:
    back = tracked()
    poses = se3.trajectory(np.tile(-STEP, (N - 1, 1)))
    pace = pace_of(Tracked(back.times, poses, 30.0, None, None, back.statuses, back.segments))
    assert pace.speed_km_h[1:] == pytest.approx(-36.0) and (pace.turn_deg_s[1:] < 0).all()
    assert pace.speed_deviation is None


def test_nothing_is_known_between_segments() -> None:
    unknown = np.flatnonzero(np.isnan(pace_of(tracked(second=12)).speed_km_h))
    assert unknown.tolist() == [0, 12]


def test_bands_and_doubted_frames() -> None:
    plot = pace_plot("a drive", pace_of(tracked(statuses={4: "gap", 5: "implausible", 6: "implausible"})))
    speed, turn = (lines(plot, panel) for panel in (0, 1))
    assert speed[BAND].y[1:N] == pytest.approx(36 + 2 * 1.8, rel=1e-5)
    assert speed[BAND].y[N + 2 :] == pytest.approx(36 - 2 * 1.8, rel=1e-5) and np.isnan(speed[BAND].y[N])
    assert [*turn] == ["the model", BAND] and plot.stacked and plot.panels[1].x.label == "time (s)"
    dots = {mark.name: mark.frames.tolist() for mark in plot.panels[0].marks if isinstance(mark, DotsMark)}
    assert dots == {"gap": [4], "implausible": [5, 6]}


def test_assumed_times_are_said_and_a_model_without_deviations_has_no_bands() -> None:
    plot = pace_plot("a drive", pace_of(tracked(stated=False, assumed_times=True)))
    assert plot.panels[0].x.label == "time, assumed (s)" and "The times are assumed" in plot.note
    assert [*lines(plot, 0)] == ["the model"] and BAND not in plot.note


def test_ellipses_reach_two_standard_deviations() -> None:
    positions = np.array([[0.0, 0, 0], [5, 1, 20]])
    covariances = np.stack([np.zeros((6, 6)), np.diag([0.01, 9, 0.04, 1, 1, 1])])
    mark = ellipses(positions, covariances)
    first, second = (mark.x[part] for part in (slice(0, 33), slice(34, 67)))
    assert not first.any() and np.isnan(mark.x[[33, 67]]).all()
    assert (second.min(), second.max()) == (pytest.approx(4.8), pytest.approx(5.2))
    assert (np.nanmax(mark.y), np.nanmin(mark.y[34:])) == (pytest.approx(20.4), pytest.approx(19.6))
    slanted = np.eye(6) * 0.02
    slanted[0, 2] = slanted[2, 0] = 0.015
    tilted = ellipses(positions[:1], slanted[None])
    inside = np.linalg.inv([[0.02, 0.015], [0.015, 0.02]])
    points = np.stack([tilted.x, tilted.y], axis=1)[:-1]
    assert np.einsum("ki,ij,kj->k", points, inside, points) == pytest.approx(4.0)


def test_ellipses_are_on_the_map_where_there_is_no_truth_alone() -> None:
    def names(results: RunResults) -> list[str]:
        return [getattr(mark, "name", "") for mark in run_plots(results).drives[0].trajectory.panels[0].marks]

    assert BAND in names(page(tracked())) and BAND not in names(page(tracked(stated=False)))
    truth = se3.trajectory(np.tile(STEP, (N - 1, 1)))
    assert BAND not in names(page(tracked(), Source(poses=truth)))


def test_the_page_shows_them_over_time(tmp_path: Path) -> None:
    for number, source in enumerate((Source(), Source(poses=se3.trajectory(np.tile(STEP, (N - 1, 1)))))):
        text = write_page(tmp_path / f"{number}.html", page(tracked(), source)).read_text()
        assert text.count('data-place="time"') == 2 and "speed, forward (km/h)" in text
        ways = json.loads(re.search(r'\{"drive0": (\{"frame".*?\})', text)[1])  # type: ignore[index]
        assert ways["seconds"][-1] == 2.9


def test_segments_with_truth_have_their_own(tmp_path: Path) -> None:
    drives = page(tracked(second=12), Source(poses=se3.trajectory(np.tile(STEP, (N - 1, 1))))).drives
    assert [len(drive.pace.seconds) for drive in drives if drive.pace] == [12, 18]
    assert drives[1].pace is not None and drives[1].pace.seconds[0] == 0
