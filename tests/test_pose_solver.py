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
from distilvo.models.pose_solver import Points, project, solve_flow, tilted

RAYS = Preprocessing((96, 320), 1, centred=True).rays(8)
SMALL_RAYS = Preprocessing((32, 96), 1, centred=True).rays(8)
FIRM = torch.ones(1, 2, dtype=torch.float64)


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
    return motions, [torch.tensor(values, dtype=dtype) for values in (place[:, :2] - rays, rho, weight)]


def solve(
    flow: Tensor,
    rho: Tensor,
    weight: Tensor,
    rays: NDArray[np.float64] = RAYS,
    iterations: int = 3,
    road: Tensor | None = None,
    doubt: Tensor | None = None,
    firmness: Tensor = FIRM,
) -> tuple[Tensor, Tensor, Tensor]:
    """Motion (N, 6), normal matrix, and tilt of a scene in maps, (N, 2, h, w) and (N, h, w)."""
    road, doubt = (torch.zeros_like(rho) if part is None else part for part in (road, doubt))
    own = torch.tensor(rays, dtype=flow.dtype).flatten(1)[None]
    points = Points(own, *(part.flatten(1)[:, None] for part in (rho, road, doubt)))
    pose, normal = solve_flow(flow.flatten(2), weight.flatten(2), points, firmness.to(flow.dtype), iterations)
    return pose.motion, normal, pose.tilt


def tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values)


@pytest.mark.parametrize(("far", "dtype"), [(2.0, torch.float32), (2.0, torch.float64), (3.6, torch.float32)])
def test_exact_flow_gives_the_motion(far: float, dtype: torch.dtype) -> None:
    """3.6 camera heights are two frames at 30 m/s."""
    motions, maps = scene(0, 100, far, dtype=dtype)
    motion, _, tilt = solve(*maps)
    assert motion.dtype == dtype and not tilt.any()
    np.testing.assert_allclose(motion, motions, atol=2e-6 if dtype == torch.float64 else 2e-5)


def test_a_motion_by_hand() -> None:
    """One height forward towards a wall 4 heights away: its image grows by a third; then a yaw of 0.02 rad alone."""
    rays, rho = tensor(RAYS)[None], torch.full((1, *RAYS.shape[1:]), 0.25, dtype=torch.float64)
    forward, *_ = solve(rays / 3, rho, torch.ones_like(rays))
    np.testing.assert_allclose(forward, [[0, 0, 1, 0, 0, 0]], atol=1e-6)
    u, v = RAYS
    angle = np.arctan(u) - 0.02  # the camera turns right, the scene goes left
    turned = np.stack([np.tan(angle), v * np.cos(np.arctan(u)) / np.cos(angle)])
    yaw, *_ = solve(tensor(turned - RAYS)[None], rho, torch.ones_like(rays))
    np.testing.assert_allclose(yaw, [[0, 0, 0, 0, 0.02, 0]], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 1e4))
def test_a_factor_of_all_weights_changes_nothing(seed: int, factor: float) -> None:
    _, (flow, rho, weight) = scene(seed)
    torch.manual_seed(seed)
    noisy = flow + 0.002 * torch.randn_like(flow)
    one, other = (solve(noisy, rho, 1000 * weight * by, iterations=6)[0] for by in (1, factor))
    np.testing.assert_allclose(one, other, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-1, 1))
def test_what_weighs_nothing_has_no_influence(seed: int, size: float) -> None:
    _, (flow, rho, weight) = scene(seed)
    chosen = torch.from_numpy(np.random.default_rng(seed).random(flow.shape) < 0.3)
    weight[chosen] = 0
    wild = torch.where(chosen, flow + size, flow)
    assert torch.equal(solve(flow, rho, weight)[0], solve(wild, rho, weight)[0])


def test_the_weighted_minimum_is_found() -> None:
    """Of noisy flow: no small change of the motion comes closer to it."""
    _, (flow, rho, weight) = scene(3, far=1.0)
    flow = flow + 0.01 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    motion = solve(flow, rho, weight, iterations=8)[0].numpy()

    def cost(motion: NDArray[np.float64]) -> float:
        off = projected(RAYS, rho.numpy(), motion)[:, :2] - RAYS - flow.numpy()
        return float((weight.numpy() * off**2).sum())

    at_minimum, changes = cost(motion), 1e-3 * np.concatenate([np.eye(6), -np.eye(6)])
    assert all(cost(motion + change) > at_minimum for change in changes)


def test_no_weight_is_no_motion_and_pairs_are_alone() -> None:
    motions, (flow, rho, weight) = scene(1, 3)
    weight[1] = 0
    motion, normal, _ = solve(flow, rho, weight)
    expected = torch.diag(torch.tensor([1e-3] * 6 + [1.0] * 2, dtype=torch.float64))
    assert motion[1].abs().max() == 0 and torch.equal(normal[1], expected)
    np.testing.assert_allclose(motion[[0, 2]], motions[[0, 2]], atol=1e-5)


