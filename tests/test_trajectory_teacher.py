"""Trajectory files as teachers: which motions they know, at which scale, and which file is whose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.pipeline.trajectory_teacher import find_trajectories, trajectory_motions
from distilvo.trajectory.formats import Trajectory, read_trajectory, write_kitti, write_tum


def path(frames: int, seed: int = 0) -> np.ndarray:
    spread = [0.1, 0.05, 0.3, 0.02, 0.1, 0.02]
    return se3.trajectory(np.random.default_rng(seed).normal([0, 0, 1, 0, 0, 0], spread, (frames - 1, 6)))


class Film:
    """What is used of a sequence."""

    name = "00"
    camera_height: float | None = None

    def __init__(self, frames: int, poses: np.ndarray | None = None, *, timed: bool = True) -> None:
        self.times, self.poses, self.assumed_times = 100 + 0.1 * np.arange(frames), poses, not timed

    def __len__(self) -> int:
        return len(self.times)


def motions(sequence: Film, trajectory: Trajectory, scale: str = "metric", tolerance: float = 0.01) -> np.ndarray:
    return trajectory_motions(sequence, trajectory, scale, tolerance)  # type: ignore[arg-type]


def test_a_file_of_every_frame_gives_every_motion(tmp_path: Path) -> None:
    poses, sequence = path(6), Film(6)
    write_tum(tmp_path / "a.tum", poses, sequence.times + 0.004)
    write_kitti(tmp_path / "a.txt", poses)
    for name in ("a.tum", "a.txt"):
        given_motions = motions(sequence, read_trajectory(tmp_path / name))
        assert given_motions.dtype == np.float32 and given_motions.shape == (5, 6)
        np.testing.assert_allclose(given_motions, se3.motions(poses), atol=1e-6)


def test_motions_are_as_from_the_default_height() -> None:
    """0.825 m above the road the same images show half as many metres as from 1.65 m."""
    poses, sequence = path(6), Film(6)
    sequence.camera_height = 0.825
    expected = se3.motions(poses) * [2, 2, 2, 1, 1, 1]
    np.testing.assert_allclose(motions(sequence, Trajectory(poses)), expected, atol=1e-6)


def test_a_motion_by_hand() -> None:
    """The camera turns right by 90 degrees about y, then goes 2 m along the world's x: forward, for the camera."""
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1:, :3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    poses[2, 0, 3] = 2.0
    expected = [[0, 0, 0, 0, np.pi / 2, 0], [0, 0, 2, 0, 0, 0]]
    np.testing.assert_allclose(motions(Film(3), Trajectory(poses)), expected, atol=1e-6)


@pytest.mark.parametrize("by", ["times", "numbers"])
def test_motions_are_unknown_where_a_pose_is_missing(by: str) -> None:
    poses, sequence, there = path(8), Film(8), np.array([0, 1, 2, 4, 6, 7])
    where = {"times": sequence.times[there]} if by == "times" else {"frames": there}
    with pytest.warns(UserWarning, match=r"f\.tum: knows 3 of 7 motions of 00"):
        found = motions(sequence, Trajectory(poses[there], source="f.tum", **where))
    assert np.isnan(found).any(1).tolist() == [False, False, True, True, True, True, False]
    np.testing.assert_allclose(found[[0, 1, 6]], se3.motions(poses)[[0, 1, 6]], atol=1e-6)
    assert np.isnan(found[2:6]).all()


def test_numbers_decide_before_times_and_rows_where_frames_have_no_times() -> None:
    poses = path(5)
    numbered = Trajectory(poses[1:4], frames=np.array([1, 2, 3]), times=np.array([0.0, 9.0, 18.0]))
    with pytest.warns(UserWarning, match="knows 2 of 4"):
        assert np.isfinite(motions(Film(5), numbered)).all(1).tolist() == [False, True, True, False]
    timed = Trajectory(poses, times=np.arange(5) * 7.0)
    np.testing.assert_allclose(motions(Film(5, timed=False), timed), se3.motions(poses), atol=1e-6)


def test_a_trajectory_of_a_higher_rate_is_taken_at_the_frames() -> None:
    poses, sequence = path(41), Film(5)
    trajectory = Trajectory(poses, times=100 + np.arange(41) * 0.01)
    np.testing.assert_allclose(motions(sequence, trajectory), se3.motions(poses[::10]), atol=1e-6)


def test_the_tolerance_is_kept() -> None:
    sequence = Film(5)
    late = Trajectory(path(5), times=sequence.times + np.array([0, 0, 0.03, 0, 0]))
    with pytest.warns(UserWarning, match="knows 2 of 4"):
        assert np.isfinite(motions(sequence, late)).all(1).tolist() == [True, False, False, True]
    assert np.isfinite(motions(sequence, late, tolerance=0.04)).all()


