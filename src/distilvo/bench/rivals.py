"""What a user would pick instead: a classical tracker, and the network that learned odometry began with."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from distilvo.bench.engines import TorchEngine, Track
from distilvo.bench.timing import Step
from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame
from distilvo.sequences.frame_format import FrameFormat

if TYPE_CHECKING:
    from torch import nn

DEEPVO_SIZE = (384, 1280)
_DEEPVO_CONVOLUTIONS = (
    (64, 7, 2), (128, 5, 2), (256, 5, 2), (256, 3, 1), (512, 3, 2), (512, 3, 1), (512, 3, 2), (512, 3, 1), (1024, 3, 2),
)  # fmt: skip
_CORNERS, _FEWEST = 1000, 500


class KltTracker:
    """Corners tracked by KLT, then the essential matrix by RANSAC, as OpenCV's samples do; each step has length 1."""

    def __init__(self, camera: Camera) -> None:
        self._matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        self._last: Frame | None = None
        self._corners: Any = None
        self.pose: Floats = np.eye(4)

    def step(self, picture: Frame) -> Floats:
        """Take one grey picture (H, W); camera-to-world (4, 4), the first camera is the world."""
        if self._last is not None and self._corners is not None:
            after, found, _ = cv2.calcOpticalFlowPyrLK(self._last, picture, self._corners, None, winSize=(21, 21))
            kept = found.ravel() > 0
            self._corners = self._move(self._corners[kept], after[kept])
        if self._corners is None or len(self._corners) < _FEWEST:
            self._corners = cv2.goodFeaturesToTrack(picture, _CORNERS, 0.01, 7)
        self._last = picture
        return self.pose

    def _move(self, before: Any, after: Any) -> Any:
        """Move on from corners (K, 1, 2) that were tracked; returns those that follow the motion."""
        if len(before) < 8 or np.median(np.abs(after - before)) < 0.1:  # lost, or it stands
            return after
        essential, mask = cv2.findEssentialMat(after, before, self._matrix, cv2.RANSAC, 0.999, 1.0)
        if essential is None or essential.shape != (3, 3):
            return after
        _, rotation, step, mask = cv2.recoverPose(essential, after, before, self._matrix, mask=mask)
        motion = np.eye(4)
        motion[:3, :3], motion[:3, 3] = rotation, step.ravel()
        self.pose = self.pose @ motion
        return after[mask.ravel() > 0]


class KltEngine:
    """``KltTracker`` on pictures as they come, without scaling."""

    def stepper(self, threads: int) -> Step:
        from distilvo.bench.pictures import CAMERA, street

        track, pictures = self.tracker(threads, CAMERA), there_and_back(street(10))
        return lambda: track(next(pictures))

    def tracker(self, threads: int, camera: Camera | None) -> Track:
        from distilvo.bench.pictures import CAMERA

        cv2.setNumThreads(threads)
        return KltTracker(camera or CAMERA).step


def there_and_back(pictures: list[Frame]) -> itertools.cycle[Frame]:
    """Pictures without end, each a neighbour of the one before."""
    return itertools.cycle(pictures + pictures[-2:0:-1])


def deepvo(size: tuple[int, int] = DEEPVO_SIZE, hidden: int = 1000) -> nn.Module:
    """DeepVO with random weights: Wang et al., ICRA 2017 (arXiv 1709.08429), Table I and Section III.

    Nine convolutions on two stacked RGB frames of 1280 x 384, ReLU after all but the last one, two LSTM layers of 1000
    on the whole feature map (1024 x 6 x 20), and one layer to the six numbers of a pose.
    """
    import torch
    from torch import Tensor, nn

    class DeepVO(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.architecture = SimpleNamespace(frame_format=FrameFormat(size, 3))
            layers: list[nn.Module] = []
            inputs, rows, columns = 6, *size
            for outputs, kernel, stride in _DEEPVO_CONVOLUTIONS:
                layers += [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.ReLU()]
                inputs, rows, columns = outputs, -(-rows // stride), -(-columns // stride)
            self.convolutions = nn.Sequential(*layers[:-1])
            self.lstm = nn.LSTM(inputs * rows * columns, hidden, 2, batch_first=True)
            self.pose = nn.Linear(hidden, 6)

        def start(self, frame: Tensor) -> tuple[Tensor, ...]:
            zeros = torch.zeros(2, len(frame), hidden)
            return frame / 255.0 - 0.5, zeros, zeros

        def step(self, frame: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
            frame = frame / 255.0 - 0.5
            features = self.convolutions(torch.cat([state[0], frame], 1)).flatten(1)
            output, (h, c) = self.lstm(features[:, None], (state[1], state[2]))
            return self.pose(output[:, 0]), (frame, h, c)

    return DeepVO().eval()


@cache
def full_deepvo() -> nn.Module:
    """Half a billion parameters, 2 GB: made once in a process."""
    return deepvo()


class DeepVOEngine(TorchEngine):
    """DeepVO in eager PyTorch."""

    def __init__(self) -> None:
        super().__init__(Path())

    def load(self) -> Any:
        return full_deepvo()