def road_scene(pitch: float, roll: float) -> tuple[NDArray[np.float64], Tensor, Tensor, Tensor]:
    """A motion over a flat road that a camera sees with a tilt: flow, inverse depth without it, and where road is."""
    motion = np.array([[0.02, -0.03, 0.8, 0.01, -0.02, 0.005]])
    road = RAYS[1] > 0.06
    level = np.where(road, RAYS[1], 0.02)[None]
    flow = projected(RAYS, level + road * (pitch + roll * RAYS[0]), motion)[:, :2] - RAYS
    return motion, tensor(flow), tensor(level), tensor(road[None].astype(np.float64))


def test_the_tilt_of_the_road_is_solved_for() -> None:
    """A pitch of 1.7 degrees that nobody tells makes all lengths wrong by a seventh, unless the road may tilt."""
    motion, flow, level, road = road_scene(0.03, -0.02)
    weight = 1e6 * torch.ones_like(flow)
    moved, _, tilt = solve(flow, level, weight, road=road, iterations=6)
    np.testing.assert_allclose(moved, motion, atol=1e-5)
    np.testing.assert_allclose(tilt, [[0.03, -0.02]], atol=1e-5)
    firm, _, tilt = solve(flow, level, weight, road=road, firmness=1e15 * FIRM)
    assert tilt.abs().max() < 1e-6 and abs(float(firm[0, 2]) / 0.8 - 1) > 0.14


def test_tilted_by_hand() -> None:
    """At u = 0.5 a pitch of 0.03 and a roll of 0.02 add 0.04 on the road, half of it half on it; none is below 0."""
    rays = torch.tensor([[[0.5, 0.5, 0.0]], [[0.2, 0.2, 0.0]]]).transpose(0, 1)
    points = Points(rays, torch.tensor([[[0.2, 0.2, 0.01]]]), torch.tensor([[[1.0, 0.5, 1.0]]]), torch.zeros(1, 1, 3))
    np.testing.assert_allclose(tilted(points, torch.tensor([[0.03, 0.02]])), [[[0.24, 0.22, 0.04]]], atol=1e-7)
    assert tilted(points, torch.tensor([[-0.03, 0.0]]))[0, 0, 2] == 0


def test_doubted_depths_tell_rotation_and_direction_but_no_length() -> None:
    """Two thirds of all inverse depths are a third too large. Doubted they do no harm; trusted they do."""
    motions, (flow, rho, weight) = scene(4, far=1.0)
    wrong = torch.from_numpy(np.random.default_rng(4).random(rho.shape) < 0.67)
    bent = torch.where(wrong, rho / 0.75, rho)
    doubted, *_ = solve(flow, bent, weight, doubt=1e4 * wrong, iterations=8)
    np.testing.assert_allclose(doubted, motions, atol=1e-4)
    assert np.abs(solve(flow, bent, weight, iterations=8)[0].numpy() - motions).max() > 0.05
    all_doubted, *_ = solve(flow, rho / 0.75, weight, doubt=torch.full_like(rho, 1e4), iterations=8)
    np.testing.assert_allclose(all_doubted[:, 3:], motions[:, 3:], atol=1e-3)


def test_doubt_is_the_marginal_over_inverse_depths() -> None:
    """The same as to solve for all inverse depths together with the motion, each drawn to its first value."""
    _, (flow, rho, weight) = scene(8, far=0.5, rays=SMALL_RAYS)
    generator = torch.Generator().manual_seed(2)
    flow = flow + 1e-4 * torch.randn(flow.shape, generator=generator, dtype=torch.float64)
    weight, doubt = 100 * weight, torch.full_like(rho, 0.2)
    motion, *_ = solve(flow, rho, weight, SMALL_RAYS, 8, doubt=doubt)
    joint, change = motion.clone().requires_grad_(), torch.zeros_like(rho).requires_grad_()
    points = torch.cat([tensor(SMALL_RAYS), torch.ones_like(rho)])
    optimiser = torch.optim.LBFGS([joint, change], max_iter=500, tolerance_grad=1e-13, tolerance_change=1e-16)

    def cost() -> Tensor:
        optimiser.zero_grad()
        back = torch.linalg.inv(se3_matrix(joint[0]))
        moved = torch.einsum("ij,jhw->ihw", back[:3, :3], points) + (rho + change) * back[:3, 3, None, None]
        off = moved[:2] / moved[2:] - tensor(SMALL_RAYS) - flow[0]
        total = 1e6 * ((weight[0] * off**2).sum() + (change / doubt).square().sum() + 1e-9 * joint.square().sum())
        total.backward()
        return total

    optimiser.step(cost)  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(motion, joint.detach(), atol=3e-6)


