"""What bench counts, in what order it measures, and what it prints."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from rich.text import Text
from torch import nn

from distilvo.bench import benchmark, contestants, latencies_ms
from distilvo.bench.bench_table import size_table
from distilvo.bench.child import _images, start
from distilvo.bench.contestants import gather
from distilvo.bench.deepvo import DeepVO
from distilvo.bench.klt import KltTracker
from distilvo.bench.latency import interleaved, noise
from distilvo.bench.sample_drive import street, there_and_back
from distilvo.commands import main
from distilvo.commands.bench import Bench
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import KITTI_00
from distilvo.geometry.se3 import rotation_angle
from distilvo.models.kinds import count_parameters
from distilvo.models.model_folder import save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.onnx_export import export_onnx
from distilvo.runtime import Tracker
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


def test_an_onnx_file_has_the_numbers_of_its_folder_and_an_older_one_is_unknown(folder: Path, tmp_path: Path) -> None:
    (from_file,), (from_folder, _) = gather((folder / "model.onnx", folder), None, False, tmp_path)
    assert from_file.parameters == from_folder.parameters == count_parameters(TINY)
    assert from_file.precision == from_folder.precision == "fp32"
    older = onnx.load(folder / "model.onnx")
    helper.set_model_props(older, {"distilvo": json.dumps({"architecture": TINY.to_dict()})})
    onnx.save(older, tmp_path / "older.onnx")
    ((unknown,),) = gather((tmp_path / "older.onnx",), None, False, tmp_path)
    assert (unknown.parameters, unknown.precision) == (None, None) and unknown.macs == from_file.macs
    rows = benchmark._rows([unknown], 1, _measured(), [unknown])
    assert (rows[0].parameters, rows[0].precision) == (None, None)
    table = size_table({"models": [asdict(rows[0])]})
    assert [next(iter(column.cells)) for column in table.columns[2:4]] == [Text("unknown"), Text("unknown")]


def _measured() -> benchmark._Measured:
    """One contestant, whose every time is 1 s."""
    times = np.ones((2, 1))
    return benchmark._Measured(steps=times, tracked=times, decoded=times, starts=[[(1.0, None)]])


def test_rows_by_hand(folder: Path, tmp_path: Path) -> None:
    """Two models at 3 and 1 s a step: medians, 99 % quantile, both rates, start, memory, each from its own times."""
    (fast,), (slow,) = gather((folder / "model.onnx", folder / "model.onnx"), None, False, tmp_path)
    steps = np.array([[3.0, 1.0], [3.0, 1.0], [7.0, 1.0]])
    starts: list[list[tuple[float, float | None]]] = [[(2.0, 5e6), (9.0, 7e6), (3.0, 4e6)], [(1.0, None)]]
    measured = benchmark._Measured(steps, np.array([[0.5, 0.2]] * 3), np.array([[0.8, 0.4]] * 3), starts)
    one, other = benchmark._rows([fast, slow], 1, measured, [slow])
    assert (one.latency_ms_median, one.latency_ms_p99) == (3000, pytest.approx(6920))  # 3 + 0.98 * 4
    assert (one.frames_per_second, one.frames_per_second_with_decode) == (2, 1.25)
    assert (one.cold_start_s, one.peak_rss_mb) == (3, 5)
    assert (other.frames_per_second, other.cold_start_s, other.peak_rss_mb) == (5, 1, None)


def test_models_interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two runs in a row, the first of which brings the caches back and takes 10 s, the second is timed."""
    calls: list[str] = []
    clock = [0.0]

    def step(name: str, seconds: float) -> None:
        first = not calls or calls[-1] != name or len(calls) % 2 == 0
        calls.append(name)
        clock[0] += 10.0 if first else seconds * (1 + len(calls))

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    times = interleaved([lambda: step("a", 1.0), lambda: step("b", 2.0)], rounds=3, warmup=1)
    assert calls == ["a", "a", "b", "b"] * 4
    assert times.tolist() == [[7.0, 18.0], [11.0, 26.0], [15.0, 34.0]]  # after 6, 8; 10, 12; 14, 16 calls


