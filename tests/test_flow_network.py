"""Networks that see flow first: streams, clips and drives agree; folders, damages and the exported file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.correlation import moved_by
from distilvo.models.flow_family import FLOW_FAMILY
from distilvo.models.flow_network import ERROR_UNIT, FlowArchitecture, FlowNetwork
from distilvo.models.kinds import architecture_from, count_parameters
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.onnx_export import export_onnx, onnx_motions
from distilvo.models.step_model import StepModel
from tiny_flow import COARSE, FINE, make_network

BOTH = pytest.mark.parametrize("architecture", [COARSE, FINE], ids=["coarse", "fine"])


def film(frames: int, seed: int = 0, size: tuple[int, int] = COARSE.size) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, 1, *size), dtype=torch.uint8, generator=generator)


@BOTH
def test_stream_clip_and_drive_agree(architecture: FlowArchitecture) -> None:
    network, frames = make_network(architecture), film(7)
    with torch.no_grad():
        whole = network(frames[None])[0]
        state, steps = network.start(frames[:1]), []
        for frame in frames[1:]:
            motion, state = network.step(frame[None], state)
            steps.append(motion)
    assert whole.shape == (6, 6) and whole.std(0).min() > 0
    np.testing.assert_allclose(torch.cat(steps), whole, atol=1e-4)
    for chunk in (1, 2, 32):
        np.testing.assert_allclose(network.predict(frames, chunk), whole, atol=1e-4)


@BOTH
def test_clips_of_a_batch_do_not_see_each_other(architecture: FlowArchitecture) -> None:
    network = make_network(architecture)
    clips = torch.stack([film(3, seed) for seed in range(3)])
    with torch.no_grad():
        together, alone = network(clips), torch.cat([network(clip[None]) for clip in clips])
    assert together.shape == (3, 2, 6)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@BOTH
def test_a_new_network_sees_no_flow_and_a_flat_road(architecture: FlowArchitecture) -> None:
    torch.manual_seed(0)
    network = FlowNetwork(architecture).eval()
    motion = network.estimate(film(3)[None]).flow_motion
    features = network.encode(film(3))
    maps = network.see([part[:-1] for part in features], [part[1:] for part in features])
    assert maps.flow.shape == (2, 2, 4, 12) and maps.inverse_depth.shape == (2, 1, 4, 12)
    assert maps.flow.abs().max() < 0.1 and maps.coarse_flow.abs().max() < 0.1 and motion.abs().max() < 0.1
    np.testing.assert_allclose(maps.flow_weight.detach() / 80, 1, atol=0.1)
    assert maps.road[:, :, 0].max() < 0.1 and maps.road[:, :, -1].min() > 0.9
    road = architecture.preprocessing.rays(8)[1].clip(0)
    rows = maps.inverse_depth[0, 0].detach().numpy().mean(1)
    np.testing.assert_allclose(maps.inverse_depth[0, 0].detach(), np.tile(rows[:, None], (1, 12)), atol=0.01)
    assert (np.diff(rows)[road[1:, 0] > 0] > 0.01).all() and abs(rows[-1] - road[-1, 0]) < 0.1 and rows[0] > 0


def test_deviation_is_that_of_the_uncertainty_and_its_calibration() -> None:
    network, frames = make_network(COARSE), film(4)
    motion, deviation = network.with_deviation(frames)
    error = network.estimate(frames[None]).error
    np.testing.assert_allclose(deviation, (error[0].exp() * ERROR_UNIT).detach(), rtol=1e-4)
    factors = torch.tensor([1.0, 2, 3, 0.5, 1, 4])
    network.scale_deviation(factors)
    again, scaled = network.with_deviation(frames)
    assert torch.equal(motion, again)
    np.testing.assert_allclose(scaled, deviation * factors, rtol=1e-5)


def test_the_unit_of_losses_is_fixed_and_no_motion_depends_on_it() -> None:
    network, frames = make_network(COARSE), film(3)
    before = network.predict(frames)
    network.rescale(torch.ones(6), torch.full((6,), 3.0))
    network.set_motion_scale(torch.ones(6), torch.full((6,), 3.0))
    assert torch.equal(network.predict(frames), before)
    assert torch.equal(network.scale, ERROR_UNIT) and not network.mean.any()


def test_moved_by_hand() -> None:
    """Right by 1, down by half a row; what lies beyond the border is as at the border."""
    features = torch.tensor([[[[0.0, 1, 2], [10, 11, 12]]]])
    flow = torch.zeros(1, 2, 2, 3)
    np.testing.assert_allclose(moved_by(features, flow), features, atol=1e-5)
    flow[:, 0], flow[:, 1] = 1.0, 0.5
    np.testing.assert_allclose(moved_by(features, flow)[0, 0], [[6, 7, 7], [11, 12, 12]], atol=1e-5)


def test_mirrored_image_has_the_same_intrinsics() -> None:
    for architecture in FLOW_FAMILY.values():
        rays = architecture.preprocessing.rays(8)
        np.testing.assert_allclose(rays[0], -rays[0, :, ::-1], atol=1e-12)
        np.testing.assert_array_equal(rays[1], rays[1, :, ::-1])
        assert rays.shape[1:] == architecture.cells
    off = Preprocessing(COARSE.size, 1).rays(8)
    assert np.abs(off[0] + off[0, :, ::-1]).max() > 0.01


def test_rays_by_hand() -> None:
    form = Preprocessing((16, 32), 1, centred=True)
    rays, matrix = form.rays(8), form.intrinsics
    assert rays.shape == (2, 2, 4) and matrix[0, 2] == 15.5
    np.testing.assert_allclose(rays[0, 0], (np.array([3.5, 11.5, 19.5, 27.5]) - 15.5) / matrix[0, 0])
    np.testing.assert_allclose(rays[1, :, 0], (np.array([3.5, 11.5]) - matrix[1, 2]) / matrix[1, 1])


# --- folders ----------------------------------------------------------------------------------------------------


@BOTH
def test_saved_and_loaded(architecture: FlowArchitecture, tmp_path: Path) -> None:
    network = make_network(architecture)
    network.train()(film(3)[None])  # other statistics of batches
    network.eval()
    config = json.loads((save_model(network, tmp_path, {"note": 1}) / "config.json").read_text())
    assert (config["format"], config["architecture"]["kind"], config["note"]) == (3, "flow", 1)
    again, _ = load_model(tmp_path)
    assert isinstance(again, FlowNetwork) and again.architecture == architecture and not again.training
    assert torch.equal(again.predict(film(4)), network.predict(film(4)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "waves"}, "kind 'waves' is unknown, expected pose or flow"),
        ({"kind": ["flow"]}, "is unknown, expected pose or flow"),
        ({"size": [24, 96]}, r"size is \(24, 96\), expected multiples of 16 pixels"),
        ({"size": [32]}, "expected size, reach and fine reach of 2 numbers"),
        ({"encoder": [[4, 3, 2], [6, 3, 1]]}, "the encoder ends at 4 pixels, expected 8"),
        ({"encoder": [[4, 3, 1], [6, 3, 4]]}, "the fine stage is at 2 pixels, expected 4"),
        ({"encoder": [[4, 3], [6, 3, 2]]}, "3 for each layer of the encoder"),
        ({"encoder": [[10**30, 3, 2], [6, 3, 2]]}, "whole numbers from 1 to 10000"),
        ({"fine": 2}, "fine is 2, expected 0 to 1"),
        ({"fine": True}, "fine is True, expected 0 to 1"),
        ({"reach": [1, -1]}, r"reach is \(1, -1\), expected 0 to 96"),
        ({"fine_reach": [1, 97]}, r"fine_reach is \(1, 97\), expected 0 to 96"),
        ({"patch": 0}, "whole numbers from 1 to 10000"),
        ({"block": 0}, "whole numbers from 1 to 10000"),
        ({"block": 5}, r"block is 5, expected a divisor of both sides of the size \(32, 96\)"),
        ({"context": []}, "at least one layer of each kind"),
        ({"refinement": [8] * 101}, "at most 100 layers"),
        ({"size": [9600, 9600], "reach": [9, 9]}, "a feature map has"),
        ({"size": [16, 16], "reach": [9000, 9000]}, "expected 0 to 16"),
        ({"name": "../up"}, "no configuration of this version"),
        ({"lstm": [3]}, "no configuration of this version"),
        ({"comparison": [7]}, "does not fit config.json"),
        ({"encoder": 3}, "no configuration of this version"),
        ({"encoder": [[4, 2, 2], [6, 3, 2]]}, "expected odd kernels"),  # an even one makes maps of another size
    ],
)
def test_damaged_configs_are_one_line(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = save_model(make_network(FINE), tmp_path, {})
    config = json.loads((folder / "config.json").read_text())
    config["architecture"] |= values
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DistilvoError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_family_by_name() -> None:
    """Each is what a config may state, and is what the config states after reading it."""
    for name, architecture in FLOW_FAMILY.items():
        assert architecture.name == name
        assert architecture_from(json.loads(json.dumps(architecture.to_dict()))) == architecture
    assert count_parameters(FLOW_FAMILY["flow-nano"]) < 0.1 * count_parameters(FLOW_FAMILY["flow-teacher"])


# --- the exported file ------------------------------------------------------------------------------------------


@BOTH
def test_exported_file_gives_the_same_motions(architecture: FlowArchitecture, tmp_path: Path) -> None:
    network, frames = make_network(architecture), film(9)
    config = {"format": 3, "architecture": architecture.to_dict()}
    assert export_onnx(network, config, tmp_path / "model.onnx", frames) < 1e-4
    model = StepModel(tmp_path / "model.onnx")
    written = config | {"centred": True, "rate_hz": 10.0}
    assert model.config == json.loads(json.dumps(written)) and model.preprocessing == network.preprocessing
    assert model.parameters == count_parameters(architecture)
    names = [value.name for value in onnx.load(tmp_path / "model.onnx").graph.input]
    assert names == ["frame", "state_0", "state_1", "state_2"][: 4 if architecture.fine else 3]
    motions = network.predict(frames).numpy()
    np.testing.assert_allclose(onnx_motions(tmp_path / "model.onnx", frames), motions, atol=1e-4)
    assert not model.step(frames[3, 0][None].numpy()).any()  # a stream may begin anywhere
    np.testing.assert_allclose(model.step(frames[4, 0][None].numpy()), motions[3], atol=1e-4)
