"""Metrics against values worked out by hand, against evo, and against a published KITTI scorer's printout."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo import poses
from distilvo.errors import DistilvoError
from distilvo.metrics import ate, errors, kitti_errors, rpe
from distilvo.trajectories import Alignment, align, read_kitti

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def straight(frames: int, step_m: float = 1.0) -> np.ndarray:
    return poses.trajectory(np.tile([0, 0, step_m, 0, 0, 0], (frames - 1, 1)))


def noisy_pair(seed: int, frames: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A winding drive and an estimate of it that drifts and is 10 % short."""
    rng = np.random.default_rng(seed)
    truth = np.array([0, 0, 1.2, 0, 0, 0]) + rng.normal(0, [0.02, 0.02, 0.2, 0.01, 0.08, 0.01], (frames - 1, 6))
    estimate = truth * [0.9, 0.9, 0.9, 1, 1, 1] + rng.normal(0, [0.02, 0.02, 0.05, 0.003, 0.003, 0.003], truth.shape)
    return poses.trajectory(estimate), poses.trajectory(truth)


def test_rpe_of_steps_ten_percent_short() -> None:
    translation, rotation = rpe(straight(5, 0.9), straight(5))
    np.testing.assert_allclose(translation, 0.1, atol=1e-12)
    np.testing.assert_allclose(rotation, 0.0, atol=1e-12)


def test_rpe_over_three_frames() -> None:
    translation, _ = rpe(straight(5, 0.9), straight(5), delta=3)
    np.testing.assert_allclose(translation, [0.3, 0.3], atol=1e-12)


def test_rpe_of_a_constant_turn() -> None:
    turning = poses.trajectory(np.tile([0, 0, 1.0, 0, 0.02, 0], (9, 1)))
    _, rotation = rpe(turning, straight(10))
    np.testing.assert_allclose(rotation, 0.02, atol=1e-12)


def test_errors_by_hand() -> None:
    """Two steps, right and 0.4 m short: RMS and mean of (0, 0.4); too short for the KITTI figures."""
    estimate = poses.trajectory(np.array([[0, 0, 1.0, 0, 0, 0], [0, 0, 0.6, 0, 0, 0]]))
    found = errors(estimate, straight(3))
    assert found.rms_rpe_t_m == pytest.approx(0.4 / np.sqrt(2))
    assert found.mean_rpe_t_m == pytest.approx(0.2)
    assert found.rms_rpe_r_deg == pytest.approx(0.0, abs=1e-9)
    # About their means the positions are -1, 0, 1 and (-13, 2, 11) / 15; what the best scale cannot explain is
    # 2 - (24/15)^2 / (294/225) = 2/49, over three frames.
    assert found.ate_m == pytest.approx(np.sqrt(2 / 147))
    assert (found.t_rel, found.r_rel) == (None, None)


def test_ate_by_hand() -> None:
    """A sideways step of 3 m on one of four frames, first frames agreeing."""
    estimate = straight(4)
    estimate[2, 0, 3] = 3.0
    np.testing.assert_allclose(ate(estimate, straight(4), "first"), [0, 0, 3, 0], atol=1e-12)


def test_ate_after_sim3_ignores_scale() -> None:
    np.testing.assert_allclose(ate(straight(9, 0.5), straight(9), "sim3"), 0.0, atol=1e-9)


def test_kitti_errors_of_steps_two_percent_short() -> None:
    """Every stretch ends at the first frame strictly beyond its length: one metre further, where steps are of 1 m."""
    t_rel, r_rel = kitti_errors(straight(151, 0.98), straight(151), lengths=(100,)) or (0, 0)
    assert t_rel == pytest.approx(2.0 * 101 / 100, rel=1e-6)
    assert r_rel == pytest.approx(0.0, abs=1e-6)


def test_kitti_errors_of_a_slow_turn() -> None:
    """0.001 rad a frame over 101 frames of 1 m, per 100 m."""
    turning = poses.trajectory(np.tile([0, 0, 1.0, 0, 0.001, 0], (150, 1)))
    _, r_rel = kitti_errors(turning, straight(151), lengths=(100,)) or (0, 0)
    assert r_rel == pytest.approx(np.rad2deg(0.101))


def test_kitti_errors_average_over_stretches() -> None:
    """Only the frames 0 and 10 begin stretches of 100 m in 115; the estimate's one error lies in the first alone."""
    steps = np.tile([0, 0, 1.0, 0, 0, 0], (114, 1))
    steps[4, 2] = 0.0
    t_rel, _ = kitti_errors(poses.trajectory(steps), straight(115)) or (0, 0)
    assert t_rel == pytest.approx(0.5)


def test_kitti_errors_need_more_than_100_m() -> None:
    assert kitti_errors(straight(101), straight(101)) is None
    assert kitti_errors(straight(103), straight(103)) == pytest.approx((0.0, 0.0), abs=1e-9)


