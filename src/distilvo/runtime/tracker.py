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
from distilvo.geometry.camera import (
    DEFAULT_CAMERA_HEIGHT,
    Camera,
    Frame,
    check_camera_height,
    from_default_height,
)
from distilvo.geometry.pose_covariance import propagated
from distilvo.models.step_model import StepModel
from distilvo.runtime.bridge import Bridge, Motion, too_fast
from distilvo.runtime.frame_quality import Seen, Status, judge
from distilvo.runtime.packaged_models import model_path
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
        motion_deviation: (6,) [m, rad] standard deviation of the error of each component of ``motion``: the model's
            own, or where the motion was bridged a stated, large one; None where the model states none.
        covariance: (6, 6) of the pose since the first one of its segment, in the order of ROS: x, y, z, rotation about
            x, y, z [m, rad]. Both errors are along the fixed axes of the world, which is the first camera: the true
            position is ``p + dp``, the true rotation ``Exp(theta) @ R``; None as above.
    """

    time: float
    matrix: NDArray[np.float64]
    motion: NDArray[np.float32]
    status: Status
    segment: int
    motion_deviation: NDArray[np.float32] | None = None
    covariance: NDArray[np.float64] | None = None

    @property
    def motion_covariance(self) -> NDArray[np.float64] | None:
        """(6, 6) of ``motion`` [m, rad]: a diagonal, in the order and axes of the motion, those of the last camera."""
        if self.motion_deviation is None:
            return None
        return np.diag(np.square(self.motion_deviation, dtype=np.float64))


class Tracker:
    """Follows a camera frame by frame. An error leaves the state as it was: the next valid frame is tracked.

    A frame with the status ``gap``, ``no texture`` or ``implausible`` begins a new pair for the model, and its own
    motion is bridged: with ``gaps="velocity"`` at the velocity of the last frames that were ok, for 3 s at most; with
    ``gaps="segment"``, and after that, the pose stands still, and what comes then is a new segment. A static image has
    no motion.

    Attributes:
        preprocessing: how a frame becomes the model's image.
        rate_hz: frames per second that the model was trained on; None where its file does not say it.
        camera_height: metres above the road.

    >>> with Tracker() as tracker:  # doctest: +SKIP
    ...     pose = tracker.step(frame, t)
    """

    def __init__(
        self,
        model: str | Path | None = None,
        camera: Camera | None = None,
        threads: int = 1,
        gaps: Gaps = "velocity",
        camera_height: float = DEFAULT_CAMERA_HEIGHT,
    ) -> None:
        """Load a model.

        Args:
            model: ONNX file, or the name of one of the package; its student where not given.
            camera: intrinsics of the frames to come; without them the middle of each frame is used as it is.
            threads: of the model.
            gaps: what bridges frames without a motion that can be trusted: ``velocity`` or ``segment``.
            camera_height: of the camera above the road, m: all lengths are in proportion to it.

        Raises:
            DistilvoError: the model cannot be read, or no vehicle has a camera at that height.
        """
        check_camera_height(camera_height, "camera_height")
        self._model: StepModel | None = StepModel(model_path(model), threads)
        self.preprocessing, self.rate_hz = self._model.preprocessing, self._model.rate_hz
        self._camera, self._gaps, self.camera_height = camera, gaps, camera_height
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
            image = self.preprocessing.apply(frame, self._camera)
            status, seen = judge(self._seen, image, float(t))
            motion, deviation = self._measured(model, image, status)
        except DistilvoError as error:
            raise DistilvoError(f"frame at {t} s: {error}") from None
        if self._last is None:
            covariance = None if deviation is None else np.zeros((6, 6))
            self._last = Pose(float(t), np.eye(4), motion, status, 0, deviation, covariance)
        else:
            self._last = self._next(self._last, float(t), status, motion, deviation)
        self._seen = seen
        return self._last

    def _measured(self, model: StepModel, image: Frame, status: Status) -> tuple[Motion, Motion | None]:
        """The motion (6,) and its deviation; zero where the image belongs to no pair, or is the last one once more."""
        if status == "static image":
            still = np.zeros(6, np.float32)
            return still, None if model.deviation is None else still
        if status != "ok":
            model.reset()
        motion = from_default_height(model.step(image), self.camera_height)
        if model.deviation is None:
            return motion, None
        return motion, from_default_height(model.deviation, self.camera_height)

    def _next(self, last: Pose, t: float, status: Status, motion: Motion, deviation: Motion | None) -> Pose:
        """The pose that follows the last one, by the measured motion or by what bridges it."""
        seconds = t - last.time
        if status == "ok" and too_fast(motion, seconds):
            status = "implausible"
        motion, segment = self._bridge.step(status, motion, seconds)
        if deviation is not None and status not in ("ok", "static image"):
            deviation = self._bridge.deviation(seconds)
        matrix = se3.compose(se3.matrices_from_motions(motion)[None], last.matrix)[1]
        covariance = None
        if deviation is not None and last.covariance is not None:
            known = propagated(last.covariance, last.matrix, motion, deviation)
            covariance = known if segment == last.segment else np.zeros((6, 6))
        return Pose(t, matrix, motion, status, segment, deviation, covariance)

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
