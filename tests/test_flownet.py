"""FlowNetS weights: against FlowNetS itself, written down again here; files that are wrong or dangerous."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from distilvo.commands.train import Train
from distilvo.data import motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.flownet import LAYERS, load_flownet
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.teacher import DEMO, PAPER, TEACHERS
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe

State = dict[str, Tensor]
SMALL = replace(
    PAPER, size=(48, 160), convolutions=((6, 7, 2), (8, 5, 2), (9, 5, 2), (10, 3, 1)), grid=(1, 5), lstm=(6,), fc=(5,),
    branch=4,
)  # fmt: skip
FLYING_CHAIRS = torch.tensor([0.411, 0.432, 0.45])[:, None, None]


class FlowNetS(nn.Module):
    """The encoder, with FlowNetPytorch's names; weights and statistics random, none of them the identity's."""

    def __init__(self, architecture: Architecture, norm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        inputs = 6
        for name, (outputs, kernel, stride) in zip(LAYERS, architecture.convolutions, strict=False):
            convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not norm)
            middle = [nn.BatchNorm2d(outputs)] if norm else []
            self.add_module(name, nn.Sequential(convolution, *middle, nn.LeakyReLU(0.1)))
            inputs = outputs
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight.data, module.running_var):
                    tensor.uniform_(0.3, 2)
                for tensor in (module.bias.data, module.running_mean):
                    tensor.uniform_(-1, 1)
        self.eval()

    def forward(self, frames: Tensor, depth: int) -> Tensor:
        """(2, 3, H, W) pixels of two frames -> what the ``depth``-th convolution gives."""
        features = (frames / 255 - FLYING_CHAIRS).flatten(0, 1)[None]
        for layer in [*self.children()][:depth]:
            features = layer(features)
        return features


def features(network: PoseNetwork, frames: Tensor, depth: int) -> Tensor:
    found: list[Tensor] = []
    handle = network.convolutions[depth - 1].register_forward_hook(lambda *seen: found.append(seen[2]))
    network.eval()(frames[None])
    handle.remove()
    return found[0]


def inside(architecture: Architecture, depth: int) -> Tensor:
    """Which outputs see no padding, (H', W')."""
    mask = torch.ones(1, 1, *architecture.size)
    for _, kernel, stride in architecture.convolutions[:depth]:
        seen = functional.conv2d(mask, torch.ones(1, 1, kernel, kernel), stride=stride, padding=kernel // 2)
        mask = (seen == kernel**2).float()
    return mask[0, 0].bool()


def image(architecture: Architecture) -> Tensor:
    return torch.randint(0, 256, (2, 3, *architecture.size), generator=torch.Generator().manual_seed(2)).float()


def tar(folder: Path, state: State, name: str = "flownets.pth.tar", legacy: bool = True) -> Path:
    """As FlowNetPytorch's main.py writes it; the published files are older than torch's zip format."""
    content = {"epoch": 3, "arch": "flownets", "state_dict": state, "best_EPE": 1.951, "div_flow": 20}
    torch.save(content, folder / name, _use_new_zipfile_serialization=not legacy)
    return folder / name


def zipped(folder: Path, state: State) -> Path:
    return tar(folder, state, legacy=False)


def parallel(folder: Path, state: State) -> Path:
    return tar(folder, {f"module.{name}": tensor for name, tensor in state.items()})


def bare(folder: Path, state: State) -> Path:
    torch.save(state, folder / "flownets.pth")
    return folder / "flownets.pth"


def safe(folder: Path, state: State) -> Path:
    save_file(state, folder / "flownets.safetensors")
    return folder / "flownets.safetensors"


def weights(network: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def assert_same(a: State, b: State) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("write", [tar, zipped, parallel, bare, safe])
@pytest.mark.parametrize("norm", [False, True])
@torch.no_grad()
def test_features_are_flownets(norm: bool, write: Callable[[Path, State], Path], tmp_path: Path) -> None:
    source, network = FlowNetS(SMALL, norm), PoseNetwork(SMALL)
    before = weights(network)
    report = load_flownet(network, write(tmp_path, source.state_dict()))
    frames = image(SMALL)
    for depth in (1, 2, 3):
        ours, theirs, mask = features(network, frames, depth), source(frames, depth), inside(SMALL, depth)
        assert mask.any()
        torch.testing.assert_close(ours[..., mask], theirs[..., mask], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(ours[..., ~mask], theirs[..., ~mask], atol=1e-3)  # mean colour against mid-grey
    assert len(report) == 4
    for index, line in enumerate(report):
        assert line.startswith(f"convolutions.{index}: filled from {LAYERS[index]}")
        assert ("batch norm folded in" in line) is norm
    assert "input order RGB" in report[0]
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) is not name.startswith("convolutions."), name


@torch.no_grad()
def test_batch_norm_goes_to_batch_norm(tmp_path: Path) -> None:
    network = PoseNetwork(replace(SMALL, batch_norm=True))
    source, frames, mask = FlowNetS(SMALL, norm=True), image(SMALL), inside(SMALL, 3)
    report = load_flownet(network, tar(tmp_path, source.state_dict()))
    assert all("with its batch norm" in line for line in report)
    torch.testing.assert_close(features(network, frames, 3)[..., mask], source(frames, 3)[..., mask])
    assert torch.equal(network.convolutions[1][1].running_var, source.conv2[1].running_var)


@torch.no_grad()
def test_batch_norm_without_a_source_starts_anew(tmp_path: Path) -> None:
    network = PoseNetwork(replace(SMALL, batch_norm=True))
    for _ in range(50):  # statistics and weights of another life
        network.train()(torch.rand(1, 3, 3, *SMALL.size))
    network.convolutions[0][1].weight.fill_(3)
    source, frames, mask = FlowNetS(SMALL), image(SMALL), inside(SMALL, 3)
    report = load_flownet(network, tar(tmp_path, source.state_dict()))
    assert all("the batch norm behind it is new" in line for line in report)
    ours, theirs = features(network, frames, 3)[..., mask], source(frames, 3)[..., mask]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)  # batch norm adds 1e-5 to the variance


@pytest.mark.parametrize(
    ("name", "channel", "colour"),
    [
        ("flownets_EPE1.951.pth.tar", 0, 0), ("flownets_EPE1.951.pth.tar", 2, 2), ("flownets_EPE1.951.pth.tar", 4, 1),
        ("flownets_from_caffe.pth", 0, 2), ("flownets_from_caffe.pth", 2, 0), ("flownets_from_caffe.pth", 4, 1),
    ],
)  # fmt: skip
@torch.no_grad()
def test_colours_and_frames_by_hand(name: str, channel: int, colour: int, tmp_path: Path) -> None:
    """conv1 copies one channel: 0..2 of the earlier frame, 3..5 of the later one, as 1 - mean where it is full."""
    network, state = PoseNetwork(SMALL), FlowNetS(SMALL).state_dict()
    state["conv1.0.weight"].zero_()[0, channel, 3, 3] = 1
    state["conv1.0.bias"].zero_()
    load_flownet(network, tar(tmp_path, state, name))
    frames = torch.zeros(2, 3, *SMALL.size)
    frames[channel // 3, colour] = 255
    full = {0: 0.589, 2: 0.55, 4: 0.568}[channel]
    assert features(network, frames, 1)[0, 0, 12, 40].item() == pytest.approx(full, abs=1e-6)
    dark = {0: -0.0411, 2: -0.045, 4: -0.0432}[channel]  # -mean, through LeakyReLU(0.1)
    assert features(network, 255 - frames, 1)[0, 0, 12, 40].item() == pytest.approx(dark, abs=1e-6)


@torch.no_grad()
def test_paper_teacher_takes_all_nine(tmp_path: Path) -> None:
    source, network = FlowNetS(replace(PAPER, convolutions=(*PAPER.convolutions, (1024, 3, 1)))), PoseNetwork(PAPER)
    state = source.state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items() if "weight" in name} == {
        "conv1.0.weight": (64, 6, 7, 7), "conv2.0.weight": (128, 64, 5, 5), "conv3.0.weight": (256, 128, 5, 5),
        "conv3_1.0.weight": (256, 256, 3, 3), "conv4.0.weight": (512, 256, 3, 3), "conv4_1.0.weight": (512, 512, 3, 3),
        "conv5.0.weight": (512, 512, 3, 3), "conv5_1.0.weight": (512, 512, 3, 3), "conv6.0.weight": (1024, 512, 3, 3),
        "conv6_1.0.weight": (1024, 1024, 3, 3),
    }  # fmt: skip
    report = load_flownet(network, tar(tmp_path, state | {"deconv5.0.weight": torch.ones(1024, 512, 4, 4)}))
    assert len(report) == 9 and all("filled from" in line for line in report)
    for index, name in enumerate(LAYERS[1:9], 1):
        assert torch.equal(network.convolutions[index][0].weight, state[f"{name}.0.weight"])
        assert torch.equal(network.convolutions[index][0].bias, state[f"{name}.0.bias"])
    frames, mask = image(PAPER), inside(PAPER, 5)
    torch.testing.assert_close(features(network, frames, 5)[..., mask], source(frames, 5)[..., mask])


def test_fills_as_far_as_shapes_agree(tmp_path: Path) -> None:
    wider = replace(SMALL, convolutions=(*SMALL.convolutions[:2], (11, 5, 2), (10, 3, 1)))
    network, state = PoseNetwork(wider), FlowNetS(SMALL).state_dict()
    before = weights(network)
    report = load_flownet(network, tar(tmp_path, state))
    why = "not filled, conv3.0.weight has shape (9, 8, 5, 5), expected (11, 8, 5, 5)"
    assert report[2:] == [f"convolutions.2: {why}", f"convolutions.3: {why}"]
    assert torch.equal(network.convolutions[1][0].weight, state["conv2.0.weight"])
    assert torch.equal(network.convolutions[2][0].weight, before["convolutions.2.0.weight"])
    assert torch.equal(network.convolutions[3][0].weight, before["convolutions.3.0.weight"])


def test_a_deeper_network_than_flownet_says_so(tmp_path: Path) -> None:
    deep = replace(SMALL, convolutions=((4, 3, 2), (4, 3, 2), (4, 3, 2), *((4, 3, 1),) * 8))
    report = load_flownet(PoseNetwork(deep), tar(tmp_path, FlowNetS(deep).state_dict()))
    assert "filled from conv6_1" in report[9]
    assert report[10] == "convolutions.10: not filled, FlowNetS has no more"


def lacks(*keys: str) -> Callable[[State], State]:
    return lambda state: {name: tensor for name, tensor in state.items() if name not in keys}


@pytest.mark.parametrize(
    ("architecture", "norm", "change", "message"),
    [
        (DEMO, False, dict, "conv1.0.weight has shape (6, 6, 7, 7), expected (16, 1, 5, 5)"),
        (replace(SMALL, channels=1), False, dict, "conv1.0.weight has shape (6, 6, 7, 7), expected (6, 2, 7, 7)"),
        (replace(SMALL, channels=1), False, lambda s: s | {"conv1.0.weight": s["conv1.0.weight"][:, :2]},
         "conv1.0.weight has shape (6, 2, 7, 7), expected 6 input channels"),
        (SMALL, False, lambda s: s | {"conv1.0.weight": s["conv1.0.weight"][:5]},
         "conv1.0.weight has shape (5, 6, 7, 7), expected (6, 6, 7, 7)"),
        (SMALL, False, lambda s: s | {"conv1.0.bias": s["conv1.0.bias"][:5]},
         "conv1.0.bias has shape (5,), expected (6,)"),
        (SMALL, False, lacks("conv1.0.weight"), "conv1.0.weight is missing, expected shape (6, 6, 7, 7) (found"),
        (SMALL, False, lacks("conv1.0.bias"), "conv1.0.bias is missing, expected shape (6,)"),
        (SMALL, True, lacks("conv1.1.running_var"), "conv1.1.running_var is missing, expected shape (6,)"),
        (SMALL, False, lambda s: {"features.0.weight": torch.ones(2)}, "(found features.0.weight)"),
        (SMALL, False, lambda s: {}, "(found no tensor)"),
        (SMALL, False, lambda s: s | {"conv1.0.weight": s["conv1.0.weight"].to_sparse()}, "conv1.0.weight is missing"),
        (SMALL, False, lambda s: s | {"conv3.0.bias": s["conv3.0.bias"] / 0}, "conv3 has values not finite"),
        (SMALL, True, lambda s: s | {"conv2.1.running_var": -s["conv2.1.running_var"]}, "conv2 has values not finite"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    architecture: Architecture, norm: bool, change: Callable[[State], State], message: str, tmp_path: Path
) -> None:
    network = PoseNetwork(architecture)
    before = weights(network)
    path = tar(tmp_path, change(FlowNetS(SMALL, norm).state_dict()))
    with pytest.raises(DistilvoError) as error:
        load_flownet(network, path)
    assert str(error.value).startswith(f"{path}: ") and message in str(error.value)
    assert "\n" not in str(error.value)
    assert_same(weights(network), before)


def test_train_begins_with_flownet(kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hardly any learning the saved model is the start: FlowNetS's convolutions, else what this seed gives."""
    monkeypatch.setitem(TEACHERS, "small", SMALL)
    checkpoint = tar(tmp_path, FlowNetS(SMALL).state_dict())
    recipe = Recipe(epochs=1, clip_length=3, batch_size=4, learning_rate=1e-20, seed=7)
    out = tmp_path / "out"
    Train(kitti_root, out, architecture="small", init_flownet=checkpoint, sequences=("00", "01"), recipe=recipe).run()

    store = open_cache(open_dataset(kitti_root)[:2], Preprocessing(SMALL.size, 3), tmp_path / "cache")
    torch.manual_seed(7)
    expected = PoseNetwork(SMALL)
    expected.set_motion_scale(*motion_scale(store))
    report = load_flownet(expected, checkpoint)
    torch.testing.assert_close(load_file(out / "model.safetensors"), weights(expected), rtol=0, atol=1e-15)
    kept = json.loads((out / "config.json").read_text())["training"]["init_flownet"]
    assert kept == {"file": str(checkpoint), "convolutions": report}

    other = safe(tmp_path, FlowNetS(SMALL).state_dict())
    with pytest.raises(DistilvoError, match=r"other settings \(init_flownet: .*pth.tar -> .*safetensors"):
        Train(kitti_root, out, architecture="small", init_flownet=other, sequences=("00", "01"), recipe=recipe).run()
    with pytest.raises(DistilvoError, match="--init and --init-flownet exclude each other"):
        Train(kitti_root, tmp_path / "two", init=out, init_flownet=checkpoint, recipe=recipe).run()


def test_train_says_in_one_line_what_does_not_fit(kitti_root: Path, tmp_path: Path) -> None:
    checkpoint = tar(tmp_path, FlowNetS(SMALL).state_dict())
    command = [sys.executable, "-m", "distilvo", "train", str(kitti_root), "--out", "out"]
    done = subprocess.run(
        [*command, "--init-flownet", str(checkpoint)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nothing fits teacher-demo" in done.stderr and "--architecture paper" in done.stderr
    assert done.stderr.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()  # the same --out is free for another try
