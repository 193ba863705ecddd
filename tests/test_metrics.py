"""Metrics against values worked out by hand, against evo, and against a published KITTI scorer's printout."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.settings import Alignment, Scoring
from distilvo.trajectory.metrics import Deviations, ate, deviations, errors, errors_by_length, rpe


def straight(frames: int, step_m: float = 1.0) -> np.ndarray:
    return se3.trajectory(np.tile([0, 0, step_m, 0, 0, 0], (frames - 1, 1)))


def noisy_pair(seed: int, frames: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A winding drive and an estimate of it that drifts and is 10 % short."""
    rng = np.random.default_rng(seed)
    truth = np.array([0, 0, 1.2, 0, 0, 0]) + rng.normal(0, [0.02, 0.02, 0.2, 0.01, 0.08, 0.01], (frames - 1, 6))
    estimate = truth * [0.9, 0.9, 0.9, 1, 1, 1] + rng.normal(0, [0.02, 0.02, 0.05, 0.003, 0.003, 0.003], truth.shape)
    return se3.trajectory(estimate), se3.trajectory(truth)


def test_rpe_of_steps_ten_percent_short() -> None:
    translation, rotation = rpe(straight(5, 0.9), straight(5))
    np.testing.assert_allclose(translation, 0.1, atol=1e-12)
    np.testing.assert_allclose(rotation, 0.0, atol=1e-12)


def test_rpe_over_three_frames() -> None:
    translation, _ = rpe(straight(5, 0.9), straight(5), delta=3)
    np.testing.assert_allclose(translation, [0.3, 0.3], atol=1e-12)


def test_rpe_of_a_constant_turn() -> None:
    turning = se3.trajectory(np.tile([0, 0, 1.0, 0, 0.02, 0], (9, 1)))
    _, rotation = rpe(turning, straight(10))
    np.testing.assert_allclose(rotation, 0.02, atol=1e-12)


def test_errors_by_hand() -> None:
    """Two steps, right and 0.4 m short: RMS and mean of (0, 0.4); too short for the KITTI measures."""
    estimate = se3.trajectory(np.array([[0, 0, 1.0, 0, 0, 0], [0, 0, 0.6, 0, 0, 0]]))
    measures = errors(estimate, straight(3))
    assert measures.rms_rpe_t_m == pytest.approx(0.4 / np.sqrt(2))
    assert measures.mean_rpe_t_m == pytest.approx(0.2)
    assert measures.rms_rpe_r_deg == pytest.approx(0.0, abs=1e-9)
    # About their means the positions are -1, 0, 1 and (-13, 2, 11) / 15; what the best scale cannot explain is
    # 2 - (24/15)^2 / (294/225) = 2/49, over three frames.
    assert measures.ate_m == pytest.approx(np.sqrt(2 / 147))
    assert (measures.t_rel_percent, measures.r_rel_deg_per_100m) == (None, None)


def test_ate_by_hand() -> None:
    """A sideways step of 3 m on one of four frames, first frames agreeing."""
    estimate = straight(4)
    estimate[2, 0, 3] = 3.0
    np.testing.assert_allclose(ate(estimate, straight(4), "first"), [0, 0, 3, 0], atol=1e-12)


def test_ate_after_sim3_ignores_scale() -> None:
    np.testing.assert_allclose(ate(straight(9, 0.5), straight(9), "sim3"), 0.0, atol=1e-9)


def test_kitti_errors_of_steps_two_percent_short() -> None:
    """Every segment ends at the first frame strictly beyond its length: one metre further, where steps are of 1 m."""
    percent, degrees, metres = errors_by_length(straight(151, 0.98), straight(151), lengths=(100,))
    np.testing.assert_allclose(percent, 2.0 * 101 / 100, rtol=1e-6)
    np.testing.assert_allclose(degrees, 0.0, atol=1e-6)
    assert len(metres) == 5 and (metres == 100).all()  # segments begin at the frames 0, 10, 20, 30 and 40


def test_kitti_errors_of_a_slow_turn() -> None:
    """0.001 rad a frame over 101 frames of 1 m, per 100 m."""
    turning = se3.trajectory(np.tile([0, 0, 1.0, 0, 0.001, 0], (150, 1)))
    _, degrees, _ = errors_by_length(turning, straight(151), lengths=(100,))
    np.testing.assert_allclose(degrees, np.rad2deg(0.101))


