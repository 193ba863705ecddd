"""Direct alignment: the pose that a network's flow gives, made exact on the grey values of the images themselves.

A network's flow is off by a good part of a pixel; the images know a small part of one. As in direct odometry (Engel et
al., Direct Sparse Odometry, PAMI 2018) points of large gradient, one in each block of pixels, are moved by pose and
inverse depth into the next image, and Gauss-Newton reduces the difference of grey values. Gain and offset of the
brightness are unknown, too. The solution from the flow is the beginning, and stays in the equations; the network says
how much the grey values of each place count. It has no parameters of its own, and gradients go through it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, grid_sample, pad

from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.pose_solver import UNKNOWNS, Points, RelativePose, project, solve
from distilvo.models.space_to_depth import SpaceToDepth

ITERATIONS = 3
"""On exact images more of them change nothing (the tests' first one, in three block sizes)."""

_FLAT = 4.0  # grey levels of contrast that count as noise
_SAME_BRIGHTNESS = 1.0  # weight of no change of gain and offset from frame to frame, in units of contrast
_OUTLIER = 0.1  # of the normalised grey values: beyond it a difference counts in proportion, not by its square
_BORDER = 2  # pixels at the border without a gradient


class Look(NamedTuple):
    """What is needed of images.

    Attributes:
        image: (N, 3, H, W) grey levels and their slopes across and down.
        normalisation: (N, 3, 2) what is taken from each of them, and what they are then multiplied by.
        points: (N, 5, P) places in pixels, across and down, of the points, and their normalised values.
    """

    image: Tensor
    normalisation: Tensor
    points: Tensor


class DirectAlignment(nn.Module):
    """Refines poses of pairs of images of one size, ``block`` pixels squared for each point."""

    corners: Tensor
    within: Tensor
    intrinsics: Tensor
    brightness: Tensor
    inner: Tensor

    def __init__(self, preprocessing: Preprocessing, block: int) -> None:
        super().__init__()
        self.blocks = SpaceToDepth(block)
        size, matrix = np.array(preprocessing.size), preprocessing.intrinsics
        corners = np.stack(np.meshgrid(*(np.arange(0, side, block) for side in size[::-1]))).reshape(2, -1)
        within = np.stack(np.divmod(np.arange(block**2), block)[::-1])
        number = [[1, size[1]]]  # times a place: of its pixel in the rows of the image
        inner = np.pad(np.full(size - 2 * _BORDER, 0.5), ((0, 0), (_BORDER, _BORDER))).ravel()
        buffers = {
            "corners": np.concatenate([corners, number @ corners]),
            "within": np.concatenate([within, number @ within]).T,
            "intrinsics": np.stack([matrix.diagonal()[:2], matrix[:2, 2], 2 / size[::-1]])[:, :, None],
            "brightness": np.diag([0.0] * UNKNOWNS + [_SAME_BRIGHTNESS] * 2),
            "inner": inner,
        }
        for name, values in buffers.items():
            self.register_buffer(name, torch.from_numpy(values).float(), persistent=False)

    def look(self, image: Tensor) -> Look:
        """What is needed of images, (N, 1, H, W) grey levels: once of each, although it is in two pairs."""
        (with_slopes, steepness), normalisation = self._with_slopes(image), self._normalisation(image)
        place, values = self._steepest(with_slopes, steepness)
        return Look(with_slopes, normalisation, torch.cat([place, _normalised(values, normalisation)], 1))

    def forward(
        self,
        before: Tensor,
        after: Look,
        maps: Tensor,
        pose: RelativePose,
        normal: Tensor,
        iterations: int = ITERATIONS,
    ) -> tuple[RelativePose, Tensor]:
        """Refine poses.

        Args:
            before: points of the first image of each pair, as ``look`` finds them.
            after: the second image.
            maps: (N, 4, h, w) inverse depth, road and doubt as ``Points`` has them, and the weight of grey values: the
                inverse of the variance of their differences, in the unit of ``normal``.
            pose: what the flow gives.
            normal: (N, 8, 8) its normal equations.
            iterations: Gauss-Newton steps.

        Returns:
            The poses, and the normal equations with what the images say, (N, 8, 8).
        """
        focal, middle, unit = self.intrinsics
        grid, grid_offset = focal * unit, (middle + 0.5) * unit - 1
        place, first_grey, first_slope = before.split([2, 1, 2], 1)
        known = _sampled(maps, place * unit + (0.5 * unit - 1))
        points = Points((place - middle) / focal, *known[:, :3].split(1, 1))
        weight = known[:, 3:] * _OUTLIER
        held = pad(normal, (0, 2, 0, 2)) + self.brightness
        moved = torch.zeros_like(held[:, :, :1])
        for number in range(iterations):
            seen, by, by_depth = project(points, pose)
            place = seen * grid + grid_offset
            grey, slope = _normalised(_sampled(after.image, place), after.normalisation).split([1, 2], 1)
            off, slope = first_grey - grey, first_slope + slope
            if number:  # gain and offset were the same
                gain, offset = moved[:, UNKNOWNS:].split(1, 1)
                off = off - gain * grey - offset
            by_grey, depth = (slope[:, None] * by).sum(2), (slope * by_depth).sum(1, keepdim=True)
            by_grey = torch.cat([by_grey, grey, torch.ones_like(grey)], 1)
            inside = place.abs().amax(1, keepdim=True) < 1
            counts = torch.where(inside, weight, 0) / off.abs().clamp_min(_OUTLIER)
            counts = counts / (1 + counts * (points.doubt * depth) ** 2)
            weighed = by_grey * counts
            total = weighed @ by_grey.transpose(1, 2) + held
            right = weighed @ off.transpose(1, 2)
            if number:
                right = right - held @ moved
            step = solve(total, right)
            pose, moved = pose.moved(step[:, :UNKNOWNS]), moved + step
        return pose, total[:, :UNKNOWNS, :UNKNOWNS]

    def _steepest(self, image: Tensor, steepness: Tensor) -> tuple[Tensor, Tensor]:
        """Of an image and its slopes (N, 3, H, W) the steepest pixel of each block: places and values.

        Places are (N, 2, P) pixels, across and down. Slopes of bytes are exact in float32: of equal ones the first is
        taken on every machine.
        """
        index = self.blocks(steepness).flatten(2).argmax(1)
        at = self.corners + embedding(index, self.within).transpose(1, 2)
        values = image.flatten(2).gather(2, at[:, 2:].long().expand(-1, 3, -1))
        return at[:, :2], values

    def _with_slopes(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """An image (N, 1, H, W) and its central differences across and down, (N, 3, H, W), and the squares' sum.

        They are 0 near the border. By differences of its rows in one line: in an exported network far fewer copies than
        by rows and columns.
        """
        line, width = image.flatten(1), image.shape[3]
        first, count = _BORDER * width, len(self.inner)
        left, right, above, below = (line[:, first + k : first + k + count] for k in (-1, 1, -width, width))
        none = torch.zeros(1, first, dtype=line.dtype, device=line.device).expand(len(line), -1)
        across, down = (right - left) * self.inner, (below - above) * self.inner
        with_slopes = torch.cat([line, none, across, none, none, down, none], 1)
        steepness = torch.cat([none, across * across + down * down, none], 1)
        return with_slopes.unflatten(1, (3, *image.shape[2:])), steepness.view_as(image)

    def _normalisation(self, image: Tensor) -> Tensor:
        """Of an image (N, 1, H, W), for ``_normalised``: (N, 3, 2).

        In relation to the mean and the contrast of the image, not of each place's surroundings: a raster of cells does
        not move as the image does (docs/flow.md). Slopes are by focal length, and halved, as two are added.
        """
        mean = image.mean((2, 3), keepdim=True)
        contrast = (image - mean).square().mean((2, 3), keepdim=True).sqrt() + _FLAT
        focal = self.intrinsics[0]
        units, grey = (
            torch.cat([torch.ones_like(focal[:1]), focal / 2]),
            torch.eye(3, 1, dtype=focal.dtype, device=focal.device),
        )
        return torch.cat([mean[:, 0] * grey, units / contrast[:, 0]], 2)


def _normalised(values: Tensor, normalisation: Tensor) -> Tensor:
    """Grey values and slopes (N, 3, P) less the first column, times the second."""
    return (values - normalisation[:, :, :1]) * normalisation[:, :, 1:]


def _sampled(maps: Tensor, place: Tensor) -> Tensor:
    """Maps (N, C, H, W) at places (N, 2, P) from -1 to 1, bilinear, (N, C, P); beyond the border as at the border."""
    grid = place.transpose(1, 2)[:, None]
    return grid_sample(maps, grid, padding_mode="border", align_corners=False)[:, :, 0]
