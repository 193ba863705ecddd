"""What bench counts, in what order it measures, and what it prints."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from distilvo import cli
from distilvo.bench import contestants, latencies_ms, run
from distilvo.bench.child import start
from distilvo.bench.contestants import gather
from distilvo.bench.engines import noise
from distilvo.bench.macs import onnx_macs, torch_macs
from distilvo.bench.onnx_file import OnnxWeights, read_weights
from distilvo.bench.pictures import CAMERA, street
from distilvo.bench.rivals import KltTracker, deepvo, there_and_back
from distilvo.bench.timing import take_turns
from distilvo.errors import DistilvoError
from distilvo.export import export_onnx
from distilvo.models.files import save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.teacher import SHIPPED_TEACHER
from distilvo.poses import rotation_angle
from distilvo.sequences.frame_format import FrameFormat
from test_training import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, with its ONNX file in it."""
    torch.manual_seed(0)
    network = PoseNetwork(TINY).eval()
    folder = save_model(network, tmp_path_factory.mktemp("models") / "tiny", {})
    frames = torch.randint(0, 256, (3, TINY.channels, *TINY.size), dtype=torch.uint8)
    export_onnx(network, {"architecture": TINY.to_dict()}, folder / "model.onnx", frames)
    return folder


def _save(path: Path, nodes: list[Any], inputs: dict[str, list[int]], weights: dict[str, np.ndarray]) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", values, [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def _floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_macs_of_convolutions_by_hand(tmp_path: Path) -> None:
    grouped = helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], group=2)
    weights = {"w": _floats(6, 2, 3, 3), "b": _floats(6)}
    path = _save(tmp_path / "m.onnx", [grouped], {"x": [1, 4, 8, 10]}, weights)
    # The output is 6 x 4 x 5, and each value takes 2 channels of its group, 3 x 3 each.
    assert onnx_macs(path) == 6 * 4 * 5 * 2 * 3 * 3 == 2160
    assert read_weights(path).parameters == 6 * 2 * 3 * 3 + 6


def test_macs_of_products_by_hand(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),  # (2, 3, 5) @ (5, 7)
        helper.make_node("Reshape", ["h", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "v", "c"], ["y"], transB=1),  # (2, 21) @ (21, 4)
    ]
    weights = {"w": _floats(5, 7), "shape": np.array([2, 21]), "v": _floats(4, 21), "c": _floats(4)}
    path = _save(tmp_path / "m.onnx", nodes, {"x": [2, 3, 5]}, weights)
    assert onnx_macs(path) == 2 * 3 * 5 * 7 + 2 * 21 * 4 == 378
    assert read_weights(path).parameters == 5 * 7 + 4 * 21 + 4  # the shape is no weight


def test_macs_of_an_lstm_by_hand(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)
    weights = {"w": _floats(1, 12, 5), "r": _floats(1, 12, 3)}
    path = _save(tmp_path / "m.onnx", [node], {"x": [4, 2, 5]}, weights)
    assert onnx_macs(path) == 4 * 2 * (4 * 3 * 5 + 4 * 3 * 3) == 768  # 4 steps, batch 2, 4 gates


def test_quantised_forms_count_as_what_they_stand_for(tmp_path: Path) -> None:
    scale, zero = np.array(0.1, np.float32), np.array(0, np.uint8)
    weights = {"s": scale, "z": zero, "w": np.ones((3, 2, 3, 3), np.uint8)}
    x = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"])
    back = helper.make_node("DequantizeLinear", ["yq", "s", "z"], ["y"])
    whole = helper.make_node("QLinearConv", ["xq", "s", "z", "w", "s", "z", "s", "z"], ["yq"])
    pairs = [
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["wf"]),
        helper.make_node("Conv", ["xf", "wf"], ["y"]),
    ]
    for name, nodes in {"qlinear": [x, whole, back], "qdq": [x, *pairs]}.items():
        path = _save(tmp_path / f"{name}.onnx", nodes, {"x": [1, 2, 5, 6]}, weights)
        assert onnx_macs(path) == (3 * 3 * 4) * (2 * 3 * 3) == 648
        assert read_weights(path) == OnnxWeights(parameters=54, precision="int8")


