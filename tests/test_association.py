"""Which truth belongs to which estimate: by frame number, by time, one by one; and what is too little to be scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.settings import RpeUnit, Scoring
from distilvo.trajectory.association import associate
from distilvo.trajectory.formats import Trajectory, read_trajectory, write_kitti
from distilvo.trajectory.metrics import deviations
from distilvo.trajectory.scores import score

UNITS: tuple[RpeUnit, ...] = ("frames", "truth-frames", "m")


def drive(frames: int, seed: int = 0, step_m: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, [0.02, 0.02, 0.1, 0.01, 0.03, 0.01], (frames - 1, 6))
    return se3.trajectory(np.array([0, 0, step_m, 0, 0, 0]) + noise)


def test_a_numbered_estimate_may_skip_frames_and_be_in_any_order(tmp_path: Path) -> None:
    frames = np.array([140, 0, 1, 2, 5, 6, 9, 50, 51, 120])
    write_kitti(tmp_path / "E.txt", drive(151)[frames], frames)
    estimate = read_trajectory(tmp_path / "E.txt")
    result = score("E", "T", estimate, Trajectory(drive(151)), Scoring(align="none"))
    assert len(result.deviations.ate_m) == 10
    assert len(result.deviations.rpe_t_m) == 9
    np.testing.assert_allclose(result.deviations.ate_m, 0, atol=1e-6)


def test_a_numbered_truth_may_begin_anywhere_and_skip_frames() -> None:
    path = drive(6)
    estimate = Trajectory(path[[1, 3]], frames=np.array([101, 103]))
    match = associate(estimate, Trajectory(path, frames=np.arange(100, 106)), 0.01)
    np.testing.assert_array_equal(match.frames, [1, 3])
    assert match.notes == []
    match = associate(estimate, Trajectory(path[:3], frames=np.array([100, 101, 103])), 0.01)
    np.testing.assert_array_equal(match.frames, [1, 2])


def test_times_match_the_closest_true_pose_within_the_tolerance() -> None:
    truth = Trajectory(drive(6), times=np.array([10.0, 10.1, 10.2, 10.3, 10.4, 10.5]))
    estimate = Trajectory(drive(5), times=np.array([9.0, 10.109, 10.192, 10.32, 10.4]))
    match = associate(estimate, truth, 0.01)
    np.testing.assert_array_equal(match.kept, [1, 2, 4])
    np.testing.assert_array_equal(match.frames, [1, 2, 4])
    match = associate(estimate, truth, 0.05)
    np.testing.assert_array_equal(match.kept, [1, 2, 3, 4])
    np.testing.assert_array_equal(match.frames, [1, 2, 3, 4])


def test_a_truth_of_a_higher_rate_is_taken_at_the_times_of_the_estimate() -> None:
    """Motion capture at 100 Hz, frames at 10 Hz: consecutive frames are those of the estimate."""
    truth = Trajectory(drive(101, step_m=0.1), times=np.arange(101) * 0.01)
    estimate = Trajectory(truth.poses[::10], times=truth.times[::10] + 0.002)
    result = score("e", "t", estimate, truth, Scoring())
    assert len(result.deviations.rpe_t_m) == 10
    np.testing.assert_allclose(result.deviations.rpe_t_m, 0, atol=1e-9)


def test_segments_lie_on_the_poses_that_times_match() -> None:
    """Truth at 100 Hz over some 150 m, an estimate at 10 Hz: few of the truth's own segments end at an estimate."""
    truth = Trajectory(drive(1501, step_m=0.1), times=0.01 * np.arange(1501))
    poses, frames = drive(1501, seed=1, step_m=0.1)[::10], np.arange(0, 1501, 10)
    by_time = score("e", "t", Trajectory(poses, times=truth.times[frames]), truth, Scoring()).deviations
    np.testing.assert_allclose(by_time.kitti_percent, deviations(poses, truth.poses[frames]).kitti_percent)
    assert len(by_time.kitti_percent) > 0
    assert not np.array_equal(by_time.kitti_percent, deviations(poses, truth.poses, frames=frames).kitti_percent)


