"""Direct alignment: the pose that a network's flow gives, made exact on the grey values of the images themselves.

A network's flow is off by a good part of a pixel; the images know a small part of one. As in direct odometry (Engel et
al., Direct Sparse Odometry, PAMI 2018) points of large gradient, one in each block of pixels, are moved by pose and
inverse depth into the next image, and Gauss-Newton reduces the difference of grey values. Gain and offset of the
brightness are unknown, too. The solution from the flow is the beginning, and stays in the equations; the network says
how much the grey values of each place count. It has no parameters of its own, and gradients go through it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad

from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.pose_solver import UNKNOWNS, Points, RelativePose, project, solve
from distilvo.models.space_to_depth import SpaceToDepth

ITERATIONS = 3
"""On exact images more of them change nothing (the tests' first one, in three block sizes)."""

_FLAT = 4.0  # grey levels of contrast that count as noise
_SAME_BRIGHTNESS = 1.0  # weight of no change of gain and offset from frame to frame, in units of contrast
_OUTLIER = 0.1  # of the normalised grey values: beyond it a difference counts in proportion, not by its square
_BORDER = 2  # pixels at the border without a gradient


class DirectAlignment(nn.Module):
    """Refines poses of pairs of images of one size, ``block`` pixels squared for each point."""

    corners: Tensor
    intrinsics: Tensor
    brightness: Tensor

    def __init__(self, preprocessing: Preprocessing, block: int) -> None:
        super().__init__()
        self.block, self.blocks = block, SpaceToDepth(block)
        size, matrix = np.array(preprocessing.size), preprocessing.intrinsics
        corners = np.stack(np.meshgrid(*(np.arange(0, side, block) for side in size[::-1]))).reshape(2, -1)
        intrinsics = np.stack([matrix.diagonal()[:2], matrix[:2, 2], 2 / size[::-1]])[:, :, None]
        brightness = np.diag([0.0] * UNKNOWNS + [_SAME_BRIGHTNESS] * 2)
        for name, values in (("corners", corners), ("intrinsics", intrinsics), ("brightness", brightness)):
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def forward(
        self,
        images: tuple[Tensor, Tensor],
        maps: Tensor,
        pose: RelativePose,
        normal: Tensor,
        iterations: int = ITERATIONS,
    ) -> tuple[RelativePose, Tensor]:
        """Refine poses.

        Args:
            images: both of each pair, grey levels, (N, 1, H, W).
            maps: (N, 4, h, w) inverse depth, road and doubt as ``Points`` has them, and the weight of grey values: the
                inverse of the variance of their differences, in the unit of ``normal``.
            pose: what the flow gives.
            normal: (N, 8, 8) its normal equations.
            iterations: Gauss-Newton steps.

        Returns:
            The poses, and the normal equations with what the images say, (N, 8, 8).
        """
        focal, middle, unit = self.intrinsics
        before, after = (torch.cat([image, _slopes(image)], 1) for image in images)
        place, first = self._steepest(before)
        first, after = _normalised(first, images[0]), _normalised(after, images[1])
        known = _sampled(maps, (place + 0.5) * unit - 1)
        points, weight = Points((place - middle) / focal, *known[:, :3].unbind(1)), known[:, 3]
        held = pad(normal, (0, 2, 0, 2)) + self.brightness
        moved = torch.zeros_like(held[:, 0])
        for _ in range(iterations):
            seen, by, by_depth = project(points, pose)
            place = (seen * focal + middle + 0.5) * unit - 1
            second = _sampled(after, place)
            gain, offset = moved[:, UNKNOWNS:, None].unbind(1)
            off = first[:, 0] - (1 + gain) * second[:, 0] - offset
            slope = (first[:, 1:] + second[:, 1:]) / 2 * focal
            by_grey, depth = (slope[:, :, None] * by).sum(1), (slope * by_depth).sum(1)
            by_grey = torch.cat([by_grey, second[:, :1], torch.ones_like(second[:, :1])], 1)
            inside = (place.abs() < 1).all(1)
            counts = weight * inside * (_OUTLIER / off.abs().clamp_min(_OUTLIER))
            counts = counts / (1 + counts * (points.doubt * depth) ** 2)
            weighed = by_grey * counts[:, None]
            total = weighed @ by_grey.transpose(1, 2) + held
            step = solve(total, (weighed * off[:, None]).sum(2) - (held @ moved[:, :, None])[:, :, 0])
            pose, moved = pose.moved(step[:, :UNKNOWNS]), moved + step
        return pose, total[:, :UNKNOWNS, :UNKNOWNS]

    def _steepest(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Of an image and its slopes (N, 3, H, W) the pixel of each block with the largest: places and values.

        Places are (N, 2, P) pixels, across and down. Slopes of bytes are exact in float32: of equal ones the first is
        taken on every machine.
        """
        steepness = self.blocks(image[:, 1:].square().sum(1, keepdim=True)).flatten(2)
        index = steepness.argmax(1, keepdim=True)
        folded = self.blocks(image).flatten(2).unflatten(1, (3, -1))
        values = folded.gather(2, index[:, None].expand(-1, 3, -1, -1))[:, :, 0]
        return self.corners + torch.cat([index % self.block, index // self.block], 1), values


def _sampled(maps: Tensor, place: Tensor) -> Tensor:
    """Maps (N, C, H, W) at places (N, 2, P) from -1 to 1, bilinear, (N, C, P); beyond the border as at the border."""
    grid = place.transpose(1, 2)[:, None]
    return grid_sample(maps, grid, padding_mode="border", align_corners=False)[:, :, 0]


def _normalised(values: Tensor, image: Tensor) -> Tensor:
    """Grey values and slopes (N, 3, ...) in relation to the mean and the contrast of their image (N, 1, H, W).

    Not to those of each place's surroundings: a raster of cells does not move as the image does (docs/flow.md).
    """
    mean = image.mean((2, 3), keepdim=True)
    contrast = (image - mean).square().mean((2, 3), keepdim=True).sqrt() + _FLAT
    mean, contrast = (part.view(-1, 1, *[1] * (values.dim() - 2)) for part in (mean, contrast))
    return torch.cat([values[:, :1] - mean, values[:, 1:]], 1) / contrast


def _slopes(image: Tensor) -> Tensor:
    """Central differences across and down, (N, 1, H, W) -> (N, 2, H, W) by pixel; 0 near the border."""
    inner = slice(_BORDER, -_BORDER)
    before, after = slice(_BORDER - 1, -_BORDER - 1), slice(_BORDER + 1, -_BORDER + 1)
    across = image[..., inner, after] - image[..., inner, before]
    down = image[..., after, inner] - image[..., before, inner]
    return pad(torch.cat([across, down], 1) / 2, [_BORDER] * 4)
