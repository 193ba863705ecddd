"""Live tracking with an exported model: ``step(frame, t) -> pose``. Imports numpy and onnxruntime, nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilvo import poses
from distilvo.errors import DistilvoError
from distilvo.sequences.base import Camera
from distilvo.sequences.resampling import Resampler

__all__ = ["Camera", "Pose", "StepModel", "Tracker"]


class StepModel:
    """An ONNX file and the state that it carries from frame to frame.

    Attributes:
        config: what the model folder said of the network.
        channels: 1 (luminance) or 3 (RGB).
        size: height and width of the pictures that it is shown.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load an ONNX file that ``distilvo export`` wrote.

        Raises:
            DistilvoError: the file is missing, damaged, or was written by something else.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.config: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map["distilvo"])
            shapes = {value.name: tuple(value.shape) for value in self._session.get_inputs()}
            _, self.channels, height, width = shapes.pop("frame")
        except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
            raise DistilvoError(
                f"{path}: not a model that 'distilvo export' wrote ({_first_line(error)}); export it anew"
            ) from None
        self.size: tuple[int, int] = height, width
        self._shapes = shapes
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._state = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        self._first = True

    def inputs(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """What ``step`` would feed the network with: the frame (1, C, H, W), and the state that it has now."""
        return {"frame": frame[None].astype(np.float32, copy=False), **self._state}

    def step(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """The motion (6,) [m, rad] since the last frame, (C, H, W) of 0..255; zero at the first frame.

        Raises:
            DistilvoError: the motion is not finite; the frame is then forgotten.
        """
        try:
            motion, features, *memory = self._session.run(None, self.inputs(frame))
        except Exception as error:  # as above
            raise DistilvoError(f"the model fails ({_first_line(error)}); export it anew") from None
        if self._first:  # there is no pair yet, so the LSTM's memory stays at zero
            self._state["state_0"], self._first = features, False
            return np.zeros(6, np.float32)
        if not np.isfinite(motion).all():
            raise DistilvoError(f"the model gave the motion {motion[0]}; expected numbers; train or export it anew")
        self._state = dict(zip(self._state, [features, *memory], strict=True))
        return motion[0]


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
    """Follows a camera frame by frame. After an error all is as it was before, and the next good frame goes on.

    >>> with Tracker("runs/demo/models/student_distilled/model.onnx") as tracker:  # doctest: +SKIP
    ...     pose = tracker.step(frame, t)
    """

    def __init__(self, model: str | Path, camera: Camera | None = None, threads: int = 1) -> None:
        """Args ``camera``: intrinsics of the frames to come; without them the middle of each frame is taken as it is.

        Raises:
            DistilvoError: the model cannot be read.
        """
        self._model: StepModel | None = StepModel(Path(model), threads)
        self.size = self._model.size
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
            if frame.shape != self._shape:
                self._plan(frame.shape, model)
            motion = model.step(self._resample(frame))
        except DistilvoError as error:
            raise DistilvoError(f"frame at {t} s: {error}") from None
        before = None if self._last is None else self._last.matrix
        matrix = poses.compose(poses.matrices_from_motions(motion)[None], before)[1]
        self._last = Pose(float(t), matrix, motion)
        return self._last

    def _opened(self) -> StepModel:
        if self._model is None:
            raise DistilvoError("the tracker is closed; make another one")
        return self._model

    def _check_time(self, t: float) -> None:
        if self._last is not None and not t > self._last.time:  # NaN is not more than anything
            raise DistilvoError(
                f"not after the last one, at {self._last.time} s; give frames in order of time, or reset() for "
                "a new drive"
            )
        if not math.isfinite(t):
            raise DistilvoError("expected a time that is a number, in seconds")

    def _plan(self, shape: tuple[int, ...], model: StepModel) -> None:
        """Get ready for frames of this shape."""
        if self._last is not None:
            raise DistilvoError(
                f"its shape is {shape}, expected {self._shape} like the frames before; reset() begins a new drive"
            )
        colours = 1 if len(shape) == 2 else 3
        self._resample = Resampler((shape[0], shape[1]), colours, self._camera, model.size, model.channels)
        self._shape = shape


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _check_frame(frame: NDArray[np.uint8]) -> None:
    """Raise DistilvoError where it is none."""
    found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
    right = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.size > 0
    if not right or not (frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 3)):
        raise DistilvoError(f"it is {found}; expected uint8 (H, W) grey or (H, W, 3) RGB")