@given(st.floats(0.01, 100), st.integers(0, 5))
def test_scale_of_the_truth_undoes_any_factor(factor: float, seed: int) -> None:
    poses = path(12, seed)
    scaled = poses.copy()
    scaled[:, :3, 3] *= factor
    start = se3.trajectory(np.array([[5, -2, 3, 0.3, 1, -0.2]]))[1]  # worlds differ too
    found = motions(Film(12, poses), Trajectory(start @ scaled), "truth")
    np.testing.assert_allclose(found, se3.motions(poses), atol=2e-5)


def test_metric_positions_stay_as_they_are_even_beside_a_truth() -> None:
    poses = path(6)
    scaled = poses.copy()
    scaled[:, :3, 3] *= 3
    found = motions(Film(6, poses), Trajectory(scaled))
    np.testing.assert_allclose(found[:, :3], 3 * se3.motions(poses)[:, :3], atol=1e-5)
    np.testing.assert_allclose(found[:, 3:], se3.motions(poses)[:, 3:], atol=1e-6)


def test_the_scale_is_that_of_least_squares_of_the_known_motions() -> None:
    true, own = np.zeros((3, 6)), np.zeros((3, 6))
    true[:, 2], own[:, 2] = (90, 2, 4), (5, 1, 1)
    trajectory = Trajectory(se3.trajectory(own)[1:], frames=np.array([1, 2, 3]))  # the 90 m are not known
    with pytest.warns(UserWarning, match="knows 2 of 3"):
        found = motions(Film(4, se3.trajectory(true)), trajectory, "truth")
    assert found[1:, 2].tolist() == [3, 3]  # (2 + 4) / (1 + 1)


def test_a_scale_that_cannot_be_fitted_is_refused() -> None:
    poses, still = path(6), np.tile(np.eye(4), (6, 1, 1))
    back = se3.trajectory(-se3.motions(poses))
    for truth, own, message in (
        (None, poses, r"00: has no ground-truth poses to fit the scale of f\.tum on"),
        (poses, still, r"00: f\.tum stands still"),
        (still, poses, r"00: the ground truth stands still"),
        (poses, back, r"f\.tum: goes another way than the ground truth of 00 \(cosine -"),
    ):
        with pytest.raises(DistilvoError, match=message):
            motions(Film(6, truth), Trajectory(own, source="f.tum"), "truth")


def test_what_does_not_fit_the_sequence_is_refused() -> None:
    poses, sequence = path(40), Film(40)
    for trajectory, other, message in (
        (Trajectory(poses[:39]), sequence, r"39 poses for 40 frames of 00; give one pose for each frame"),
        (Trajectory(poses[:39], left_out=1), sequence, r"1 rows are left out, and nothing tells"),
        (Trajectory(poses[:9], times=np.arange(9.0)), Film(40, timed=False), r"9 poses .*no measured times"),
        (Trajectory(poses[:2], np.array([39, 40])), sequence, r"frames 39 to 40, but 00 has 0 to 39"),
        (Trajectory(poses[:2], np.array([-1, 0])), sequence, r"frames -1 to 0, but 00 has 0 to 39"),
        (Trajectory(poses[:2], np.array([0, 1]), frame_count=50), sequence, r"50 poses for 40 frames"),
        (Trajectory(poses, times=sequence.times + 50), sequence, r"too few .*0\.01 s .*150\.000 to 153\.900 s"),
        (Trajectory(poses[::5], times=sequence.times[::5]), sequence, r"of 8 of 40 frames of 00, but never of two in"),
        (Trajectory(poses[:4], times=100 + np.arange(4.0)), sequence, r"never of two in a row"),
    ):  # the last one counts frames, as DPVO does
        with pytest.raises(DistilvoError, match=message):
            motions(other, trajectory)


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_files_are_found_by_the_names_of_sequences(tmp_path: Path) -> None:
    names = ("00.txt", "a.b.tum", "c.csv", "other.txt", ".00.tum", "notes.md", "config.json")
    folder = touch(tmp_path / "orb", *names)
    found = find_trajectories(folder, ["c", "00", "a.b"])
    assert found == {"c": folder / "c.csv", "00": folder / "00.txt", "a.b": folder / "a.b.tum"}
    assert find_trajectories(folder / "other.txt", ["00"]) == {"00": folder / "other.txt"}


def test_files_that_are_not_clear_are_refused(tmp_path: Path) -> None:
    folder = touch(tmp_path / "orb", "00.txt", "00.tum", "01.txt")
    for place, names, message in (
        (folder, ["00", "01"], r"orb: 2 files for the sequence 00 \(00\.tum, 00\.txt\); expected one"),
        (
            folder,
            ["01", "02", "03"],
            r"orb: no trajectory of 02, 03; it has 00\.tum, 00\.txt, 01\.txt; expected 02\.tum",
        ),
        (touch(tmp_path / "empty", "a.md"), ["00"], r"empty: no trajectory of 00; it has no trajectory file"),
        (folder / "01.txt", ["00", "01"], r"01\.txt: one trajectory for 2 sequences \(00, 01\)"),
        (tmp_path / "obr", ["00"], r"obr: no such path; .*orb.*expected a trajectory file, or a folder"),
    ):
        with pytest.raises(DistilvoError, match=message):
            find_trajectories(place, names)
