"""Students that see flow first, trained on motions and by a teacher: what their losses reach, and their uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import make_kitti
from distilvo.data import FrameCache, open_cache
from distilvo.distill import trainer
from distilvo.models.flow_network import FlowNetwork
from distilvo.pipeline import recipes
from distilvo.pipeline.recipes import distill_student, train_supervised
from distilvo.pipeline.uncertainty import calibrate, fit_uncertainty
from distilvo.sequences import open_dataset
from distilvo.settings import Method, Recipe
from tiny_flow import COARSE, make_network

RECIPE = Recipe(epochs=1, clip_length=3, batch_size=2)


@pytest.fixture
def store(tmp_path: Path) -> FrameCache:
    for name in ("00", "01", "02"):
        make_kitti(tmp_path / "data", name, frames=10, seed=int(name))
    sequences = open_dataset(tmp_path / "data")
    sequences[2].poses = None
    return open_cache(sequences, COARSE.preprocessing, tmp_path / "cache", need_poses=False)


@pytest.fixture
def unreached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the free parameters that got no gradient: processes that train as one wait for them for ever."""
    names: list[str] = []

    def watched(task: Any, *arguments: Any, **more: Any) -> Any:
        curve = trainer.train(task, *arguments, **more)
        names.extend(name for name, one in task.named_parameters() if one.requires_grad and one.grad is None)
        return curve

    monkeypatch.setattr(recipes, "train", watched)
    return names


def stated(network: FlowNetwork, store: FrameCache) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors on the drives with poses in stated standard deviations, and these, (P, 6) each."""
    ratios, deviations = [], []
    for index in store.labelled_drives:
        motion, deviation = network.with_deviation(store.drive_frames(index))
        ratios.append((motion - torch.from_numpy(store.drive_motions(index))) / deviation)
        deviations.append(deviation)
    return torch.cat(ratios), torch.cat(deviations)


@pytest.mark.parametrize("taught", [True, False])
def test_losses_reach_all_that_is_trained_and_the_uncertainty_is_fitted(
    taught: bool, store: FrameCache, unreached: list[str], tmp_path: Path
) -> None:
    if taught:
        method = Method(trust="consistency")
        student = distill_student(make_network(COARSE, 1), COARSE, store, RECIPE, tmp_path, method=method).student
    else:
        student, _ = train_supervised(COARSE, store, RECIPE, tmp_path)
    assert isinstance(student, FlowNetwork)
    assert unreached == []
    assert all(parameter.requires_grad for parameter in student.parameters())
    torch.testing.assert_close(stated(student, store)[0].square().mean(0).sqrt(), torch.ones(6), rtol=1e-3, atol=0)


def test_a_fitted_uncertainty_knows_more_than_a_scaled_one(store: FrameCache) -> None:
    def misfit(network: FlowNetwork) -> float:
        """Negative log-likelihood of Laplace distributions, each component's scale the best."""
        ratios, deviations = stated(network, store)
        return float((ratios.abs().mean(0).log() + deviations.log().mean(0)).mean())

    scaled, fitted = make_network(COARSE), make_network(COARSE)
    before = fitted.state_dict()
    calibrate(scaled, store, store.labelled_drives)
    kept = {name: value.clone() for name, value in before.items() if not name.startswith("uncertainty")}
    fit_uncertainty(fitted, store, store.labelled_drives)
    assert misfit(fitted) < misfit(scaled) - 0.02
    assert all(torch.equal(value, fitted.state_dict()[name]) for name, value in kept.items())


def test_without_poses_the_uncertainty_stays(store: FrameCache) -> None:
    network = make_network(COARSE)
    before = network.with_deviation(store.drive_frames(0))[1]
    fit_uncertainty(network, store, [])
    assert torch.equal(before, network.with_deviation(store.drive_frames(0))[1])