def test_kitti_errors_average_over_segments() -> None:
    """Only the frames 0 and 10 begin segments of 100 m in 115; the estimate's one error lies in the first alone."""
    steps = np.tile([0, 0, 1.0, 0, 0, 0], (114, 1))
    steps[4, 2] = 0.0
    assert errors(se3.trajectory(steps), straight(115)).t_rel_percent == pytest.approx(0.5)


def test_kitti_errors_need_more_than_100_m() -> None:
    assert errors(straight(101), straight(101)).t_rel_percent is None
    longer = errors(straight(103), straight(103))
    assert (longer.t_rel_percent, longer.r_rel_deg_per_100m) == pytest.approx((0.0, 0.0), abs=1e-9)


@given(st.integers(0, 2**31))
def test_a_rigid_move_of_the_estimate_changes_no_relative_error(seed: int) -> None:
    estimate, truth = noisy_pair(seed, frames=130)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    here, there = errors(estimate, truth).to_dict(), errors(rigid @ estimate, truth).to_dict()
    assert here == pytest.approx(there, rel=1e-6)


@given(st.integers(0, 2**31))
def test_better_alignment_never_fits_worse(seed: int) -> None:
    estimate, truth = noisy_pair(seed, frames=60)
    by_mode = {mode: np.square(ate(estimate, truth, mode)).sum() for mode in ("first", "scale", "se3", "sim3")}
    assert by_mode["sim3"] <= by_mode["se3"] * (1 + 1e-9) and by_mode["se3"] <= by_mode["first"] * (1 + 1e-9)
    assert by_mode["sim3"] <= by_mode["scale"] * (1 + 1e-9) and by_mode["scale"] <= by_mode["first"] * (1 + 1e-9)


def test_pairs_over_metres_by_hand() -> None:
    """Steps of 1, 1, 2, 2, 4 m, each 10 % short: from each frame the first that lies at least 3 m on."""
    truth = se3.trajectory(np.array([[0, 0, z, 0, 0, 0] for z in (1.0, 1, 2, 2, 4)]))
    estimate = se3.trajectory(np.array([[0, 0, 0.9 * z, 0, 0, 0] for z in (1.0, 1, 2, 2, 4)]))
    np.testing.assert_allclose(rpe(estimate, truth, 3, "m")[0], [0.4, 0.3, 0.4, 0.6, 0.4], atol=1e-12)


def test_pairs_over_a_round_length_do_not_go_a_frame_too_far() -> None:
    """Ten steps of 0.1 m sum to 0.9999999999999999 m."""
    np.testing.assert_allclose(rpe(straight(40, 0.09), straight(40, 0.1), 1, "m")[0], 0.1, atol=1e-9)


def test_pairs_over_seconds_by_hand() -> None:
    """The frame closest to 0.2 s on; 0.15 s, across the gap, is too far from it, and so is 0.35 s."""
    times = np.array([0.0, 0.1, 0.199, 0.35, 0.55])
    translation, _ = rpe(straight(5, 0.9), straight(5), 0.2, "s", times)
    np.testing.assert_allclose(translation, [0.2, 0.1], atol=1e-12)


def test_times_are_those_of_the_frames_that_are_estimated() -> None:
    """Frames 0, 2, 3, 4 at 0, 0.3, 0.4, 0.5 s: the one pair that is 0.2 s apart is 2-4, which is 0.2 m short."""
    frames, times = np.array([0, 2, 3, 4]), np.array([0.0, 0.2, 0.3, 0.4, 0.5])
    singles = deviations(straight(5, 0.9)[frames], straight(5), Scoring(delta=0.2, unit="s"), frames, times)
    np.testing.assert_array_equal(singles.rpe_ends, [4])
    np.testing.assert_allclose(singles.rpe_t_m, [0.2], atol=1e-12)


def test_frames_of_a_rate_that_wavers_are_a_tenth_of_a_second_apart() -> None:
    times = np.arange(50) * 0.1037 + np.random.default_rng(0).uniform(-1e-3, 1e-3, 50)
    translation = rpe(straight(50, 0.9), straight(50), 0.1, "s", times)[0]
    np.testing.assert_allclose(translation, 0.1, atol=1e-12)
    assert len(translation) == 49


