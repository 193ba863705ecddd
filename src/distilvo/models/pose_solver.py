"""The camera's motion from optical flow and inverse depth: weighted least squares, differentiable and exportable.

A pixel with the ray x = (u, v, 1) and the inverse depth rho is seen by the next camera along R x + rho t. Gauss-Newton
finds the R and t whose flow is closest to a network's, each of its components weighed by the network's confidence. So
the network need not learn geometry, and the sum over all cells averages the errors of the single ones. Gradients go
through all iterations.

The first step is that of the equations (X - x' Z) / Z = 0 for the target x', which are linear in t; from standing still
the tangent of the image itself leads astray where the camera goes further than its height.

Lengths are in units of the camera's height, as the inverse depths are; rays and flow are in units of the focal length.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 3
"""After the first one the motion is off by up to some hundredths, after three it is exact to float32."""

_PRIOR = 1e-3
"""Added to the diagonal of the normal equations: without any confidence the camera stands still."""

_NEAREST = 0.05
"""Camera heights: no cell may come closer to the next camera; the quotient would have no meaning."""


def solve_pose(
    flow: Tensor, inverse_depth: Tensor, weight: Tensor, rays: Tensor, iterations: int = ITERATIONS
) -> tuple[Tensor, Tensor]:
    """The motion that explains a flow best.

    Args:
        flow: (N, 2, H, W) across and down, in focal lengths.
        inverse_depth: (N, 1, H, W), 1 / camera heights, 0 for infinitely far.
        weight: (N, 2, H, W) of each flow component, 0 or more: the inverse of its variance, up to a factor.
        rays: (2, H, W) u and v of each cell, in focal lengths.
        iterations: Gauss-Newton steps from standing still.

    Returns:
        Motions (N, 6) [camera heights, rad] as ``geometry.se3`` defines them, and the matrix of the normal equations at
        the solution, (N, 6, 6) in the order t, R of the map to the next camera.
    """
    u, v = rays.flatten(1)
    points = torch.stack([u, v, torch.ones_like(u)])
    target = torch.stack([u, v]) + flow.flatten(2)
    rho = inverse_depth.flatten(1)
    weight = weight.flatten(2)
    rotation = torch.eye(3, dtype=flow.dtype, device=flow.device).expand(len(flow), 3, 3)
    shift = torch.zeros(len(flow), 3, 1, dtype=flow.dtype, device=flow.device)
    prior = _PRIOR * torch.eye(6, dtype=flow.dtype, device=flow.device)
    normal = prior.expand(len(flow), 6, 6)
    for number in range(iterations):
        moved = rotation @ points + rho[:, None] * shift
        inverse = 1 / moved[:, 2].clamp_min(_NEAREST)
        seen = moved[:, :2] * inverse[:, None]
        jacobian = _jacobian(seen, rho * inverse, seen if number else target)
        weighed = jacobian * weight[:, :, None]
        normal = (weighed @ jacobian.transpose(2, 3)).sum(1) + prior
        right = (weighed * (target - seen)[:, :, None]).sum((1, 3))
        step = _solve(normal, right)
        turn = _rotation(step[:, 3:])
        rotation, shift = turn @ rotation, turn @ shift + step[:, :3, None]
    return _motion(rotation, shift), normal


def _jacobian(seen: Tensor, near: Tensor, at: Tensor) -> Tensor:
    """Jacobians (N, 2, 6, P) by t and R, of images ``seen`` (N, 2, P) of points of the inverse depth ``near`` (N, P).

    They are those of the image where ``at`` is ``seen``; where it is the target x', those of (X - x' Z) / Z.
    """
    (a, b), (across, down), zero = seen.unbind(1), at.unbind(1), torch.zeros_like(near)
    return torch.stack([
        torch.stack([near, zero, -across * near, -across * b, 1 + across * a, -b], 1),
        torch.stack([zero, near, -down * near, -1 - down * b, down * a, a], 1),
    ], 1)  # fmt: skip


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve (N, 6, 6) x = (N, 6) for positive definite matrices: Gauss-Jordan, as ONNX has no solver."""
    rows = torch.cat([matrix, right[:, :, None]], 2)
    for k in range(matrix.shape[1]):
        pivot = rows[:, k : k + 1] / rows[:, k : k + 1, k : k + 1]
        rows = torch.cat([rows[:, :k] - rows[:, :k, k : k + 1] * pivot, pivot,
                          rows[:, k + 1 :] - rows[:, k + 1 :, k : k + 1] * pivot], 1)  # fmt: skip
    return rows[:, :, -1]


def _rotation(vector: Tensor) -> Tensor:
    """Rotations (N, 3, 3) about small vectors (N, 3), rad, by Cayley's formula: rotations to the last digit."""
    x, y, z = (vector / 2).unbind(1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).unflatten(1, (3, 3))
    factor = 2 / (1 + x * x + y * y + z * z)[:, None, None]
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + factor * (skew + skew @ skew)


def _motion(rotation: Tensor, shift: Tensor) -> Tensor:
    """The next camera as seen from this one, (N, 6), from the map of points to the next camera."""
    turned = rotation.transpose(1, 2)
    place = -(turned @ shift)[..., 0]
    pitch = torch.asin(-turned[:, 1, 2].clamp(-0.99, 0.99))
    yaw, roll = torch.atan(turned[:, 0, 2] / turned[:, 2, 2]), torch.atan(turned[:, 1, 0] / turned[:, 1, 1])
    return torch.cat([place, torch.stack([pitch, yaw, roll], 1)], 1)