def test_an_estimate_of_a_higher_rate_is_taken_at_the_times_of_the_truth() -> None:
    estimate = Trajectory(drive(101, step_m=0.1), times=np.arange(101) * 0.01)
    truth = Trajectory(estimate.poses[::10], times=estimate.times[::10])
    with pytest.warns(UserWarning, match=r"11 of 101 poses \(0.000 to 1.000 s\) lie within 0.004 s"):
        result = score("e", "t", estimate, truth, Scoring(tolerance=0.004))
    np.testing.assert_allclose(result.deviations.ate_m, 0, atol=1e-9)
    assert len(result.deviations.rpe_t_m) == 10


@given(st.integers(0, 2**31), st.floats(0.0, 0.2))
def test_matching_by_time_never_gives_a_pose_twice_or_too_far(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    true_times, times = np.sort(rng.uniform(0, 5, 40)), np.unique(rng.uniform(0, 5, 30))
    truth = Trajectory(drive(40), times=true_times)
    try:
        match = associate(Trajectory(drive(len(times)), times=times), truth, tolerance)
    except DistilvoError:
        return
    assert (np.diff(match.frames) > 0).all() and (np.diff(match.kept) > 0).all()
    assert (np.abs(true_times[match.frames] - times[match.kept]) <= tolerance).all()


@pytest.mark.parametrize(
    ("estimate", "truth_times", "message"),
    [
        (Trajectory(drive(3)), None, "3 poses, but 5 in the ground truth; expected one for each frame"),
        (Trajectory(drive(3), times=np.arange(3.0)), None, "has no measured times .* TUM"),
        (Trajectory(drive(3), times=np.array([0.0, 1, 1])), np.arange(5.0), "two poses at 1.000000 s"),
        (Trajectory(drive(3), times=np.arange(3.0) + 100), np.arange(5.0), r"0 of 3 poses \(100.* check both clocks"),
        (Trajectory(drive(2), frames=np.array([3, 5])), None, "frame 5, but the ground truth has 0 to 4"),
        (Trajectory(drive(5)[:1], frames=np.array([2])), None, "one pose; expected at least two"),
    ],
)
def test_what_does_not_fit_is_one_line(estimate: Trajectory, truth_times: np.ndarray | None, message: str) -> None:
    with pytest.raises(DistilvoError, match=f"^E.txt: .*{message}") as caught:
        score("E", "T", estimate, Trajectory(drive(5), times=truth_times), Scoring(), "E.txt")
    assert "\n" not in str(caught.value)


def evo_rpe(estimate: Trajectory, truth: Trajectory, relation: str, delta: int) -> np.ndarray:
    """The relative errors that evo finds after its own association, over all pairs."""
    metrics = pytest.importorskip("evo.core.metrics", reason="evo is not installed")
    from evo.core import sync
    from evo.core.trajectory import PoseTrajectory3D

    both = [PoseTrajectory3D(poses_se3=list(one.poses), timestamps=one.times) for one in (truth, estimate)]
    metric = metrics.RPE(metrics.PoseRelation[relation], delta=delta, delta_unit=metrics.Unit.frames, all_pairs=True)
    metric.process_data(sync.associate_trajectories(*both, max_diff=0.01))
    return np.asarray(metric.error)


@pytest.mark.parametrize("delta", [1, 3])
def test_keyframes_are_scored_as_by_evo(delta: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """540 keyframes of 1,000 true poses: a median gap of 2 frames. As TUM and with frame numbers alike."""
    rng = np.random.default_rng(0)
    frames = np.sort(rng.choice(1000, 540, replace=False))
    truth = Trajectory(drive(1000), times=1.4e9 + 0.1 * np.arange(1000))
    estimate = Trajectory(drive(1000, seed=1)[frames], times=truth.times[frames] + rng.uniform(-0.004, 0.004, 540))
    timed = score("e", "t", estimate, truth, Scoring(delta=delta))
    np.testing.assert_allclose(timed.deviations.rpe_t_m, evo_rpe(estimate, truth, "translation_part", delta), atol=1e-9)
    degrees = evo_rpe(estimate, truth, "rotation_angle_deg", delta)
    np.testing.assert_allclose(timed.deviations.rpe_r_deg, degrees, atol=1e-5)  # evo takes an arc cosine
    assert (timed.poses, timed.rpe_pairs, timed.left_out) == (540, 540 - delta, 0)
    assert timed.truth_left_out == frames[-1] - frames[0] + 1 - 540
    numbered = Trajectory(estimate.poses, frames=frames)
    both = truth, Trajectory.of_frames(truth.poses)
    for unit in UNITS:
        how = Scoring(delta=delta, unit=unit)
        by_time, by_number = (
            score("e", "t", one, true, how).deviations for one, true in zip((estimate, numbered), both, strict=True)
        )
        np.testing.assert_array_equal(by_time.rpe_t_m, by_number.rpe_t_m)
    # By the other definition: frames of the truth exactly delta apart, both of them keyframes.
    how = Scoring(delta=delta, unit="truth-frames")
    pairs = score("e", "t", estimate, truth, how).rpe_pairs
    assert pairs == np.intersect1d(frames, frames - delta).size < 540 - delta


def test_truth_frames_by_hand() -> None:
    """Keyframes 0, 1, 3, 4 of five by their times: the pairs of neighbours are 0-1 and 3-4, not 1-3."""
    truth = Trajectory(drive(5), times=np.arange(5.0))
    estimate = Trajectory(drive(5, seed=1)[[0, 1, 3, 4]], times=np.array([0.0, 1, 3, 4]))
    apart, neighbours = (score("e", "t", estimate, truth, Scoring(unit=unit)).deviations.rpe_t_m for unit in UNITS[:2])
    np.testing.assert_allclose(neighbours, apart[[0, 2]])


def test_offset_is_added_to_the_times_of_the_estimate() -> None:
    truth = Trajectory(drive(20), times=1e9 + np.arange(20.0))
    estimate = Trajectory(truth.poses, times=np.arange(20.0))
    with pytest.raises(DistilvoError, match=r"0 of 20 .* try --offset 1000000000.000"):
        associate(estimate, truth, 0.01)
    assert len(associate(estimate, truth, 0.01, offset_s=1e9).kept) == 20
    np.testing.assert_array_equal(associate(estimate, truth, 0.01, offset_s=1e9 + 1).frames, np.arange(1, 20))
    by_row = associate(Trajectory(truth.poses), Trajectory(truth.poses), 0.01, offset_s=3.0)
    assert by_row.notes == ["--offset is not used: poses are not matched by their times"]


@pytest.mark.parametrize(("power", "unit"), [(3, "milliseconds"), (6, "microseconds"), (9, "nanoseconds")])
@pytest.mark.parametrize("start", [0.0, 1.4e9])
def test_times_in_another_unit_are_named_with_their_file(power: int, unit: str, start: float) -> None:
    times = start + 0.1 * np.arange(100)
    right = Trajectory(drive(100), times=times, source="right.tum")
    wrong = Trajectory(drive(100), times=times * 10**power, source="wrong.tum")
    for pair in ((right, wrong), (wrong, right)):
        with pytest.raises(DistilvoError, match=f"times of wrong.tum look like {unit}: multiply by 1e-{power}$"):
            associate(*pair, 0.01)


def test_both_in_nanoseconds_are_matched_with_a_note() -> None:
    both = Trajectory(drive(10), times=1.4e18 + 1e8 * np.arange(10))
    assert "look like nanoseconds" in associate(both, both, 0.01).notes[0]


def test_few_matches_are_refused_and_others_counted() -> None:
    """Two clocks of almost one rate: every 27th pose matches by chance."""
    truth = Trajectory(drive(300), times=0.1037 * np.arange(300))
    estimate = Trajectory(drive(300), times=0.1 * np.arange(300))
    message = r"of 300 poses \(0.000 to 29.900 s\) lie within 0.01 s of a true one .*300, 0.000 to 31.006 s.* too few"
    with pytest.raises(DistilvoError, match=message + ".*--offset SECONDS.*--tolerance"):
        associate(estimate, truth, 0.01)
    shorter = Trajectory(truth.poses[:100], times=truth.times[:100])  # the truth ends early, all of it is matched
    result = associate(Trajectory(truth.poses, times=truth.times), shorter, 0.01)
    assert len(result.kept) == 100 and "100 of 300 poses" in result.notes[0]
    late = Trajectory(truth.poses, times=truth.times + truth.times[290])  # ten poses in common, of 300 and 300
    with pytest.raises(DistilvoError, match=r"10 of 300 .* too few"):
        associate(late, truth, 0.01)


def test_times_on_one_side_alone_pair_one_by_one_or_not_at_all() -> None:
    timed, untimed = Trajectory(drive(5), times=1e9 + np.arange(5.0)), Trajectory(drive(5))
    for pair, side in (((timed, untimed), "ground truth"), ((untimed, timed), "estimate")):
        (note,) = associate(*pair, 0.01).notes
        assert note == f"the {side} has no measured times: the 5 poses of both are paired one by one"
    with pytest.raises(DistilvoError, match="5 poses, but 4 in the ground truth; it has no times to match"):
        associate(untimed, Trajectory(drive(4), times=np.arange(4.0)), 0.01)
    lost = Trajectory(drive(5), times=np.arange(5.0), left_out=1)  # by chance as many as the truth
    with pytest.raises(DistilvoError, match=r"5 poses \(1 rows left out\), but 5 in the ground truth"):
        associate(lost, untimed, 0.01)


def gappy(*frames: int) -> Trajectory:
    return Trajectory(drive(20)[list(frames)], frames=np.array(frames))


def test_truth_with_gaps_and_rows_of_all_frames_or_of_its_own() -> None:
    truth = gappy(1, 2, 3, 7, 8, 9)
    by_frame = associate(Trajectory(drive(12)), truth, 0.01)
    np.testing.assert_array_equal(by_frame.kept, [1, 2, 3, 7, 8, 9])
    assert "6 of 12 poses are of frames that the ground truth lacks" in by_frame.notes[0]
    assert "its 12 rows are taken as the frames 0 to 11" in by_frame.notes[1]
    by_row = associate(Trajectory(drive(6)), truth, 0.01)
    np.testing.assert_array_equal(by_row.kept, np.arange(6))
    assert by_row.notes == ["its rows are taken as those frames that the ground truth has"]
    with pytest.raises(DistilvoError, match="8 poses, but 6 in the ground truth"):
        associate(Trajectory(drive(8)), truth, 0.01)  # too few to be all frames


def test_frames_that_the_truth_lacks_are_left_out_unless_they_are_most() -> None:
    truth = gappy(1, 2, 3, 7, 8, 9)
    match = associate(gappy(2, 3, 4, 7, 8), truth, 0.01)
    np.testing.assert_array_equal(match.kept, [0, 1, 3, 4])
    assert "the first is frame 4, but the ground truth has 1 to 9 with gaps" in match.notes[0]
    with pytest.raises(DistilvoError, match="4 of 5 poses are of frames that the ground truth lacks"):
        associate(gappy(4, 5, 6, 9, 10), truth, 0.01)


def test_frames_counted_from_one_are_not_taken_for_their_neighbours() -> None:
    with pytest.raises(DistilvoError, match=r"1 of 5 .* frame 5, but .* 0 to 4; .* count frames from 0"):
        associate(gappy(1, 2, 3, 4, 5), Trajectory(drive(5)), 0.01)
    with pytest.raises(DistilvoError, match="count frames from 0"):
        associate(gappy(1, 3, 5), Trajectory(drive(5)), 0.01)


def test_rows_of_a_truth_with_times_are_not_silently_frames() -> None:
    match = associate(gappy(1, 3), Trajectory(drive(5), times=np.arange(5.0)), 0.01)
    assert "its rows are taken as the frames 0, 1, 2, ..." in match.notes[0]
    assert associate(gappy(1, 3), Trajectory.of_frames(drive(5), np.arange(5.0)), 0.01).notes == []


def test_a_lost_frame_keeps_the_numbers_of_the_others() -> None:
    """NaN at frame 2 of five, in the estimate, in the truth, in both."""
    whole, lost = Trajectory(drive(5)), Trajectory(drive(5)[[0, 1, 3, 4]], np.array([0, 1, 3, 4]), None, 1, 5)
    for pair, kept in (((lost, whole), [0, 1, 2, 3]), ((whole, lost), [0, 1, 3, 4]), ((lost, lost), [0, 1, 2, 3])):
        match = associate(*pair, 0.01)
        np.testing.assert_array_equal(match.kept, kept)
        numbers = np.arange(5) if pair[1] is whole else lost.frames
        np.testing.assert_array_equal(numbers[match.frames], [0, 1, 3, 4])
    with pytest.raises(DistilvoError, match=r"5 poses \(1 rows left out\), but 7 in the ground truth"):
        associate(lost, Trajectory(drive(7)), 0.01)  # rows are frames: there must be as many
