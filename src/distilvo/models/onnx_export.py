"""A trained network as one ONNX file, checked against the network that it came from."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path
from distilvo.models.flow_network import FlowNetwork
from distilvo.models.kinds import AnyArchitecture, rate_of
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.onnx_solver import translations
from distilvo.models.step_model import StepModel

TOLERANCE = 1e-4
"""Largest difference allowed between ONNX and torch, in units of the motion's scale."""

FLOW_TOLERANCE = 1e-3
"""That of a network that sees flow first, 0.2 mm and 0.0002 deg: its solvers enlarge the last digits of the maps."""

CLIPS = ((1, 2), (2, 5), (3, 9))
"""Batches, (streams, frames), on which file and network are compared as well as on the drive.

The file runs on one stream at a time, frame by frame, the network on all of them at once. The comparison detects a
frozen time axis and a state that two streams share."""


class _Step(nn.Module):
    def __init__(self, network: MotionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.network, FlowNetwork):
            motion, deviation, state = self.network.uncertain_step(frame, state)
            return motion, deviation, *state
        motion, state = self.network.step(frame, state)
        return motion, *state


def export_onnx(network: MotionNetwork, config: dict[str, Any], path: Path, frames: Tensor) -> float:
    """Write the step model ``(frame, state...) -> (motion, next state...)`` and check it on one drive and on clips.

    Inputs are ``frame`` (1, C, H, W) float32 0..255 and ``state_0 ...``; outputs ``motion`` (1, 6) [m, rad], of a
    network that sees flow first ``deviation`` (1, 6), the standard deviation of its error, and ``next_0 ...``. The
    metadata hold the configuration (``distilvo``, JSON), the number of trained parameters (``parameters``) and the
    precision of the weights (``precision``), so that a robot needs this one file only. The configuration says of the
    images whether their optical axis is ``centred``, and the frames per second of the training, where they are known
    (``rate_hz``). ``features`` says how many parts of the state the first frame fills.

    Args:
        network: what to export.
        config: configuration of its model folder.
        path: the ONNX file; it gets this name after the check.
        frames: (N, C, H, W) uint8, consecutive.

    Returns:
        The largest absolute difference of a motion between ONNX and torch, m or rad.

    Raises:
        DistilvoError: the ONNX file gives other motions than the network.
    """
    network = network.cpu().eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of packages that are not needed
    with atomic_path(path) as temporary:
        _write(network, config, temporary)
        difference = _difference(network, temporary, frames)
        allowed = FLOW_TOLERANCE if isinstance(network, FlowNetwork) else TOLERANCE
        if not float((difference / network.scale).max()) <= allowed:
            raise DistilvoError(
                f"{path}: gives motions up to {float(difference.max()):.2e} off those of the network; "
                "expected the same; this is a fault of the export, please report it"
            )
    return float(difference.max())


def moving_blobs(architecture: AnyArchitecture) -> Tensor:
    """Frames (8, C, H, W) uint8 of random blobs that move by three pixels each time, to check an export on.

    Noise has no flow: what a solver makes of it hangs on the last digits of float32.
    """
    (height, width), count = architecture.size, 8
    random = torch.rand(
        1, architecture.channels, height // 6, width // 6 + count, generator=torch.Generator().manual_seed(0)
    )
    wide = interpolate(255 * random, size=(height, width + 3 * count), mode="bicubic").clamp(0, 255).byte()[0]
    return torch.stack([wide[..., 3 * k : 3 * k + width] for k in range(count)])


def onnx_motions(path: Path, frames: Tensor) -> NDArray[np.float32]:
    """Run an exported file over one drive, (N, C, H, W) uint8 -> (N - 1, 6) motions."""
    return _motions(StepModel(path), frames)


def _motions(model: StepModel, frames: Tensor) -> NDArray[np.float32]:
    model.reset()
    return np.stack([model.step(frame.numpy()) for frame in frames])[1:]


@torch.no_grad()
def _difference(network: MotionNetwork, path: Path, frames: Tensor) -> Tensor:
    """Absolute differences (..., 6) of motions between file and network, over the drive and over ``CLIPS``."""
    model = StepModel(path)
    differences = [torch.from_numpy(_motions(model, frames)) - network.predict(frames)]
    for streams, length in CLIPS:
        first = torch.arange(streams)[:, None]
        clips = frames[
            _there_and_back(first + (first + 1) * torch.arange(length), len(frames))
        ]  # at its own speed each
        alone = torch.from_numpy(np.stack([_motions(model, clip) for clip in clips]))
        differences.append((alone - network(clips)).flatten(0, 1))
    return torch.cat(differences).abs()


def _there_and_back(steps: Tensor, count: int) -> Tensor:
    """Numbers of frames 0 .. count - 1 .. 0 ..: a jump from the last to the first would have no flow to be seen."""
    places = steps % max(1, 2 * (count - 1))
    return torch.minimum(places, 2 * (count - 1) - places)


def _write(network: MotionNetwork, config: dict[str, Any], path: Path) -> None:
    frame = torch.zeros(1, network.architecture.channels, *network.architecture.size)
    with torch.no_grad():
        state = network.start(frame)
    states, more = range(len(state)), ["deviation"] if isinstance(network, FlowNetwork) else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(
            _Step(network),
            (frame, *state),
            path,
            input_names=["frame", *(f"state_{k}" for k in states)],
            output_names=["motion", *more, *(f"next_{k}" for k in states)],
            dynamo=True,
            external_data=False,
            verbose=False,
            custom_translation_table=translations(),
        )
    model = onnx.load(path)
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")  # stack traces of the exporter, with paths of this machine
    parameters = sum(p.numel() for p in network.parameters())
    stated = {**config, "centred": network.preprocessing.centred, "rate_hz": rate_of(network.architecture, config)}
    if stated["rate_hz"] is None:
        del stated["rate_hz"]
    metadata = {"distilvo": json.dumps(stated), "parameters": str(parameters), "precision": "fp32"}
    metadata["features"] = str(network.features)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
