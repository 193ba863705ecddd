"""The correlation layer of FlowNetC (Dosovitskiy et al., ICCV 2015, Section 3), and features moved by a flow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad


class Correlation(nn.Module):
    """Compares each place of one feature map with its surroundings in another.

    One matrix product compares every place of a row with every place of all displaced rows, and the diagonals within
    reach are kept: on a CPU far faster than one product per displacement.
    """

    def __init__(self, reach: tuple[int, int]) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, D, H, W): sum over C of before(y, x) * after(y + dy, x + dx) / sqrt(C); 0 outside.

        FlowNetC takes the mean. Divided by sqrt(C) instead, the products are as large as the features beside them, and
        the network learns from them far sooner.
        """
        channels, rows, width = before.shape[1:]
        down, right = self.reach
        left = (before / math.sqrt(channels)).permute(0, 2, 3, 1)
        padded = pad(after, (right, right, down, down)).transpose(1, 2)
        near = torch.cat([padded[:, dy : dy + rows] for dy in range(2 * down + 1)], 3)
        products = _skewed(torch.matmul(left, near)).unflatten(-1, (2 * down + 1, width + 2 * right))
        return products[..., : 2 * right + 1].permute(0, 3, 4, 1, 2).flatten(1, 2)


def _skewed(products: Tensor) -> Tensor:
    """(..., W, L) -> (..., W, L): the value at (x, x + d) moves to (x, d), 0 where there is none in the row.

    One more column at the end of the flattened rows shifts each row by one against the row before.
    """
    width, length = products.shape[-2:]
    return pad(products.flatten(-2), (0, width)).unflatten(-1, (width, length + 1))[..., :length]


def moved_by(features: Tensor, flow: Tensor) -> Tensor:
    """Features (N, C, H, W) at each place plus the flow (N, 2, H, W) there, in places of the map; float32.

    Bilinear; beyond the border as at the border.
    """
    height, width = features.shape[2:]
    y, x = (torch.arange(count, device=flow.device, dtype=flow.dtype) for count in (height, width))
    across = (x + flow[:, 0]) * (2 / (width - 1)) - 1
    down = (y[:, None] + flow[:, 1]) * (2 / (height - 1)) - 1
    grid = torch.stack([across, down], -1)
    return grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
