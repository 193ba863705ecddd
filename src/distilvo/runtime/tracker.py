"""The tracker: frame in, pose out, with a word on whether it can be trusted."""

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
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.step_model import StepModel
from distilvo.runtime.bridge import Bridge, too_fast
from distilvo.runtime.frame_quality import Seen, Status, judge
from distilvo.settings import Gaps


@dataclass(frozen=True)
class Pose:
    """Where the camera is.

    Attributes:
        time: of the frame, s.
        matrix: (4, 4) camera-to-world; the first camera is the world.
        motion: (6,) [m, rad] since the last frame.
        status: whether the motion can be trusted; where it is not ``ok`` it is not the model's, see ``Tracker``.
        segment: 0, 1, ...; poses of different segments have no known motion between them.
    """

    time: float
    matrix: NDArray[np.float64]
    motion: NDArray[np.float32]
    status: Status
    segment: int


class Tracker:
    """Follows a camera frame by frame. An error leaves the state as it was: the next valid frame is tracked.

    A frame with the status ``gap``, ``no texture`` or ``implausible`` begins a new pair for the model, and its own
    motion is bridged: with ``gaps="velocity"`` at the velocity of the last frames that were ok, for 3 s at most; with
    ``gaps="segment"``, and after that, the pose stands still, and what comes then is a new segment. A static image has
    no motion.

    >>> with Tracker("runs/demo/models/student_distilled/model.onnx") as tracker:  # doctest: +SKIP
    ...     pose = tracker.step(frame, t)
    """

    def __init__(
        self, model: str | Path, camera: Camera | None = None, threads: int = 1, gaps: Gaps = "velocity"
    ) -> None:
        """Load a model.

        Args:
            model: ONNX file.
            camera: intrinsics of the frames to come; without them the middle of each frame is used as it is.
            threads: of the model.
            gaps: what bridges frames without a motion that can be trusted: ``velocity`` or ``segment``.

        Raises:
            DistilvoError: the model cannot be read.
        """
        self._model: StepModel | None = StepModel(Path(model), threads)
        self.size = self._model.size
        self._preprocessing = Preprocessing(self.size, self._model.channels)
        self._camera, self._gaps = camera, gaps
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
        self._seen: Seen | None = None
        self._bridge = Bridge(self._gaps)
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
            image = self._preprocessing.apply(frame, self._camera)
            status, seen = judge(self._seen, image, float(t))
            motion = self._measured(model, image, status)
        except DistilvoError as error:
            raise DistilvoError(f"frame at {t} s: {error}") from None
        if self._last is None:
            self._last = Pose(float(t), np.eye(4), motion, status, 0)
        else:
            if status == "ok" and too_fast(motion, t - self._last.time):
                status = "implausible"
            motion, segment = self._bridge.step(status, motion, t - self._last.time)
            matrix = se3.compose(se3.matrices_from_motions(motion)[None], self._last.matrix)[1]
            self._last = Pose(float(t), matrix, motion, status, segment)
        self._seen = seen
        return self._last

    def _measured(self, model: StepModel, image: Frame, status: Status) -> NDArray[np.float32]:
        """The model's motion (6,); zero where the image belongs to no pair, or is the last one once more."""
        if status == "static image":
            return np.zeros(6, np.float32)
        if status != "ok":
            model.reset()
        return model.step(image)

    def _opened(self) -> StepModel:
        if self._model is None:
            raise DistilvoError("the tracker is closed; make another one")
        return self._model

    def _check_time(self, t: float) -> None:
        try:
            math.isfinite(t)
        except TypeError:  # None, say
            raise DistilvoError("expected a time that is a number, in seconds") from None
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
