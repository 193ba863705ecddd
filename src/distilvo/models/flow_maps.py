"""What a network sees of a frame pair, cell by cell: flow, inverse depth, road, and how far to trust each of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

UNITS = (0.025, 0.025, 0.005, 0.2, 0.2, 0.5, 0.2, 0.2)
"""One unit matters alike in all maps of the field: flow in cells, inverse depth in 1 / camera heights, logarithm of the
confidence in each component, of the odds of road, of the doubt in depth, and of the weight of grey values."""

_LEAST_LOG, _MOST_LOG = -8.0, 6.0  # of confidence, doubt and weight
_FLOW = 80.0  # weight of a flow of confidence 1, against the prior of the solver
_GREY = 0.3  # weight of grey values of confidence 1
_NEAR_DOUBT = 0.03  # 1 / camera heights: also what is infinitely far is doubted
_ROAD_BEGINS, _ROAD_SURE = 0.06, 40.0  # rays that go further down see a road, as long as nothing is learned


class Maps(NamedTuple):
    """What is seen of P frame pairs, in cells of ``CELL`` pixels.

    Attributes:
        coarse_flow: (P, 2, h, w) cells, across and down, in front of the fine stage.
        flow: (P, 2, h, w) cells: where each cell's middle goes in the next frame.
        inverse_depth: (P, 1, h, w) 1 / camera heights; 0 infinitely far.
        flow_weight: (P, 2, h, w) of each flow component, 0 or more.
        road: (P, 1, h, w) how far a cell belongs to the plane of the road, 0 to 1.
        doubt: (P, 1, h, w) standard deviation of the inverse depth, where that of a flow of weight 1 is 1.
        grey_weight: (P, 1, h, w) of the grey values, 0 or more, in the unit of ``flow_weight``.
        context: (P, K) of the whole pair.
    """

    coarse_flow: Tensor
    flow: Tensor
    inverse_depth: Tensor
    flow_weight: Tensor
    road: Tensor
    doubt: Tensor
    grey_weight: Tensor
    context: Tensor


def field_of(raw: Tensor, coarse: Tensor, rays: Tensor) -> Tensor:
    """The last convolution's output (P, 8, h, w) as the field of all maps; a flat road where it is zero."""
    flow, nearness, trust, road, rest = raw.split([2, 1, 2, 1, 2], 1)
    down = rays[1:]
    inverse_depth = softplus(4 * (down.clamp_min(0) + nearness) - 0.2) / 4
    odds = road + _ROAD_SURE * (down - _ROAD_BEGINS)
    logs = [part.clamp(_LEAST_LOG, _MOST_LOG) for part in (trust, odds, rest)]
    return torch.cat([coarse + flow, inverse_depth, *logs], 1)


def maps_of(field: Tensor, coarse: Tensor, context: Tensor) -> Maps:
    """The maps of a field (P, 8, h, w)."""
    flow, inverse_depth, trust, odds, doubt, grey = field.split([2, 1, 2, 1, 1, 1], 1)
    doubt = (inverse_depth + _NEAR_DOUBT) * doubt.exp()
    return Maps(coarse, flow, inverse_depth, _FLOW * trust.exp(), odds.sigmoid(), doubt, _GREY * grey.exp(), context)
