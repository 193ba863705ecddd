"""The ways to run a model: what is timed, here and in the processes of ``bench.child``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from distilvo.bench.latency import Step, noise, onnx_step

if TYPE_CHECKING:
    from torch import Tensor

    from distilvo.geometry.camera import Camera, Frame
    from distilvo.geometry.preprocessing import Preprocessing

FrameToPose = Callable[["Frame"], object]
"""Takes a camera's image, (H, W) uint8, and computes the pose."""


class StepNetwork(Protocol):
    """A torch network that runs frame by frame, as ``models.network.MotionNetwork`` does."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Size and channels of its frames."""

    def start(self, frame: Tensor) -> tuple[Tensor, ...]:
        """The state after the first frame, (1, C, H, W) of 0..255."""

    def step(self, frame: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The motion since the last frame, (1, 6), and the next state."""


class Engine(Protocol):
    """A model in a runtime; each call loads it anew."""

    def stepper(self, threads: int) -> Step:
        """One step, from a decoded and scaled frame to the motion."""

    def tracker(self, threads: int, camera: Camera | None) -> FrameToPose:
        """From a camera's image to the pose."""


class OnnxEngine:
    """An exported file in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stepper(self, threads: int) -> Step:
        return onnx_step(self._path, threads)

    def tracker(self, threads: int, camera: Camera | None) -> FrameToPose:
        from distilvo.runtime import Tracker

        tracker, clock = Tracker(self._path, camera, threads), itertools.count()
        return lambda image: tracker.step(image, next(clock))


class TorchEngine:
    """A model folder in eager PyTorch. ``torch.set_num_threads`` applies to the whole process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> StepNetwork:
        """The network."""
        from distilvo.models.model_folder import load_model

        return load_model(self._path)[0]

    def stepper(self, threads: int) -> Step:
        import torch

        network = self.load()
        frame = torch.from_numpy(noise((network.preprocessing.channels, *network.preprocessing.size)))[None]
        run = _stream(network, threads)
        return lambda: run(frame)

    def tracker(self, threads: int, camera: Camera | None) -> FrameToPose:
        import torch

        from distilvo.geometry import se3

        network = self.load()
        preprocessing, run = network.preprocessing, _stream(network, threads)
        pose = np.eye(4)

        def track(image: Frame) -> object:
            nonlocal pose
            motion = run(torch.from_numpy(preprocessing.apply(image, camera))[None])
            pose = pose @ se3.matrices_from_motions(motion.numpy()[0])
            return pose

        return track


def _stream(network: StepNetwork, threads: int) -> Callable[[Tensor], Tensor]:
    """A function that runs the network on one frame after the other, and keeps its state."""
    import torch

    torch.set_num_threads(threads)
    state: tuple[Tensor, ...] | None = None

    @torch.inference_mode()
    def run(frame: Tensor) -> Tensor:
        nonlocal state
        if state is None:
            state = network.start(frame)
        motion, state = network.step(frame, state)
        return motion

    return run
