"""Optical flow for the encoders of the paper's kind of teachers, in miniature: heads, losses, what goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import grid_sample

from conftest import make_kitti
from distilvo.commands import main as cli
from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.data.flow_pairs import FlowPairs
from distilvo.errors import DistilvoError
from distilvo.files import write_tensors
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import copy_model, load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.teacher import QUARTER, TEACHERS
from distilvo.pipeline import encoder_flow
from distilvo.pipeline.encoder_flow import EncoderFlow, end_point_error, head_places, train_encoder
from distilvo.pipeline.flow_training import new_network
from distilvo.sequences import open_dataset
from distilvo.settings import FlowRecipe

SMALL = replace(
    QUARTER,
    name="teacher-small",
    size=(32, 96),
    convolutions=((6, 5, 2), (8, 3, 2), (8, 3, 2), (8, 3, 1), (10, 3, 2)),
    grid=(1, 3),
    lstm=(8,),
    fc=(6,),
    branch=4,
)
SHORT = replace(SMALL, name="teacher-short", convolutions=SMALL.convolutions[:2])
RECIPE = FlowRecipe(steps=160, batch_size=4, learning_rate=5e-3, precision="no")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("numba", reason="the extra 'world' is not installed")
    from distilvo.world.dataset import render_streets

    root = tmp_path_factory.mktemp("streets")
    render_streets(root, [0, 1], 9, (64, 192), workers=1, flow=True)
    return root


@pytest.fixture(scope="module")
def store(root: Path) -> FrameCache:
    return open_cache(open_dataset(root), SMALL.preprocessing, root / "cache", flow=True)


def make_task(seed: int = 0) -> EncoderFlow:
    """It says everywhere that all moves by (1, -2) cells, at a stride of 16 by (0.5, 0)."""
    torch.manual_seed(seed)
    task = EncoderFlow(PoseNetwork(SMALL)).eval()
    for stride, flow in (("8", (1.0, -2.0)), ("16", (0.5, 0.0))):
        torch.nn.init.zeros_(task.heads[stride].weight)
        task.heads[stride].bias.data = torch.tensor(flow)
    return task


# --- heads --------------------------------------------------------------------------------------------------------


# --- loss ---------------------------------------------------------------------------------------------------------


def test_end_point_error_is_of_all_known_cells_in_pixels(store: FrameCache) -> None:
    flow = np.asarray(store.flow, np.float64)
    distances = np.hypot(8 - flow[:, 0], -16 - flow[:, 1])  # the last frames of the drives have none
    assert 0.3 < np.isfinite(distances).mean() < 0.95
    assert end_point_error(make_task(), store, torch.device("cpu")) == pytest.approx(np.nanmean(distances), rel=1e-5)


# --- true flow of their preprocessing -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Preprocessing((64, 192), 1), Preprocessing((64, 192), 3)])
def test_flow_leads_to_the_same_grey_values_in_every_pair(form: Preprocessing, root: Path, tmp_path: Path) -> None:
    """Forwards and backwards, two apart, mirrored: of images whose optical axis is not in their middle, and of RGB."""
    store = open_cache(open_dataset(root), form, tmp_path, flow=True)
    recipe = FlowRecipe(batch_size=8, two_apart=0.5, reversed=0.5, exposure_gain=0.0, exposure_offset=0.0, noise=0.0)
    rows, columns = (8 * torch.arange(count) + 3.5 for count in (8, 24))
    centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).expand(8, -1, -1, -1)
    changes: dict[tuple[bool, int], list[torch.Tensor]] = {}
    for epoch in range(4):
        for batch in FlowPairs(store, form, recipe).epoch(epoch):
            before, after = batch.inputs["frames"].unbind(1)
            assert before.shape == (8, form.channels, 64, 192)
            moved = centres + 8 * batch.inputs["flow"].permute(0, 2, 3, 1)
            known = batch.inputs["inverse_depth"].isfinite()  # these cameras do not see all of the network's image
            inside = (sampled(known.float(), moved) > 0.99)[:, 0] & ((moved - centres).norm(dim=-1) > 2)
            led, stayed = ((sampled(after, p) - sampled(before, centres)).abs().mean(1) for p in (moved, centres))
            for row, index in enumerate(batch.index[:, 0].tolist()):
                flipped = bool((before[row].byte().numpy() != store.frames[index]).any())
                ways = round(float(batch.targets[row, 0, 2]) / speed(store, index))
                both = torch.stack([led[row], stayed[row]])[:, inside[row]]
                changes.setdefault((flipped, ways), []).append(both)
    for kind in ((flipped, ways) for flipped in (True, False) for ways in (1, 2, -1, -2)):
        led, stayed = torch.cat(changes[kind], 1).median(dim=1).values.tolist()  # at edges others come into sight
        assert led < 0.5 * stayed and stayed > 5, kind


def test_flow_of_a_standing_scene_is_the_rendered_one(root: Path, tmp_path: Path) -> None:
    """So the other pairs, whose flow follows from depth and motion, have the optical axis where the images have it."""
    form = QUARTER.preprocessing
    store = open_cache(open_dataset(root), form, tmp_path, flow=True)
    recipe = FlowRecipe(batch_size=16, two_apart=0.0, reversed=0.0)
    batch = next(FlowPairs(store, form, recipe).epoch(0))
    differences = []
    for row, index in enumerate(batch.index[:, 0].tolist()):
        true, flow = store.flow[index].astype(np.float32), 8 * batch.inputs["flow"][row].numpy()
        mirrored = flow[..., ::-1] * np.float32([-1, 1])[:, None, None]
        offs = [np.abs(each - true)[np.isfinite(each + true)] for each in (flow, mirrored)]
        differences.append(min(offs, key=lambda off: float(np.mean(off)) if len(off) else np.inf))
    off = np.concatenate(differences)
    assert len(off) > 1000 and np.quantile(off, 0.9) < 0.05  # pixels; 0.17 with the axis in the middle


def sampled(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Maps (B, C, h, w) of an image of 64 x 192 at places (B, 8, 24, 2) of it, columns and rows; 0 outside."""
    grid = (2 * places + 1) / torch.tensor([192, 64]) - 1
    return grid_sample(maps, grid, align_corners=False)


