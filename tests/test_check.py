"""``distilvo check``: poses against images, and every way in which they do not fit."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from corridor import (
    CAMERA,
    FRAMES,
    SIZE,
    lines,
    make_corridor,
    make_motions,
    write_calibration,
    write_poses,
)
from distilvo.check import check, check_source
from distilvo.check.rotation import image_rotation
from distilvo.commands import main
from distilvo.geometry.se3 import relative, rotation_angle, trajectory
from distilvo.sequences import open_sequence
from real_data import REAL, needs


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with one sequence, nothing wrong with it."""
    root = tmp_path_factory.mktemp("sound")
    make_corridor(root)
    return root


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sequence, to be broken."""
    shutil.copytree(sound, tmp_path / "kitti")
    return tmp_path / "kitti" / "sequences" / "00"


def test_sound_sequence(sound: Path) -> None:
    result = check_source(sound / "sequences" / "00")
    assert result.usable and not lines(result, "note") and not lines(result, "problem")
    assert (result.kind, result.frames, result.sizes) == ("kitti", FRAMES, {"320x96 grey": FRAMES})
    assert result.rate_hz == pytest.approx(10) and result.seconds == pytest.approx(3.9)
    assert result.path_m == pytest.approx(0.4 * 39, rel=1e-3)
    assert result.poses is not None and result.poses.verdict == "agree" and result.poses.shift == 0
    assert result.poses.pairs == FRAMES - 1 and result.poses.median_deg is not None and result.poses.median_deg < 0.2
    # By hand: atan(156.7 / 185) + atan(163.3 / 185); atan(47.5 / 184) + atan(48.5 / 184).
    assert result.field_of_view_deg == pytest.approx((81.70, 29.24), abs=0.01)
    assert result.unseen == pytest.approx(0, abs=0.01)


def test_rotation_from_images(sound: Path) -> None:
    frames = list(open_sequence(sound / "sequences" / "00").frames())
    truth = relative(trajectory(make_motions()))[:, :3, :3]
    errors = []
    for k in range(0, FRAMES - 1, 3):
        seen = image_rotation(frames[k], frames[k + 1], CAMERA)
        assert seen is not None
        errors.append(float(rotation_angle(seen.T @ truth[k])))
    assert np.degrees(np.median(errors)) < 0.2  # half a pixel; they turn by up to 2 degrees


def test_turn_on_the_spot_and_standstill() -> None:
    """Without a step the essential matrix is not defined, the turn is: it moves the image by K R inv(K)."""
    image = cv2.GaussianBlur(np.random.default_rng(1).uniform(0, 255, SIZE).astype(np.float32), (0, 0), 2)
    image = np.clip((image - image.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    k = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    turn, _ = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))
    turned = cv2.warpPerspective(image, k @ turn.T @ np.linalg.inv(k), SIZE[::-1])
    seen, still = image_rotation(image, turned, CAMERA), image_rotation(image, image, CAMERA)
    assert seen is not None and still is not None
    np.testing.assert_allclose(seen, turn, atol=1e-3)
    np.testing.assert_allclose(still, np.eye(3), atol=1e-5)


def test_a_jump_and_another_unit_are_told(folder: Path) -> None:
    poses = trajectory(make_motions())
    assert not [line for line in lines(check_source(folder), "note") if "km/h" in line]
    poses[4:, 0, 3] += 200.0
    write_poses(folder, poses)
    (note,) = [line for line in lines(check_source(folder), "note") if "km/h" in line]
    assert "km/h from frame 3 to 4; more than 360 km/h 1 times; expected metres and seconds" in note


@pytest.mark.parametrize("shift", [1, -1, 4])
def test_poses_that_lie_some_frames_off(folder: Path, shift: int) -> None:
    motions = make_motions()
    moved = motions[np.clip(np.arange(FRAMES - 1) - shift, 0, FRAMES - 2)]
    write_poses(folder, trajectory(moved))
    result = check_source(folder)
    assert result.poses is not None and (result.poses.verdict, result.poses.shift) == ("disagree", shift)
    (problem,) = lines(result, "problem")
    assert f"image k moves as pose k{shift:+d} does" in problem
    assert f"remove the first {'4 ' if shift == 4 else ''}of the {'poses' if shift > 0 else 'images'}" in problem


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (np.linalg.inv, "world-to-camera"),
        (lambda poses: poses[:, [2, 0, 1, 3]][:, :, [2, 0, 1, 3]], "about other axes"),
        (lambda poses: trajectory(make_motions()[::-1] * [1, 1, 1, 1, -1, 1]), "do not turn as the images do"),
        (lambda poses: np.tile(np.eye(4), (len(poses), 1, 1)), "do not turn as the images do"),
    ],
)
def test_poses_of_another_kind_or_drive(folder: Path, change: Any, reason: str) -> None:
    write_poses(folder, change(trajectory(make_motions())))
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "disagree" and not result.usable
    assert reason in lines(result, "problem")[0] and "; " in lines(result, "problem")[0]


def test_wrong_focal_length(folder: Path) -> None:
    write_calibration(folder, 1.5)
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "disagree" and result.poses.ratio is not None
    assert result.poses.ratio == pytest.approx(1 / 1.5, abs=0.1)
    assert "the true focal length may be 0." in lines(result, "problem")[0]
    # The view shrinks to 1 / 1.5 of its width and of its height.
    assert result.unseen == pytest.approx(1 - 1 / 1.5**2, abs=0.02) and "is not seen" in lines(result, "note")[0]


def test_poses_that_cannot_be_compared(folder: Path) -> None:
    straight = make_motions() * [1, 1, 1, 0, 0, 0]
    image = cv2.imread(str(folder / "image_0" / "000000.png"), cv2.IMREAD_UNCHANGED)
    for k in range(FRAMES):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), image)
    write_poses(folder, trajectory(straight))
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "cannot tell" and result.usable
    assert "hardly turns" in lines(result, "note")[0]
    for k in range(FRAMES):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), np.zeros(SIZE, np.uint8))
    dark = check_source(folder)
    assert dark.poses is not None and (dark.poses.verdict, dark.poses.pairs) == ("cannot tell", 0) and dark.usable


def test_poses_without_intrinsics(folder: Path) -> None:
    sequence = open_sequence(folder)
    sequence.camera = None
    result = check(sequence)
    assert result.usable and result.poses is not None and result.poses.verdict == "cannot tell"
    assert any("the camera is not known; give --intrinsics" in line for line in lines(result, "note"))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    monkeypatch.setattr(sys, "argv", ["distilvo", "check", *map(str, arguments)])
    try:
        main.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, folder) == 0
    out, err = capsys.readouterr()
    assert not err and all(line.startswith("ok ") for line in out.splitlines())
    assert "ok      poses: poses and images agree; their turns differ by 0." in out
    (folder / "image_0" / "000003.png").write_bytes(b"")
    assert run(monkeypatch, folder, "--json") == 2
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["usable"], result["unreadable"], result["poses"]["verdict"]) == (False, 1, "agree")
    assert err.count("\n") == 1 and "2 problems; " in err


@needs("kitti_odometry")
def test_real_kitti() -> None:
    turning = check_source(REAL / "kitti_odometry" / "sequences" / "00")
    assert turning.usable and turning.poses is not None and turning.poses.verdict == "agree"
    assert turning.poses.median_deg is not None and turning.poses.median_deg < 0.1
    straight = check_source(REAL / "kitti_odometry" / "sequences" / "06")
    assert straight.usable and straight.poses is not None and straight.poses.verdict in ("agree", "cannot tell")
    sequence = open_sequence(REAL / "kitti_odometry" / "sequences" / "00")
    assert sequence.poses is not None
    sequence.poses = sequence.poses[np.clip(np.arange(160) - 1, 0, None)]
    late = check(sequence)
    assert late.poses is not None and (late.poses.verdict, late.poses.shift) == ("disagree", 1)
