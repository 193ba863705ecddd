"""The camera's motion from optical flow and inverse depth: weighted least squares, differentiable and exportable.

A pixel with the ray x = (u, v, 1) and the inverse depth rho is seen by the next camera along R x + rho t. Gauss-Newton
finds the R and t whose flow is closest to a network's, each of its components weighed by the network's confidence. So
the network need not learn geometry, and the sum over all cells averages the errors of the single ones. Gradients go
through all iterations.

Two things besides are unknown. The road is a plane whose tilt against the camera is solved for: a degree of pitch that
nobody knows of changes all lengths by an eighth, and the flow of the road itself tells it; its distance, one camera
height, is what gives lengths. And each inverse depth is doubted: along the line on which it moves a pixel, its flow
weighs less (the marginal of a normal distribution), so that cells of unknown depth still tell rotation and direction.

The first step is that of the equations (X - x' Z) / Z = 0 for the target x', which are linear in t; from standing still
the tangent of the image itself leads astray where the camera goes further than its height.

Lengths are in units of the camera's height, as the inverse depths are; rays and flow are in units of the focal length.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ITERATIONS = 3
"""After the first one the motion is off by up to some hundredths, after three it is exact to float32."""

UNKNOWNS = 8
"""t and R of the map to the next camera, 3 each, and the road's tilt in pitch and roll."""

_PRIOR = 1e-3
"""Added to the diagonal of the normal equations: without any confidence the camera stands still."""

_LEAST = 1e-12
"""Of the diagonal of the normal equations: float32 can lose its sign."""

_NEAREST = 0.05
"""Camera heights: no pixel may come closer to the next camera; the quotient would have no meaning."""


_BY_WAY = torch.tensor([[1, 0, 0], [0, 0, 0], [0, -1, 0], [0, 0, 0], [1, 0, 0], [0, 0, -1]])
"""Derivatives of x and y by t are these times (1, x', y'), times the inverse depth: rows x by t_x, t_y, t_z, then y."""

_BY_TURN = torch.tensor([
    [0, 0, 0, 0, 0, 0, -1, 0, 0],
    [1, 0, 0, 0, 0, 1, 0, 0, 0],
    [0, 0, 0, 0, -1, 0, 0, 0, 0],
    [-1, 0, 0, 0, 0, 0, 0, 0, -1],
    [0, 0, 0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 1, 0, 0, 0, 0, 0],
])  # fmt: skip
"""Those by a turn are these times (1, x', y', a, b, x'a, x'b, y'a, y'b) where the point is seen at (a, b)."""

_SKEW = torch.tensor([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]])
"""A vector times this is the matrix of its cross product, row by row."""


class Points(NamedTuple):
    """P points of each of N images.

    Attributes:
        rays: (N or 1, 2, P) u and v, in focal lengths.
        inverse_depth: (N, P) 1 / camera heights, 0 for infinitely far; on the road as if it were not tilted.
        road: (N, P) how far each point belongs to the plane of the road, 0 to 1.
        doubt: (N, P) standard deviation of the inverse depth, where that of a flow of weight 1 is 1.
    """

    rays: Tensor
    inverse_depth: Tensor
    road: Tensor
    doubt: Tensor


class RelativePose(NamedTuple):
    """Of N pairs: the map of points to the next camera, R (N, 3, 3) and t (N, 3, 1), and the road's tilt (N, 2)."""

    rotation: Tensor
    shift: Tensor
    tilt: Tensor

    @property
    def motion(self) -> Tensor:
        """The next camera as seen from this one, (N, 6) [camera heights, rad] as ``geometry.se3`` defines it."""
        turned = self.rotation.transpose(1, 2)
        place = -(turned @ self.shift)[..., 0]
        pitch = torch.asin(-turned[:, 1, 2].clamp(-0.99, 0.99))
        yaw, roll = torch.atan(turned[:, 0, 2] / turned[:, 2, 2]), torch.atan(turned[:, 1, 0] / turned[:, 1, 1])
        return torch.cat([place, torch.stack([pitch, yaw, roll], 1)], 1)

    def moved(self, step: Tensor) -> RelativePose:
        """This pose after a small step (N, 8)."""
        turn = _rotation(step[:, 3:6])
        return RelativePose(turn @ self.rotation, turn @ self.shift + step[:, :3, None], self.tilt + step[:, 6:])


class Projection(NamedTuple):
    """Where the next camera sees points, (N, 2, P) in focal lengths; by the unknowns (N, 2, 8, P), and by depth."""

    seen: Tensor
    by_unknowns: Tensor
    by_depth: Tensor


