"""The kinds of networks, by their architecture."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from distilvo.models.flow_network import TRAINED_RATE_HZ, FlowArchitecture, FlowNetwork
from distilvo.models.frame_rate import stated_rate
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.network import Architecture, PoseNetwork

AnyArchitecture = Architecture | FlowArchitecture


def network_of(architecture: AnyArchitecture) -> MotionNetwork:
    """A network of this shape with random weights."""
    return FlowNetwork(architecture) if isinstance(architecture, FlowArchitecture) else PoseNetwork(architecture)


def architecture_from(values: dict[str, Any]) -> AnyArchitecture:
    """Undo ``to_dict`` of either kind; JSON has lists instead of tuples.

    Raises:
        ValueError: the kind is unknown.
        TypeError: names do not fit.
    """
    frozen = {key: _frozen(value) for key, value in values.items()}
    kind = frozen.pop("kind", "pose")
    if kind not in ("pose", "flow"):
        raise ValueError(f"kind '{kind}' is unknown, expected pose or flow")
    return FlowArchitecture(**frozen) if kind == "flow" else Architecture(**frozen)


@cache  # students are searched for by their number of parameters
def count_parameters(architecture: AnyArchitecture) -> int:
    """Number of trained parameters of a network; no memory is taken for them."""
    with torch.device("meta"):
        return sum(p.numel() for p in network_of(architecture).parameters())


def distillation_rate(student: AnyArchitecture, teacher: AnyArchitecture) -> float:
    """How many per cent fewer parameters the student has than its teacher."""
    return 100 * (1 - count_parameters(student) / count_parameters(teacher))


def rate_of(architecture: AnyArchitecture, config: dict[str, Any]) -> float | None:
    """Frames per second that a model was trained on, by its configuration; None where that does not say it."""
    of_streets = "rate_hz" not in config and isinstance(architecture, FlowArchitecture)  # older ones say nothing
    return TRAINED_RATE_HZ if of_streets else stated_rate(config)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
