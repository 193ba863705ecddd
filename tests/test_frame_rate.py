"""The frame rate of a model: what training keeps, what is read again, and what is no rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import make_kitti
from distilvo.commands.distill import Distill
from distilvo.commands.train import Train
from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.kinds import rate_of
from distilvo.models.model_folder import load_model, save_model
from distilvo.pipeline.model_rate import data_rate
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe
from tiny_flow import COARSE, make_network

RECIPE = Recipe(epochs=1, clip_length=2, batch_size=2)


def drives(root: Path, **rates: float | None) -> Path:
    """Drives of 5 frames, each with its frames a second, or without times."""
    for name, rate in rates.items():
        times = make_kitti(root, name, 5) / "times.txt"
        times.unlink()
        if rate is not None:
            times.write_text("".join(f"{k / rate:.6f}\n" for k in range(5)))
    return root


def opened(root: Path, film: str = "") -> tuple[FrameCache, list[Any]]:
    sequences = open_dataset(root)
    for sequence in sequences:
        if sequence.name == film:
            sequence.poses = None
    return open_cache(sequences, Preprocessing((48, 160), 1), root / "cache", need_poses=False), sequences


def test_the_rate_of_data_is_that_of_most_frames_with_labels(tmp_path: Path) -> None:
    root = drives(tmp_path, a=20, b=20, c=30)
    assert data_rate(*opened(root)) == 20
    (root / "poses" / "a.txt").unlink()
    (root / "poses" / "b.txt").unlink()
    assert data_rate(*opened(root)) == 30
    assert data_rate(*opened(root, film="c")) is None


@pytest.mark.filterwarnings("ignore:.*times.txt. not found")
def test_assumed_times_of_labelled_drives_give_no_rate(tmp_path: Path) -> None:
    root = drives(tmp_path, a=20, b=None)
    assert data_rate(*opened(root)) is None
    assert data_rate(*opened(root, film="b")) == 20


@pytest.mark.parametrize("step", [100.0, 0.0])
def test_times_that_no_camera_has_give_no_rate_and_a_note(step: float, tmp_path: Path) -> None:
    """In milliseconds, or all alike: a configuration with such a rate could not be read again."""
    root = drives(tmp_path, a=10)
    (root / "sequences/a/times.txt").write_text("".join(f"{step * k}\n" for k in range(5)))
    with pytest.warns(UserWarning, match="times of the data: .* expected 0.1 to 1000: are they seconds"):
        assert data_rate(*opened(root)) is None


def test_a_trained_model_keeps_the_rate_of_its_data(tmp_path: Path) -> None:
    Train(drives(tmp_path / "data", a=20), tmp_path / "out", rate=97, recipe=RECIPE).run()
    network, config = load_model(tmp_path / "out")
    assert rate_of(network.architecture, config) == 20


def test_a_first_model_that_was_trained_anew_is_another_run(tmp_path: Path) -> None:
    data, first = drives(tmp_path / "data", a=10), tmp_path / "first"
    save_model(make_network(COARSE), first, {})
    Train(data, tmp_path / "out", init=first, recipe=RECIPE).run()
    Train(data, tmp_path / "out", init=first, recipe=RECIPE).run()
    save_model(make_network(COARSE, seed=1), first, {})
    with pytest.raises(DistilvoError, match=r"a run with other settings \(init_weights: \w+ -> \w+\)"):
        Train(data, tmp_path / "out", init=first, recipe=RECIPE).run()


@pytest.mark.parametrize("rate", [20.0, None])
@pytest.mark.filterwarnings("ignore:.*times.txt. not found", "ignore:.*trained on 10")
def test_a_student_that_sees_flow_is_not_said_to_be_of_its_teachers_rate(rate: float | None, tmp_path: Path) -> None:
    """Networks of older versions that see flow say nothing, and are of 10 frames a second."""
    teacher = save_model(make_network(COARSE), tmp_path / "teacher", {})
    assert rate_of(COARSE, load_model(teacher)[1]) == 10
    start = save_model(make_network(COARSE, seed=1), tmp_path / "start", {})
    data = drives(tmp_path / "data", a=rate)
    Distill(data, tmp_path / "out", teacher=teacher, init=start, recipe=RECIPE).run()
    network, config = load_model(tmp_path / "out")
    assert rate_of(network.architecture, config) == rate


@pytest.mark.parametrize("rate", ["10", True, float("nan"), 1e9, 0, [10]])
def test_what_is_no_rate_is_refused_with_the_file(rate: object, tmp_path: Path) -> None:
    save_model(make_network(COARSE), tmp_path, {"rate_hz": 10.0})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rate_hz": rate}))
    with pytest.raises(
        DistilvoError, match=r"config\.json: no configuration of this version \(rate_hz is .*, expected"
    ):
        load_model(tmp_path)
