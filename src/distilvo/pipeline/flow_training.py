"""A network that sees flow first, trained on streets with true flow, inverse depth and motion at once."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from distilvo.data.flow_pairs import FlowPairs
from distilvo.data.frame_cache import FrameCache
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.checkpoint import Curve
from distilvo.distill.task import Losses, Task
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.distill.validation import Best
from distilvo.models.flow_network import ERROR_UNIT, FlowNetwork
from distilvo.models.kinds import AnyArchitecture, network_of
from distilvo.models.motion_network import MotionNetwork
from distilvo.settings import FlowRecipe

_WEIGHTS = {"coarse_flow": 1.0, "flow": 1.0, "depth": 0.5, "flow_motion": 0.15, "motion": 0.3, "uncertainty": 0.05}
_FAR = 0.03  # 1 / camera heights that are added before the logarithm of inverse depths
_MOST = 20.0  # units of the motion's error: what is worse than that counts as much


class SeesFlow(Task):
    """Flow in front of and behind the fine stage, inverse depth, motion, and the scale of the motion's error."""

    network: FlowNetwork

    def forward(self, batch: Batch) -> Losses:
        """Losses of each pair, and their weighed sum."""
        motion, error, flow_motion, maps = self.network.estimate(batch.inputs["frames"])
        flow, depth = batch.inputs["flow"], batch.inputs["inverse_depth"]
        off, off_by_flow = (((m - batch.targets) / ERROR_UNIT.to(m.device)).abs()[:, 0] for m in (motion, flow_motion))
        losses = {
            "coarse_flow": mean_over_known((maps.coarse_flow - flow.nan_to_num()).abs(), flow),
            "flow": mean_over_known((maps.flow - flow.nan_to_num()).abs(), flow),
            "depth": mean_over_known(_log_error(maps.inverse_depth, depth.nan_to_num()), depth),
            "flow_motion": off_by_flow.clamp_max(_MOST).mean(1),
            "motion": off.clamp_max(_MOST).mean(1),
            "uncertainty": (off.detach() * (-error[:, 0]).exp() + error[:, 0]).mean(1),
        }
        total = sum((weight * losses[name] for name, weight in _WEIGHTS.items()), torch.zeros_like(losses["flow"]))
        return losses | {"total": total.mean()}


def new_network(architecture: AnyArchitecture, recipe: FlowRecipe) -> MotionNetwork:
    """With the random weights of the recipe's seed."""
    torch.manual_seed(recipe.seed)
    return network_of(architecture)


def train_flow(
    network: FlowNetwork, cache: FrameCache, recipe: FlowRecipe, checkpoint: Path, held_out: FrameCache
) -> tuple[Curve, Curve]:
    """Train a network in place, or go on from ``checkpoint``.

    Args:
        network: with its first weights.
        cache: streets with true flow.
        recipe: how it is trained.
        checkpoint: the training's file.
        held_out: streets that it is validated on: the network keeps the weights that do best there.

    Returns:
        The curves of the loss and of the error on held-out streets, in ``ERROR_UNIT``.
    """
    batches = Batches(FlowPairs(cache, network.preprocessing, recipe))
    best = _validated(network, held_out, recipe)
    label = network.architecture.name
    curve = train(SeesFlow(network), batches, settings_of(recipe), checkpoint, label, best=best)
    return curve, best.curve


def settings_of(recipe: FlowRecipe) -> TrainingSettings:
    """How the loop trains by a recipe."""
    warmup = min(500, recipe.steps // 20)
    return TrainingSettings(recipe.steps, recipe.learning_rate, warmup, 5.0, recipe.precision, recipe.seed)


def steps_between_looks(recipe: FlowRecipe) -> int:
    """Of the validation: there are twenty looks."""
    return max(1, recipe.steps // 20)


def mean_over_known(error: Tensor, truth: Tensor) -> Tensor:
    """Mean (B,) of finite errors (B, C, h, w) where the truth is not NaN; 0 where nothing is known."""
    known = (~truth.isnan()).flatten(1)
    return (error.flatten(1) * known).sum(1) / known.sum(1).clamp_min(1)


def _validated(network: FlowNetwork, held_out: FrameCache, recipe: FlowRecipe) -> Best:
    """Keeps the weights with the smallest mean error of the motion's components on held-out streets."""
    truth = torch.cat([torch.from_numpy(held_out.drive_motions(index)) for index in range(len(held_out.drives))])

    def error(device: torch.device) -> float:
        motions = [network.predict(held_out.drive_frames(i).to(device)).cpu() for i in range(len(held_out.drives))]
        return float(((torch.cat(motions) - truth) / ERROR_UNIT).abs().clamp_max(_MOST).mean())

    return Best(network, error, steps_between_looks(recipe), data=held_out.key)


def _log_error(inverse_depth: Tensor, truth: Tensor) -> Tensor:
    """Error of the logarithm, of ``_FAR`` more than both: like the square near 0, like the absolute value from 0.3 on.

    In relation to the truth alone, what is uncertain would be taken for too far: that error is never more than 1.
    """
    size = ((inverse_depth + _FAR) / (truth + _FAR)).log().abs()
    return torch.where(size < 0.3, size * size / 0.6, size - 0.15)
