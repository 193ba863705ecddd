"""The models that come with the package do what their cards say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.commands import main
from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.models.flow_family import FLOW_STUDENTS, FLOW_TEACHER
from distilvo.models.kinds import distillation_rate
from distilvo.models.model_folder import load_model
from distilvo.models.step_model import StepModel
from distilvo.models.teacher import QUARTER, SHIPPED_ENCODER, SHIPPED_STUDENT, SHIPPED_TEACHER, named_model
from distilvo.pipeline.evaluation import constant_motion, evaluate, network_motions
from distilvo.pipeline.tracking import track
from distilvo.runtime import Tracker
from distilvo.runtime.packaged_models import model_path
from distilvo.sequences import open_dataset, open_sequence
from distilvo.world.dataset import render_streets
from real_data import REAL, needs

FOLDERS = {"teacher": SHIPPED_TEACHER, "student": SHIPPED_STUDENT}


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    root = tmp_path_factory.mktemp("streets")
    render_streets(root, range(20_000, 20_003), 16, (112, 368), workers=1)
    return open_cache(open_dataset(root), FLOW_TEACHER.preprocessing, root / "cache")


def test_size_and_shape() -> None:
    assert sum(model_path(f"student{kind}").stat().st_size for kind in ("", "-int8")) < 1_500_000
    assert model_path("teacher").stat().st_size < 6_000_000
    assert load_model(SHIPPED_TEACHER)[0].architecture == FLOW_TEACHER
    assert load_model(SHIPPED_STUDENT)[0].architecture == FLOW_STUDENTS["nano"]
    assert load_model(SHIPPED_ENCODER, to_train=True)[0].architecture == QUARTER
    assert (SHIPPED_ENCODER / "model.safetensors").stat().st_size < 4_000_000
    assert distillation_rate(FLOW_STUDENTS["nano"], FLOW_TEACHER) >= 92.95
    for folder in (*FOLDERS.values(), SHIPPED_ENCODER, model_path().parent):
        assert (folder / "README.md").exists()


def test_names_of_model_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {name: named_model(Path(name)) for name in FOLDERS} == FOLDERS
    assert named_model(Path("encoder")) == SHIPPED_ENCODER
    assert named_model(Path("studnet")) == Path("studnet")
    (tmp_path / "student").mkdir()
    assert named_model(Path("student")) == Path("student")  # what a user has there comes first


def test_every_verb_that_takes_a_model_knows_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    make_kitti(data, "00", 4)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["distilvo", *arguments])
        main.main()

    def refusal(*arguments: str) -> str:
        with pytest.raises(SystemExit):
            call(*arguments)
        return capsys.readouterr().err

    def printed(*arguments: str) -> dict[str, list[dict[str, str]]]:
        call(*arguments, "--json")
        return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]

    assert [row["estimate"] for row in printed("evaluate", "student", "--data", str(data))["scores"]] == [
        "mean_motion",
        "student",
    ]
    rows = printed("bench", "student-int8", "--against", "student", "--rounds", "2")["models"]
    assert {row["name"] for row in rows} == {"models/student.onnx", "models/student-int8.onnx"}
    call("export", "student", "--out", "mine.onnx")
    assert StepModel(Path("mine.onnx")).parameters == StepModel(model_path("student")).parameters
    assert "export: student comes with the package; give --out" in refusal("export", "student")
    assert "--against studnet: no such model" in refusal("bench", "student", "--against", "studnet")
    assert [path.name for path in tmp_path.glob("student*")] == []


@pytest.mark.parametrize("name", FOLDERS)
def test_beats_the_mean_motion_by_far(name: str, streets: FrameCache) -> None:
    total = evaluate(network_motions(load_model(FOLDERS[name])[0]), streets).total
    mean = evaluate(constant_motion(motion_scale(streets)[0].numpy()), streets).total
    assert total.rms_rpe_t_m < 0.3 * mean.rms_rpe_t_m
    assert total.rms_rpe_r_deg < 0.5 * mean.rms_rpe_r_deg


@pytest.mark.parametrize("name", FOLDERS)
def test_onnx_and_weights_are_one_model(name: str, streets: FrameCache) -> None:
    frames = streets.drive_frames(1)[:6]
    model = StepModel(model_path(name))
    motions = [model.step(frame.numpy()) for frame in frames]
    expected = load_model(FOLDERS[name])[0].predict(frames).detach()
    torch.testing.assert_close(torch.from_numpy(np.stack(motions[1:])), expected, atol=2e-4, rtol=0)


@needs("kitti_odometry")
@pytest.mark.parametrize("name", ["teacher", "student", "student-int8"])
def test_tracks_real_frames(name: str) -> None:
    for drive, frames in (("00", 160), ("06", 51)):
        sequence = open_sequence(REAL / "kitti_odometry" / "sequences" / drive)
        result = track(sequence, Tracker(name, sequence.camera))
        assert len(result.poses) == frames
        assert result.errors is not None
        assert result.errors.rms_rpe_r_deg < 0.12
        assert result.errors.rms_rpe_t_m < 0.15


@needs("video")
def test_tracks_a_video() -> None:
    with pytest.warns(UserWarning, match="intrinsics are not known"):
        sequence = open_sequence(next((REAL / "video").glob("*.mp4")))
        result = track(sequence, Tracker(None, sequence.camera))
    assert len(result.poses) == 221
    forward = np.linalg.inv(result.poses[:-1]) @ result.poses[1:]
    assert np.median(forward[:, 2, 3]) > 0.1  # m a frame: the car drives, and forwards
