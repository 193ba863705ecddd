"""What a tracker says about its own errors, in which metres it says it, and which model it takes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from constant_model import write_onnx
from distilvo.errors import DistilvoError
from distilvo.geometry.pose_covariance import propagated
from distilvo.models.onnx_export import export_onnx
from distilvo.models.step_model import StepModel
from distilvo.runtime import Camera, Pose, Tracker, packaged_models
from distilvo.runtime.bridge import Bridge
from distilvo.settings import Gaps
from tiny_flow import COARSE, make_network

MOTION = np.array([0.0, 0.0, 1.0, 0.0, 0.02, 0.0], np.float32)
DEVIATION = np.array([0.02, 0.01, 0.05, 0.001, 0.002, 0.003], np.float32)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 80, 200), dtype=np.uint8)


@pytest.fixture
def certain(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "certain.onnx", value=MOTION, deviation=DEVIATION)


def follow(model: Path | str | None, frames: int = 6, dark: range = range(0), gaps: Gaps = "velocity") -> list[Pose]:
    """Over frames of a texture that moves to the side, 10 a second; those in ``dark`` are black."""
    with Tracker(model, gaps=gaps) as tracker:
        shown = [np.zeros((80, 160), np.uint8) if k in dark else NOISE[0][:, k : k + 160] for k in range(frames)]
        return [tracker.step(np.ascontiguousarray(frame), 0.1 * k) for k, frame in enumerate(shown)]


def test_lengths_are_in_proportion_to_the_cameras_height(certain: Path) -> None:
    with Tracker(certain) as plain, Tracker(certain, camera_height=3.3) as high:
        for k in range(3):
            frame = np.ascontiguousarray(NOISE[0][:, k : k + 160])
            one, other = plain.step(frame, k), high.step(frame, k)
    assert one.status == "ok" and one.motion == pytest.approx(MOTION)
    assert other.motion == pytest.approx([0, 0, 2, 0, 0.02, 0])
    assert other.motion_deviation == pytest.approx([0.04, 0.02, 0.1, 0.001, 0.002, 0.003])
    assert other.matrix[:3, 3] == pytest.approx(2 * one.matrix[:3, 3])
    assert np.allclose(other.matrix[:3, :3], one.matrix[:3, :3])


@pytest.mark.parametrize("height", [0.0, 0.09, 20.1, -1.65, float("nan"), float("inf")])
def test_impossible_heights_are_refused(height: float, certain: Path) -> None:
    with pytest.raises(DistilvoError, match=r"camera_height \S+: expected metres .* 0\.1 to 20; measure it"):
        Tracker(certain, camera_height=height)


def test_a_pose_adds_up_what_its_motions_state(certain: Path) -> None:
    poses = follow(certain)
    assert [pose.status for pose in poses] == ["ok"] * 6
    assert not poses[0].covariance.any() and not poses[0].motion_deviation.any()
    for before, after in pairwise(poses):
        assert np.array_equal(after.motion_deviation, DEVIATION)
        assert np.allclose(after.motion_covariance, np.diag(DEVIATION.astype(float) ** 2))
        assert np.allclose(after.covariance, propagated(before.covariance, before.matrix, MOTION, DEVIATION))


def test_a_model_that_states_none_has_none(tmp_path: Path) -> None:
    for pose in follow(write_onnx(tmp_path / "m.onnx", value=MOTION)):
        assert pose.motion_deviation is None and pose.covariance is None and pose.motion_covariance is None


@pytest.mark.parametrize("stated", [0.0, -1.0, np.nan, np.inf, [1, 1, 1, 1, 1, np.nan]])
def test_a_deviation_that_is_none_is_one_line(stated: float, tmp_path: Path) -> None:
    model = StepModel(write_onnx(tmp_path / "m.onnx", deviation=stated))
    model.step(np.zeros((1, 16, 48), np.uint8))
    with pytest.raises(DistilvoError, match=r"gave the deviation \[.*expected numbers above 0"):
        model.step(np.zeros((1, 16, 48), np.uint8))


def test_bridged_frames_state_a_large_deviation_that_grows(certain: Path) -> None:
    poses = follow(certain, 20, dark=range(10, 14))
    bridged = [pose for pose in poses if pose.status != "ok"]
    along = np.array([pose.motion_deviation[2] for pose in bridged])
    assert len(bridged) >= 5 and (np.diff(along) > 0).all()
    seconds = 0.1 * len(bridged)
    assert np.square(along).sum() == pytest.approx((3.0 / 2 * seconds**2) ** 2, rel=1e-4)  # the same velocity before it
    sides = [np.trace(pose.covariance[:3, :3]) for pose in poses]
    assert (np.diff(sides) > 0).all()


def test_where_the_pose_stands_still_its_whole_velocity_is_an_error() -> None:
    bridge = Bridge("segment")
    for _ in range(3):
        bridge.step("ok", MOTION, 0.1)
    bridge.step("no texture", np.zeros(6, np.float32), 0.1)
    assert bridge.deviation(0.1)[2] == pytest.approx(np.hypot(10 * 0.1, 1.5 * 0.1**2))  # 10 m/s for 0.1 s


def test_without_any_velocity_all_may_be() -> None:
    bridge = Bridge("velocity")
    bridge.step("no texture", np.zeros(6, np.float32), 0.1)
    assert bridge.deviation(0.1)[2] == pytest.approx(np.hypot(1.5, 1.5 * 0.1**2))


def test_a_new_segment_begins_without_uncertainty(certain: Path) -> None:
    poses = follow(certain, 20, dark=range(10, 14), gaps="segment")
    first = next(pose for pose in poses if pose.segment == 1)
    assert not first.covariance.any() and poses[-1].covariance.any()


@pytest.fixture(scope="module")
def flow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that sees flow first, exported."""
    path = tmp_path_factory.mktemp("flow") / "flow.onnx"
    frames = torch.randint(0, 256, (4, 1, 32, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    export_onnx(make_network(COARSE), {"architecture": COARSE.to_dict()}, path, frames)
    return path


def test_an_exported_network_states_the_deviations_of_its_own(flow_model: Path) -> None:
    model = StepModel(flow_model)
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (4, 1, 32, 96), dtype=torch.uint8, generator=generator)
    motions, deviations = make_network(COARSE).with_deviation(frames)
    assert not model.step(frames[0].numpy()).any() and not model.deviation.any()
    for frame, motion, deviation in zip(frames[1:], motions, deviations, strict=True):
        assert model.step(frame.numpy()) == pytest.approx(motion.numpy(), abs=1e-4)
        assert model.deviation == pytest.approx(deviation.numpy(), rel=1e-3)
    assert len(np.unique(deviations.round(decimals=4), axis=0)) > 1


def test_a_tracker_shows_a_network_what_its_training_does(flow_model: Path) -> None:
    """Its optical axis is in the middle column, where KITTI's is not; and the rate is in the file."""
    with Tracker(flow_model, Camera(150, 150, 99.5, 40, 200, 80)) as tracker:
        assert tracker.preprocessing == COARSE.preprocessing and tracker.preprocessing.centred
        assert tracker.rate_hz == 10
    older = Tracker(Path(__file__).parent / "data" / "tiny.onnx")
    assert not older.preprocessing.centred and older.rate_hz is None


def test_metadata_of_other_rates(tmp_path: Path) -> None:
    config = json.dumps({"centred": True, "rate_hz": 25})
    model = StepModel(write_onnx(tmp_path / "m.onnx", config=config))
    assert model.rate_hz == 25.0 and model.preprocessing.centred


def test_without_a_model_that_of_the_package_is_taken(
    flow_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged_models, "FOLDER", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DistilvoError, match=r"student\.onnx: no such file; this installation comes without"):
        Tracker()
    (tmp_path / "student.onnx").write_bytes(flow_model.read_bytes())
    write_onnx(tmp_path / "student-int8.onnx", value=MOTION)
    assert follow(None)[-1].covariance is not None and follow("student")[-1].covariance is not None
    assert follow("student-int8")[-1].motion == pytest.approx(MOTION)
    with pytest.raises(DistilvoError, match=r"^teacher: no such file"):
        Tracker("teacher")
    with pytest.raises(DistilvoError, match="no such file"):
        Tracker(tmp_path / "elsewhere" / "student")  # a path is no name
    with pytest.raises(DistilvoError, match=r"^nobody: no such file"):
        Tracker("nobody")
    write_onnx(tmp_path / "teacher", value=2 * MOTION)  # a path that is there comes before a name
    assert follow("teacher")[-1].motion == pytest.approx(2 * MOTION)


def test_models_of_the_package_lie_in_it() -> None:
    assert Path(packaged_models.__file__).parent / "models" == packaged_models.FOLDER