def test_statistics_by_hand() -> None:
    """Errors of 0, 0, 0.4 m a step; the estimate is behind by 0.4 m at the last frame alone."""
    estimate = se3.trajectory(np.array([[0, 0, z, 0, 0, 0] for z in (1.0, 1, 0.6)]))
    statistics = deviations(estimate, straight(4), Scoring(align="none")).statistics()
    assert statistics["mean_rpe_t_m"] == pytest.approx(0.4 / 3)
    assert statistics["median_rpe_t_m"] == pytest.approx(0, abs=1e-12)
    assert statistics["rms_rpe_t_m"] == pytest.approx(0.4 / np.sqrt(3))
    assert (statistics["mean_ate_m"], statistics["median_ate_m"]) == (pytest.approx(0.1), pytest.approx(0, abs=1e-12))
    assert statistics["ate_m"] == pytest.approx(0.2)
    assert statistics["t_rel_percent"] is None and statistics["r_rel_deg_per_100m"] is None


def by_the_definition(estimate: np.ndarray, truth: np.ndarray, frames: np.ndarray) -> tuple[list[Any], list[float]]:
    """Of every segment t_rel in %, r_rel in deg/100 m, length in m; RPE in m of frames that follow each other."""
    have = dict(zip(frames.tolist(), estimate, strict=True))
    way = [0.0]
    for before, after in itertools.pairwise(truth):
        way.append(way[-1] + float(np.linalg.norm(after[:3, 3] - before[:3, 3])))

    def error(first: int, last: int) -> tuple[float, float]:
        estimated = np.linalg.inv(have[first]) @ have[last]
        true = np.linalg.inv(truth[first]) @ truth[last]
        off = np.linalg.inv(estimated) @ true
        return float(np.linalg.norm(off[:3, 3])), float(np.degrees(np.arccos((np.trace(off[:3, :3]) - 1) / 2)))

    segments = []
    for first in range(0, len(truth), 10):
        for length in range(100, 900, 100):
            last = next((k for k in range(first, len(truth)) if way[k] > way[first] + length), None)
            if last is not None and first in have and last in have:
                metres, degrees = error(first, last)
                segments.append((100 * metres / length, 100 * degrees / length, float(length)))
    return segments, [error(first, last)[0] for first, last in itertools.pairwise(have)]


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_frames_that_are_not_estimated_are_passed_over(share: float) -> None:
    estimate, truth = noisy_pair(4, frames=800)
    frames = np.flatnonzero(np.random.default_rng(4).random(800) <= share)
    singles = deviations(estimate[frames], truth, frames=frames)
    segments, pairs = by_the_definition(estimate[frames], truth, frames)
    assert {metres for *_, metres in segments} == set(range(100, 900, 100))
    measured = np.stack([singles.kitti_percent, singles.kitti_deg_per_100m], axis=1)
    np.testing.assert_allclose(measured, [segment[:2] for segment in segments], rtol=1e-5)
    # The translation of inv(A) @ B is as long as that of inv(B) @ A.
    np.testing.assert_allclose(singles.rpe_t_m, pairs, rtol=1e-6)
    assert len(singles.ate_m) == len(frames)


def test_pairs_are_of_estimated_frames_or_of_frames_of_the_truth_where_they_are_wanted() -> None:
    """Every other frame: consecutive poses are 2 m apart and 0.2 m short; no frame is followed by its neighbour."""
    frames = np.arange(0, 151, 2)

    def rms(how: Scoring) -> float | None:
        return deviations(straight(151, 0.9)[frames], straight(151), how, frames).statistics()["rms_rpe_t_m"]

    assert rms(Scoring()) == pytest.approx(0.2) and rms(Scoring(delta=2)) == pytest.approx(0.4)
    assert rms(Scoring(unit="truth-frames")) is None
    assert rms(Scoring(unit="truth-frames", delta=2)) == pytest.approx(0.2)


def test_pairs_by_the_numbers_of_the_truth() -> None:
    """Frames 0, 1, 3, 4, 7 of a truth that has 0, 1, 2, 3, 4, 7: pairs that are one apart are 0-1 and 3-4."""
    how, numbers = Scoring(unit="truth-frames"), np.array([0, 1, 2, 3, 4, 7])
    frames = np.array([0, 1, 3, 4, 5])
    singles = deviations(straight(6)[frames], straight(6), how, frames, numbers=numbers)
    np.testing.assert_array_equal(singles.rpe_ends, [1, 4])