def test_latencies(folder: Path) -> None:
    latencies = latencies_ms([folder / "model.onnx"] * 2, rounds=3, warmup=1)
    assert len(latencies) == 2 and all(math.isfinite(value) and value > 0 for value in latencies)


def test_start_and_memory_of_a_fresh_process(folder: Path) -> None:
    seconds, peak = start("onnx", folder / "model.onnx", 1)
    assert seconds > 0
    measurable = "VmHWM" in Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else None
    assert (peak is None) == (measurable is False) or measurable is None
    assert peak is None or 10e6 < peak < 10e9
    with pytest.raises(DistilvoError, match=r"none\.onnx: a process that loads it ended with status 1 \(.*DistilvoErr"):
        start("onnx", folder / "none.onnx", 1)


def test_images_of_a_fresh_process_are_followed() -> None:
    """Every one is in a pair: a network that sees pairs runs whole, which the peak of memory is of."""
    tracker = Tracker()
    assert [tracker.step(image, 0.1 * number).status for number, image in enumerate(_images(4))] == ["ok"] * 4


def _run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    monkeypatch.setattr(sys, "argv", ["distilvo", "bench", *args])
    monkeypatch.setattr(benchmark, "STARTS", 1)
    main.main()
    return capsys.readouterr().out


def test_json_is_complete(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmark.environment, "usable_cores", lambda: 2)
    klt = [contestants._klt()]
    gather_models = contestants.gather
    monkeypatch.setattr(contestants, "gather", lambda *args: [*gather_models(*args), klt])
    other = tmp_path / "other.onnx"
    other.write_bytes((folder / "model.onnx").read_bytes())
    result = json.loads(_run(capsys, monkeypatch, str(other), "--against", str(folder), "--rounds", "2", "--json"))
    machine, rows = result["machine"], result["models"]
    assert machine.keys() >= {"cpu", "cores", "ram_gb", "os", "python", "versions", "load_start", "load_end", "busy"}
    assert machine["versions"].keys() >= {"numpy", "onnxruntime", "torch"}
    name = f"{tmp_path.name}/other.onnx"
    expected = [("tiny", "onnxruntime"), ("tiny", "torch eager"), (name, "onnxruntime"), (klt[0].name, "OpenCV")]
    assert [(r["name"], r["runtime"], r["threads"]) for r in rows] == [(*e, n) for e in expected for n in (1, 2)]
    for row in rows:
        absent = {key for key, value in row.items() if value is None}
        assert absent <= ({"macs", "peak_rss_mb"} if row["runtime"] == "OpenCV" else {"peak_rss_mb"})
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, int | float))
        assert 0 < row["latency_ms_median"] <= row["latency_ms_p99"]
        assert row["speedup_against"].startswith(f"tiny, {row['runtime'] if row['runtime'] != 'OpenCV' else 'onnx'}")
    latency = {(r["name"], r["runtime"], r["threads"]): r["latency_ms_median"] for r in rows}
    for row in rows[:6]:
        own = latency[row["name"], row["runtime"], row["threads"]]
        assert row["speedup"] == pytest.approx(latency["tiny", row["runtime"], row["threads"]] / own)
        assert row["speedup_over_eager"] == pytest.approx(latency["tiny", "torch eager", row["threads"]] / own)
    assert rows[4]["file_bytes"] == other.stat().st_size


def test_table_names_units_and_warns_of_a_busy_machine(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark.environment, "usable_cores", lambda: 1)
    for busy in (2.0, -1.0):
        monkeypatch.setattr(benchmark, "BUSY", busy)
        output = _run(capsys, monkeypatch, str(folder / "model.onnx"), "--rounds", "2")
        for word in ("median", "ms", "frames/s", "MACs", "MB", "1241x376 grey", "Machine:", "1.00 x"):
            assert word in output
        assert f"{count_parameters(TINY):,}" in output and "fp32" in output
        assert ("Warning: the machine was busy" in output) == (busy > 1)


