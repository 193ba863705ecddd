"""Covariance of poses: worked by hand, against Monte Carlo, and in the form of the adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.geometry import se3
from distilvo.geometry.pose_covariance import propagated

START = np.zeros((6, 6))


def along(motions: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Last pose and its covariance."""
    pose, covariance = np.eye(4), START
    for motion, deviation in zip(motions, deviations, strict=True):
        covariance = propagated(covariance, pose, motion, deviation)
        pose = se3.compose(se3.matrices_from_motions(motion)[None], pose)[1]
    return pose, covariance


def errors_of(poses: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Errors (N, 6) of poses: of the position, and the turn about fixed axes that takes the middle to each of them."""
    turns = poses[:, :3, :3] @ middle[:3, :3].T
    skew = np.stack([turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0], turns[:, 1, 0] - turns[:, 0, 1]])
    return np.concatenate([poses[:, :3, 3] - middle[:3, 3], skew.T / 2], axis=1)


def test_straight_on_by_hand() -> None:
    """Two steps of 10 m: a turn of 0.01 rad in the first one moves the second one's end by 0.1 m to the side."""
    steps = np.tile([0.0, 0, 10, 0, 0, 0], (2, 1))
    yaw = np.zeros((2, 6))
    yaw[:, 4] = 0.01
    _, covariance = along(steps, yaw)
    expected = np.zeros((6, 6))
    expected[0, 0], expected[4, 4] = 0.1**2, 2 * 0.01**2
    expected[0, 4] = expected[4, 0] = 0.1 * 0.01  # to the right where it turned right
    assert np.allclose(covariance, expected, atol=1e-12)


def test_lengths_add_up_in_squares_along_the_way() -> None:
    _, covariance = along(np.tile([0.0, 0, 1, 0, 0, 0], (25, 1)), np.tile([0.0, 0, 0.2, 0, 0, 0], (25, 1)))
    assert covariance[2, 2] == pytest.approx(1.0) and np.count_nonzero(covariance) == 1


def test_after_a_turn_to_the_right_forward_is_x_of_the_world() -> None:
    turn, forward = [0, 0, 0, 0, np.pi / 2, 0], [0, 0, 1, 0, 0, 0]
    none, length = np.zeros(6), np.array([0, 0, 0.5, 0, 0, 0])
    _, covariance = along(np.array([turn, forward], float), np.array([none, length]))
    assert covariance[0, 0] == pytest.approx(0.25) and covariance[2, 2] == pytest.approx(0.0, abs=1e-12)


def test_as_monte_carlo_finds_it() -> None:
    rng = np.random.default_rng(0)
    motions = rng.normal(0, [0.2, 0.1, 1.0, 0.1, 0.25, 0.1], (12, 6))
    deviations = rng.uniform(0.5, 1.5, (12, 6)) * [0.02, 0.02, 0.05, 0.002, 0.004, 0.003]
    pose, covariance = along(motions, deviations)
    drawn = np.tile(np.eye(4), (20_000, 1, 1))
    for motion, deviation in zip(motions, deviations, strict=True):
        drawn = drawn @ se3.matrices_from_motions(motion + rng.normal(0, 1, (len(drawn), 6)) * deviation)
    found = np.cov(errors_of(drawn, pose).T)
    scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    assert np.abs((found - covariance) / scale).max() < 0.04
    assert np.abs(covariance / scale - np.eye(6)).max() > 0.3  # there are correlations to be found


@given(st.integers(0, 10_000))
def test_is_the_step_of_the_adjoint_turned_into_the_world(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose, motion = se3.matrices_from_motions(rng.normal(0, 0.7, (2, 6)))[0], rng.normal(0, 0.5, 6)
    deviation, root = rng.uniform(0, 1, 6), rng.normal(0, 1, (6, 6))
    step = se3.matrices_from_motions(motion)
    inverse = np.linalg.inv(step)
    x, y, z = inverse[:3, 3]
    adjoint = np.kron(np.eye(2), inverse[:3, :3])
    adjoint[:3, 3:] = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ inverse[:3, :3]
    tiny = 1e-6 * np.eye(6)
    changed = inverse @ se3.matrices_from_motions(motion + tiny)  # the Jacobian by differences
    jacobian = np.array([[*one[:3, 3], one[2, 1], one[0, 2], one[1, 0]] for one in changed]).T / 1e-6
    own = adjoint @ (root @ root.T) @ adjoint.T + jacobian @ np.diag(deviation**2) @ jacobian.T
    before, after = (np.kron(np.eye(2), one[:3, :3]) for one in (pose, pose @ step))
    covariance = propagated(before @ root @ root.T @ before.T, pose, motion, deviation)
    assert np.allclose(covariance, after @ own @ after.T, atol=1e-4 * np.abs(covariance).max())


@given(st.integers(0, 10_000))
def test_stays_a_covariance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, covariance = along(rng.normal(0, 0.5, (30, 6)).astype(np.float32), rng.uniform(0, 0.1, (30, 6)).astype("f4"))
    assert covariance.dtype == np.float64 and np.array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9 * np.abs(covariance).max()
