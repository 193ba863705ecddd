"""The alignment of an estimate with the truth: hand-worked values, and what no move may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.trajectory.alignment import align, align_with_scale, scale_text
from distilvo.trajectory.segments import nearest


def drive(seed: int, frames: int = 40) -> np.ndarray:
    """A winding path, about a metre a frame."""
    noise = np.random.default_rng(seed).normal(0, [0.05, 0.05, 0.1, 0.02, 0.1, 0.02], (frames, 6))
    return se3.trajectory(np.array([0, 0, 1.0, 0, 0, 0]) + noise)


def moved(path: np.ndarray, rigid: np.ndarray, scale: float) -> np.ndarray:
    """The path, its positions scaled, then moved by a rigid transform (4, 4)."""
    out = path.copy()
    out[:, :3, 3] *= scale
    return rigid @ out


@given(st.integers(0, 2**31), st.floats(0.1, 10))
def test_sim3_undoes_any_similarity(seed: int, scale: float) -> None:
    truth = drive(seed)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    np.testing.assert_allclose(align(moved(truth, rigid, scale), truth, "sim3"), truth, atol=1e-9)


@given(st.integers(0, 2**31))
def test_se3_undoes_any_rigid_motion_and_keeps_lengths(seed: int) -> None:
    truth = drive(seed)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    np.testing.assert_allclose(align(moved(truth, rigid, 1.0), truth, "se3"), truth, atol=1e-9)
    twice = align(moved(truth, rigid, 2.0), truth, "se3")
    np.testing.assert_allclose(se3.relative(twice)[:, :3, 3], 2 * se3.relative(truth)[:, :3, 3], atol=1e-9)


def test_first_scale_and_scale_of_sim3_undo_what_they_should() -> None:
    truth = drive(3)
    rigid = se3.matrices_from_motions(np.array([4.0, 5.0, 6.0, 0.1, 0.2, 0.3]))
    truth_elsewhere = rigid @ truth
    np.testing.assert_allclose(align(truth, truth_elsewhere, "first"), truth_elsewhere, atol=1e-12)
    for mode in ("scale", "scale_of_sim3"):
        aligned = align(moved(truth, np.eye(4), 0.4), truth_elsewhere, mode)
        np.testing.assert_allclose(aligned, truth_elsewhere, atol=1e-9)
    np.testing.assert_array_equal(align(truth, truth_elsewhere, "none"), truth)


def positions(*points: list[float]) -> np.ndarray:
    path = np.tile(np.eye(4), (len(points), 1, 1))
    path[:, :3, 3] = points
    return path


def test_scale_by_hand() -> None:
    """Least squares over steps 1, 2 against 3, 4: (1*3 + 2*4) / (1 + 4) = 2.2."""
    estimate, truth = positions([0, 0, 0], [0, 0, 1], [0, 0, 2]), positions([0, 0, 5], [0, 0, 8], [0, 0, 9])
    np.testing.assert_allclose(align(estimate, truth, "scale")[:, 2, 3], [5, 7.2, 9.4], atol=1e-12)


def test_sim3_by_hand() -> None:
    """Four corners at half the size and a quarter turn off: forward in the estimate is to the right in the truth."""
    estimate = positions([1, 0, 0], [0, 0, 1], [-1, 0, 0], [0, 0, -1])
    truth = positions([0, 0, -1], [1, 0, 0], [0, 0, 1], [-1, 0, 0])
    aligned = align(moved(estimate, np.eye(4), 0.5), truth, "sim3")
    np.testing.assert_allclose(aligned[:, :3, 3], truth[:, :3, 3], atol=1e-12)
    np.testing.assert_allclose(aligned[0, :3, :3], [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("mode", ["se3", "sim3"])
def test_a_mirrored_path_is_never_reflected(mode: str) -> None:
    truth = drive(5)
    mirrored = truth.copy()
    mirrored[:, 0, 3] *= -1
    np.testing.assert_allclose(np.linalg.det(align(mirrored, truth, mode)[:, :3, :3]), 1.0, atol=1e-12)


@pytest.mark.parametrize("mode", ["se3", "sim3"])
def test_straight_drive_takes_the_roll_from_the_orientations(mode: str) -> None:
    """Positions on a line leave the roll about it open; the orientations decide it."""
    truth = se3.trajectory(np.tile([0, 0, 1.0, 0, 0, 0], (30, 1)))
    rigid = se3.matrices_from_motions(np.array([3.0, 1.0, 2.0, 0.5, -0.8, 1.2]))
    np.testing.assert_allclose(align(rigid @ truth, truth, mode), truth, atol=1e-6)


@pytest.mark.parametrize("mode", ["first", "scale", "se3", "sim3", "scale_of_sim3"])
def test_standing_car_aligns_without_scaling(mode: str) -> None:
    rigid = se3.matrices_from_motions(np.array([3.0, 1.0, 2.0, 0.5, -0.8, 1.2]))
    standing = np.tile(np.eye(4), (5, 1, 1))
    np.testing.assert_allclose(align(rigid @ standing, standing, mode), standing, atol=1e-9)


def test_standing_estimate_of_a_drive_lies_at_its_centre() -> None:
    truth = drive(2)
    aligned = align(np.tile(np.eye(4), (len(truth), 1, 1)), truth, "sim3")
    np.testing.assert_allclose(aligned[:, :3, 3], np.tile(truth[:, :3, 3].mean(axis=0), (len(truth), 1)), atol=1e-9)


def test_an_estimate_that_drives_backwards_is_not_mirrored() -> None:
    truth = drive(2)
    backwards = truth.copy()
    backwards[:, :3, 3] *= -1
    np.testing.assert_allclose(align(backwards, truth, "scale")[:, :3, 3], 0.0, atol=1e-12)


def test_lengths_and_numbers_are_checked() -> None:
    truth = drive(0)
    with pytest.raises(DistilvoError, match="estimate has 40 poses and the truth 41"):
        align(truth[:-1], truth, "first")
    broken = truth.copy()
    broken[7, 0, 3] = np.nan
    with pytest.raises(DistilvoError, match=r"estimate .* not finite at frame 7"):
        align(broken, truth, "sim3")
    with pytest.raises(DistilvoError, match=r"shape \(0, 4, 4\)"):
        align(truth[:0], truth[:0], "sim3")


@given(st.integers(0, 2**31), st.floats(0.1, 10))
def test_the_scale_that_was_found_is_given(seed: int, scale: float) -> None:
    truth = drive(seed)
    rigid = se3.matrices_from_motions(np.random.default_rng(seed).uniform(-1.5, 1.5, 6))
    small = moved(truth, rigid, 1 / scale)
    for mode in ("sim3", "scale", "scale_of_sim3"):
        aligned, factor = align_with_scale(small, truth, mode)
        assert factor == pytest.approx(scale, rel=1e-9)
        np.testing.assert_array_equal(aligned, align(small, truth, mode))
    for mode in ("none", "first", "se3"):
        assert align_with_scale(small, truth, mode)[1] == 1.0


def test_a_scale_is_read_with_three_digits() -> None:
    assert [scale_text(scale) for scale in (2.1, 0.01234, 35.15)] == ["2.10", "0.0123", "35.1"]


def test_orientations_do_not_tilt_a_straight_drive() -> None:
    """Where positions lie on a line they decide all but the roll, however the estimate's camera looks."""
    truth = np.tile(np.eye(4), (20, 1, 1))
    truth[:, 2, 3] = np.arange(20.0)
    estimate = truth @ se3.matrices_from_motions(np.array([0, 0, 0, 0, 0.2, 0]))
    np.testing.assert_allclose(align(estimate, truth, "se3")[:, :3, 3], truth[:, :3, 3], atol=1e-4)


@pytest.mark.parametrize("axis", range(3))
def test_a_place_off_the_planet_is_refused_on_every_axis(axis: int) -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[1, axis, 3] = -1e12
    with pytest.raises(DistilvoError, match=r"the estimate is 1e\+12 m from the origin at frame 1; expected metres"):
        align(poses, poses, "se3")


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=5, unique=True), st.lists(st.floats(-12, 12), min_size=1))
def test_nearest_is_the_nearest(values: list[float], wanted: list[float]) -> None:
    ordered, points = np.sort(values), np.array(wanted)
    chosen = np.abs(ordered[nearest(ordered, points)] - points)
    np.testing.assert_array_equal(chosen, np.abs(ordered[:, None] - points).min(axis=0))
