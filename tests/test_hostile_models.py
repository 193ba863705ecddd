"""Model folders and ONNX files that claim what no model has: one line, no memory, no waiting."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from safetensors.torch import save_file

from constant_model import write_onnx
from distilvo.commands.evaluate import Evaluate
from distilvo.errors import DistilvoError
from distilvo.models.model_folder import copy_model, load_model, read_config, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.step_model import StepModel
from distilvo.models.teacher import DEMO, PAPER
from distilvo.pipeline.model_scores import open_models
from distilvo.runtime import Tracker


def test_a_sound_file_is_taken(tmp_path: Path) -> None:
    model = StepModel(write_onnx(tmp_path / "m.onnx"))
    frame = np.zeros((1, 16, 48), np.uint8)
    model.step(frame)
    assert model.step(frame).tolist() == [0.5] * 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": (1, 1, "H", "W")}, r"frame has the shape \(1, 1, 'H', 'W'\), expected fixed sizes"),
        ({"frame": (1, 1, 100_000, 100_000)}, "expected fixed sizes, 67108864 numbers at most"),
        ({"frame": (1, 1, 0, 48)}, "frame has the shape"),
        ({"frame": (1, 7, 16, 48)}, r"frame has the shape \(1, 7, 16, 48\), expected \(1, 1 or 3, height, width\)"),
        ({"frame": (2, 1, 16, 48)}, "frame has the shape"),
        ({"frame": (1, 16, 48)}, "frame has the shape"),
        ({"states": (("N", 4, 8, 24),)}, "state_0 has the shape"),
        ({"states": ((1, 100_000, 1000, 1000),)}, "state_0 has the shape"),
        ({"states": ((1, 0, 8, 24),)}, "state_0 has the shape"),
        ({"states": ((1, 2),) * 300}, "301 inputs, expected at most 64"),
        ({"states": ()}, "expected .* those of the states"),
        ({"motion": (1, 5)}, r"outputs have the shapes \[\(1, 5\), .*expected \(1, 6\)"),
        ({"motion": (6,)}, "outputs have the shapes"),
        ({"kind": TensorProto.DOUBLE}, "expected numbers of float32"),
        ({"names": "memory_{}"}, "outputs have the shapes"),
        ({"config": "[]"}, "its configuration is no object"),
        ({"config": "[" * 100_000}, "recursion"),
        ({"config": "9" * 5000}, "4300 digits"),
        ({"config": '{"centred": 1}'}, "centred is '1', expected true or false"),
        ({"config": '{"centred": "yes"}'}, "centred is 'yes'"),
        ({"config": '{"rate_hz": "10"}'}, "rate_hz is '10', expected frames per second"),
        ({"config": '{"rate_hz": true}'}, "rate_hz is 'True'"),
        ({"config": '{"rate_hz": NaN}'}, "rate_hz is 'nan'"),
        ({"config": '{"rate_hz": 1e9}'}, "rate_hz is '1000000000.0'"),
        ({"deviation": 0.1, "deviation_shape": (1, 5)}, r"outputs have the shapes \[\(1, 6\), \(1, 5\)"),
        ({"deviation": 0.1, "deviation_shape": (6,)}, "outputs have the shapes"),
    ],
)
def test_onnx_files_of_other_shapes_are_one_line(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", **changes)
    with pytest.raises(DistilvoError, match=rf"m\.onnx: not a model that .*{message}.*; export it anew"):
        Tracker(path)


def folder(tmp_path: Path, change: Callable[[str], str] | None = None, **architecture: Any) -> Path:
    """A sound model folder with another configuration."""
    made = save_model(PoseNetwork(DEMO), tmp_path / "m", {})
    config = json.loads((made / "config.json").read_text())
    config["architecture"] |= architecture
    text = json.dumps(config)
    (made / "config.json").write_text(change(text) if change else text)
    return made


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"convolutions": [[1, 1, 1]] * 20_000}, "at most 100 layers"),
        ({"fc": [1] * 20_000}, "at most 100 layers"),
        ({"lstm": [1] * 5000}, "at most 100 layers"),
        ({"size": [9600, 9600], "convolutions": [[9000, 1, 1]], "shared": 0}, "a feature map has 829440000000 numbers"),
        ({"size": [9600, 9600], "channels": 3}, "a feature map has"),
        ({"size": [4800, 4800], "reach": [48, 48]}, "a feature map has"),
        ({"reach": [1] * 100_000}, "expected size, grid and reach of 2 numbers"),
        ({"student_grid": [3, 10, 1]}, "expected size, grid and reach of 2 numbers"),
        ({"student_grid": [0, 1]}, "expected sizes that are whole numbers"),
        ({"name": "../../victim"}, "architecture '../../victim': cannot name a folder"),
        ({"name": "x" * 10**6}, "cannot name a folder"),
        ({"name": "\x1b[2J"}, "cannot name a folder"),
        ({"convolutions": [[16, 5, -2]]}, "whole numbers from 1 to"),
        ({"convolutions": [[16, 5, 2.0]]}, "whole numbers from 1 to"),
    ],
)
def test_configurations_beyond_all_measure_are_one_line(
    architecture: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DistilvoError, match=rf"config\.json: no configuration .*{message}") as caught:
        read_config(folder(tmp_path, **architecture))
    assert len(str(caught.value)) < 2100 and str(caught.value).isprintable()


def test_numbers_of_5000_digits_are_one_line(tmp_path: Path) -> None:
    broken = folder(tmp_path, lambda text: text.replace('"branch": 64', f'"branch": {"9" * 5000}'))
    with pytest.raises(DistilvoError, match=r"config\.json: not JSON .*4300 digits"):
        read_config(broken)


def test_the_networks_of_the_package_keep_the_limits(tmp_path: Path) -> None:
    for number, architecture in enumerate((PAPER, DEMO)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "config.json").write_text(json.dumps({"architecture": architecture.to_dict()}))
        assert read_config(tmp_path / str(number))[1] == architecture


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_model_folder_is_not_read(name: str, tmp_path: Path) -> None:
    broken = folder(tmp_path)
    (broken / name).unlink()
    os.mkfifo(broken / name)
    with pytest.raises(DistilvoError, match=rf"{name}: a pipe, socket or device"):
        load_model(broken)
    with pytest.raises(DistilvoError, match=rf"{name}: a pipe, socket or device"):
        copy_model(broken, tmp_path / "copy")
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(DistilvoError, match=r"m\.onnx: a pipe, socket or device"):
        Tracker(tmp_path / "m.onnx")


def test_a_model_is_copied_without_what_lies_beside_it(tmp_path: Path) -> None:
    whole = folder(tmp_path)
    (whole / "cache").mkdir()
    (whole / "cache" / "frames.npy").write_bytes(b"1")
    copy_model(whole, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["config.json", "model.safetensors"]
    assert load_model(tmp_path / "copy")[1] == load_model(whole)[1]


def test_a_file_that_is_small_and_a_network_that_is_not(tmp_path: Path) -> None:
    """Its weights fit its configuration; run, it would take 25 GB."""
    tiny = Architecture("tiny", (8, 8), 1, ((64, 1, 1),), (1, 1), (1,), 1)
    huge = tiny.to_dict() | {"size": [10_000, 10_000], "grid": [1, 1]}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": huge}))
    save_file(PoseNetwork(tiny).state_dict(), tmp_path / "model.safetensors")
    with pytest.raises(DistilvoError, match="a feature map has 6400000000 numbers, expected at most"):
        load_model(tmp_path)


def test_models_that_would_share_a_row_or_a_folder_are_refused(
    lstm_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mean_motion", "a/b", "a_b", "c/b"):
        shutil.copytree(lstm_teacher, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [*open_models((Path("a/b"), Path("c/b")))] == ["a/b", "c/b"]
    assert [*open_models((Path("a/b/../b"),))] == ["b"]
    with pytest.raises(DistilvoError, match="mean_motion: there is a row 'mean_motion' already"):
        open_models((Path("mean_motion"),))
    with pytest.raises(DistilvoError, match="there is a row 'a_b' already; give"):
        open_models((Path("a_b"), Path("a_b")))
    with pytest.raises(DistilvoError, match="models 'a_b' and 'a_b' are one folder"):
        Evaluate((Path("a/b"), Path("c/b"), Path("a_b")), data=tmp_path, out=tmp_path / "out").run()
    assert not (tmp_path / "out").exists()