def test_names_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.onnx"
    rows = [rows[0].name for rows in gather((path, path, folder), None, False, tmp_path)]
    assert rows == [str(path), f"{path} (2)", "tiny"]
    first = gather((path, folder), str(folder), False, tmp_path)
    assert [rows[0].name for rows in first] == ["tiny", "tiny/model.onnx"]  # not measured twice


def test_bad_input_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    for models, against, message in (
        ((), None, "nothing to measure"),
        ((tmp_path / "none.onnx",), None, r"none\.onnx: no such file"),
        ((tmp_path / "bad.onnx",), None, r"bad\.onnx: not a model that 'distilvo export' wrote"),
        ((tmp_path / "none",), None, "none: no such folder"),
        ((folder,), "papre", "papre: no such model; expected a folder, an ONNX file, paper, demo, teacher"),
    ):
        with pytest.raises(DistilvoError, match=message):
            gather(models, against, False, tmp_path)
    with pytest.raises(DistilvoError, match="--rounds 1; expected at least 2"):
        Bench((folder,), rounds=1, json=True).run()


def test_without_torch_onnx_files_are_measured_and_folders_refused(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from pathlib import Path; from distilvo.bench import benchmark; benchmark.STARTS = 1\n"
        "from distilvo.commands.bench import Bench; Bench((Path(sys.argv[1]),), rounds=2, json=True).run()"
    )
    command = [sys.executable, "-c", code, str(folder / "model.onnx")]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert result["models"][0]["runtime"] == "onnxruntime"
    assert result["models"][0]["parameters"] == count_parameters(TINY)


def test_folders_need_torch(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "find_spec", lambda _: None)
    for models, against, baselines in (((folder,), None, False), ((folder / "model.onnx",), "paper", False)):
        with pytest.raises(DistilvoError, match=r"needs torch: pip install 'distilvo\[train\]'"):
            gather(models, against, baselines, tmp_path)


def test_klt_follows_the_street() -> None:
    tracker = KltTracker(KITTI_00)
    poses = [tracker.step(image).copy() for image in street(6)]
    assert np.array_equal(poses[0], np.eye(4))
    c, s = math.cos(0.01), math.sin(0.01)
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    motions = [np.linalg.inv(before) @ after for before, after in pairwise(poses)]
    errors = [float(rotation_angle(turn.T @ motion[:3, :3])) for motion in motions]
    assert np.median(errors) < math.radians(0.2)  # of a turn of 0.57 degrees
    assert poses[-1][2, 3] > 0.99 * 5  # each step has length 1, forward
    for image in (street(6)[-1], np.zeros((376, 1241), np.uint8), noise((376, 1241))):
        tracker.step(image)  # standing, then blind: no error
    assert np.isfinite(tracker.pose).all()


def test_images_come_there_and_back() -> None:
    images = [np.full((1, 1), k, np.uint8) for k in range(4)]
    stream = there_and_back(images)
    assert [int(next(stream)[0, 0]) for _ in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]


def test_deepvo_has_the_published_shape() -> None:
    with torch.device("meta"):
        whole = DeepVO()
    assert whole.lstm.input_size == 1024 * 6 * 20 and whole.lstm.hidden_size == 1000 and whole.lstm.num_layers == 2
    convolutions = [layer for layer in whole.convolutions if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 9 and len(whole.convolutions) == 17  # ReLU after all but the last
    small = DeepVO((64, 128), 10).eval()
    state = small.start(torch.zeros(1, 3, 64, 128))
    with torch.no_grad():
        pose, (frame, hidden, _) = small.step(torch.zeros(1, 3, 64, 128), state)
    assert pose.shape == (1, 6) and frame.shape == (1, 3, 64, 128) and hidden.shape == (2, 1, 10)
    assert whole.lstm.weight_ih_l0.shape == (4000, 122_880)
