"""The correlation layer of FlowNetC (Dosovitskiy et al., ICCV 2015, Section 3), and features moved by a flow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, pad


class Correlation(nn.Module):
    """Compares each place of one feature map with its surroundings in another.

    One matrix product compares every place of a row with every place of all displaced rows, and the diagonals within
    reach are kept: on a CPU far faster than one product per displacement. Rows of the product are then
    taken for longer by one than they are, so that each moves by one against the row before, and the value at (x, x + d)
    comes to (x, d).
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
        count, length = 2 * down + 1, width + 2 * right + 1
        padded = pad(after, (right, right + 1, down, down)).transpose(1, 2)
        near = [padded[:, dy : dy + rows] for dy in range(count)]
        near[-1] = near[-1][..., :-1]
        products = torch.matmul(left, torch.cat(near, 3)).flatten(2)
        moved = pad(products, (0, width)).unflatten(2, (width, count, length))
        return moved[..., : 2 * right + 1].permute(0, 3, 4, 1, 2).flatten(1, 2)


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
