"""Live tracking with an exported model: ``step(frame, t) -> pose``. Imports numpy and onnxruntime, not torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilvo import poses
from distilvo.errors import DistilvoError

if TYPE_CHECKING:
    from distilvo.sequences import Camera


class StepModel:
    """An ONNX file and the state that it carries from frame to frame."""

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
        except Exception as error:  # onnxruntime raises a class of its own for every kind of damage
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DistilvoError(
                f"{path}: not a model that 'distilvo export' wrote ({reason}); export it anew"
            ) from None
        self._shapes = {value.name: value.shape for value in self._session.get_inputs()}
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        names = [name for name in self._shapes if name != "frame"]
        self._state = {name: np.zeros(self._shapes[name], np.float32) for name in names}
        self._first = True

    def step(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The motion (6,) [m, rad] since the last frame, (C, H, W) uint8; zero at the first frame."""
        motion, features, *memory = self._session.run(None, {"frame": frame[None].astype(np.float32), **self._state})
        if self._first:  # there is no pair yet, so the LSTM's memory stays at zero
            self._state["state_0"], self._first = features, False
            return np.zeros(6, np.float32)
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
    """Follows a camera frame by frame.

    >>> tracker = Tracker("runs/demo/models/student_distilled/model.onnx")  # doctest: +SKIP
    >>> pose = tracker.step(frame, t)  # doctest: +SKIP
    """

    def __init__(self, model: str | Path, camera: Camera | None = None, threads: int = 1) -> None:
        """Args ``camera``: intrinsics of the frames to come; without them the middle of each frame is taken as it is.

        Raises:
            DistilvoError: the model cannot be read.
        """
        from distilvo.sequences.frame_format import FrameFormat

        self._model = StepModel(Path(model), threads)
        architecture = self._model.config["architecture"]
        self.size: tuple[int, int] = tuple(architecture["size"])
        self._form = FrameFormat(self.size, architecture["channels"])
        self._camera = camera
        self.reset()

    def reset(self) -> None:
        """Begin a new drive; the next frame is its origin."""
        self._model.reset()
        self._last: Pose | None = None

    def step(self, frame: NDArray[np.uint8], t: float) -> Pose:
        """Take one frame, (H, W) grey or (H, W, 3) RGB uint8, at time ``t`` (s).

        Raises:
            DistilvoError: the frame is of another shape or type, or the time does not go forward.
        """
        if (
            frame.dtype != np.uint8
            or frame.ndim not in (2, 3)
            or (frame.ndim == 3 and frame.shape[2] != 3)
            or frame.size == 0
        ):
            raise DistilvoError(
                f"frame at {t} s: {frame.dtype} {frame.shape}; expected uint8 (H, W) grey or (H, W, 3) RGB"
            )
        if not np.isfinite(t) or (self._last is not None and t <= self._last.time):
            raise DistilvoError(f"frame at {t} s: not after the last one; frames must come in order of time")
        motion = self._model.step(self._form.apply(frame, self._camera))
        if not np.isfinite(motion).all():
            raise DistilvoError(f"frame at {t} s: the model gave {motion}; expected numbers; train or export it anew")
        before = np.eye(4) if self._last is None else self._last.matrix
        self._last = Pose(t, before @ poses.matrices_from_motions(motion), motion)
        return self._last
