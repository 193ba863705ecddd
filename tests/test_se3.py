"""Poses and motions: the stated conventions, by hand-worked values, and the properties that hold for every motion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from distilvo.geometry import se3
from distilvo.geometry.quaternions import quaternions_from_rotations, rotations_from_quaternions

QUARTER = np.pi / 2
TRANSLATIONS = arrays(np.float64, (5, 3), elements=st.floats(-50, 50))
ANGLES = arrays(np.float64, (5, 3), elements=st.floats(-1.5, 1.5))


def turn(rx: float = 0.0, ry: float = 0.0, rz: float = 0.0) -> np.ndarray:
    return se3.matrices_from_motions(np.array([0.0, 0.0, 0.0, rx, ry, rz]))[:3, :3]


def test_positive_yaw_turns_the_nose_to_the_right() -> None:
    np.testing.assert_allclose(turn(ry=QUARTER) @ [0, 0, 1], [1, 0, 0], atol=1e-15)


def test_positive_pitch_lifts_the_nose() -> None:
    np.testing.assert_allclose(turn(rx=QUARTER) @ [0, 0, 1], [0, -1, 0], atol=1e-15)


def test_positive_roll_dips_the_right_side() -> None:
    np.testing.assert_allclose(turn(rz=QUARTER) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_euler_order_is_yaw_pitch_roll() -> None:
    np.testing.assert_allclose(turn(0.3, -0.7, 1.1), turn(ry=-0.7) @ turn(rx=0.3) @ turn(rz=1.1), atol=1e-15)


def test_euler_order_by_hand() -> None:
    # Ry(90) Rx(90) Rz(90): x -> y -> z -> x;  y -> -x -> -x -> z;  z -> z -> -y -> -y.
    expected = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    np.testing.assert_allclose(turn(QUARTER, QUARTER, QUARTER), expected, atol=1e-15)


def test_a_square_lap_closes() -> None:
    """Four times ten metres ahead and a quarter to the right: corners worked out by hand."""
    lap = se3.trajectory(np.tile([0, 0, 10.0, 0, QUARTER, 0], (4, 1)))
    np.testing.assert_allclose(lap[:, :3, 3], [[0, 0, 0], [0, 0, 10], [10, 0, 10], [10, 0, 0], [0, 0, 0]], atol=1e-13)
    np.testing.assert_allclose(lap[4], np.eye(4), atol=1e-13)


def test_relative_is_the_next_camera_seen_from_this_one() -> None:
    lap = se3.trajectory(np.array([[1.0, 2.0, 3.0, 0.1, 0.2, 0.3], [4.0, 5.0, 6.0, -0.1, 0.5, 0.0]]))
    np.testing.assert_allclose(se3.relative(lap)[1], np.linalg.inv(lap[1]) @ lap[2], atol=1e-13)


@given(TRANSLATIONS, ANGLES)
def test_motion_survives_the_way_to_matrices_and_back(translation: np.ndarray, angles: np.ndarray) -> None:
    motion = np.concatenate([translation, angles], axis=1)
    matrices = se3.matrices_from_motions(motion)
    rotations = matrices[:, :3, :3]
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(se3.motions_from_matrices(matrices), motion, atol=1e-12)


@given(TRANSLATIONS, ANGLES)
def test_trajectory_and_motions_are_inverse(translation: np.ndarray, angles: np.ndarray) -> None:
    motion = np.concatenate([translation, angles], axis=1)
    np.testing.assert_allclose(se3.motions(se3.trajectory(motion)), motion, atol=1e-11)


@pytest.mark.parametrize("pitch", [QUARTER, -QUARTER])
def test_straight_up_and_down_still_give_the_same_matrix(pitch: float) -> None:
    matrix = se3.matrices_from_motions(np.array([1.0, 2.0, 3.0, pitch, 0.4, 0.3]))
    again = se3.matrices_from_motions(se3.motions_from_matrices(matrix))
    np.testing.assert_allclose(again, matrix, atol=1e-12)


def test_compose_begins_at_the_start() -> None:
    start = se3.matrices_from_motions(np.array([5.0, 0, 0, 0, QUARTER, 0]))
    ahead = se3.matrices_from_motions(np.array([[0, 0, 2.0, 0, 0, 0]]))
    path = se3.compose(ahead, start)
    np.testing.assert_array_equal(path[0], start)
    np.testing.assert_allclose(path[1, :3, 3], [7, 0, 0], atol=1e-15)


def test_no_motion_is_one_pose() -> None:
    np.testing.assert_array_equal(se3.trajectory(np.empty((0, 6))), np.eye(4)[None])
    assert se3.motions(np.eye(4)[None]).shape == (0, 6)


def test_rotations_stay_orthonormal_over_a_long_drive_of_rounded_motions() -> None:
    motion = np.random.default_rng(0).normal(0, 0.1, (5000, 6))
    rounded = se3.matrices_from_motions(motion).astype(np.float32)
    last = se3.compose(rounded)[-1, :3, :3]
    np.testing.assert_allclose(last @ last.T, np.eye(3), atol=1e-12)


@given(st.floats(-3.14159, 3.14159), st.sampled_from(["rx", "ry", "rz"]))
def test_rotation_angle_is_the_angle(angle: float, axis: str) -> None:
    np.testing.assert_allclose(se3.rotation_angle(turn(**{axis: angle})), abs(angle), rtol=1e-12, atol=1e-150)


def test_rotation_angle_of_tiny_and_half_turns() -> None:
    np.testing.assert_allclose(se3.rotation_angle(turn(ry=1e-12)), 1e-12, rtol=1e-12)
    np.testing.assert_allclose(se3.rotation_angle(np.diag([-1.0, 1.0, -1.0])), np.pi)
    assert se3.rotation_angle(np.tile(np.eye(3), (2, 7, 1, 1))).shape == (2, 7)


def test_shapes_with_leading_dimensions() -> None:
    motion = np.zeros((2, 3, 6))
    assert se3.matrices_from_motions(motion).shape == (2, 3, 4, 4)
    assert se3.motions_from_matrices(se3.matrices_from_motions(motion)).shape == (2, 3, 6)


def test_defects_by_hand() -> None:
    """A quarter turn has none; twice the length gives 4 - 1; a shear x += y / 2 has 0.5 beside the diagonal."""
    long, shear = np.diag([1.0, 2.0, 1.0]), np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    defects, determinants = se3.rotation_defects(
        np.stack([[turn(rz=QUARTER)], [long], [shear], [np.diag([1.0, 1, -1])]])
    )
    assert defects.shape == determinants.shape == (4, 1)
    np.testing.assert_allclose(defects[:, 0], [0, 3, 0.5, 0], atol=1e-15)
    np.testing.assert_allclose(determinants[:, 0], [1, 2, 1, -1], atol=1e-15)


def test_a_rotation_may_be_rounded_but_not_stretched_or_mirrored() -> None:
    rotation = turn(0.3, -0.7, 1.1)
    assert se3.is_rotation(rotation) and se3.is_rotation(rotation.round(3))
    assert se3.is_rotation(np.diag([1.002, 1, 1]))  # 1.002^2 - 1 = 0.004
    assert not se3.is_rotation(np.diag([1.003, 1, 1]))  # 0.006
    assert not se3.is_rotation(np.diag([1.0, 1, -1])) and not se3.is_rotation(np.diag([0.999, 1, -1]))
    assert not se3.is_rotation(np.zeros((3, 3)))
    assert not se3.is_rotation(rotation[:, [0, 2, 1]])


HALF = 0.5**0.5
HALF_TURNS = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [HALF, HALF, 0, 0], [HALF, 0, HALF, 0], [0, HALF, -HALF, 0]]


def test_half_turns_as_quaternions_by_hand() -> None:
    """About x, y and z: two axes are turned round. About a diagonal: its two axes change places."""
    expected = np.array(
        [
            np.diag([1, -1, -1]),
            np.diag([-1, 1, -1]),
            np.diag([-1, -1, 1]),
            [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
            [[0, 0, 1], [0, -1, 0], [1, 0, 0]],
            [[-1, 0, 0], [0, 0, -1], [0, -1, 0]],
        ]
    )
    np.testing.assert_allclose(rotations_from_quaternions(np.array(HALF_TURNS)), expected, atol=1e-15)
    again = quaternions_from_rotations(expected.astype(np.float64))
    np.testing.assert_allclose(np.abs((again * HALF_TURNS).sum(axis=1)), 1, atol=1e-15)  # up to the sign


@given(arrays(np.float64, (5, 4), elements=st.integers(-9, 9)).filter(lambda q: (np.abs(q).sum(axis=1) > 0).all()))
def test_quaternions_survive_the_way_to_rotations_and_back(quaternions: np.ndarray) -> None:
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    rotations = rotations_from_quaternions(quaternions)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)), atol=1e-14)
    again = quaternions_from_rotations(rotations)
    np.testing.assert_allclose(np.abs((again * quaternions).sum(axis=1)), 1, atol=1e-14)
    assert (again[:, 3] >= 0).all()
