"""Damaged text files of every data set, trajectories and plans: one clear error or sound numbers, never a traceback."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import make_kitti
from damage import TEXT, assert_poses, assert_sound, damage
from distilvo.geometry import se3
from distilvo.sequences import open_sequence
from distilvo.study.plan_file import PRESETS, read_plan
from distilvo.trajectory.formats import read_trajectory, write_kitti, write_tum
from test_sources_kitti_raw import make_drive
from test_sources_malaga import gps_row, make_extract, stamps
from test_sources_tum_euroc import make_euroc, make_tum

FILES = {
    "kitti": ("calib.txt", "times.txt", "../../poses/00.txt"),
    "tum": ("rgb.txt", "groundtruth.txt"),
    "euroc": ("mav0/cam0/data.csv", "mav0/cam0/sensor.yaml", "mav0/state_groundtruth_estimate0/data.csv"),
    "kitti-raw": (
        "../calib_cam_to_cam.txt", "../calib_velo_to_cam.txt", "image_02/timestamps.txt", "oxts/data/0000000001.txt"
    ),
    "malaga": ("gps",),
}  # fmt: skip


def make(kind: str, root: Path) -> Path:
    if kind == "malaga":
        gps = "".join(gps_row(float(stamps(1)[0]) + k - 0.5, k, 2 * k) for k in range(3))
        return make_extract(root, stamps(3), gps=gps)
    if kind == "kitti":
        return make_kitti(root, "00", frames=4, size=(12, 40))
    return {"tum": make_tum, "euroc": make_euroc, "kitti-raw": make_drive}[kind](root)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
def test_damaged_file(kind: str, name: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path)
    file = next(folder.glob("*_GPS.txt")) if name == "gps" else folder / name
    damage(file, lambda: assert_sound(open_sequence(folder)), TEXT)


@pytest.mark.parametrize("kind", ["kitti", "numbered", "kitti-360", "tum", "euroc"])
def test_damaged_trajectory(kind: str, tmp_path: Path) -> None:
    steps = np.random.default_rng(0).normal(0, 0.1, (4, 6))
    truth, file = se3.trajectory(steps), tmp_path / "trajectory.txt"
    if kind == "tum":
        write_tum(file, truth, 100 + np.arange(5) / 10)
    else:
        write_kitti(file, truth)
    if kind == "numbered":
        rows = file.read_text().splitlines()
        file.write_text("".join(f"{2 * k} {row}\n" for k, row in enumerate(rows)))
    if kind == "kitti-360":
        rows = [" ".join(map(str, pose.ravel().tolist())) for pose in truth]
        file.write_text("".join(f"{2 * k} {row}\n" for k, row in enumerate(rows)))
    if kind == "euroc":
        rows = [",".join(map(str, [*pose[:3, 3].tolist(), 1, *[0] * 12])) for pose in truth]
        file.write_text("".join(f"{10**18 + 10**8 * k},{row}\n" for k, row in enumerate(rows)))

    def read() -> None:
        trajectory = read_trajectory(file)
        assert_poses(trajectory.poses)
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n")]
        assert len(trajectory.poses) + trajectory.left_out == sum(line != "" and line[0] not in "#%" for line in lines)
        if trajectory.times is not None:
            assert np.isfinite(trajectory.times).all() and (np.diff(trajectory.times) >= 0).all()
        if trajectory.frames is not None:
            assert (trajectory.frames >= 0).all() and (np.diff(trajectory.frames) > 0).all()

    damage(file, read, TEXT)


@pytest.mark.parametrize("preset", ["paper", "kitti"])
def test_damaged_plan(preset: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_bytes((PRESETS / f"{preset}.toml").read_bytes())

    def read() -> None:
        plan = read_plan(str(file))
        assert plan.seeds and all(isinstance(seed, int) and seed >= 0 for seed in plan.seeds)
        assert all(name in plan.rows for names in plan.tables.values() for name in names)
        assert all(0 < row.rate < 100 for row in plan.rows.values())
        assert isinstance(plan.title, str) and 0 <= plan.dropout < 1

    damage(file, read, TEXT)
