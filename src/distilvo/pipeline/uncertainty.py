"""What a network that sees flow first states of its own errors: learned and scaled on drives with true poses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from distilvo.data.frame_cache import FrameCache
from distilvo.models.flow_network import ERROR_UNIT, FlowNetwork
from distilvo.models.motion_network import MotionNetwork
from distilvo.progress import progress

_STEPS, _LEARNING_RATE = 400, 3e-3


@contextmanager
def head_at_rest(network: MotionNetwork) -> Iterator[None]:
    """Leave the head of the uncertainty out of a training whose losses do not reach it."""
    head = list(network.uncertainty.parameters()) if isinstance(network, FlowNetwork) else []
    for parameter in head:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in head:
            parameter.requires_grad_(True)


def fit_uncertainty(network: MotionNetwork, cache: FrameCache, drives: Collection[int]) -> None:
    """Fit the head of the uncertainty to the network's own errors on drives with poses, and scale it there.

    Nothing is done where there are no such drives, or the network states no uncertainty.

    Args:
        network: trained; its motions stay as they are.
        cache: as the network sees it.
        drives: indices of drives with poses.
    """
    if not isinstance(network, FlowNetwork) or not drives:
        return
    network.eval()
    inputs, errors, _ = _seen(network, cache, drives)
    off = (errors / ERROR_UNIT).abs()
    optimiser = torch.optim.Adam(network.uncertainty.parameters(), _LEARNING_RATE)
    for _ in range(_STEPS):
        log_scale = network.uncertainty(inputs)
        loss = (off * (-log_scale).exp() + log_scale).mean()  # of a Laplace distribution, as in training on flow
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        _scale(network, errors, network.uncertainty(inputs).exp() * ERROR_UNIT)


def calibrate(network: FlowNetwork, cache: FrameCache, drives: Collection[int] | None = None) -> Tensor:
    """Scale the uncertainty so that the stated standard deviations are the true ones on drives with poses.

    Args:
        network: trained.
        cache: as the network sees it.
        drives: indices of drives with poses; all where not given.

    Returns:
        The factors (6,) by which the standard deviations had to be multiplied, one for each component.
    """
    _, errors, deviations = _seen(network, cache, range(len(cache.drives)) if drives is None else drives)
    return _scale(network, errors, deviations)


def _scale(network: FlowNetwork, errors: Tensor, deviations: Tensor) -> Tensor:
    factors = (errors / deviations).square().mean(0).sqrt()
    network.scale_deviation(factors)
    return factors


def _seen(network: FlowNetwork, cache: FrameCache, drives: Collection[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Of all pairs (P) of the drives: what the head sees, the motions' errors (P, 6), and what it says of them."""
    inputs: list[Tensor] = []
    errors, deviations = [], []
    tap = network.uncertainty.register_forward_pre_hook(lambda _, seen: inputs.append(seen[0].detach()))
    try:
        with progress("uncertainty", len(drives)) as bar:
            for index in drives:
                motion, deviation = network.with_deviation(cache.drive_frames(index))
                errors.append(motion - torch.from_numpy(cache.drive_motions(index)))
                deviations.append(deviation)
                bar.advance()
    finally:
        tap.remove()
    return torch.cat(inputs), torch.cat(errors), torch.cat(deviations)
