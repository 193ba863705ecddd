"""KITTI raw: oxts to camera poses, calibration, times, and what may be wrong with a drive."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences import open_dataset, open_sequence
from distilvo.sequences.kitti_raw import _numbered, poses_from_oxts

RADIUS = 6378137.0
LATITUDE = 49.0
TEN_METRES_EAST = math.degrees(10 / (RADIUS * math.cos(math.radians(LATITUDE))))
# x of the car forward, y left, z up; of the camera right, down, forward.
CAMERA_AXES = "0 -1 0 0 0 -1 1 0 0"


def oxts(longitude: float, altitude: float = 100.0, yaw: float = 0.0) -> str:
    return " ".join(map(str, [LATITUDE, longitude, altitude, 0, 0, yaw] + [0] * 24)) + "\n"


def make_drive(root: Path, cameras: tuple[str, ...] = ("image_02",)) -> Path:
    """East, ten metres ahead and one up, then a quarter turn to the left on the spot."""
    day = root / "2011_09_26"
    drive = day / "2011_09_26_drive_0001_sync"
    for number, camera in enumerate(cameras):
        (drive / camera / "data").mkdir(parents=True)
        times = [f"2011-09-26 13:02:25.{k}64389445\n" for k in range(3)]
        (drive / camera / "timestamps.txt").write_text("".join(times))
        for k in range(3):
            cv2.imwrite(str(drive / camera / "data" / f"{k:010d}.png"), np.full((40, 80), 50 * number + k, np.uint8))
    (drive / "oxts" / "data").mkdir(parents=True)
    packets = [oxts(8.0), oxts(8.0 + TEN_METRES_EAST, 101.0), oxts(8.0 + TEN_METRES_EAST, 101.0, math.pi / 2)]
    for k, packet in enumerate(packets):
        (drive / "oxts" / "data" / f"{k:010d}.txt").write_text(packet)
    projections = "".join(f"P_rect_0{k}: 100 0 40 {s} 0 100 20 0 0 0 1 0\n" for k, s in enumerate((0, -50, 6, -44)))
    rect = "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
    (day / "calib_cam_to_cam.txt").write_text("calib_time: 09-Jan-2012 13:57:47\n" + rect + projections)
    (day / "calib_velo_to_cam.txt").write_text(f"R: {CAMERA_AXES}\nT: 0 0 0\ndelta_f: 0 0\n")
    (day / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
    return drive


def test_intrinsics_poses_and_times(tmp_path: Path) -> None:
    """Camera 2 sits 6 cm left of the inertial unit, so turning on the spot moves it back by 6 cm, and right by 6 cm."""
    sequence = open_sequence(make_drive(tmp_path))
    assert (sequence.name, len(sequence)) == ("2011_09_26_drive_0001_sync", 3)
    assert sequence.camera == Camera(100, 100, 40, 20, 80, 40)
    np.testing.assert_allclose(sequence.times, [0, 0.1, 0.2], atol=1e-12)
    assert sequence.poses is not None
    np.testing.assert_allclose(sequence.poses[0], np.eye(4), atol=1e-9)
    np.testing.assert_allclose(sequence.poses[1, :3, 3], [0, -1, 10], atol=1e-5)
    np.testing.assert_allclose(sequence.poses[1, :3, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(sequence.poses[2, :3, 3], [0.06, -1, 9.94], atol=1e-5)
    # What is ahead now was to the left; what is to the right now was ahead.
    np.testing.assert_allclose(sequence.poses[2, :3, :3], [[0, 0, -1], [0, 1, 0], [1, 0, 0]], atol=1e-9)


def test_where_the_inertial_unit_sits_matters(tmp_path: Path) -> None:
    """The Velodyne 2 m ahead of the unit: a quarter turn of the unit swings camera 0 (at the Velodyne) round it."""
    drive = make_drive(tmp_path, ("image_00",))
    (drive.parent / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: -2 0 0\n")
    poses = open_sequence(drive).poses
    assert poses is not None
    np.testing.assert_allclose(poses[2, :3, 3], [-2, -1, 8], atol=1e-5)


def test_oxts_north_and_angles() -> None:
    """1e-5 degrees of latitude are 1.1132 m; R = Rz(yaw) Ry(pitch) Rx(roll)."""
    packets = np.array([[LATITUDE, 8, 0, 0, 0, 0], [LATITUDE + 1e-5, 8, 0, 0.1, 0.2, 0.3]])
    poses = poses_from_oxts(packets)
    np.testing.assert_allclose(poses[1, :3, 3] - poses[0, :3, 3], [0, 1.11319, 0], atol=1e-5)
    about_z = cv2.Rodrigues(np.array([0, 0, 0.3]))[0]
    about_y = cv2.Rodrigues(np.array([0, 0.2, 0]))[0]
    about_x = cv2.Rodrigues(np.array([0.1, 0, 0]))[0]
    np.testing.assert_allclose(poses[1, :3, :3], about_z @ about_y @ about_x, atol=1e-12)


def test_camera_is_chosen_by_its_folder_else_colour_before_grey(tmp_path: Path) -> None:
    drive = make_drive(tmp_path, ("image_00", "image_01", "image_03"))
    assert next(open_sequence(drive).frames())[0, 0] == 100
    assert next(open_sequence(drive / "image_01").frames())[0, 0] == 50
    assert open_sequence(drive / "image_01").name == drive.name


def test_without_oxts_there_are_no_poses(tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    for file in (drive / "oxts" / "data").iterdir():
        file.unlink()
    (drive / "oxts" / "data").rmdir()
    (drive / "oxts").rmdir()
    assert open_sequence(drive).poses is None


def test_a_day_is_a_data_set_and_not_a_sequence(tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    assert [sequence.name for sequence in open_dataset(drive.parent)] == [drive.name]
    with pytest.raises(DistilvoError, match=r"a folder of sequences \(kitti-raw\), expected one of them; try .*_sync"):
        open_sequence(drive.parent)


def test_missing_images_go_by_their_numbers(tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    (drive / "image_02" / "data" / "0000000001.png").unlink()
    with pytest.warns(UserWarning, match="2 of 3 images are there"):
        sequence = open_sequence(drive)
    np.testing.assert_allclose(sequence.times, [0, 0.2], atol=1e-12)
    assert sequence.poses is not None
    np.testing.assert_allclose(sequence.poses[1, :3, 3], [0.06, -1, 9.94], atol=1e-5)


def test_images_go_by_number_whatever_its_width_and_twins_are_refused(tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    data = drive / "image_02" / "data"
    for name, other in (("0000000001.png", "10.png"), ("0000000002.png", "9.png")):
        (data / name).rename(data / other)
    files, frames = _numbered(list(data.iterdir()))
    assert [file.name for file in files] == ["0000000000.png", "9.png", "10.png"] and frames == [0, 9, 10]
    shutil.copy(data / "9.png", data / "0000000009.jpg")
    with pytest.raises(DistilvoError, match=r"9\.png: has the number of 0000000009\.jpg; expected one image for each"):
        open_sequence(drive)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("../calib_cam_to_cam.txt", None, r"calib_cam_to_cam.txt: cannot be read .*DATE_calib.zip"),
        ("../calib_cam_to_cam.txt", "P_rect_02: 1 2\n", "P_rect_02 has 2 numbers, expected 'P_rect_02: 12"),
        ("../calib_cam_to_cam.txt", "P_rect_00: 1 2\n", "P_rect_02 has 0 numbers"),
        ("../calib_cam_to_cam.txt", "P_rect_02: " + "0 " * 12, "P_rect_02: focal lengths 0 and 0, expected positive"),
        (
            "../calib_velo_to_cam.txt",
            f"R: {CAMERA_AXES.replace('-1', '1', 1)}\nT: 0 0 0\n",
            "line 1: R is not a rotation",
        ),
        (
            "../calib_velo_to_cam.txt",
            f"R: {CAMERA_AXES}\nT: 0 0 nan\n",
            "line 2: number 3 is 'nan', expected a finite number",
        ),
        ("oxts/data/0000000002.txt", None, "0000000002.txt: cannot be read"),
        ("oxts/data/0000000002.txt", "1 2 3\n", "found 3 columns, expected 30"),
        ("oxts/data/0000000002.txt", "91" + " 0" * 29, "begins with latitude and longitude"),
        ("oxts/data/0000000002.txt", "49 8 1e300" + " 0" * 27, "expected altitude in metres, then roll"),
        ("oxts/data/0000000002.txt", "49 8 100 0 0 90" + " 0" * 24, "expected altitude in metres, then roll"),
        ("../calib_velo_to_cam.txt", f"R: {CAMERA_AXES}\nT: 0 0 1e300\n", r"line 2: T has the number 1e\+300"),
        ("../calib_cam_to_cam.txt", "P_rect_02: 12 3 6 0 0 12 4 0 0 0 1 0", "line 1: P_rect_02: no projection matrix"),
        ("oxts/data/0000000002.txt", "", "the file is empty"),
        ("image_02/timestamps.txt", "2011-09-26 13:02:25.1\n", "1 times, but an image has number 2"),
        ("image_02/timestamps.txt", "13:02\n" * 3, "line 1: '13:02', expected one date and time"),
        ("image_02/timestamps.txt", "2011-13-26 13:02:25.1\n" * 3, "line 1: .* is no date and time"),
        (
            "image_02/timestamps.txt",
            "".join(f"2011-09-26 13:02:25.{k}\n" for k in (1, 3, 2)),
            "line 3: the time goes b",
        ),
        ("image_02/data/0000000002.png", "", "0000000002.png: the image ends too early"),
        ("image_02/data/frame.png", "", "frame.png: expected images named by their number"),
    ],
)
def test_broken_drive(file: str, text: str | None, message: str, tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    if text is None:
        (drive / file).unlink()
    else:
        (drive / file).write_text(text)
    with pytest.raises(DistilvoError, match=message) as caught:
        list(open_sequence(drive).frames())
    assert "\n" not in str(caught.value)


def test_empty_and_unsynchronised_drives(tmp_path: Path) -> None:
    drive = make_drive(tmp_path)
    for file in (drive / "image_02" / "data").iterdir():
        file.unlink()
    with pytest.raises(DistilvoError, match="no image there"):
        open_sequence(drive)
    drive.rename(drive.with_name("2011_09_26_drive_0001_extract"))
    with pytest.raises(DistilvoError, match="expected the drive that ends with _sync"):
        open_sequence(drive.with_name("2011_09_26_drive_0001_extract"))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DistilvoError, match="no images, expected"):
        open_sequence(tmp_path / "nothing", kind="kitti-raw")
