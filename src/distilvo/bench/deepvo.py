"""DeepVO (Wang et al., ICRA 2017, arXiv 1709.08429), rebuilt from the paper with random weights; a baseline."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from distilvo.bench.engines import StepNetwork, TorchEngine
from distilvo.geometry.preprocessing import Preprocessing

SIZE = (384, 1280)
_CONVOLUTIONS = (
    (64, 7, 2), (128, 5, 2), (256, 5, 2), (256, 3, 1), (512, 3, 2), (512, 3, 1), (512, 3, 2), (512, 3, 1), (1024, 3, 2),
)  # fmt: skip


class DeepVO(nn.Module):
    """Table I and Section III of the paper.

    Nine convolutions on two stacked RGB frames of 1280 x 384, ReLU after all but the last one, two LSTM layers of 1000
    on the whole feature map (1024 x 6 x 20), and one layer to the six numbers of a pose.
    """

    def __init__(self, size: tuple[int, int] = SIZE, hidden: int = 1000) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(size, 3)
        layers: list[nn.Module] = []
        inputs, rows, columns = 6, *size
        for outputs, kernel, stride in _CONVOLUTIONS:
            layers += [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.ReLU()]
            inputs, rows, columns = outputs, -(-rows // stride), -(-columns // stride)
        self.convolutions = nn.Sequential(*layers[:-1])
        self.lstm = nn.LSTM(inputs * rows * columns, hidden, 2, batch_first=True)
        self.pose = nn.Linear(hidden, 6)

    def start(self, frame: Tensor) -> tuple[Tensor, ...]:
        """The state after the first frame, (1, 3, H, W) of 0..255."""
        zeros = torch.zeros(2, len(frame), self.lstm.hidden_size)
        return frame / 255.0 - 0.5, zeros, zeros

    def step(self, frame: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The pose's six numbers (1, 6), and the next state."""
        frame = frame / 255.0 - 0.5
        features = self.convolutions(torch.cat([state[0], frame], 1)).flatten(1)
        output, (hidden, cell) = self.lstm(features[:, None], (state[1], state[2]))
        return self.pose(output[:, 0]), (frame, hidden, cell)


@cache
def full_deepvo() -> DeepVO:
    """The network in full size: half a billion parameters, 2 GB; built once in a process."""
    return DeepVO().eval()


class DeepVOEngine(TorchEngine):
    """DeepVO in eager PyTorch."""

    def __init__(self) -> None:
        super().__init__(Path())

    def load(self) -> StepNetwork:
        """The network."""
        return full_deepvo()