def test_torch_macs_by_hand() -> None:
    class Network(nn.Module):
        architecture = SimpleNamespace(frame_format=FrameFormat((8, 10), 4))

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(4, 6, 3, 2, 1, groups=2)
            self.lstm, self.fc = nn.LSTM(120, 3, batch_first=True), nn.Linear(3, 2)

        def start(self, frame: torch.Tensor) -> tuple[()]:
            return ()

        def step(self, frame: torch.Tensor, state: tuple[()]) -> tuple[torch.Tensor, tuple[()]]:
            return self.fc(self.lstm(self.convolution(frame).flatten(1)[:, None])[0][:, 0]), state

    assert torch_macs(Network()) == 2160 + 4 * 3 * (120 + 3) + 3 * 2


def test_both_counts_agree_on_a_trained_network(tmp_path: Path) -> None:
    onnx_row, torch_row = gather((SHIPPED_TEACHER,), None, False, tmp_path)[0]
    assert onnx_row.macs == torch_row.macs
    assert onnx_row.macs is not None and onnx_row.macs > 30_000_000
    assert onnx_row.parameters == torch_row.parameters == 1_512_870
    # The file counted on its own has two values for four where batch norm was, and no more than that is lost.
    assert 0 <= 1_512_870 - read_weights(onnx_row.path).parameters < 1010


def test_models_take_turns() -> None:
    calls: list[str] = []
    times = take_turns([lambda: calls.append("a"), lambda: calls.append("b")], rounds=3, warmup=1)
    assert calls == ["a", "a", "b", "b"] * 4  # the first of two brings the caches back
    assert times.shape == (3, 2) and (times >= 0).all()


def test_latencies(folder: Path) -> None:
    found = latencies_ms([folder / "model.onnx"] * 2, rounds=3, warmup=1)
    assert len(found) == 2 and all(math.isfinite(value) and value > 0 for value in found)


def test_a_fresh_process_tells_its_start_and_memory(folder: Path) -> None:
    seconds, peak = start("onnx", folder / "model.onnx", 1)
    assert seconds > 0
    assert peak is None or 10e6 < peak < 10e9
    with pytest.raises(DistilvoError, match=r"none\.onnx: a process that loads it ended with status 1 \(.*DistilvoErr"):
        start("onnx", folder / "none.onnx", 1)


def _run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    monkeypatch.setattr(sys, "argv", ["distilvo", "bench", *args])
    monkeypatch.setattr(run, "STARTS", 1)
    cli.main()
    return capsys.readouterr().out


def test_json_is_complete(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run.machine, "usable_cores", lambda: 2)
    klt = [contestants._klt()]
    real = contestants.gather
    monkeypatch.setattr(run, "gather", lambda *args: [*real(*args), klt])
    other = tmp_path / "other.onnx"
    other.write_bytes((folder / "model.onnx").read_bytes())
    found = json.loads(_run(capsys, monkeypatch, str(other), "--against", str(folder), "--rounds", "2", "--json"))
    machine, rows = found["machine"], found["models"]
    assert machine.keys() >= {"cpu", "cores", "ram_gb", "os", "python", "versions", "load_start", "load_end", "busy"}
    assert machine["versions"].keys() >= {"numpy", "onnxruntime", "torch"}
    name = f"{tmp_path.name}/other.onnx"
    wanted = [("tiny", "onnxruntime"), ("tiny", "torch eager"), (name, "onnxruntime"), (klt[0].name, "OpenCV")]
    assert [(r["name"], r["runtime"], r["threads"]) for r in rows] == [(*w, n) for w in wanted for n in (1, 2)]
    for row in rows:
        absent = {key for key, value in row.items() if value is None}
        assert absent <= ({"macs", "peak_rss_mb"} if row["runtime"] == "OpenCV" else {"peak_rss_mb"})
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, int | float))
        assert 0 < row["latency_ms_median"] <= row["latency_ms_p99"]
        assert row["speedup_against"].startswith(f"tiny, {row['runtime'] if row['runtime'] != 'OpenCV' else 'onnx'}")
    latency = {(r["name"], r["runtime"], r["threads"]): r["latency_ms_median"] for r in rows}
    for row in rows[:6]:
        mine = latency[row["name"], row["runtime"], row["threads"]]
        assert row["speedup"] == pytest.approx(latency["tiny", row["runtime"], row["threads"]] / mine)
        assert row["speedup_over_eager"] == pytest.approx(latency["tiny", "torch eager", row["threads"]] / mine)
    assert rows[4]["file_bytes"] == other.stat().st_size


