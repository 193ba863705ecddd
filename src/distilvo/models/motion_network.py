"""What all networks of the camera's motion have in common, whatever is inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from distilvo.geometry.preprocessing import Preprocessing

State = tuple[Tensor, ...]
"""What is kept from one frame of a stream to the next."""


class MotionNetwork(nn.Module):
    """Gives the camera's motion between consecutive frames.

    Frames hold 0..255 (any dtype), motions are ``[tx, ty, tz (m), rx, ry, rz (rad)]`` as ``distilvo.geometry.se3``
    defines them. ``mean`` and ``scale``, (6,) each, are the origin and unit of losses.
    """

    mean: Tensor
    scale: Tensor
    architecture: Any
    features = 1
    """How many parts of the state the first frame fills; the others remember what came before, and begin at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("scale", torch.ones(6))

    @property
    def preprocessing(self) -> Preprocessing:
        """Size and channels of the frames."""
        return self.architecture.preprocessing  # type: ignore[no-any-return]

    def set_motion_scale(self, mean: Tensor, scale: Tensor) -> None:
        """Set origin and unit, (6,) each; see ``distilvo.data.motion_scale``."""
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def rescale(self, mean: Tensor, scale: Tensor) -> None:
        """Change origin and unit, (6,) each, without changing the motions that come out."""
        raise NotImplementedError

    def forward(self, frames: Tensor) -> Tensor:
        """Motions of whole clips, (B, T + 1, C, H, W) -> (B, T, 6) m and rad."""
        raise NotImplementedError

    def start(self, frame: Tensor) -> State:
        """The state after the first frame of a stream, (B, C, H, W)."""
        raise NotImplementedError

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """The motion (B, 6) of a stream's frame (B, C, H, W) since the last one, and the state for the next step."""
        raise NotImplementedError

    def predict(self, frames: Tensor, chunk: int = 32) -> Tensor:
        """Motions of one whole drive, (N, C, H, W) -> (N - 1, 6); ``chunk`` images at a time."""
        raise NotImplementedError
