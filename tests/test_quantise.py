"""Convolutions in int8: the file, what it was calibrated on, and what its motions cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from conftest import make_kitti
from distilvo.bench import int8_comparison
from distilvo.bench.int8_comparison import compare, comparison_table, open_drives, verdict
from distilvo.commands import export
from distilvo.commands.export import Export, export_model
from distilvo.data import motion_scale
from distilvo.errors import DistilvoError
from distilvo.models import quantisation
from distilvo.models.kinds import count_parameters
from distilvo.models.model_folder import save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.onnx_export import onnx_motions
from distilvo.models.quantisation import last_convolutions
from distilvo.models.step_model import StepModel
from distilvo.runtime import Tracker
from distilvo.runtime.packaged_models import model_path
from distilvo.sequences import open_sequence
from test_training import TINY


@pytest.fixture(scope="module")
def folder(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder after ``export --int8``."""
    root = tmp_path_factory.mktemp("int8")
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    drives = open_drives(TINY.preprocessing, kitti_root, (), root)
    network.set_motion_scale(*motion_scale(drives.check))
    save_model(network, root / "model", {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_comparison, "ROUNDS", 2)
        Export(root / "model", int8=True, data=kitti_root).run()
    return root / "model"


def test_convolutions_that_give_maps_stay_as_they_are() -> None:
    """a feeds an activation, b nothing, c a sum and then an activation: b and c give values in units of their own."""
    convolutions = [
        onnx.helper.make_node("Conv", [x, "w"], [y], name=y) for x, y in (("x", "a"), ("r", "b"), ("r", "c"))
    ]
    others = [("LeakyRelu", ["a"], "r"), ("Add", ["b", "c"], "s"), ("LeakyRelu", ["s"], "t")]
    nodes = [*convolutions, *(onnx.helper.make_node(kind, inputs, [output]) for kind, inputs, output in others)]
    assert last_convolutions(onnx.helper.make_graph(nodes, "maps", [], [])) == ["b", "c"]


def test_one_file_with_the_metadata(folder: Path) -> None:
    names = ["config.json", "model.int8.onnx", "model.onnx", "model.safetensors", "quantisation.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    fp32, int8 = (onnx.load(folder / name) for name in ("model.onnx", "model.int8.onnx"))
    fp32_metadata, int8_metadata = ({p.key: p.value for p in model.metadata_props} for model in (fp32, int8))
    assert fp32_metadata["precision"] == "fp32" and int8_metadata == fp32_metadata | {"precision": "int8"}
    quantised = StepModel(folder / "model.int8.onnx")
    assert quantised.config["architecture"]["lstm"] == [40]
    assert (quantised.parameters, quantised.precision) == (count_parameters(TINY), "int8")
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
        image, weight = (makes[name] for name in convolution.input[:2])
        assert (image.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert weights[weight.input[0]].data_type == onnx.TensorProto.INT8
        scales.append(weights[weight.input[1]].dims[0])
    assert scales == [width for width, _, _ in TINY.convolutions]  # one for each channel
    for node in graph.node:
        if node.op_type in ("LSTM", "Gemm", "MatMul"):
            inputs = [makes[name].op_type for name in node.input if name in makes]
            assert "DequantizeLinear" not in inputs


@pytest.mark.parametrize("shipped", [True, False])
def test_no_processor_saturates(folder: Path, shipped: bool) -> None:
    """x86 without VNNI adds two products, of an activation (8 bits, unsigned) and a weight, in 16 bits with a sign."""
    path = model_path("student-int8") if shipped else folder / "model.int8.onnx"
    graph = onnx.load(path).graph
    weights = [
        numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    ]
    assert sum(array.ndim == 4 for array in weights) > 1
    largest = max(np.abs(array.astype(int)).max() for array in weights if array.ndim == 4)
    assert largest > 60 and 2 * 255 * largest < 2**15


def test_smaller_where_convolutions_are_most_of_it(kitti_root: Path, tmp_path: Path) -> None:
    wide = replace(TINY, convolutions=((16, 5, 2), (16, 3, 2), (128, 3, 2), (128, 3, 2)), lstm=())
    save_model(PoseNetwork(wide).eval(), tmp_path / "wide", {})
    export_model(tmp_path / "wide", tmp_path / "model.onnx")
    drives = open_drives(wide.preprocessing, kitti_root, ("00", "01"), tmp_path)
    quantisation.quantise(tmp_path / "model.onnx", tmp_path / "model.int8.onnx", drives.calibration)
    assert (tmp_path / "model.int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size


def test_motions_are_close_and_not_the_same(folder: Path, kitti_root: Path) -> None:
    drives = open_drives(TINY.preprocessing, kitti_root, (), folder.parent)
    fp32, int8 = (onnx_motions(folder / n, drives.check.drive_frames(0)) for n in ("model.onnx", "model.int8.onnx"))
    assert 0 < np.sqrt(np.square(fp32 - int8).mean()) < 0.2 * fp32.std(0).max()
    sequence = open_sequence(kitti_root / "sequences" / "01")
    with Tracker(folder / "model.int8.onnx", sequence.camera) as tracker:
        motions = [tracker.step(frame, t).motion for t, frame in enumerate(sequence.frames())]
    assert np.allclose(motions[1:], int8, atol=1e-5)


def test_the_table_is_written(folder: Path, kitti_root: Path) -> None:
    result = json.loads((folder / "quantisation.json").read_text())
    assert [row["name"] for row in result["variants"]] == ["fp32 torch", "fp32 ONNX", "int8 ONNX"]
    assert (result["calibration"], result["check"]) == (["00"], ["01", "02", "03"])
    _, fp32, int8 = result["variants"]
    assert int8["file_bytes"] == (folder / "model.int8.onnx").stat().st_size
    assert result["cost_percent"]["ATE"] == pytest.approx(100 * (int8["ate_m"] / fp32["ate_m"] - 1))
    drives = open_drives(TINY.preprocessing, kitti_root, ("01", "02", "03", "00"), folder.parent)
    assert {d.name for d in drives.calibration.drives}.isdisjoint(d.name for d in drives.check.drives)


def test_calibration_carries_the_state(folder: Path, kitti_root: Path) -> None:
    drives = open_drives(TINY.preprocessing, kitti_root, (), folder.parent)
    feeds = quantisation._Streams(folder / "model.onnx", drives.calibration)
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


@pytest.mark.parametrize(
    "cost, times, recommended", [(0.02, (2.0, 1.0), True), (0.04, (2.0, 1.0), False), (0.0, (1.0, 1.0), False)]
)
def test_what_costs_too_much_or_is_no_faster_is_not_recommended(
    folder: Path,
    kitti_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    cost: float,
    times: tuple[float, float],
    recommended: bool,
) -> None:
    """Errors of 1 in fp32 and of 1 + cost in int8; times of both."""
    rotation_errors = iter([1.0, 1.0, 1.0 + cost])

    def evaluated(*_: object) -> SimpleNamespace:
        rotation = next(rotation_errors)
        return SimpleNamespace(total=SimpleNamespace(rms_rpe_t_m=1.0, rms_rpe_r_deg=rotation, ate_m=1.0))

    monkeypatch.setattr(int8_comparison, "evaluate", evaluated)
    monkeypatch.setattr(int8_comparison, "interleaved", lambda *_, **__: np.array([[2.0, *times]]))
    drives = open_drives(TINY.preprocessing, kitti_root, (), folder.parent)
    result = compare(folder, folder / "model.onnx", folder / "model.int8.onnx", drives)
    assert result["recommended"] is recommended
    line = verdict(result)
    assert ("more than 3 % in RMS-RPE rot; use the fp32 file" in line) is (cost > 0.03)
    assert ("it is not faster on this machine" in line) is (times[0] == times[1])
    assert ("recommended on a machine like this one" in line) is recommended
    names, _, latencies, _, rotations, _ = (list(column.cells) for column in comparison_table(result).columns)
    assert names == ["fp32 torch", "fp32 ONNX", "int8 ONNX"] and latencies == [
        "2000.00",
        *(f"{1000 * time:.2f}" for time in times),
    ]
    assert rotations == ["1.0000", "1.0000", f"{1 + cost:.4f}"]


def test_streets_are_rendered_where_there_is_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(root: Path, seeds: range, frames: int, size: tuple[int, int]) -> None:
        assert size == TINY.size
        for seed in seeds:
            make_kitti(root, str(seed), 2, size, seed)

    monkeypatch.setattr("distilvo.world.dataset.render_streets", render)
    model = save_model(PoseNetwork(TINY), tmp_path / "model", {})
    drives = Export(model, int8=True)._drives(model, tmp_path)
    names = [drive.name for part in (drives.calibration, drives.check) for drive in part.drives]
    assert names == [str(seed) for seed in export.STREETS]
    assert len(drives.calibration.drives) == len(names) // 4


def test_what_cannot_be_quantised(folder: Path, kitti_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"

    def refused(message: str, verb: Export) -> None:
        with pytest.raises(DistilvoError, match=message):
            verb.run()

    refused("nothing: no such folder", Export(folder, out, int8=True, data=tmp_path / "nothing"))
    refused("expected two or more", Export(folder, out, int8=True, data=kitti_root, sequences=("00", "00")))
    refused("no such folder", Export(tmp_path / "nothing", out, int8=True, data=kitti_root))
    refused("--data is what --int8", Export(folder, out, data=kitti_root))
    refused("give --data too", Export(folder, out, int8=True, sequences=("00",)))
    (tmp_path / "m.int8.onnx").touch()
    refused("exists already", Export(folder, out, int8=True, data=kitti_root))
    assert not out.exists()
