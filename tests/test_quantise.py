"""Convolutions in int8: the file, what it was calibrated on, and what its motions cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from conftest import make_kitti
from distilvo import evaluation, quantise, verbs
from distilvo.clips import motion_scale
from distilvo.errors import DistilvoError
from distilvo.export import onnx_motions
from distilvo.models.files import save_model
from distilvo.models.network import PoseNetwork
from distilvo.quantise import compare, open_drives, publish
from distilvo.runtime import StepModel, Tracker
from distilvo.sequences import open_sequence
from test_training import TINY


@pytest.fixture(scope="module")
def folder(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder after ``export --int8``."""
    root = tmp_path_factory.mktemp("int8")
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    drives = open_drives({"architecture": TINY.to_dict()}, kitti_root, (), root)
    network.set_motion_scale(*motion_scale(drives.check))
    save_model(network, root / "model", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantise, "ROUNDS", 2)
        verbs.export(root / "model", None, True, kitti_root, ())
    return root / "model"


def test_one_file_with_the_metadata(folder: Path) -> None:
    names = ["config.json", "model.int8.onnx", "model.onnx", "model.safetensors", "quantisation.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    fp32, int8 = (onnx.load(folder / name) for name in ("model.onnx", "model.int8.onnx"))
    assert {p.key: p.value for p in int8.metadata_props} == {p.key: p.value for p in fp32.metadata_props}
    assert StepModel(folder / "model.int8.onnx").config["architecture"]["lstm"] == [40]
    for values in ("input", "output"):
        assert [v.name for v in getattr(int8.graph, values)] == [v.name for v in getattr(fp32.graph, values)]


def test_convolutions_and_nothing_else_are_int8(folder: Path) -> None:
    graph = onnx.load(folder / "model.int8.onnx").graph
    makes = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == len(TINY.convolutions)
    scales = []
    for convolution in convolutions:
        picture, weight = (makes[name] for name in convolution.input[:2])
        assert (picture.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert weights[weight.input[0]].data_type == onnx.TensorProto.INT8
        scales.append(weights[weight.input[1]].dims[0])
    assert scales == [width for width, _, _ in TINY.convolutions]  # one for each channel
    for node in graph.node:
        if node.op_type in ("LSTM", "Gemm", "MatMul"):
            inputs = [makes[name].op_type for name in node.input if name in makes]
            assert "DequantizeLinear" not in inputs


def test_smaller_where_convolutions_are_most_of_it(kitti_root: Path, tmp_path: Path) -> None:
    wide = replace(TINY, convolutions=((16, 5, 2), (16, 3, 2), (128, 3, 2), (128, 3, 2)), lstm=())
    save_model(PoseNetwork(wide).eval(), tmp_path / "wide", {})
    verbs.export_model(tmp_path / "wide", tmp_path / "model.onnx")
    drives = open_drives({"architecture": wide.to_dict()}, kitti_root, ("00", "01"), tmp_path)
    quantise.quantise(tmp_path / "model.onnx", tmp_path / "model.int8.onnx", drives.calibration)
    assert (tmp_path / "model.int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size


def test_motions_are_close_and_not_the_same(folder: Path, kitti_root: Path) -> None:
    drives = open_drives({"architecture": TINY.to_dict()}, kitti_root, (), folder.parent)
    fp32, int8 = (onnx_motions(folder / n, drives.check.drive_frames(0)) for n in ("model.onnx", "model.int8.onnx"))
    assert 0 < np.sqrt(np.square(fp32 - int8).mean()) < 0.2 * fp32.std(0).max()
    sequence = open_sequence(kitti_root / "sequences" / "01")
    with Tracker(folder / "model.int8.onnx", sequence.camera) as tracker:
        found = [tracker.step(frame, t).motion for t, frame in enumerate(sequence.frames())]
    assert np.allclose(found[1:], int8, atol=1e-5)


def test_the_table_is_written(folder: Path, kitti_root: Path) -> None:
    result = json.loads((folder / "quantisation.json").read_text())
    assert [row["name"] for row in result["variants"]] == ["fp32 torch", "fp32 ONNX", "int8 ONNX"]
    assert (result["calibration"], result["check"]) == (["00"], ["01", "02", "03"])
    _, fp32, int8 = result["variants"]
    assert int8["file_bytes"] == (folder / "model.int8.onnx").stat().st_size
    assert result["cost_percent"]["ATE"] == pytest.approx(100 * (int8["ate_m"] / fp32["ate_m"] - 1))
    drives = open_drives({"architecture": TINY.to_dict()}, kitti_root, ("01", "02", "03", "00"), folder.parent)
    assert {d.name for d in drives.calibration.drives}.isdisjoint(d.name for d in drives.check.drives)


def test_calibration_carries_the_state(folder: Path, kitti_root: Path) -> None:
    drives = open_drives({"architecture": TINY.to_dict()}, kitti_root, (), folder.parent)
    feeds = quantise._Streams(folder / "model.onnx", drives.calibration)
    feeds.set_range(0, len(feeds))
    fed = list(feeds)
    assert len(fed) == 19  # all but the first of 20 frames
    model, frames = StepModel(folder / "model.onnx"), drives.calibration.drive_frames(0).numpy()
    for frame, feed in zip(frames[1:], fed, strict=True):
        assert np.array_equal(feed["frame"][0], frame)
        assert np.any(feed["state_0"])
    for frame in frames[:19]:
        model.step(frame)
    assert all(np.array_equal(fed[-1][name], value) for name, value in model.inputs(frames[19]).items())


@pytest.mark.parametrize("cost, recommended", [(0.02, True), (0.04, False)])
def test_what_costs_too_much_is_not_recommended(
    folder: Path, kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    cost: float, recommended: bool,
) -> None:  # fmt: skip
    """Errors of 1 in fp32 and of 1 + cost in int8, which takes half of the time."""
    answers = iter([1.0, 1.0, 1.0 + cost])

    def evaluated(*_: object) -> evaluation.Evaluation:
        error = next(answers)
        return evaluation.Evaluation({}, {}, {}, 1.0, error, 1.0)

    monkeypatch.setattr(evaluation, "evaluate", evaluated)
    monkeypatch.setattr(quantise, "take_turns", lambda *_, **__: np.array([[2.0, 2.0, 1.0]]))
    drives = open_drives({"architecture": TINY.to_dict()}, kitti_root, (), folder.parent)
    result = compare(folder, folder / "model.onnx", folder / "model.int8.onnx", drives)
    assert result["recommended"] is recommended
    publish(result, tmp_path / "q.json")
    said = " ".join(capsys.readouterr().out.split())
    assert ("more than 3 % in RMS-RPE rot; use the fp32 file" in said) is not recommended
    assert ("recommended on a machine like this one" in said) is recommended


def test_streets_are_rendered_where_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(root: Path, seeds: range, frames: int, size: tuple[int, int]) -> None:
        assert size == TINY.size
        for seed in seeds:
            make_kitti(root, str(seed), 2, size, seed)

    monkeypatch.setattr("distilvo.world.dataset.render_streets", render)
    drives = open_drives({"architecture": TINY.to_dict()}, None, (), tmp_path)
    names = [drive.name for part in (drives.calibration, drives.check) for drive in part.drives]
    assert names == [str(seed) for seed in quantise.STREETS]
    assert len(drives.calibration.drives) == len(names) // 4


def test_what_cannot_be_quantised(folder: Path, kitti_root: Path, tmp_path: Path) -> None:
    def refused(what: str, *arguments: object) -> None:
        with pytest.raises(DistilvoError, match=what):
            verbs.export(*arguments)  # type: ignore[arg-type]

    out = tmp_path / "m.onnx"
    refused("no folder 'sequences'", folder, out, True, tmp_path / "nothing", ())
    refused("expected two or more", folder, out, True, kitti_root, ("00", "00"))
    refused("no such folder", tmp_path / "nothing", out, True, kitti_root, ())
    refused("--data is what --int8", folder, out, False, kitti_root, ())
    refused("give --data too", folder, out, True, None, ("00",))
    (tmp_path / "m.int8.onnx").touch()
    refused("exists already", folder, out, True, kitti_root, ())
    assert not out.exists()
