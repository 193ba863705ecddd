"""Space-to-depth: pixels become channels, so that the layers behind it see a small image."""

from __future__ import annotations

from torch import Tensor, nn


class SpaceToDepth(nn.Module):
    """Space-to-depth: blocks of ``patch`` pixels squared become channels, in the order of ``nn.PixelUnshuffle``.

    First rows, then columns: that module exports one transpose of all axes, which is far slower in ONNX Runtime.
    """

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, C, H, W) -> (N, C patch^2, H / patch, W / patch)."""
        if self.patch == 1:
            return frames
        size = tuple(pixels // self.patch for pixels in frames.shape[2:])
        rows = frames.unflatten(2, (size[0], self.patch)).transpose(2, 3)  # N, C, patch, H', W
        blocks = rows.flatten(3).unflatten(3, (size[0] * size[1], self.patch))  # N, C, patch, H' W', patch
        return blocks.transpose(3, 4).reshape(len(frames), -1, *size)
