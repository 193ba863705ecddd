"""A training whose steps are CUDA graphs is the training that they were recorded from. Needs a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from distilvo.distill.batches import Batch, Batches
from distilvo.distill.captured_step import CapturedStep
from distilvo.distill.sample_set import SampleSet
from distilvo.distill.task import Supervised
from distilvo.distill.trainer import TrainingSettings, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
SETTINGS = TrainingSettings(steps=20, learning_rate=1e-2, warmup=5)


def batches() -> Batches:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 12, generator=generator)
    return Batches(SampleSet((inputs, inputs[:, :3] * 2), batch_size=32))


def trained(path: Path, settings: TrainingSettings, *, capture: bool) -> tuple[Tensor, list[tuple[int, float]]]:
    """Weights in one row, and the curve."""
    torch.manual_seed(0)
    # No bias in front of the norm: its gradient is rounding alone, of which Adam makes whole steps.
    network = nn.Sequential(nn.Linear(12, 32, bias=False), nn.BatchNorm1d(32), nn.LeakyReLU(0.1), nn.Linear(32, 3))
    curve = train(Supervised(network, torch.ones(3)), batches(), settings, path, "test", capture=capture)
    return torch.cat([value.flatten().float() for value in network.state_dict().values()]), curve


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_captured_steps_train_the_same_network(tmp_path: Path, precision: str) -> None:
    settings = replace(SETTINGS, precision=precision)  # type: ignore[arg-type]
    (plain, curve), (captured, same) = (trained(tmp_path / f"{c}", settings, capture=c) for c in (False, True))
    assert torch.allclose(
        plain, captured, atol=1e-2, rtol=1e-2
    )  # fused Adam rounds otherwise, and steps are large here
    assert [loss for _, loss in same] == pytest.approx([loss for _, loss in curve], rel=1e-2)
    assert same[-1][1] < 0.5 * same[0][1]


def test_each_batch_has_its_own_losses() -> None:
    step = CapturedStep(lambda batch: {"total": batch.targets.sum()})
    targets = [torch.full((4, 1), float(number), device="cuda") for number in range(8)]
    losses = [float(step(Batch(inputs=target, targets=target))["total"]) for target in targets]
    assert losses == [4.0 * number for number in range(8)]