def test_table_names_units_and_warns_of_a_busy_machine(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.machine, "usable_cores", lambda: 1)
    for busy in (2.0, -1.0):
        monkeypatch.setattr(run, "BUSY", busy)
        said = _run(capsys, monkeypatch, str(folder / "model.onnx"), "--rounds", "2")
        for word in ("median", "ms", "frames/s", "MACs", "MB", "1241x376 grey", "Machine:", "1.00 x"):
            assert word in said
        assert ("Warning: the machine was busy" in said) == (busy > 1)


def test_names_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.onnx"
    rows = [rows[0].name for rows in gather((path, path, folder), None, False, tmp_path)]
    assert rows == [str(path), f"{path} (2)", "tiny"]
    first = gather((path, folder), str(folder), False, tmp_path)
    assert [rows[0].name for rows in first] == ["tiny", "tiny/model.onnx"]  # not measured twice


def test_bad_input_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for models, against, wanted in (
        ((), None, "nothing to measure"),
        ((tmp_path / "none.onnx",), None, r"none\.onnx: no such file"),
        ((tmp_path / "bad.onnx",), None, r"bad\.onnx: not a model that 'distilvo export' wrote"),
        ((tmp_path / "none",), None, "none: no such folder"),
        ((folder,), "papre", "papre: no such model; expected a folder, an ONNX file, paper or demo"),
    ):
        with pytest.raises(DistilvoError, match=wanted):
            gather(models, against, False, tmp_path)
    with pytest.raises(DistilvoError, match="--rounds 1; expected at least 2"):
        run.run_bench((folder,), None, False, 1, True)


def test_without_torch_onnx_files_are_measured_and_folders_refused(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from pathlib import Path; from distilvo.bench import run; run.STARTS = 1\n"
        "run.run_bench((Path(sys.argv[1]),), None, False, 2, True)"
    )
    command = [sys.executable, "-c", code, str(folder / "model.onnx")]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found["models"][0]["runtime"] == "onnxruntime"


def test_folders_need_torch(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "find_spec", lambda _: None)
    for models, against, rivals in (((folder,), None, False), ((folder / "model.onnx",), "paper", False)):
        with pytest.raises(DistilvoError, match=r"needs torch: pip install 'distilvo\[train\]'"):
            gather(models, against, rivals, tmp_path)


def test_klt_follows_the_street() -> None:
    tracker = KltTracker(CAMERA)
    poses = [tracker.step(picture).copy() for picture in street(6)]
    assert np.array_equal(poses[0], np.eye(4))
    c, s = math.cos(0.01), math.sin(0.01)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    turns = [np.linalg.inv(before) @ after for before, after in pairwise(poses)]
    errors = [float(rotation_angle(turn.T @ found[:3, :3])) for found in turns]
    assert np.median(errors) < math.radians(0.2)  # of a turn of 0.57 degrees
    assert poses[-1][2, 3] > 0.99 * 5  # each step has length 1, forward
    for picture in (street(6)[-1], np.zeros((376, 1241), np.uint8), noise((376, 1241))):
        tracker.step(picture)  # standing, then blind: no error
    assert np.isfinite(tracker.pose).all()


def test_pictures_come_there_and_back() -> None:
    pictures = [np.full((1, 1), k, np.uint8) for k in range(4)]
    stream = there_and_back(pictures)
    assert [int(next(stream)[0, 0]) for _ in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]


def test_deepvo_has_the_published_shape() -> None:
    with torch.device("meta"):
        whole = deepvo()
    assert whole.lstm.input_size == 1024 * 6 * 20 and whole.lstm.hidden_size == 1000 and whole.lstm.num_layers == 2
    convolutions = [layer for layer in whole.convolutions if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 9 and len(whole.convolutions) == 17  # ReLU after all but the last
    small = deepvo((64, 128), 10)
    state = small.start(torch.zeros(1, 3, 64, 128))
    with torch.no_grad():
        pose, (frame, hidden, _) = small.step(torch.zeros(1, 3, 64, 128), state)
    assert pose.shape == (1, 6) and frame.shape == (1, 3, 64, 128) and hidden.shape == (2, 1, 10)
    assert whole.lstm.weight_ih_l0.shape == (4000, 122_880)
