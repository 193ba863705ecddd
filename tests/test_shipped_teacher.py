"""The weights that come with the package do what their model card says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.models.model_folder import load_model
from distilvo.models.onnx_export import export_onnx
from distilvo.models.teacher import DEMO, SHIPPED_TEACHER
from distilvo.pipeline.evaluation import constant_motion, evaluate, network_motions
from distilvo.pipeline.tracking import track
from distilvo.runtime import Tracker
from distilvo.sequences import open_dataset, open_sequence
from distilvo.world.dataset import render_streets

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    root = tmp_path_factory.mktemp("streets")
    render_streets(root, range(20_000, 20_003), 60, DEMO.size, workers=1)
    return open_cache(open_dataset(root), DEMO.preprocessing, root / "cache")


def test_size_and_shape() -> None:
    assert sum(path.stat().st_size for path in SHIPPED_TEACHER.iterdir()) <= 8_000_000
    network, config = load_model(SHIPPED_TEACHER)
    assert network.architecture == DEMO
    assert config["training"]["data"]["sequences"] == 800
    assert (SHIPPED_TEACHER / "README.md").exists()


def test_beats_the_mean_motion_by_far(streets: FrameCache) -> None:
    network, _ = load_model(SHIPPED_TEACHER)
    found = evaluate(network_motions(network), streets)
    mean = evaluate(constant_motion(motion_scale(streets)[0].numpy()), streets)
    assert found.total.rms_rpe_t_m < 0.4 * mean.total.rms_rpe_t_m
    assert found.total.rms_rpe_r_deg < 0.4 * mean.total.rms_rpe_r_deg


@pytest.mark.skipif(not (DATA / "kitti_odometry").is_dir(), reason="no KITTI frames in shared/data")
def test_tracks_real_frames(tmp_path: Path) -> None:
    network, config = load_model(SHIPPED_TEACHER)
    onnx = tmp_path / "model.onnx"
    export_onnx(network, config, onnx, torch.randint(0, 256, (4, 1, *DEMO.size), dtype=torch.uint8))
    for name, frames in (("00", 160), ("06", 51)):
        sequence = open_sequence(DATA / "kitti_odometry" / "sequences" / name)
        result = track(sequence, Tracker(onnx, sequence.camera))
        assert len(result.poses) == frames
        assert result.errors is not None
        assert result.errors.rms_rpe_r_deg < 0.4
        assert result.errors.rms_rpe_t_m < 0.25


@pytest.mark.skipif(not (DATA / "video").is_dir(), reason="no video in shared/data")
def test_tracks_a_video(tmp_path: Path) -> None:
    network, config = load_model(SHIPPED_TEACHER)
    onnx = tmp_path / "model.onnx"
    export_onnx(network, config, onnx, torch.randint(0, 256, (4, 1, *DEMO.size), dtype=torch.uint8))
    with pytest.warns(UserWarning, match="intrinsics are not known"):
        sequence = open_sequence(next((DATA / "video").glob("*.mp4")))
        result = track(sequence, Tracker(onnx, sequence.camera))
    assert len(result.poses) == 221
    forward = np.linalg.inv(result.poses[:-1]) @ result.poses[1:]
    assert np.median(forward[:, 2, 3]) > 0.1  # m a frame: the car drives, and forwards
