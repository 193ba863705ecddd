"""Direct alignment: images of a textured plane, whose second view is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.direct_alignment import DirectAlignment
from distilvo.models.pose_solver import UNKNOWNS, RelativePose

VIEW = Preprocessing((64, 192), 1, centred=True)
RAYS = VIEW.rays(1)
PLANE = np.array([0.15, 0.8, 0.3])
"""Inverse depth of a ray (u, v, 1), near enough and slanted enough to tell a way from a turn."""
MOTION = np.array([[0.05, -0.02, 0.25, 0.004, -0.01, 0.006]])
HOLD = 1e-3 * torch.eye(UNKNOWNS)[None]


def texture(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey values of the plane where the first camera sees it along (u, v, 1): waves of many directions."""
    rng = np.random.default_rng(0)
    waves = rng.normal(0, 40, (60, 2))
    return 128 + 8 * sum(
        np.sin(a * u + b * v + phase) for (a, b), phase in zip(waves, rng.uniform(0, 6, 60), strict=True)
    )


def images(motion: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Both views, (1, 1, H, W): a point on the plane goes from x to (R + t n^T) x."""
    back = np.linalg.inv(se3.matrices_from_motions(motion))[0]
    homography = back[:3, :3] + np.outer(back[:3, 3], PLANE)
    rays = np.concatenate([RAYS, np.ones_like(RAYS[:1])])
    origin = np.einsum("ij,jhw->ihw", np.linalg.inv(homography), rays)
    views = texture(*RAYS), texture(*(origin[:2] / origin[2]))
    return tuple(torch.from_numpy(one).float()[None, None] for one in views)  # type: ignore[return-value]


def maps(weight: float = 1.0, road: float = 0.0, depth: float = 1.0, doubt: float = 0.0) -> Tensor:
    """Inverse depth, road, doubt and weight of grey values in cells, (1, 4, h, w); the outermost weigh nothing."""
    u, v = VIEW.rays(8)
    rho = depth * (PLANE[0] * u + PLANE[1] * v + PLANE[2])
    counts = np.zeros_like(rho)
    counts[1:-1, 1:-1] = weight
    return torch.from_numpy(np.stack([rho, road + 0 * rho, doubt + 0 * rho, counts])).float()[None]


def pose_of(motion: NDArray[np.float64]) -> RelativePose:
    back = torch.from_numpy(np.linalg.inv(se3.matrices_from_motions(motion))).float()
    return RelativePose(back[:, :3, :3], back[:, :3, 3:], torch.zeros(1, 2))


def aligned(
    alignment: DirectAlignment, seen: Tensor, start: NDArray[np.float64], normal: Tensor = HOLD, **more: int
) -> RelativePose:
    return refined(alignment, images(MOTION), seen, pose_of(start), normal, **more)[0]


def refined(
    alignment: DirectAlignment, views: tuple[Tensor, Tensor], *given: Tensor | RelativePose, **more: int
) -> tuple[RelativePose, Tensor]:
    """Poses and normal equations of pairs of images."""
    before, after = (alignment.look(view) for view in views)
    return alignment(before.points, after, *given, **more)  # type: ignore[no-any-return]


START = MOTION + np.array([[0.02, 0.01, -0.04, 0.003, 0.002, -0.003]])


@pytest.mark.parametrize("block", [2, 4, 8])
def test_the_images_tell_the_motion(block: int) -> None:
    """From an error of half a pixel to one of some hundredths."""
    pose = aligned(DirectAlignment(VIEW, block), maps(), START, iterations=5)
    off = (pose.motion.numpy() - MOTION)[0]
    assert np.abs(off[3:]).max() < 2e-4 and np.abs(off[:3]).max() < 5e-4, off


def test_the_motion_of_the_flow_stays_in_the_equations() -> None:
    """Where grey values weigh nothing, or the flow is sure, its motion comes out; between, what lies between."""
    alignment = DirectAlignment(VIEW, 4)
    unmoved = aligned(alignment, maps(weight=0.0), START)
    np.testing.assert_allclose(unmoved.motion, START, atol=1e-6)
    sure = aligned(alignment, maps(), START, 1e9 * torch.eye(UNKNOWNS)[None])
    np.testing.assert_allclose(sure.motion, START, atol=3e-4)
    yaws = [float(aligned(alignment, maps(), START, w * torch.eye(UNKNOWNS)[None]).motion[0, 4]) for w in (1, 1e6, 1e9)]
    assert yaws[0] < yaws[1] < yaws[2]


def test_depths_that_are_doubted_give_no_length() -> None:
    """All inverse depths half of the true ones: trusted, the way comes out twice as long; doubted, it stays."""
    alignment, start = DirectAlignment(VIEW, 4), MOTION + np.array([[0, 0, 0, 0.003, 0.002, -0.003]])
    hold = torch.diag(torch.tensor([1.0] * 3 + [1e-3] * 5))[None]
    trusted, doubted = (
        aligned(alignment, maps(depth=0.5, doubt=doubt), start, hold, iterations=8) for doubt in (0, 1e3)
    )
    np.testing.assert_allclose(trusted.motion[:, :3], 2 * MOTION[:, :3], atol=3e-3)
    np.testing.assert_allclose(doubted.motion[:, :3], MOTION[:, :3], atol=1e-2)


def test_the_tilt_of_the_road_is_found() -> None:
    """Depths as of a wall that leans less; the lengths are held by the flow."""
    lean, hold = 0.03, torch.diag(torch.tensor([1e6] * 3 + [1e-3] * 5))[None]
    seen = maps(road=1.0)
    seen[:, 0] -= lean
    pose = aligned(DirectAlignment(VIEW, 4), seen, MOTION, hold, iterations=5)
    np.testing.assert_allclose(pose.tilt, [[lean, 0]], atol=1e-3)


def test_another_exposure_of_the_second_image_changes_little() -> None:
    """An auto-exposure that jumps, and a bright sky that comes into view."""
    alignment, (before, after) = DirectAlignment(VIEW, 4), images(MOTION)
    exposed = 1.2 * after - 20
    exposed[..., :8, :] = 255
    whole = [
        refined(alignment, (before, b), maps(), pose_of(START), HOLD, iterations=6)[0].motion for b in (after, exposed)
    ]
    assert (whole[0] - whole[1]).abs().max() < 2e-3
    flat = torch.full((1, 1, 64, 192), 77.0)
    unmoved, _ = refined(alignment, (flat, flat + 20), maps(), pose_of(START), HOLD, iterations=6)
    np.testing.assert_allclose(unmoved.motion, START, atol=1e-6)


def test_of_pixels_with_the_same_gradient_the_first_is_taken_in_any_precision() -> None:
    """Bytes have many such pixels; which of them counts must not hang on the last digit of a mean."""
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, 1, 64, 192)).cumsum(3)).float()
    alignment = DirectAlignment(VIEW, 8)
    shifted = image.roll(1, 3)
    _, rough = refined(alignment, (image, shifted), maps(), pose_of(START), HOLD)
    start = RelativePose(*(part.double() for part in pose_of(START)))
    _, fine = refined(alignment.double(), (image.double(), shifted.double()), maps().double(), start, HOLD.double())
    torch.testing.assert_close(rough.double(), fine, rtol=1e-3, atol=1e-2)


def test_a_point_is_the_pixel_of_largest_gradient_of_its_block() -> None:
    """Ten bright columns, 90 to 99: of each row of blocks three points, in the columns 89, 99 and 100.

    Their slope is half a grey value by pixel, in relation to a contrast of sqrt(p (1 - p)), p = 10 / 192, and 4 more;
    yaw moves a point at u by 1 + u^2 focal lengths. The weights of the rows, which fade over half a cell at the
    outermost cells, sum up to 12.
    """
    alignment, image, still = DirectAlignment(VIEW, 4), torch.zeros(1, 1, 64, 192), pose_of(np.zeros((1, 6)))
    _, empty = refined(alignment, (image, image), maps(), still, HOLD, iterations=1)
    np.testing.assert_allclose(empty, HOLD, atol=1e-9)
    image[..., 90:100] = 1
    _, normal = refined(alignment, (image, image), maps(), still, HOLD, iterations=1)
    focal, u = VIEW.intrinsics[0, 0], RAYS[0, 0, [89, 99, 100]]
    slope = 0.5 / (np.sqrt(10 / 192 * 182 / 192) + 4)
    assert float(normal[0, 4, 4]) == pytest.approx(12 * ((slope * focal * (1 + u**2)) ** 2).sum(), rel=1e-4)


def test_gradients_reach_the_maps_and_the_pose() -> None:
    alignment, seen = DirectAlignment(VIEW, 4), maps(road=0.5, doubt=0.2).requires_grad_()
    start = pose_of(START)
    shift = start.shift.clone().requires_grad_()
    before, after = images(MOTION)
    pose, _ = refined(alignment, (before, after), seen, start._replace(shift=shift), HOLD)
    pose.motion.square().sum().backward()
    assert seen.grad is not None and shift.grad is not None and shift.grad.isfinite().all()
    assert all(seen.grad[:, part].abs().max() > 0 for part in range(4)) and seen.grad.isfinite().all()
