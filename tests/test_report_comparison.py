"""Reports of evaluate and track: the same drive for all who were scored on it, and drives without true poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.commands.main import main
from distilvo.files import read_json
from distilvo.geometry import se3
from distilvo.pipeline.frame_statuses import gps_rms, segment_errors, segment_slices
from distilvo.pipeline.tracking import Tracked
from distilvo.report import RunResults, error_statistics
from distilvo.report.drive_report import Album, drive_report
from distilvo.report.plot_specs import DotsMark
from distilvo.report.run_plots import run_plots
from distilvo.report.score_report import score_report
from distilvo.runtime import Pose, Status
from distilvo.settings import Scoring
from distilvo.trajectory.formats import Trajectory, write_kitti, write_tum
from distilvo.trajectory.metrics import deviations, errors_by_length
from distilvo.trajectory.scores import Score, score
from test_sources_malaga import gps_row, make_extract, stamps

RNG = np.random.default_rng(0)
TRUTH = se3.trajectory(np.array([0, 0, 1.0, 0, 0.03, 0]) + RNG.normal(0, 0.01, (39, 6)))
ESTIMATE = se3.trajectory(np.array([0, 0, 1.1, 0, 0.03, 0]) + RNG.normal(0, 0.01, (39, 6)))
ELSEWHERE = se3.matrices_from_motions(np.array([100.0, 0, -50.0, 0, 1.0, 0]))


def scored(name: str, truth: np.ndarray, estimate: np.ndarray = ESTIMATE, sequence: str = "09") -> Score:
    return score(name, sequence, Trajectory(estimate), Trajectory(truth), Scoring(align="none"))


def test_estimates_of_one_drive_share_its_page_wherever_their_truths_begin() -> None:
    there = ELSEWHERE @ TRUTH, ELSEWHERE @ ESTIMATE
    page = score_report("c", [scored("a", TRUTH), scored("b", *there), scored("c", TRUTH, sequence="10")], {})
    assert [(drive.name, list(drive.estimates)) for drive in page.drives] == [("09", ["a", "b"]), ("10", ["c"])]
    np.testing.assert_allclose(page.drives[0].estimates["b"].poses, ESTIMATE, atol=1e-9)


def test_a_drive_is_seen_from_above_whatever_world_its_file_has() -> None:
    """Of TUM and EuRoC the third axis of the world is up, and positions may lie thousands of kilometres away."""
    up = se3.assemble(np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]), np.array([450_000.0, 5_400_000.0, 110.0]))
    drive = score_report("c", [scored("a", up @ TRUTH, up @ ESTIMATE)], {}).drives[0]
    assert drive.truth is not None
    np.testing.assert_allclose(drive.truth, TRUTH, atol=1e-8)
    np.testing.assert_allclose(drive.estimates["a"].poses, ESTIMATE, atol=1e-8)


def test_a_map_is_level_where_the_camera_is_tilted() -> None:
    """A camera that looks down by 0.7 rad on a level way: the map is as wide and as long as the way."""
    tilt = se3.matrices_from_motions(np.array([0, 0, 0, -0.7, 0.2, 0]))
    drive = score_report("c", [scored("a", TRUTH @ tilt, ESTIMATE @ tilt)], {}).drives[0]
    assert drive.truth is not None
    np.testing.assert_allclose(drive.truth[:, :3, 3], TRUTH[:, :3, 3], atol=1e-9)


def test_another_truth_of_the_same_name_is_another_drive() -> None:
    bent = se3.trajectory(np.tile([0, 0, 1.0, 0, 0.02, 0], (39, 1)))
    shorter = TRUTH[:20], ESTIMATE[:20]
    page = score_report("c", [scored("a", TRUTH), scored("b", bent), scored("c", *shorter)], {})
    assert [drive.name for drive in page.drives] == ["09", "09 (b)", "09 (c)"]
    assert all(len(drive.estimates) == 1 for drive in page.drives)


def test_bars_are_those_of_all_sequences_together() -> None:
    page = score_report("c", [scored("a", TRUTH), scored("a", TRUTH, TRUTH, "10")], {})
    (row,) = page.rows
    alone = scored("a", TRUTH).deviations.statistics()["rms_rpe_t_m"]
    assert alone is not None and row.rms_rpe_t_m == pytest.approx(alone / np.sqrt(2))
    assert [cells[1].text for cells in page.tables[0].rows] == ["09", "10", "all 2"]
    assert not any("drive by drive" in note for note in page.notes)


def test_estimates_of_other_drives_are_not_compared_by_bars() -> None:
    both = [scored("a", TRUTH), scored("a", TRUTH, TRUTH, "10")]
    page = score_report("c", [*both, scored("b", TRUTH, TRUTH, "10")], {})
    assert page.rows == [] and "drive by drive" in page.notes[0]


def test_evaluate_writes_a_page_with_images_of_the_data(
    kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Trajectory(np.loadtxt(kitti_root / "poses" / "00.txt").reshape(-1, 3, 4))
    rows = np.concatenate([truth.poses, np.tile([[[0, 0, 0, 1.0]]], (len(truth.poses), 1, 1))], axis=1)
    write_kitti(tmp_path / "mine" / "00.txt", rows)
    out = tmp_path / "out"
    command = ["evaluate", str(tmp_path / "mine"), "--data", str(kitti_root), "--out", str(out), "--align", "first"]
    monkeypatch.setattr("sys.argv", ["distilvo", *command])
    main()
    page = (out / "report.html").read_text()
    assert page.count('<button type="button" data-frame=') == 20
    assert "first pose aligned" in page and "RMS-RPE (m/frame, first)" in page
    assert (out / "plots" / "trajectory_00.svg").exists()


def test_keyframes_matched_by_time_share_a_drive() -> None:
    """Of 40 poses one estimate has all, another every other one."""
    times = 0.1 * np.arange(40)
    truth = Trajectory(TRUTH, times=times)
    rows = [
        score(name, "09", Trajectory(ESTIMATE[::step], times=times[::step]), truth, Scoring(align="none"))
        for name, step in (("all", 1), ("half", 2))
    ]
    page = score_report("c", rows, {})
    (one,) = page.drives
    assert list(one.estimates) == ["all", "half"] and len(one.way) == 40
    for row in rows:
        errors = one.deviations(row.name, Scoring(align="none"))
        np.testing.assert_array_equal(errors.rpe_t_m, row.deviations.rpe_t_m)
    assert one.deviations("half", Scoring()).rpe_ends.tolist() == list(range(2, 40, 2))
    # Segments of 10 m begin at every tenth frame: of 40 frames and of 20.
    lengths = [error_statistics.by_length([one], Scoring(), (10.0,))[row.name][1][0] for row in rows]
    by_hand = [errors_by_length(ESTIMATE[::step], TRUTH[::step], (10.0,), Scoring())[0].mean() for step in (1, 2)]
    np.testing.assert_allclose(lengths, by_hand)


@dataclass
class Source:
    """A sequence of which only name, poses and GPS matter."""

    name: str
    poses: np.ndarray | None = None
    reference: np.ndarray | None = None
    assumed_times: bool = False


SOUND: tuple[Status, ...] = ("ok",) * 40


def tracked_page(
    source: Source, images: dict[int, np.ndarray] | None = None, statuses: tuple[Status, ...] = SOUND, second: int = 40
) -> RunResults:
    """The page of a drive whose second segment begins at a frame."""
    gps_rms_m = None if source.reference is None else gps_rms(ESTIMATE, source.reference, np.zeros(40, int))[0]
    tracked = Tracked(np.arange(40.0), ESTIMATE, 30.0, None, gps_rms_m, statuses, (np.arange(40) >= second).astype(int))
    return drive_report(source, "m", tracked, images=images or {}, settings={})  # type: ignore[arg-type]


def ends(page: RunResults) -> list[list[float]]:
    return [page.drives[0].way[k].tolist() for k in (0, -1)]


def test_a_drive_without_truth_is_drawn_alone() -> None:
    page = tracked_page(Source("v"))
    assert page.drives[0].truth is None and not page.drives[0].has_poses and len(page.tables) == 1
    assert "no ground truth" in page.notes[0]
    assert ends(page) == [ESTIMATE[0, :3, 3].tolist(), ESTIMATE[-1, :3, 3].tolist()]


def test_a_gps_is_compared_with_after_alignment() -> None:
    east, north, up = 2.0 * ESTIMATE[:, 0, 3], 2.0 * ESTIMATE[:, 2, 3], -2.0 * ESTIMATE[:, 1, 3]
    reference = np.stack([east, north, up], axis=1) + np.array([7.0, 8.0, 9.0])
    reference[20, 1] += 4.0  # one fix that is off by 4 m, of 40: about 4 / sqrt(40) m
    page = tracked_page(Source("m05", reference=reference))
    drive = page.drives[0]
    assert drive.reference == "GPS" and not drive.has_poses
    np.testing.assert_allclose(drive.way[0], [7.0 + east[0], -9.0 - up[0], 8.0 + north[0]])
    assert float(page.tables[0].rows[0][1].text) == pytest.approx(4 / np.sqrt(40), rel=0.1)


def test_segments_beside_a_gps_are_aligned_one_by_one() -> None:
    """The second half lies elsewhere, turned and twice as large: alone it fits, as one drive it cannot."""
    half = (np.arange(40) >= 20).astype(int)
    broken = ESTIMATE.copy()
    broken[20:, :3, 3] = 2 * (ELSEWHERE @ ESTIMATE[20:])[:, :3, 3]
    positions = np.stack([ESTIMATE[:, 0, 3], ESTIMATE[:, 2, 3], -ESTIMATE[:, 1, 3]], axis=1)
    assert gps_rms(broken, positions, half) == (pytest.approx(0, abs=1e-9), None)
    assert gps_rms(broken, positions, 0 * half)[0] > 1
    assert gps_rms(ESTIMATE, 3 * positions, 0 * half) == (pytest.approx(0, abs=1e-9), pytest.approx(3))


def test_a_drive_with_truth_is_scored_and_has_its_images() -> None:
    image = np.zeros((2, 3), np.uint8)
    page = tracked_page(Source("09", TRUTH), {7: image})
    (drive,) = page.drives
    assert drive.has_poses and list(drive.images) == [7] and drive.times is not None
    assert page.rows[0].rms_rpe_t_m == scored("m", TRUTH).deviations.statistics()["rms_rpe_t_m"]


def test_frames_that_cannot_be_trusted_are_counted_and_drawn() -> None:
    doubted: tuple[Status, ...] = (*SOUND[:10], *(["no texture"] * 3), *SOUND[:5], "gap", *SOUND[:21])
    page = tracked_page(Source("v"), statuses=doubted)
    (table,) = page.tables
    assert table.headers == ("model", "frames", "ok", "no texture", "gap", "segments")
    assert [cell.text for cell in table.rows[0]] == ["m", "40", "36", "3", "1", "1"]
    assert "10-12 (no texture), 18 (gap)" in table.note
    dots = next(mark for mark in run_plots(page).drives[0].trajectory.panels[0].marks if isinstance(mark, DotsMark))
    assert dots.frames.tolist() == [10, 11, 12, 18] and dots.x == pytest.approx(ESTIMATE[dots.frames, 0, 3])
    assert dots.y == pytest.approx(ESTIMATE[dots.frames, 2, 3])


def test_segments_are_drives_of_their_own() -> None:
    images = {7: np.zeros((2, 3), np.uint8), 30: np.zeros((2, 3), np.uint8)}
    statuses: tuple[Status, ...] = (*SOUND[:25], "gap", *SOUND[:14])
    page = tracked_page(Source("09", TRUTH), images, statuses, second=25)
    assert [(drive.name, len(drive.way), list(drive.images)) for drive in page.drives] == [
        ("09, segment 0", 25, [7]),
        ("09, segment 1", 15, [5]),
    ]
    assert [drive.doubted.tolist() for drive in page.drives] == [[], [0]]
    whole = segment_errors(ESTIMATE, TRUTH, (np.arange(40) >= 25).astype(int))
    parts = [deviations(ESTIMATE[part], TRUTH[part]).rpe_t_m for part in (slice(0, 25), slice(25, 40))]
    assert whole.mean_rpe_t_m == pytest.approx(np.concatenate(parts).mean())
    assert segment_slices(np.array([0, 0, 1, 2, 2, 2])) == [slice(0, 2), slice(3, 6)]  # a single frame has no motion


@given(frames=st.integers(1, 700))
def test_an_album_is_evenly_spread_however_long_the_drive(frames: int) -> None:
    album, pose = Album(), Pose(0.0, np.eye(4), np.zeros(6, np.float32), "ok", 0)
    for index in range(frames):
        album.watch(index, np.full((2, 3), index % 256, np.uint8), pose)
    kept = np.array(list(album.images))
    assert kept[0] == 0 and len(set(np.diff(kept).tolist())) <= 1
    assert min(frames, 20) <= len(kept) <= 40 and frames - kept[-1] <= frames / 20 + 1
    assert all(image[0, 0] == index % 256 for index, image in album.images.items())


def test_track_writes_a_page(kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out = Path(__file__).parent / "data" / "tiny.onnx", tmp_path / "out"
    source = kitti_root / "sequences" / "01"
    monkeypatch.setattr("sys.argv", ["distilvo", "track", str(source), "--model", str(model), "--out", str(out)])
    main()
    page = (out / "report.html").read_text()
    assert "distilvo track 01" in page and "tiny" in page and page.count("data-frame=") == 20
    assert f"{read_json(out / 'summary.json')['rms_rpe_t_m']:.4f}" in page
    assert (out / "plots" / "along_01.png").exists()


def test_a_full_report_of_tum_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth has five times the rate, so that frames are those of the estimate."""
    write_tum(tmp_path / "t.tum", TRUTH, 0.1 * np.arange(40))
    write_tum(tmp_path / "e.tum", ESTIMATE[::5], 0.1 * np.arange(40)[::5])
    files = ["--truth", str(tmp_path / "t.tum"), "--estimate", str(tmp_path / "e.tum"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["distilvo", "evaluate", *files])
    main()
    assert "Drive t" in (tmp_path / "out" / "report.html").read_text()


def test_malaga_is_compared_with_its_gps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = stamps(40)
    rows = "".join(gps_row(float(times[0]) + k - 1, 3 * k, 4 * k) for k in range(5))
    extract, out = make_extract(tmp_path / "m", times, gps=rows), tmp_path / "out"
    model = Path(__file__).parent / "data" / "tiny.onnx"
    monkeypatch.setattr("sys.argv", ["distilvo", "track", str(extract), "--model", str(model), "--out", str(out)])
    main()
    summary = read_json(out / "summary.json")
    assert summary["frames"] == 20 and 0 <= summary["gps_rms_m"] < 10
    printed = capsys.readouterr().out
    assert f"from the GPS {summary['gps_rms_m']:.2f} m, Sim(3), scale {summary['gps_scale']:#.3g};" in printed
    page = (out / "report.html").read_text()
    assert "aligned with the GPS" in page and f"{summary['gps_rms_m']:.2f}" in page
