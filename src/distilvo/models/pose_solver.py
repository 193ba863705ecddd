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
from torch.nn.functional import pad

from distilvo.models.constants import beside

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

_BY_ALL = torch.zeros(UNKNOWNS, 2, 16)
"""Both in one, and the tilt: by each unknown, of x and y; the terms of the turn come first, then those of t."""
_BY_ALL[:3, :, 9:12], _BY_ALL[3:6, :, :9] = (part.unflatten(0, (2, 3)).transpose(0, 1) for part in (_BY_WAY, _BY_TURN))
_BY_ALL[6:, :, 12:] = torch.eye(4).view(2, 2, 4)

_SKEW = torch.tensor([[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]]).T / 2
"""This times a vector is half of the matrix of its cross product, row by row."""

_NOWHERE, _LEVEL = torch.zeros(1, 3, 1), torch.zeros(1, 2)


class Points(NamedTuple):
    """P points of each of N images.

    Attributes:
        rays: (N or 1, 2, P) u and v, in focal lengths.
        inverse_depth: (N, 1, P) 1 / camera heights, 0 for infinitely far; on the road as if it were not tilted.
        road: (N, 1, P) how far each point belongs to the plane of the road, 0 to 1.
        doubt: (N, 1, P) standard deviation of the inverse depth, where that of a flow of weight 1 is 1.
    """

    rays: Tensor
    inverse_depth: Tensor
    road: Tensor
    doubt: Tensor

    @property
    def plane(self) -> Tensor:
        """How much a tilt of the road in pitch and roll adds to the inverse depths, (N, 2, P)."""
        return torch.cat([self.road, self.road * self.rays[:, :1]], 1)


class RelativePose(NamedTuple):
    """Of N pairs: the map of points to the next camera, R (N, 3, 3) and t (N, 3, 1), and the road's tilt (N, 2)."""

    rotation: Tensor
    shift: Tensor
    tilt: Tensor

    @property
    def motion(self) -> Tensor:
        """The next camera as seen from this one, (N, 6) [camera heights, rad] as ``geometry.se3`` defines it."""
        place = -(self.rotation.transpose(1, 2) @ self.shift)[..., 0]
        turned = self.rotation.flatten(1)
        pitch = torch.asin(-turned[:, 7:8].clamp(-0.99, 0.99))
        yaw_and_roll = torch.atan(torch.cat([turned[:, 6:7], turned[:, 1:2]], 1) / turned[:, [8, 4]])
        return torch.cat([place, pitch, yaw_and_roll], 1)

    def moved(self, step: Tensor) -> RelativePose:
        """This pose after a small step (N, 8, 1)."""
        turn = _rotation(step[:, 3:6])
        return RelativePose(turn @ self.rotation, turn @ self.shift + step[:, :3], self.tilt + step[:, 6:, 0])


class Projection(NamedTuple):
    """Where the next camera sees points, (N, 2, P) in focal lengths; by the unknowns (N, 8, 2, P), and by depth."""

    seen: Tensor
    by_unknowns: Tensor
    by_depth: Tensor


def tilted(points: Points, tilt: Tensor) -> Tensor:
    """Inverse depths (N, 1, P) with the road tilted, (N, 2)."""
    return (points.inverse_depth + tilt[:, None] @ points.plane).clamp_min(0)


def project(points: Points, pose: RelativePose, target: Tensor | None = None) -> Projection:
    """How the next camera sees the points; with a target x' (N, 2, P) the derivatives are those of (X - x' Z) / Z."""
    rho, shift, plane = tilted(points, pose.tilt), pose.shift, points.plane
    one = torch.ones_like(rho)
    homogeneous = torch.cat([points.rays.expand(len(rho), -1, -1), one, rho], 1)
    moved = torch.cat([pose.rotation, shift], 2) @ homogeneous
    inverse = 1 / moved[:, 2:].clamp_min(_NEAREST)
    seen = moved[:, :2] * inverse
    at = seen if target is None else target
    by_depth = (shift[:, :2] - seen * shift[:, 2:]) * inverse
    products = (at[:, :, None] * seen[:, None]).flatten(1, 2)  # x'a, x'b, y'a, y'b
    near = rho * inverse
    by_tilt = (plane[:, :, None] * by_depth[:, None]).flatten(1, 2)
    terms = torch.cat([one, at, seen, products, near, near * at, by_tilt], 1)
    by_unknowns = (beside(_BY_ALL, terms).flatten(0, 1) @ terms).unflatten(1, (UNKNOWNS, 2))
    return Projection(seen, by_unknowns, by_depth)


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
    normal, weight = held, weight[:, None]
    doubt = points.doubt[:, None].square()
    for number in range(iterations):
        seen, by, by_depth = project(points, pose, None if number else target)
        by_depth = by_depth[:, None]
        weighed, along = weight * by, weight * by_depth
        share = doubt / (1 + doubt * (along * by_depth).sum(2, keepdim=True))
        weighed = weighed - along * ((by_depth * weighed).sum(2, keepdim=True) * share)
        weighed = weighed.flatten(2)  # x and y are one sum
        normal = weighed @ by.flatten(2).transpose(1, 2) + held
        right = weighed @ (target - seen).flatten(1)[:, :, None]
        if number:  # the road was level
            right = right - (prior * pad(pose.tilt, (UNKNOWNS - 2, 0)))[:, :, None]
        pose = pose.moved(solve(normal, right))
    return pose, normal


def diagonal(matrix: Tensor) -> Tensor:
    """Of matrices (N, K, K), as columns (N, K, 1): by a sum, two nodes of an exported network and not five."""
    return (matrix * torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)).sum(2, keepdim=True)


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve (N, K, K) x = (N, K, 1) for positive definite matrices.

    In units in which the diagonal is 1: metres and radians side by side have a condition number of 10^7, which float32
    does not bear.
    """
    unit = diagonal(matrix).clamp_min(_LEAST).rsqrt()
    scaled = matrix * unit * unit.transpose(1, 2)
    solution: Tensor = torch.linalg.solve_ex(scaled, right * unit)[0]
    return solution * unit


def _standing(flow: Tensor) -> RelativePose:
    rotation = torch.eye(3, dtype=flow.dtype, device=flow.device).expand(len(flow), 3, 3)
    shift, tilt = beside(_NOWHERE, flow).expand(len(flow), -1, -1), beside(_LEVEL, flow).expand(len(flow), -1)
    return RelativePose(rotation, shift, tilt)


def _rotation(vector: Tensor) -> Tensor:
    """Rotations (N, 3, 3) about small vectors (N, 3, 1), rad, by Cayley's formula: rotations to the last digit."""
    skew = (beside(_SKEW, vector) @ vector).view(-1, 3, 3)
    size = skew.square().sum((1, 2), keepdim=True)  # twice the square of half the vector
    return torch.eye(3, dtype=vector.dtype, device=vector.device) + (skew + skew @ skew) / (0.5 + size / 4)