def tilted(points: Points, tilt: Tensor) -> Tensor:
    """Inverse depths (N, P) with the road tilted, (N, 2)."""
    return (points.inverse_depth + points.road * (tilt[:, :1] + tilt[:, 1:] * points.rays[:, 0])).clamp_min(0)


def project(points: Points, pose: RelativePose, target: Tensor | None = None) -> Projection:
    """How the next camera sees the points; with a target x' (N, 2, P) the derivatives are those of (X - x' Z) / Z."""
    rho, shift = tilted(points, pose.tilt)[:, None], pose.shift
    moved = pose.rotation[:, :, :2] @ points.rays + pose.rotation[:, :, 2:] + shift * rho
    inverse = 1 / moved[:, 2:].clamp_min(_NEAREST)
    seen = moved[:, :2] * inverse
    at = seen if target is None else target
    by_depth = (shift[:, :2] - seen * shift[:, 2:]) * inverse
    products = (at[:, :, None] * seen[:, None]).flatten(1, 2)  # x'a, x'b, y'a, y'b
    terms = torch.cat([torch.ones_like(rho), at, seen, products], 1)
    by_way = (_BY_WAY.to(terms) @ terms[:, :3] * (rho * inverse)).unflatten(1, (2, 3))
    by_turn = (_BY_TURN.to(terms) @ terms).unflatten(1, (2, 3))
    pitch = by_depth * points.road[:, None]
    by_tilt = torch.stack([pitch, pitch * points.rays[:, :1]], 2)
    return Projection(seen, torch.cat([by_way, by_turn, by_tilt], 2), by_depth)


def solve_flow(
    flow: Tensor, weight: Tensor, points: Points, firmness: Tensor, iterations: int = ITERATIONS
) -> tuple[RelativePose, Tensor]:
    """The pose that explains a flow best.

    Args:
        flow: (N, 2, P) across and down, in focal lengths.
        weight: (N, 2, P) of each flow component, 0 or more: the inverse of its variance, up to a factor.
        points: where the flow is.
        firmness: (N or 1, 2) weight of a road without tilt, in pitch and roll.
        iterations: Gauss-Newton steps from standing still.

    Returns:
        The pose, and the matrix of the normal equations there, (N, 8, 8).
    """
    target = points.rays + flow
    pose = _standing(flow)
    prior = torch.cat([torch.full_like(firmness[:, :1], _PRIOR).expand(-1, 6), firmness], 1)
    held = torch.diag_embed(prior)
    normal = held
    for number in range(iterations):
        seen, by, by_depth = project(points, pose, None if number else target)
        weighed, along = weight[:, :, None] * by, weight * by_depth
        share = points.doubt**2 / (1 + points.doubt**2 * (along * by_depth).sum(1))
        weighed = weighed - along[:, :, None] * ((by_depth[:, :, None] * weighed).sum(1) * share[:, None])[:, None]
        normal = (weighed @ by.transpose(2, 3)).sum(1) + held
        right = (weighed * (target - seen)[:, :, None]).sum((1, 3))
        pull = torch.cat([torch.zeros_like(right[:, :6]), firmness * pose.tilt], 1)
        pose = pose.moved(solve(normal, right - pull))
    return pose, normal


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve (N, K, K) x = (N, K) for positive definite matrices.

    In units in which the diagonal is 1: metres and radians side by side have a condition number of 10^7, which float32
    does not bear.
    """
    unit = torch.diagonal(matrix, dim1=1, dim2=2).clamp_min(_LEAST).rsqrt()
    scaled = matrix * unit[:, :, None] * unit[:, None]
    solution: Tensor = torch.linalg.solve_ex(scaled, (right * unit)[:, :, None])[0]
    return solution[:, :, 0] * unit


def _standing(flow: Tensor) -> RelativePose:
    rotation = torch.eye(3, dtype=flow.dtype, device=flow.device).expand(len(flow), 3, 3)
    return RelativePose(rotation, flow.new_zeros(len(flow), 3, 1), flow.new_zeros(len(flow), 2))


def _rotation(vector: Tensor) -> Tensor:
    """Rotations (N, 3, 3) about small vectors (N, 3), rad, by Cayley's formula: rotations to the last digit."""
    half = vector / 2
    skew = (half @ _SKEW.to(half)).unflatten(1, (3, 3))
    factor = 2 / (1 + half.square().sum(1)[:, None, None])
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + factor * (skew + skew @ skew)
