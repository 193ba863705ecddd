"""An exported model that is run frame by frame. Needs numpy and onnxruntime, no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.frame_rate import stated_rate
from distilvo.paths import check_regular, check_utf8, near

_MOST_INPUTS = 64
_LARGEST_INPUT = 2**26
"""Numbers, 256 MB: a file of some bytes can claim any size."""


class StepModel:
    """An ONNX file and the state that it carries from frame to frame.

    Attributes:
        config: configuration of the model folder.
        parameters: number of trained parameters; None in files of older exports, which do not say it.
        precision: of the weights, ``fp32`` or ``int8``; None likewise.
        channels: 1 (luminance) or 3 (RGB).
        size: height and width of the input images.
        preprocessing: how a camera's frame becomes an input image.
        rate_hz: frames per second that the model was trained on; None where the file does not say it.
        deviation: (6,) [m, rad] standard deviation of the error of the last motion, 0 at a first frame; None where the
            model states none.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Load an ONNX file that ``distilvo export`` wrote.

        Raises:
            DistilvoError: the file is missing, damaged, or was written by something else.
        """
        check_utf8(path)
        check_regular(path, "a model that 'distilvo export' wrote")
        if not path.exists():
            raise DistilvoError(f"{path}: no such file; {near(path)}expected a model that 'distilvo export' wrote")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what fails is said once, below
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            metadata = self._session.get_modelmeta().custom_metadata_map
            self.config: dict[str, Any] = json.loads(metadata["distilvo"])
            self.parameters = int(metadata["parameters"]) if "parameters" in metadata else None
            if not isinstance(self.config, dict):
                raise ValueError("its configuration is no object")
            self.precision: str | None = metadata.get("precision")
            self._features = int(metadata.get("features", "1"))  # parts of the state that the first frame fills
            shapes = _checked_shapes(self._session)
            _, self.channels, height, width = shapes.pop("frame")
            centred, self.rate_hz = _checked_centred(self.config), stated_rate(self.config)
        except Exception as error:  # onnxruntime has another class for every kind of damage
            raise DistilvoError(
                f"{path}: not a model that 'distilvo export' wrote ({_first_line(error)}); export it anew"
            ) from None
        self.size: tuple[int, int] = height, width
        self.preprocessing = Preprocessing(self.size, self.channels, centred)
        self._shapes, self._states_deviation = shapes, _states_deviation(self._session)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._state = {name: np.zeros(shape, np.float32) for name, shape in self._shapes.items()}
        self._first = True
        self.deviation: NDArray[np.float32] | None = np.zeros(6, np.float32) if self._states_deviation else None

    def inputs(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Inputs of the network for the next step: the frame (1, C, H, W) and the present state."""
        return {"frame": frame[None].astype(np.float32, copy=False), **self._state}

    def step(self, frame: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """The motion (6,) [m, rad] since the last frame, (C, H, W) of 0..255; zero at the first frame.

        Raises:
            DistilvoError: the motion is not finite, or its deviation is not above 0; the frame is then forgotten.
        """
        try:
            motion, *state = self._session.run(None, self.inputs(frame))
        except Exception as error:  # as above
            raise DistilvoError(f"the model fails ({_first_line(error)}); export it anew") from None
        deviation = state.pop(0) if self._states_deviation else None
        after = dict(zip(self._state, state, strict=True))
        if self._first:  # there is no pair yet, so the LSTM's memory stays at zero
            self._state |= dict([*after.items()][: self._features])
            self._first = False
            return np.zeros(6, np.float32)
        if not np.isfinite(motion).all():
            raise DistilvoError(f"the model gave the motion {motion[0]}; expected numbers; train or export it anew")
        if deviation is not None:
            if not (np.isfinite(deviation) & (deviation > 0)).all():
                raise DistilvoError(
                    f"the model gave the deviation {deviation[0]}; expected numbers above 0; train or export it anew"
                )
            self.deviation = deviation[0]
        self._state = after
        return motion[0]


def _checked_shapes(session: onnxruntime.InferenceSession) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs by name, the frame's first. Raises ValueError where they are not those of a step model."""
    inputs = {value.name: tuple(value.shape) for value in session.get_inputs()}
    outputs = [tuple(value.shape) for value in session.get_outputs()]
    if any(value.type != "tensor(float)" for value in (*session.get_inputs(), *session.get_outputs())):
        raise ValueError("expected numbers of float32")
    if len(inputs) > _MOST_INPUTS:
        raise ValueError(f"{len(inputs)} inputs, expected at most {_MOST_INPUTS}")
    for name, shape in inputs.items():
        if not all(type(size) is int and size >= 1 for size in shape) or math.prod(shape) > _LARGEST_INPUT:
            raise ValueError(f"{name} has the shape {shape}, expected fixed sizes, {_LARGEST_INPUT} numbers at most")
    frame = inputs.get("frame", ())
    if len(frame) != 4 or frame[0] != 1 or frame[1] not in (1, 3):
        raise ValueError(f"frame has the shape {frame}, expected (1, 1 or 3, height, width)")
    states = [shape for name, shape in inputs.items() if name != "frame"]
    wanted = [(1, 6), *([(1, 6)] if _states_deviation(session) else []), *states]
    if not states or [*inputs][1:] != [f"state_{k}" for k in range(len(states))] or outputs != wanted:
        raise ValueError(f"outputs have the shapes {outputs}, expected (1, 6) and those of the states {states}")
    return inputs


def _states_deviation(session: onnxruntime.InferenceSession) -> bool:
    """Whether there is an output ``deviation`` right behind the motion."""
    return [value.name for value in session.get_outputs()][1:2] == ["deviation"]


def _checked_centred(config: dict[str, Any]) -> bool:
    """Whether the optical axis is in the middle column of an image; files of older exports say nothing: it is not."""
    centred = config.get("centred", False)
    if not isinstance(centred, bool):
        raise ValueError(f"centred is {str(centred)[:40]!r}, expected true or false")
    return centred


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error).strip() else type(error).__name__
