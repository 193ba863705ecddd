"""Training of networks that see flow first, in miniature: losses, resuming, calibration, the verb."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distilvo.commands import main as cli
from distilvo.data import FrameCache, open_cache
from distilvo.distill import checkpoint
from distilvo.distill.batches import Batch
from distilvo.models import flow_family
from distilvo.models.flow_network import ERROR_UNIT, FlowNetwork
from distilvo.models.model_folder import load_model
from distilvo.pipeline.flow_training import SeesFlow, new_network, train_flow
from distilvo.pipeline.uncertainty import calibrate
from distilvo.sequences import open_dataset
from distilvo.settings import FlowRecipe
from tiny_flow import COARSE, FINE, make_network

RECIPE = FlowRecipe(steps=12, batch_size=4, learning_rate=3e-3, precision="no")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("numba", reason="the extra 'world' is not installed")
    from distilvo.world.dataset import render_streets

    root = tmp_path_factory.mktemp("streets")
    render_streets(root, [0, 1], 9, (48, 160), workers=1, flow=True)
    return root


@pytest.fixture(scope="module")
def store(root: Path) -> FrameCache:
    return open_cache(open_dataset(root), COARSE.preprocessing, root / "cache", flow=True)


def batch_of(pairs: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        "frames": torch.randint(0, 256, (pairs, 2, 1, 32, 96), generator=generator).float(),
        "flow": torch.randn(pairs, 2, 4, 12, generator=generator),
        "inverse_depth": torch.rand(pairs, 1, 4, 12, generator=generator),
    }
    return Batch(inputs, torch.randn(pairs, 1, 6, generator=generator))


def losses_of(network: FlowNetwork, batch: Batch) -> dict[str, torch.Tensor]:
    return SeesFlow(network.eval())(batch)


# --- losses -------------------------------------------------------------------------------------------------------


def test_losses_by_hand() -> None:
    network, batch = make_network(FINE), batch_of(2)
    motion, error, flow_motion, maps = network.estimate(batch.inputs["frames"])
    batch.inputs["flow"] = maps.flow.detach() + torch.tensor([0.5, -1.5])[:, None, None]
    # the error of log(depth + 0.03): 0.5 too near, which is beyond 0.3; and 10 per cent too near
    nearer = torch.tensor([0.5, 0.1])[:, None, None, None].exp()
    batch.inputs["inverse_depth"] = nearer * (maps.inverse_depth.detach() + 0.03) - 0.03
    batch = replace(batch, targets=motion.detach() + ERROR_UNIT * torch.tensor([1.0, -2, 3, 0, 100, -100]))
    losses = losses_of(network, batch)
    np.testing.assert_allclose(losses["flow"].detach(), [1.0, 1.0], rtol=1e-5)
    off = torch.tensor([1.0, 2, 3, 0, 100, 100])
    np.testing.assert_allclose(losses["motion"].detach(), [46 / 6] * 2, rtol=1e-4)  # at most 20 units count
    expected = (off * (-error[:, 0]).exp() + error[:, 0]).mean(1).detach()
    np.testing.assert_allclose(losses["uncertainty"].detach(), expected, rtol=1e-4)
    np.testing.assert_allclose(losses["depth"].detach(), [0.5 - 0.15, 0.01 / 0.6], rtol=1e-3)
    by_flow = ((flow_motion.detach() - batch.targets) / ERROR_UNIT).abs().clamp_max(20).mean((1, 2))
    np.testing.assert_allclose(losses["flow_motion"].detach(), by_flow, rtol=1e-4)
    weighed = losses["coarse_flow"] + losses["flow"] + 0.5 * losses["depth"]
    weighed = weighed + 0.15 * losses["flow_motion"] + 0.3 * losses["motion"]
    np.testing.assert_allclose(
        losses["total"].detach(), (weighed + 0.05 * losses["uncertainty"]).mean().detach(), rtol=1e-5
    )


def test_what_is_not_known_has_no_part_in_losses_and_gradients() -> None:
    network, batch = make_network(COARSE), batch_of(2)
    maps = network.estimate(batch.inputs["frames"]).maps
    batch.inputs["flow"] = maps.flow.detach() + 1
    batch.inputs["flow"][0, :, 1:] = torch.nan
    batch.inputs["inverse_depth"][0, :, :2] = torch.nan
    losses = losses_of(network, batch)
    np.testing.assert_allclose(losses["flow"].detach(), [1, 1], rtol=1e-5)  # the mean is over what is known
    losses["total"].backward()
    assert all(value.isfinite().all() for value in losses.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    batch.inputs["flow"][:], batch.inputs["inverse_depth"][:] = torch.nan, torch.nan
    nothing = losses_of(network, batch)
    assert not nothing["flow"].any() and not nothing["depth"].any() and nothing["total"].isfinite()


def test_the_uncertainty_teaches_itself_alone() -> None:
    network = make_network(COARSE)
    losses_of(network, batch_of(2))["uncertainty"].sum().backward()
    taught = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"uncertainty"}


# --- training -----------------------------------------------------------------------------------------------------


def mean_loss(network: FlowNetwork, store: FrameCache) -> float:
    from distilvo.data.flow_pairs import FlowPairs

    with torch.no_grad():
        samples = list(FlowPairs(store, COARSE.preprocessing, RECIPE).epoch(0))
        return float(np.mean([losses_of(network, Batch(s.inputs, s.targets))["total"] for s in samples]))


def test_training_reduces_the_loss(store: FrameCache, tmp_path: Path) -> None:
    torch.manual_seed(RECIPE.seed)
    before = mean_loss(FlowNetwork(COARSE), store)
    network = new_network(COARSE, RECIPE)
    curve, _ = train_flow(network, store, replace(RECIPE, steps=150), tmp_path / "c", store)
    assert mean_loss(network, store) < 0.9 * before and curve


def test_the_best_weights_are_kept(store: FrameCache, tmp_path: Path) -> None:
    network = new_network(COARSE, RECIPE)
    _, errors = train_flow(network, store, replace(RECIPE, steps=40), tmp_path / "c", store)
    assert [step for step, _ in errors] == list(range(2, 41, 2))
    truth = torch.cat([torch.from_numpy(store.drive_motions(index)) for index in range(2)])
    found = torch.cat([network.eval().predict(store.drive_frames(index)) for index in range(2)])
    best = float(((found - truth) / ERROR_UNIT).abs().clamp_max(20).mean())
    assert best == pytest.approx(min(error for _, error in errors), rel=1e-4)


def test_goes_on_to_the_same_weights(store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = new_network(FINE, RECIPE)
    _, errors = train_flow(whole, store, RECIPE, tmp_path / "whole", store)
    seen, real = [], SeesFlow.forward

    def interrupted(self: SeesFlow, batch: Batch) -> Any:
        seen.append(batch)
        if len(seen) == 9:
            raise KeyboardInterrupt
        return real(self, batch)

    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(SeesFlow, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_flow(new_network(FINE, RECIPE), store, RECIPE, tmp_path / "part", store)
    again = new_network(FINE, RECIPE)
    _, same = train_flow(again, store, RECIPE, tmp_path / "part", store)
    assert errors == same
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_calibrated_deviations_are_the_true_ones(store: FrameCache) -> None:
    network = make_network(FINE)
    factors = calibrate(network, store)
    assert factors.shape == (6,) and (factors > 0).all() and (factors - 1).abs().min() > 0.01
    ratios = []
    for index in range(len(store.drives)):
        motion, deviation = network.with_deviation(store.drive_frames(index))
        ratios.append((motion - torch.from_numpy(store.drive_motions(index))) / deviation)
    np.testing.assert_allclose(torch.cat(ratios).square().mean(0).sqrt(), 1, rtol=1e-4)
    np.testing.assert_allclose(calibrate(network, store), 1, rtol=1e-4)


# --- the verb -----------------------------------------------------------------------------------------------------


def main(*arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["distilvo", *arguments])
        cli.main()


def test_the_verb_writes_a_model_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_family, "FLOW_FAMILY", {"tiny": COARSE})
    out = tmp_path / "model"
    options = ["--architecture", "tiny", "--steps", "4", "--batch-size", "4", "--precision", "no"]
    main("train-flow", str(root), "--held-out", str(root), "--out", str(out), *options)
    network, config = load_model(out)
    assert isinstance(network, FlowNetwork) and network.architecture == COARSE
    training = config["training"]
    assert training["data"] == {"sequences": 2, "frames": 18} and training["recipe"]["steps"] == 4
    assert len(training["calibration"]) == 6 and [step for step, _ in training["held_out"]] == [1, 2, 3, 4]
    assert (out / "report.html").exists()
    before = (out / "config.json").read_text()
    main("train-flow", str(root), "--held-out", str(root), "--out", str(out), *options)  # is read back
    assert json.loads((out / "config.json").read_text()) == json.loads(before)


def test_unknown_architecture_is_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main("train-flow", str(root), "--held-out", str(root), "--out", str(tmp_path / "m"), "--architecture", "odd")
    assert caught.value.code == 2
    text = capsys.readouterr().err
    expected = "architecture 'odd' is unknown; expected one of flow-teacher, flow-nano, paper, quarter, demo"
    assert expected in " ".join(text.split()) and "Traceback" not in text
    assert not (tmp_path / "m").exists()
