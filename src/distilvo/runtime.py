"""Live tracking with an exported model: ``step(frame, t) -> pose``. Needs numpy, onnxruntime and OpenCV: no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import Camera
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.step_model import StepModel

__all__ = ["Camera", "Pose", "Tracker"]


@dataclass(frozen=True)
class Pose:
    """Where the camera is.

    Attributes:
        time: of the frame, s.
        matrix: (4, 4) camera-to-world; the first camera is the world.
        motion: (6,) [m, rad] since the last frame.
    """

    time: float
    matrix: NDArray[np.float64]
    motion: NDArray[np.float32]


class Tracker:
    """Follows a camera frame by frame. An error leaves the state as it was: the next valid frame is tracked.

    >>> with Tracker("runs/demo/models/student_distilled/model.onnx") as tracker:  # doctest: +SKIP
    ...     pose = tracker.step(frame, t)
    """

    def __init__(self, model: str | Path, camera: Camera | None = None, threads: int = 1) -> None:
        """Args ``camera``: intrinsics of the frames to come; without them the middle of each frame is used as it is.

        Raises:
            DistilvoError: the model cannot be read.
        """
        self._model: StepModel | None = StepModel(Path(model), threads)
        self.size = self._model.size
        self._preprocessing = Preprocessing(self.size, self._model.channels)
        self._camera = camera
        self.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the model's memory back; the tracker cannot be used after that."""
        self._model = None

    def reset(self) -> None:
        """Begin a new drive, of frames of another size too where no camera was given; the next frame is its origin.

        Raises:
            DistilvoError: the tracker was closed.
        """
        self._opened().reset()
        self._last: Pose | None = None
        self._shape: tuple[int, ...] = ()

    def step(self, frame: NDArray[np.uint8], t: float) -> Pose:
        """Take one frame, (H, W) grey or (H, W, 3) RGB uint8, at time ``t`` (s).

        Raises:
            DistilvoError: the frame is of another shape or type than the camera or the last one, the time does not go
                forward, the model fails, or the tracker was closed.
        """
        model = self._opened()
        try:
            _check_frame(frame)
            self._check_time(t)
            self._check_shape(frame.shape)
            motion = model.step(self._preprocessing.apply(frame, self._camera))
        except DistilvoError as error:
            raise DistilvoError(f"frame at {t} s: {error}") from None
        before = None if self._last is None else self._last.matrix
        matrix = se3.compose(se3.matrices_from_motions(motion)[None], before)[1]
        self._last = Pose(float(t), matrix, motion)
        return self._last

    def _opened(self) -> StepModel:
        if self._model is None:
            raise DistilvoError("the tracker is closed; make another one")
        return self._model

    def _check_time(self, t: float) -> None:
        if self._last is not None and not t > self._last.time:  # refuses NaN, too
            raise DistilvoError(
                f"not after the last one, at {self._last.time} s; give frames in order of time, or reset() for "
                "a new drive"
            )
        if not math.isfinite(t):
            raise DistilvoError("expected a time that is a number, in seconds")

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        """All frames of a drive have the shape of the first."""
        if self._last is not None and shape != self._shape:
            raise DistilvoError(
                f"its shape is {shape}, expected {self._shape} like the frames before; reset() begins a new drive"
            )
        self._shape = shape


def _check_frame(frame: NDArray[np.uint8]) -> None:
    """Raise DistilvoError unless the frame is an image: uint8, (H, W) or (H, W, 3), not empty."""
    kind = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
    right = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.size > 0
    if not right or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)):
        raise DistilvoError(f"it is {kind}; expected uint8 (H, W) grey or (H, W, 3) RGB")