@given(st.integers(0, 2**31))
def test_a_rigid_move_of_the_estimate_changes_no_relative_error(seed: int) -> None:
    estimate, truth = noisy_pair(seed, frames=130)
    rigid = poses.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    here, there = errors(estimate, truth).to_dict(), errors(rigid @ estimate, truth).to_dict()
    assert here == pytest.approx(there, rel=1e-6)


@given(st.integers(0, 2**31))
def test_better_alignment_never_fits_worse(seed: int) -> None:
    estimate, truth = noisy_pair(seed, frames=60)
    by_mode = {mode: np.square(ate(estimate, truth, mode)).sum() for mode in ("first", "scale", "se3", "sim3")}
    assert by_mode["sim3"] <= by_mode["se3"] * (1 + 1e-9) and by_mode["se3"] <= by_mode["first"] * (1 + 1e-9)
    assert by_mode["sim3"] <= by_mode["scale"] * (1 + 1e-9) and by_mode["scale"] <= by_mode["first"] * (1 + 1e-9)


def test_to_dict_is_json() -> None:
    written = json.loads(json.dumps(errors(*noisy_pair(0)).to_dict()))
    assert set(written) >= {"rms_rpe_t_m", "rms_rpe_r_deg", "ate_m", "t_rel", "r_rel"}


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(DistilvoError, match="4 poses and the truth 5"):
        errors(straight(4), straight(5))
    with pytest.raises(DistilvoError, match="1 <= delta < 1"):
        errors(straight(1), straight(1))
    broken = straight(5)
    broken[3, 1, 1] = np.inf
    with pytest.raises(DistilvoError, match="not finite at frame 3"):
        kitti_errors(broken, straight(5))


@pytest.mark.parametrize("seed", range(3))
def test_evo_agrees(seed: int) -> None:
    evo_metrics = pytest.importorskip("evo.core.metrics", reason="evo is not installed")
    evo_trajectory = pytest.importorskip("evo.core.trajectory", reason="evo is not installed")
    estimate, truth = noisy_pair(seed)

    def scored(metric: object, align_with_scale: bool | None) -> np.ndarray:
        reference = evo_trajectory.PosePath3D(poses_se3=list(truth))
        other = evo_trajectory.PosePath3D(poses_se3=list(estimate))
        if align_with_scale is not None:
            other.align(reference, correct_scale=align_with_scale)
        metric.process_data((reference, other))  # type: ignore[attr-defined]
        return np.asarray(metric.error)  # type: ignore[attr-defined]

    part, frames = evo_metrics.PoseRelation.translation_part, evo_metrics.Unit.frames
    angle = evo_metrics.PoseRelation.rotation_angle_rad
    for delta in (1, 7):
        translation, rotation = rpe(estimate, truth, delta)
        expected_t = scored(evo_metrics.RPE(part, delta=delta, delta_unit=frames, all_pairs=True), None)
        expected_r = scored(evo_metrics.RPE(angle, delta=delta, delta_unit=frames, all_pairs=True), None)
        np.testing.assert_allclose(translation, expected_t, atol=1e-9)
        np.testing.assert_allclose(rotation, expected_r, atol=1e-7)
    np.testing.assert_allclose(ate(estimate, truth, "se3"), scored(evo_metrics.APE(part), False), atol=1e-8)
    np.testing.assert_allclose(ate(estimate, truth, "sim3"), scored(evo_metrics.APE(part), True), atol=1e-8)
    np.testing.assert_allclose(ate(estimate, truth, "none"), scored(evo_metrics.APE(part), None), atol=1e-9)


MODES: dict[str, Alignment] = {"none": "first", "scale": "scale", "6dof": "se3", "7dof": "sim3"}


@pytest.mark.skipif(not (DATA / "scorer_oracle").is_dir(), reason="the published scorer's files are not at hand")
@pytest.mark.parametrize("sequence", ["09", "10"])
@pytest.mark.parametrize("printed_mode", MODES)
def test_published_kitti_scorer_agrees_to_the_printed_digit(printed_mode: str, sequence: str) -> None:
    truth = read_kitti(DATA / "kitti_poses" / f"{sequence}.txt")
    estimate = align(read_kitti(DATA / "scorer_oracle" / f"{sequence}.txt"), truth, MODES[printed_mode])
    translation, rotation = rpe(estimate, truth)
    absolute = np.sqrt(np.mean(ate(estimate, truth, "none") ** 2))
    found = [*(kitti_errors(estimate, truth) or ()), absolute, translation.mean(), np.rad2deg(rotation.mean())]
    printed = _printed(DATA / "scorer_oracle" / f"expected_{printed_mode}.txt", sequence)
    assert [f"{value:.3f}" for value in found] == printed


def _printed(file: Path, sequence: str) -> list[str]:
    """The five numbers that the scorer printed for a sequence: t_rel, r_rel, ATE, RPE m, RPE degrees."""
    block = file.read_text().split(f"Sequence: \t {int(sequence)} ")[1].split("Sequence:")[0]
    return re.findall(r"\):\s+([\d.]+)", block)
