"""The motion from flow and inverse depth: against the numpy geometry, and against numerical derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.pose_solver import solve_pose

RAYS = Preprocessing((96, 320), 1, centred=True).rays(8)
SMALL_RAYS = Preprocessing((32, 96), 1, centred=True).rays(8)


def projected(rays: NDArray[np.float64], rho: NDArray[np.float64], motions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the next camera sees each cell, (N, 2, h, w), and behind it the depths as a third row."""
    back = np.linalg.inv(se3.matrices_from_motions(motions))
    points = np.concatenate([rays, np.ones_like(rays[:1])])
    moved = np.einsum("nij,jhw->nihw", back[:, :3, :3], points) + rho[:, None] * back[:, :3, 3, None, None]
    return np.concatenate([moved[:, :2] / moved[:, 2:], moved[:, 2:]], 1)


def scene(
    seed: int, count: int = 1, far: float = 2.0, rays: NDArray[np.float64] = RAYS, dtype: torch.dtype = torch.float64
) -> tuple[NDArray[np.float64], list[Tensor]]:
    """Motions (N, 6) of up to ``far`` camera heights and 5 degrees, and flow, inverse depth and weight of them.

    Cells that leave the image weigh nothing.
    """
    rng = np.random.default_rng(seed)
    way = rng.uniform(-1, 1, (count, 3)) * [0.1 * far, 0.1 * far, far]
    motions = np.concatenate([way, np.radians(rng.uniform(-5, 5, (count, 3)))], 1)
    rho = rng.uniform(0, 0.3, (count, *rays.shape[1:]))
    place = projected(rays, rho, motions)
    seen = (np.abs(place[:, :2]) < 1.05 * np.abs(rays).max((1, 2))[:, None, None]).all(1) & (place[:, 2] > 0.05)
    weight = rng.uniform(0.5, 2, (count, 2, *rays.shape[1:])) * seen[:, None]
    return motions, [torch.tensor(values, dtype=dtype) for values in (place[:, :2] - rays, rho[:, None], weight)]


def tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values)


@pytest.mark.parametrize(("far", "dtype"), [(2.0, torch.float32), (2.0, torch.float64), (3.6, torch.float32)])
def test_exact_flow_gives_the_motion(far: float, dtype: torch.dtype) -> None:
    """3.6 camera heights are two frames at 30 m/s."""
    motions, maps = scene(0, 100, far, dtype=dtype)
    found, _ = solve_pose(*maps, tensor(RAYS).to(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, motions, atol=2e-6 if dtype == torch.float64 else 2e-5)


def test_a_motion_by_hand() -> None:
    """One height forward towards a wall 4 heights away: its image grows by a third; then a yaw of 0.02 rad alone."""
    rays, rho = tensor(RAYS)[None], torch.full((1, 1, *RAYS.shape[1:]), 0.25, dtype=torch.float64)
    forward, _ = solve_pose(rays / 3, rho, torch.ones_like(rays), rays[0])
    np.testing.assert_allclose(forward, [[0, 0, 1, 0, 0, 0]], atol=1e-6)
    u, v = RAYS
    angle = np.arctan(u) - 0.02  # the camera turns right, the scene goes left
    turned = np.stack([np.tan(angle), v * np.cos(np.arctan(u)) / np.cos(angle)])
    yaw, _ = solve_pose(tensor(turned - RAYS)[None], rho, torch.ones_like(rays), rays[0])
    np.testing.assert_allclose(yaw, [[0, 0, 0, 0, 0.02, 0]], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 1e4))
def test_a_factor_of_all_weights_changes_nothing(seed: int, factor: float) -> None:
    _, (flow, rho, weight) = scene(seed)
    torch.manual_seed(seed)
    noisy = flow + 0.002 * torch.randn_like(flow)
    found, other = (solve_pose(noisy, rho, 1000 * weight * by, tensor(RAYS), 6)[0] for by in (1, factor))
    np.testing.assert_allclose(found, other, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 1))
