"""The ways in which a model is run: what is timed, and what the child processes of ``bench.child`` do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from distilvo.bench.timing import Step

if TYPE_CHECKING:
    from distilvo.sequences.base import Camera, Frame

Track = Callable[["Frame"], object]
"""Takes a camera's picture, (H, W) uint8, to the pose."""


class Engine(Protocol):
    """A model in a runtime; loaded anew by each call."""

    def stepper(self, threads: int) -> Step:
        """One step from a frame that is decoded and scaled already."""

    def tracker(self, threads: int, camera: Camera | None) -> Track:
        """From a camera's picture to the pose."""


class OnnxEngine:
    """An exported file in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stepper(self, threads: int) -> Step:
        from distilvo.runtime import StepModel

        model = StepModel(self._path, threads)
        frame = noise((model.channels, *model.size))
        return lambda: model.step(frame)

    def tracker(self, threads: int, camera: Camera | None) -> Track:
        from distilvo.runtime import Tracker

        tracker, clock = Tracker(self._path, camera, threads), itertools.count()
        return lambda picture: tracker.step(picture, next(clock))


class TorchEngine:
    """A model folder in eager PyTorch; ``torch.set_num_threads`` holds for the whole process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Any:
        """A network with ``architecture``, ``start(frame)`` and ``step(frame, state)``."""
        from distilvo.models.files import load_model

        return load_model(self._path)[0]

    def stepper(self, threads: int) -> Step:
        import torch

        network = self.load()
        form = network.architecture.frame_format
        frame = torch.from_numpy(noise((form.channels, *form.size)))[None]
        run = _stream(network, threads)
        return lambda: run(frame)

    def tracker(self, threads: int, camera: Camera | None) -> Track:
        import torch

        from distilvo import poses

        network = self.load()
        form, run = network.architecture.frame_format, _stream(network, threads)
        pose = np.eye(4)

        def track(picture: Frame) -> object:
            nonlocal pose
            motion = run(torch.from_numpy(form.apply(picture, camera))[None])
            pose = pose @ poses.matrices_from_motions(motion.numpy()[0])
            return pose

        return track


def _stream(network: Any, threads: int) -> Callable[[Any], Any]:
    """Steps a network through frames, and keeps its state."""
    import torch

    torch.set_num_threads(threads)
    state: Any = None

    @torch.inference_mode()
    def run(frame: Any) -> Any:
        nonlocal state
        if state is None:
            state = network.start(frame)
        motion, state = network.step(frame, state)
        return motion

    return run


def noise(shape: tuple[int, ...]) -> Frame:
    """Grey values without order, uint8, always the same; from arithmetic alone, so that a child imports no more."""
    count = np.arange(int(np.prod(shape)), dtype=np.uint64)
    return (count * np.uint64(2654435761) >> np.uint64(13)).astype(np.uint8).reshape(shape)
