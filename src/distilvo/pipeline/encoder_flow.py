"""Optical flow for the convolutions of a network that regresses motions: what FlowNet's weights are to the paper's.

The paper's teacher begins with an encoder that knows optical flow (Section 4.1). Where there are no such weights, small
heads read the flow from the encoder at several scales, as FlowNetS predicts it (Dosovitskiy et al., ICCV 2015), and the
encoder is trained through them. The heads are then thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from distilvo.data.flow_cells import CELL
from distilvo.data.flow_pairs import FlowPairs
from distilvo.data.frame_cache import FrameCache
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.checkpoint import Curve
from distilvo.distill.task import Losses, Task
from distilvo.distill.trainer import train
from distilvo.distill.validation import Best
from distilvo.errors import DistilvoError
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.pipeline.flow_training import mean_over_known, settings_of, steps_between_looks
from distilvo.settings import FlowRecipe

_CHUNK = 16  # pairs at once in the validation: at the paper's size the first feature map of one has 8 MB


def head_places(architecture: Architecture) -> dict[int, int]:
    """Which convolutions have a flow head behind them: stride in pixels -> number of the last convolution there.

    Those that see a frame pair, at each stride that is a multiple of a cell's 8 pixels.

    Raises:
        DistilvoError: there is none, or the image is not made of whole cells.
    """
    if any(side % CELL for side in architecture.size):
        height, width = architecture.size
        raise DistilvoError(
            f"{architecture.name}: its images have {height} x {width} pixels; expected multiples of {CELL}, since the "
            "true flow is known by cells of so many; choose another architecture"
        )
    stride, places, strides = architecture.patch, {}, []
    for number, (_, _, step) in enumerate(architecture.convolutions):
        stride *= step
        if number >= architecture.shared:
            strides.append(stride)
            if stride % CELL == 0:
                places[stride] = number
    if not places:
        raise DistilvoError(
            f"{architecture.name}: its convolutions see frame pairs at strides of {', '.join(map(str, strides))} "
            f"pixels; expected a multiple of {CELL}, where the true flow is known; choose an architecture with more of "
            "them, such as quarter"
        )
    return places


class EncoderFlow(Task):
    """The flow of frame pairs, read from a network's convolutions by one small convolution at each scale.

    The loss is the mean absolute error of the flow's two components, in cells of 8 pixels, at every scale. All scales
    weigh the same: the LSTM layers will read the coarsest one, which FlowNetS weighs most, too.
    """

    network: PoseNetwork

    def __init__(self, network: PoseNetwork) -> None:
        """Raises DistilvoError where there is no place for a head."""
        super().__init__(network)
        self.places = head_places(network.architecture)
        widths = {stride: network.architecture.convolutions[number][0] for stride, number in self.places.items()}
        self.heads = nn.ModuleDict({str(stride): nn.Conv2d(width, 2, 3, padding=1) for stride, width in widths.items()})

    def flows(self, frames: Tensor) -> dict[int, Tensor]:
        """Flow of pairs (B, 2, C, H, W) of 0..255 by stride: (B, 2, ceil(H / stride), ceil(W / stride)), in cells."""
        features = self.network.encode(frames.flatten(0, 1)).unflatten(0, (-1, 2))
        seen, shared = self.network.compare(features[:, 0], features[:, 1]), self.network.architecture.shared
        strides, flows = {number: stride for stride, number in self.places.items()}, {}
        for number, layer in enumerate(self.network.convolutions[shared:], start=shared):
            seen = layer(seen)
            if (stride := strides.get(number)) is not None:
                flows[stride] = self.heads[str(stride)](seen).float()
        return flows

    def forward(self, batch: Batch) -> Losses:
        """``flow_8``, ``flow_16``, ... of each pair, and the mean of their sum."""
        losses = {}
        for stride, flow in self.flows(batch.inputs["frames"]).items():
            truth = block_means(batch.inputs["flow"], stride // CELL)
            losses[f"flow_{stride}"] = mean_over_known((flow - truth.nan_to_num()).abs(), truth)
        return losses | {"total": torch.stack(list(losses.values())).sum(0).mean()}


def block_means(flow: Tensor, side: int) -> Tensor:
    """Flow (B, 2, h, w) averaged over the known cells of blocks of side x side; NaN where a block has none.

    (B, 2, ceil(h / side), ceil(w / side)): a block at the border may have fewer cells.
    """
    known = ~flow.isnan()
    sums, counts = (avg_pool2d(part, side, ceil_mode=True) for part in (flow.nan_to_num(), known.to(flow.dtype)))
    return sums / counts


def train_encoder(
    network: PoseNetwork, cache: FrameCache, recipe: FlowRecipe, checkpoint: Path, held_out: FrameCache
) -> tuple[Curve, Curve]:
    """Train a network's convolutions on true flow in place, or go on from ``checkpoint``; all else stays as it is.

    Args:
        network: with its first weights.
        cache: streets with true flow.
        recipe: how it is trained.
        checkpoint: the training's file.
        held_out: streets with true flow that it is validated on: the network keeps the weights that do best there.

    Returns:
        The curves of the loss, and of the mean end-point error of the finest flow on held-out streets, in pixels.

    Raises:
        DistilvoError: the network has no place for a head, or a cache has no flow or too few pairs.
    """
    batches = Batches(FlowPairs(cache, network.preprocessing, recipe))
    torch.manual_seed(recipe.seed)  # of the heads
    task = EncoderFlow(network)
    best = Best(
        network, lambda device: end_point_error(task, held_out, device), steps_between_looks(recipe), data=held_out.key
    )
    with _rest_frozen(network):
        curve = train(task, batches, settings_of(recipe), checkpoint, f"{network.architecture.name}: flow", best=best)
    return curve, best.curve


@torch.no_grad()
def end_point_error(task: EncoderFlow, cache: FrameCache, device: torch.device) -> float:
    """Mean distance of the finest flow from the true one, in pixels, over all known cells of consecutive frames.

    Raises:
        DistilvoError: the cache has no flow.
    """
    if cache.flow is None:
        raise DistilvoError("held-out data: no true flow; expected streets of 'distilvo render --flow'")
    finest, total, count = min(task.places), 0.0, 0
    for drive in cache.drives:
        last = drive.first + drive.frames - 1
        for first in range(drive.first, last, _CHUNK):
            end = min(first + _CHUNK, last)
            frames = torch.from_numpy(np.array(cache.frames[first : end + 1])).to(device)
            truth = torch.from_numpy(np.array(cache.flow[first:end], np.float32)).to(device)
            seen = CELL * task.flows(torch.stack([frames[:-1], frames[1:]], 1))[finest]
            truth = block_means(truth, finest // CELL)
            distances = (seen - truth).norm(dim=1)[~truth.isnan().any(1)]
            total, count = total + float(distances.sum()), count + len(distances)
    return total / count if count else float("nan")


@contextmanager
def _rest_frozen(network: PoseNetwork) -> Iterator[None]:
    """All but the convolutions need no gradient: no loss reaches them, and several processes would wait for one."""
    of_convolutions = set(network.convolutions.parameters())
    rest = [p for p in network.parameters() if p not in of_convolutions and p.requires_grad]
    for parameter in rest:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in rest:
            parameter.requires_grad_(True)
