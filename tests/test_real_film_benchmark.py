"""The benchmark on real drives: its measures by hand, and every tracker's poses belong to its frames."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from distilvo.bench.road_plane import RoadPlaneTracker
from distilvo.bench.sample_drive import street
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import KITTI_00

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))  # behind all others: its files have common names

import real_film

MOTIONS = np.array([[0, 0, 1.0, 0, 0.02, 0], [0, 0, 3.0, 0, 0.02, 0]] * 5)
TRUTH = se3.trajectory(MOTIONS)


def measured(motions: np.ndarray, scaled: bool = True) -> dict[str, float | None]:
    return real_film.measures(se3.trajectory(motions), 20.0, 0, TRUTH, scaled)


def test_measures_by_hand() -> None:
    longer = measured(MOTIONS * [1.1, 1.1, 1.1, 1, 1, 1])
    assert longer["scale_ratio"] == pytest.approx(1.1)
    assert longer["rms_rpe_t_m"] == pytest.approx(0.1 * np.sqrt(5))  # of 0.1 m and 0.3 m
    assert longer["rms_rpe_t_percent_of_step"] == pytest.approx(100 * 0.1 * np.sqrt(5) / 2)  # the mean step is 2 m
    assert longer["ate_scale"] == pytest.approx(1 / 1.1) and longer["ate_m"] == pytest.approx(0, abs=1e-9)
    angles = np.radians([0.1, -0.2, 0.4])
    turned = measured(se3.motions_from_matrices(se3.relative(TRUTH) @ se3.matrices_from_motions([0, 0, 0, *angles])))
    assert [turned[f"rms_{name}_deg"] for name in ("pitch", "yaw", "roll")] == pytest.approx([0.1, 0.2, 0.4])
    assert turned["rms_rpe_r_deg"] == pytest.approx(np.sqrt(0.21), rel=1e-3)
    assert turned["scale_ratio"] == pytest.approx(1)
    some = measured(MOTIONS * np.where(np.arange(10) % 2, 1.1, 1.0)[:, None] ** [1, 1, 1, 0, 0, 0])
    assert some["scale_ratio"] == pytest.approx(21.5 / 20)  # five steps of 1 m, five of 3.3 m


def test_a_tracker_without_lengths_has_no_measures_of_them() -> None:
    row = measured(MOTIONS, scaled=False)
    absent = {name for name, value in row.items() if value is None}
    assert absent == {"rms_rpe_t_m", "rms_rpe_t_percent_of_step", "scale_ratio", "ate_scale"}
    lines = real_film.table(_Drive([]), {"x": row})
    cells = lines[-1].strip("| ").split(" | ")
    assert len(cells) == len(real_film.HEADERS) and cells[:4] == ["x", "–", "–", "–"]
    assert "11 frames, 20 m, mean step 2.00 m" in lines[0]


class _Drive:
    """What a tracker reads of a sequence."""

    name, camera, camera_height, poses = "00", KITTI_00, 1.65, TRUTH

    def __init__(self, images: list[np.ndarray]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(TRUTH)

    def frames(self) -> list[np.ndarray]:
        return self._images


def test_poses_of_the_classical_trackers_belong_to_their_frames() -> None:
    images = street(3)
    poses, rate, doubted = real_film.run_road_plane(_Drive([np.stack([image] * 3, -1) for image in images]))
    tracker = RoadPlaneTracker(KITTI_00)
    steps = np.array([tracker.step(image).motion for image in images])
    assert np.allclose(se3.motions(poses), steps[1:]) and steps[1, 2] > 0.7
    assert rate > 0 and doubted == 0
    assert real_film.run_road_plane(_Drive([images[0], 0 * images[0]]))[2] == 1
    lengths = np.linalg.norm(se3.motions(real_film.run_klt(_Drive(images))[0])[:, :3], axis=1)
    assert lengths == pytest.approx([1.0, 1.0])


def test_a_drive_without_poses_or_intrinsics_is_refused() -> None:
    drive = _Drive([])
    drive.poses = drive.camera = None
    with pytest.raises(DistilvoError, match="00: no poses"):
        real_film.table(drive, {})
    with pytest.raises(DistilvoError, match="00: no intrinsics"):
        real_film.run_road_plane(drive)


def test_labels_are_unique(tmp_path: Path) -> None:
    models = [tmp_path / "a/m", tmp_path / "b/m", tmp_path / "c/model.onnx"]
    assert [real_film._label(model, models) for model in models] == [str(models[0]), str(models[1]), "c/model.onnx"]


def test_the_plot_leaves_out_what_has_no_lengths(tmp_path: Path) -> None:
    import plot_real_film

    drives = {name: {"model": measured(MOTIONS), "KLT": measured(MOTIONS, scaled=False)} for name in ("00", "06")}
    plot_real_film.draw(drives, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
