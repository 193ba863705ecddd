"""Heads that read flow from a network's convolutions, and their losses, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from distilvo.distill.batches import Batch
from distilvo.models.kinds import count_parameters
from distilvo.models.network import PoseNetwork
from distilvo.models.teacher import DEMO, PAPER, QUARTER
from distilvo.pipeline.encoder_flow import EncoderFlow, block_means, head_places
from test_encoder_flow import SMALL, make_task


def batch_of(flow: torch.Tensor) -> Batch:
    frames = torch.randint(0, 256, (len(flow), 2, 1, 32, 96), generator=torch.Generator().manual_seed(0)).float()
    return Batch({"frames": frames, "flow": flow}, torch.zeros(len(flow), 1, 6))


def test_heads_are_behind_the_last_convolution_of_each_resolution() -> None:
    assert head_places(PAPER) == head_places(QUARTER) == {8: 3, 16: 5, 32: 7, 64: 8}
    assert head_places(DEMO) == {8: 3, 16: 5}  # only where the pair is seen: two convolutions see each frame alone
    assert head_places(replace(DEMO, shared=4)) == {16: 5}
    assert head_places(replace(SMALL, patch=2)) == {8: 1, 16: 3, 32: 4}


@pytest.mark.parametrize("architecture", [QUARTER, replace(QUARTER, channels=3), DEMO])
def test_flow_at_each_stride(architecture: object) -> None:
    task = EncoderFlow(PoseNetwork(architecture)).eval()
    height, width = architecture.size
    flows = task.flows(torch.zeros(2, 2, architecture.channels, height, width, dtype=torch.uint8))
    assert {stride: tuple(flow.shape) for stride, flow in flows.items()} == {
        stride: (2, 2, height // stride, width // stride) for stride in head_places(architecture)
    }


def test_heads_see_what_the_network_sees() -> None:
    """The coarsest one, whose convolution is the last: its output follows from what the vector part is given."""
    torch.manual_seed(1)
    task = EncoderFlow(PoseNetwork(QUARTER)).eval()
    frames = torch.randint(0, 256, (1, 2, 1, 64, 192)).float()
    vector = task.network.relate(*(task.network.encode(frames[:, k]) for k in range(2)))
    expected = task.heads["64"](vector.view(1, 256, 1, 3))  # its grid is the whole map
    torch.testing.assert_close(task.flows(frames)[64], expected)


def test_quarter_is_the_paper_a_quarter_as_wide() -> None:
    assert [layer[0] * 4 for layer in QUARTER.convolutions] == [layer[0] for layer in PAPER.convolutions]
    assert count_parameters(QUARTER) == 1_767_474


def test_block_means_by_hand() -> None:
    nan = torch.nan
    flow = torch.tensor([[1.0, 3, nan, 5, 7], [5, 7, 2, nan, nan], [nan, nan, nan, nan, 4]])
    means = block_means(torch.stack([flow, -flow])[None], 2)
    expected = torch.tensor([[4.0, 3.5, 7], [nan, nan, 4]])
    torch.testing.assert_close(means[0], torch.stack([expected, -expected]), equal_nan=True)
    torch.testing.assert_close(block_means(flow[None, None], 1)[0, 0], flow, equal_nan=True)


def test_loss_by_hand() -> None:
    flow = torch.zeros(2, 2, 4, 12)
    flow[1, 0] = 3.0
    flow[1, 1, :, 6:] = -4.0
    losses = make_task()(batch_of(flow))
    # |1 - 0|, |-2 - 0|; then |1 - 3|, and half of |-2 - 0|, half of |-2 + 4|
    torch.testing.assert_close(losses["flow_8"], torch.tensor([1.5, 2.0]))
    # |0.5|, |0|; then |0.5 - 3|, and half of |0|, half of |4|
    torch.testing.assert_close(losses["flow_16"], torch.tensor([0.25, 2.25]))
    torch.testing.assert_close(losses["total"], torch.tensor((1.5 + 2.0 + 0.25 + 2.25) / 2))


def test_what_is_not_known_has_no_part_in_losses_and_gradients() -> None:
    flow = torch.full((3, 2, 4, 12), torch.nan)
    flow[0, 0, 0, 0], flow[0, 1, 0, 0] = 2.0, 0.0  # one known cell, which its block takes its mean from
    flow[1] = 0.0
    task = make_task()
    losses = task(batch_of(flow))
    torch.testing.assert_close(losses["flow_8"], torch.tensor([1.5, 1.5, 0.0]))
    torch.testing.assert_close(losses["flow_16"], torch.tensor([0.75, 0.25, 0.0]))
    losses["total"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())