def test_what_weighs_nothing_has_no_influence(seed: int, size: float) -> None:
    _, (flow, rho, weight) = scene(seed)
    chosen = torch.from_numpy(np.random.default_rng(seed).random(flow.shape) < 0.3)
    weight[chosen] = 0
    wild = torch.where(chosen, flow + size, flow)
    assert torch.equal(solve_pose(flow, rho, weight, tensor(RAYS))[0], solve_pose(wild, rho, weight, tensor(RAYS))[0])


def test_the_weighted_minimum_is_found() -> None:
    """Of noisy flow: no small change of the motion comes closer to it."""
    _, (flow, rho, weight) = scene(3, far=1.0)
    flow = flow + 0.01 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = solve_pose(flow, rho, weight, tensor(RAYS), 8)[0].numpy()

    def cost(motion: NDArray[np.float64]) -> float:
        off = projected(RAYS, rho[:, 0].numpy(), motion)[:, :2] - RAYS - flow.numpy()
        return float((weight.numpy() * off**2).sum())

    at_minimum, changes = cost(found), 1e-3 * np.concatenate([np.eye(6), -np.eye(6)])
    assert all(cost(found + change) > at_minimum for change in changes)


def test_no_weight_is_no_motion_and_pairs_are_alone() -> None:
    motions, (flow, rho, weight) = scene(1, 3)
    weight[1] = 0
    found, normal = solve_pose(flow, rho, weight, tensor(RAYS))
    assert found[1].abs().max() == 0 and torch.equal(normal[1], 1e-3 * torch.eye(6, dtype=torch.float64))
    np.testing.assert_allclose(found[[0, 2]], motions[[0, 2]], atol=1e-5)


def test_wild_flow_gives_finite_motions() -> None:
    torch.manual_seed(0)
    rho = torch.rand(20, 1, *RAYS.shape[1:])
    maps = [torch.randn(20, 2, *RAYS.shape[1:]).requires_grad_(), rho, 80 * torch.ones(20, 2, *RAYS.shape[1:])]
    found, _ = solve_pose(*maps, tensor(RAYS).float())
    assert found.isfinite().all()
    found.sum().backward()
    assert maps[0].grad is not None and maps[0].grad.isfinite().all()


def test_gradients_are_those_of_finite_differences() -> None:
    _, (flow, rho, weight) = scene(5, 2, 0.5, SMALL_RAYS)
    flow = flow + 0.003 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = [values.requires_grad_() for values in (flow, rho, 0.1 + weight.detach())]
    assert torch.autograd.gradcheck(
        lambda *maps: solve_pose(*maps, tensor(SMALL_RAYS)), inputs, atol=1e-6, rtol=1e-4, fast_mode=True
    )


def test_the_normal_matrix_is_that_of_numerical_derivatives() -> None:
    """J^T W J of the image by t and R of the map to the next camera; the prior is on the diagonal."""
    motions, (flow, rho, weight) = scene(7, rays=SMALL_RAYS, far=1.0)
    _, normal = solve_pose(flow, rho, weight, tensor(SMALL_RAYS), 5)
    to_next = np.linalg.inv(se3.matrices_from_motions(motions))[0]
    points = np.concatenate([SMALL_RAYS, np.ones_like(SMALL_RAYS[:1])]).reshape(3, -1)

    def image(change: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = change[3:]
        turn = np.array([[1, -z, y], [z, 1, -x], [-y, x, 1]])
        shift = turn @ to_next[:3, 3:] + change[:3, None]
        moved = turn @ to_next[:3, :3] @ points + rho.numpy().ravel() * shift
        return (moved[:2] / moved[2]).ravel()

    step = 1e-5
    jacobian = np.stack([(image(step * axis) - image(-step * axis)) / (2 * step) for axis in np.eye(6)], 1)
    expected = jacobian.T @ (weight.numpy().ravel()[:, None] * jacobian) + 1e-3 * np.eye(6)
    np.testing.assert_allclose(normal[0], expected, rtol=1e-5, atol=1e-5)
