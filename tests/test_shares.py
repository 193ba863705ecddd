"""What each of several processes does, in one process that pretends to be one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from distilvo import parallel
from distilvo.commands.distill import Distill
from distilvo.commands.train import Train
from distilvo.data import Clips, open_cache
from distilvo.distill import trainer
from distilvo.distill.task import Supervised
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.network import PoseNetwork
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe
from in_processes import RECIPE
from tiny_teacher import TINY


def pretend(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}.items():
        monkeypatch.setenv(name, str(value))


def test_shares_make_the_whole_batch(kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_cache(open_dataset(kitti_root), Preprocessing((48, 160), 1), tmp_path)
    clips = Clips(store, replace(RECIPE, batch_size=6, seed=1))
    shares = []
    for rank in range(3):
        pretend(monkeypatch, rank, 3)
        shares.append(list(clips.epoch(0, 1, parallel.share(6))))
    for whole, *parts in zip(clips.epoch(0, 1), *shares, strict=True):
        assert [len(part.inputs) for part in parts] == [2, 2, 2]
        assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs)
        assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)


def test_a_batch_that_cannot_be_shared_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 1, 2)
    recipe, folder = Recipe(batch_size=3), tmp_path / "out"
    verbs = (
        Train(tmp_path, folder, recipe=recipe),
        Distill(tmp_path, folder, recipe=recipe),
    )
    for verb in verbs:
        with pytest.raises(DistilvoError, match="batch-size: is 3 for 2 processes together, expected a multiple of 2"):
            verb.run()
    assert not folder.exists()


def test_batch_norms_on_gpus_see_the_whole_batch_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = PoseNetwork(TINY).eval()
    task, frames = Supervised(network, network.scale), torch.rand(1, 3, 1, 48, 160) * 255
    before = network(frames)
    pretend(monkeypatch, 0, 2)
    with trainer._norms_over_all(task, torch.device("cuda")):
        kinds = [type(module) for module in network.modules()]
        assert kinds.count(torch.nn.SyncBatchNorm) == 5 and torch.nn.BatchNorm2d not in kinds
        assert torch.equal(network(frames), before)
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())
    assert torch.equal(network(frames), before)
    with trainer._norms_over_all(task, torch.device("cpu")):
        assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())