def se3_matrix(motion: Tensor) -> Tensor:
    """The matrix (4, 4) of one motion (6,), with derivatives: se3's Y X Z order, checked against it."""
    (x, y, z), zero, one = motion[3:], torch.zeros((), dtype=motion.dtype), torch.ones((), dtype=motion.dtype)
    (cx, sx), (cy, sy), (cz, sz) = ((a.cos(), a.sin()) for a in (x, y, z))
    yaw = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy]).reshape(3, 3)
    pitch = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx]).reshape(3, 3)
    roll = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one]).reshape(3, 3)
    turned = torch.cat([yaw @ pitch @ roll, motion[:3, None]], 1)
    matrix = torch.cat([turned, torch.tensor([[0, 0, 0, 1]], dtype=motion.dtype)])
    np.testing.assert_allclose(matrix.detach(), se3.matrices_from_motions(motion.detach().numpy()[None])[0], atol=1e-12)
    return matrix


def test_wild_flow_gives_finite_motions() -> None:
    torch.manual_seed(0)
    rho = torch.rand(20, *RAYS.shape[1:])
    flow = torch.randn(20, 2, *RAYS.shape[1:]).requires_grad_()
    motion, *_ = solve(flow, rho, 80 * torch.ones_like(flow), road=torch.rand_like(rho), doubt=torch.rand_like(rho))
    assert motion.isfinite().all()
    motion.sum().backward()
    assert flow.grad is not None and flow.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences() -> None:
    _, (flow, rho, weight) = scene(5, 2, 0.5, SMALL_RAYS)
    flow = flow + 0.003 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    road, doubt = 0.2 + 0.5 * rho.detach(), 0.1 + rho.detach()
    firmness = torch.tensor([[0.5, 0.8]], dtype=torch.float64)
    inputs = [values.requires_grad_() for values in (flow, rho, 0.1 + weight.detach(), road, doubt, firmness)]

    def motions(flow: Tensor, rho: Tensor, weight: Tensor, road: Tensor, doubt: Tensor, firm: Tensor) -> Tensor:
        return solve(flow, rho, weight, SMALL_RAYS, road=road, doubt=doubt, firmness=firm)[0]

    assert torch.autograd.gradcheck(motions, inputs, atol=1e-6, rtol=1e-4, fast_mode=True)


def test_the_normal_matrix_is_that_of_numerical_derivatives() -> None:
    """J^T W J of the image by t and R of the map to the next camera, and by the tilt; the prior is on the diagonal."""
    motions, (flow, rho, weight) = scene(7, rays=SMALL_RAYS, far=1.0)
    road = torch.rand(rho.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, normal, tilt = solve(flow, rho, weight, SMALL_RAYS, 5, road=road)
    to_next = np.linalg.inv(se3.matrices_from_motions(motions))[0]
    points = np.concatenate([SMALL_RAYS, np.ones_like(SMALL_RAYS[:1])]).reshape(3, -1)
    assert tilt.abs().max() < 1e-6

    def image(change: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = change[3:6]
        turn = np.array([[1, -z, y], [z, 1, -x], [-y, x, 1]])
        shift = turn @ to_next[:3, 3:] + change[:3, None]
        depth = rho.numpy().ravel() + road.numpy().ravel() * (change[6] + change[7] * points[0])
        moved = turn @ to_next[:3, :3] @ points + depth * shift
        return (moved[:2] / moved[2]).ravel()

    step = 1e-5
    jacobian = np.stack([(image(step * axis) - image(-step * axis)) / (2 * step) for axis in np.eye(8)], 1)
    expected = jacobian.T @ (weight.numpy().ravel()[:, None] * jacobian) + np.diag([1e-3] * 6 + [1.0] * 2)
    np.testing.assert_allclose(normal[0], expected, rtol=1e-5, atol=1e-5)


def test_derivatives_by_depth_are_those_of_finite_differences() -> None:
    motions, (flow, rho, weight) = scene(9, rays=SMALL_RAYS, far=1.0)
    own, none = tensor(SMALL_RAYS).flatten(1)[None], torch.zeros_like(rho).flatten(1)[:, None]
    pose, _ = solve_flow(flow.flatten(2), weight.flatten(2), Points(own, rho.flatten(1)[:, None], none, none), FIRM, 6)
    np.testing.assert_allclose(pose.motion, motions, atol=1e-5)
    nearer, farther = (
        project(Points(own, rho.flatten(1)[:, None] + by, none, none), pose).seen for by in (1e-6, -1e-6)
    )
    by_depth = project(Points(own, rho.flatten(1)[:, None], none, none), pose).by_depth
    np.testing.assert_allclose(by_depth, (nearer - farther) / 2e-6, rtol=1e-4, atol=1e-6)