def speed(store: FrameCache, index: int) -> float:
    """Metres that one frame takes in the drive of a frame."""
    drive = next(k for k, drive in enumerate(store.drives) if drive.first <= index < drive.first + drive.frames)
    return float(np.median(store.drive_motions(drive)[:, 2]))


# --- training -----------------------------------------------------------------------------------------------------


def main(*arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["distilvo", *map(str, arguments)])
        patch.setitem(TEACHERS, "small", SMALL)
        cli.main()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as caught:
        main(*arguments)
    text = capsys.readouterr().err
    assert caught.value.code == 2 and "Traceback" not in text
    return " ".join(text.split())


@pytest.fixture(scope="module")
def knowing(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of an encoder that knows flow, and nothing else."""
    out = tmp_path_factory.mktemp("models") / "encoder"
    options = ["--architecture", "small", "--steps", 160, "--batch-size", 4, "--learning-rate", 5e-3]
    main("train-flow", root, "--held-out", root, "--out", out, *options, "--precision", "no")
    return out


def test_only_convolutions_learn_and_the_held_out_error_falls(knowing: Path) -> None:
    network, config = load_model(knowing, to_train=True)
    assert isinstance(network, PoseNetwork) and network.architecture == SMALL
    first = new_network(SMALL, RECIPE).state_dict()
    assert network.state_dict().keys() == first.keys()  # no heads
    changed = {name.partition(".")[0] for name, value in network.state_dict().items() if not value.equal(first[name])}
    assert changed == {"convolutions"}
    assert {name.partition(".")[0] for name in load_file(knowing / "model.safetensors")} == {"convolutions"}
    torch.manual_seed(1)  # what is random is the same each time
    torch.testing.assert_close(load_model(knowing, to_train=True)[0].state_dict(), network.state_dict(), rtol=0, atol=0)
    training = config["training"]
    assert training["knows"] == "optical flow" and training["data"] == {"sequences": 2, "frames": 18}
    assert training["recipe"]["steps"] == 160 and (knowing / "report.html").exists()
    steps, errors = zip(*training["held_out"], strict=True)
    assert steps == tuple(range(8, 161, 8)) and min(errors) < 0.8 * errors[0]


def test_the_best_weights_are_kept_and_all_may_learn_afterwards(
    store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[dict[str, torch.Tensor]] = []

    def error(task: EncoderFlow, *_: object) -> float:
        resting = {name.partition(".")[0] for name, p in task.network.named_parameters() if not p.requires_grad}
        assert resting == {"lstm", "fc", "translation", "rotation"}
        looks.append({name: value.clone() for name, value in task.network.state_dict().items()})
        return abs(len(looks) - 4.0)

    monkeypatch.setattr(encoder_flow, "end_point_error", error)
    network, again = (new_network(SMALL, RECIPE) for _ in range(2))
    recipe = replace(RECIPE, steps=7)
    _, errors = train_encoder(network, store, recipe, tmp_path / "c", store)
    assert errors == [(step, abs(step - 4.0)) for step in range(1, 8)]
    assert train_encoder(again, store, recipe, tmp_path / "c", store)[1] == errors  # is read back
    for name, value in looks[3].items():
        assert value.equal(network.state_dict()[name]) and value.equal(again.state_dict()[name])
    assert not looks[3]["convolutions.0.0.weight"].equal(looks[6]["convolutions.0.0.weight"])
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_training_on_motions_goes_on_from_it(knowing: Path, root: Path, tmp_path: Path) -> None:
    """Its output was never trained: it begins with the weights as they are, in the unit of the training set."""
    out = tmp_path / "teacher"
    main("train", root, "--out", out, "--init", knowing, "--epochs", 1, "--clip-length", 3, "--batch-size", 4,
         "--learning-rate", 1e-9)  # fmt: skip
    network, config = load_model(out)
    first = load_model(knowing, to_train=True)[0].state_dict()
    mean, scale = motion_scale(open_cache(open_dataset(root), SMALL.preprocessing, out / "cache"))
    torch.testing.assert_close((network.mean, network.scale), (mean, scale))
    assert not scale.eq(1).any() and "knows" not in config["training"]
    learned = {name: value for name, value in network.named_parameters()}
    for name, value in learned.items():
        torch.testing.assert_close(value.detach(), first[name], atol=1e-6, rtol=0, msg=name)


def test_its_flow_training_goes_on_with_init(knowing: Path, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "more"
    options = ["--steps", 2, "--batch-size", 4, "--learning-rate", 1e-9, "--precision", "no"]
    main("train-flow", root, "--held-out", root, "--out", out, "--init", knowing, *options)
    more, before = (load_model(folder, to_train=True)[0] for folder in (out, knowing))
    for name, value in before.named_parameters():
        torch.testing.assert_close(value, dict(more.named_parameters())[name], atol=1e-6, rtol=0, msg=name)


# --- refused ------------------------------------------------------------------------------------------------------


def test_its_motions_are_not_used_by_mistake(knowing: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DistilvoError, match=r"knows optical flow alone, its motions are those of random weights") as e:
        load_model(knowing)
    assert "\n" not in str(e.value) and f"distilvo train DATA --init {knowing} --out MODEL" in str(e.value)
    assert "knows optical flow alone" in refused(capsys, "export", knowing)
    assert not (knowing / "model.onnx").exists()


def test_a_convolution_that_is_missing_is_not_made_up(knowing: Path, tmp_path: Path) -> None:
    copy_model(knowing, tmp_path)
    tensors = load_file(knowing / "model.safetensors")
    del tensors["convolutions.1.0.weight"]
    write_tensors(tmp_path / "model.safetensors", tensors)
    with pytest.raises(DistilvoError, match="does not fit"):
        load_model(tmp_path, to_train=True)


@pytest.mark.parametrize("training", ["knows", ["knows"], None, {"knows": None}])
def test_odd_configurations_are_no_flow_networks(training: object, tmp_path: Path) -> None:
    save_model(PoseNetwork(SMALL), tmp_path, {"training": training})
    assert load_model(tmp_path)[1]["training"] == training


def test_an_encoder_without_cells_is_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(PoseNetwork(SHORT), tmp_path / "short", {})
    text = refused(
        capsys, "train-flow", root, "--held-out", root, "--out", tmp_path / "m", "--init", tmp_path / "short"
    )
    assert "teacher-short: its convolutions see frame pairs at strides of 2, 4 pixels; expected a multiple of 8" in text
    assert not (tmp_path / "m").exists()
    with pytest.raises(DistilvoError, match=r"36 x 96 pixels; expected multiples of 8"):
        head_places(replace(SMALL, size=(36, 96)))


def test_streets_without_flow_are_one_line(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_kitti(tmp_path / "plain", "00", frames=6)
    for data, held_out in ((tmp_path / "plain", root), (root, tmp_path / "plain")):
        text = refused(
            capsys, "train-flow", data, "--held-out", held_out, "--out", tmp_path / "m", "--architecture", "small"
        )
        assert "streets: no true flow and depth of 00; expected the folders flow and depth" in text
    plain = open_cache(open_dataset(tmp_path / "plain"), SMALL.preprocessing, tmp_path / "cache")
    with pytest.raises(DistilvoError, match="held-out data: no true flow"):
        end_point_error(make_task(), plain, torch.device("cpu"))