def test_pooled_counts_every_error_alike() -> None:
    short, long = (deviations(straight(n, 0.9), straight(n), Scoring(align="none")) for n in (11, 201))
    pooled = Deviations.pooled([short, long])
    assert len(pooled.rpe_t_m) == 210 and len(pooled.ate_m) == 212
    assert pooled.statistics()["t_rel_percent"] == long.statistics()["t_rel_percent"]
    assert short.short and not long.short and not pooled.short


def test_the_paper_measures_steps_as_they_are_and_places_after_sim3() -> None:
    estimate, truth = noisy_pair(6)
    paper, none, sim3 = (deviations(estimate, truth, Scoring(align=a)).statistics() for a in ("paper", "none", "sim3"))
    for name, value in paper.items():
        assert value == pytest.approx((sim3 if "ate_m" in name else none)[name], rel=1e-9)


RIGID = ("first", "scale", "se3", "sim3", "scale_of_sim3")


@given(st.integers(0, 2**31), st.sampled_from(RIGID))
def test_aligned_measures_do_not_depend_on_where_the_estimate_begins(seed: int, mode: Alignment) -> None:
    estimate, truth = noisy_pair(seed, frames=130)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    how = Scoring(align=mode)
    here, there = deviations(estimate, truth, how).statistics(), deviations(rigid @ estimate, truth, how).statistics()
    assert here == pytest.approx(there, rel=1e-5)


@given(st.integers(0, 2**31), st.floats(0.05, 20), st.sampled_from(("scale", "sim3", "scale_of_sim3")))
def test_statistics_with_a_scale_do_not_depend_on_the_estimates(seed: int, scale: float, mode: Alignment) -> None:
    estimate, truth = noisy_pair(seed, frames=130)
    scaled = estimate.copy()
    scaled[:, :3, 3] *= scale
    how = Scoring(align=mode)
    assert deviations(estimate, truth, how).statistics() == pytest.approx(
        deviations(scaled, truth, how).statistics(), rel=1e-5
    )


@given(st.integers(0, 2**31), st.sampled_from(get_args(Alignment)))
def test_statistics_do_not_depend_on_the_world(seed: int, mode: Alignment) -> None:
    estimate, truth = noisy_pair(seed, frames=130)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    how = Scoring(align=mode)
    here = deviations(estimate, truth, how).statistics()
    assert here == pytest.approx(deviations(rigid @ estimate, rigid @ truth, how).statistics(), rel=1e-5)


def test_to_dict_is_json() -> None:
    written = json.loads(json.dumps(errors(*noisy_pair(0)).to_dict()))
    assert set(written) >= {"rms_rpe_t_m", "rms_rpe_r_deg", "ate_m", "t_rel_percent", "r_rel_deg_per_100m"}


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DistilvoError, match="4 poses and the truth 5"):
        errors(straight(4), straight(5))
    with pytest.raises(DistilvoError, match="one pose"):
        errors(straight(1), straight(1))
    broken = straight(5)
    broken[3, 1, 1] = np.inf
    with pytest.raises(DistilvoError, match="not finite at frame 3"):
        errors(broken, straight(5))
    with pytest.raises(DistilvoError, match="over 5 frames: no two of the 5 poses"):
        rpe(straight(5), straight(5), 5)
    with pytest.raises(DistilvoError, match="needs the times"):
        rpe(straight(5), straight(5), 1, "s")
    with pytest.raises(DistilvoError, match=r"1e\+300 m from the origin at frame 1"):
        deviations(straight(5, 1e300), straight(5))
    for wrong in ([0, 1, 1], [0, 2, 1], [-1, 0, 1], [0, 1, 5], [0, 1]):
        with pytest.raises(DistilvoError, match="3 frame numbers in order"):
            deviations(straight(3), straight(5), frames=np.array(wrong))


@pytest.mark.parametrize("delta", [0.0, -1.0, 1.5, float("nan"), float("inf")])
def test_a_step_is_a_positive_number_of_whole_frames(delta: float) -> None:
    with pytest.raises(DistilvoError, match="delta: is"):
        rpe(straight(5), straight(5), delta)
