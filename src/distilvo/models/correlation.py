"""The correlation layer of FlowNetC (Dosovitskiy et al., ICCV 2015, Section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Correlation(nn.Module):
    """Compares each place of one feature map with its surroundings in another.

    All pairs of places are compared by one matrix product, and the displacements within reach are picked from it: on a
    CPU far faster than one product per displacement.
    """

    def __init__(self, reach: tuple[int, int]) -> None:
        super().__init__()
        self.reach = reach
        self._tables: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Two maps (N, C, H, W) -> (N, D, H, W): mean over C of before(y, x) * after(y + dy, x + dx), 0 outside."""
        channels, rows, columns = before.shape[1:]
        index, inside = self._table(rows, columns, before.device)
        pairs = torch.matmul((before / channels).flatten(2).transpose(1, 2), after.flatten(2))
        near = torch.gather(pairs, 2, index.expand(pairs.shape[0], -1, -1)) * inside
        return near.transpose(1, 2).unflatten(2, (rows, columns))

    def _table(self, rows: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """For each place (H * W) and displacement (D): the flat index of its partner, and 1 where that is inside."""
        if (rows, columns) not in self._tables:
            dy, dx = torch.meshgrid(*(torch.arange(-r, r + 1) for r in self.reach), indexing="ij")
            y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            to_y, to_x = y.reshape(-1, 1) + dy.reshape(1, -1), x.reshape(-1, 1) + dx.reshape(1, -1)
            inside = (to_y >= 0) & (to_y < rows) & (to_x >= 0) & (to_x < columns)
            index = to_y.clamp(0, rows - 1) * columns + to_x.clamp(0, columns - 1)
            self._tables[rows, columns] = index[None], inside.float()
        index, inside = self._tables[rows, columns]
        return index.to(device), inside.to(device)
