"""Calibrations as OpenCV, Kalibr, ROS and EuRoC write them, and what is refused or noted."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from damage import TEXT, assert_sound, damage
from distilvo.check import check_source
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences import IndexedSequence, open_sequence
from distilvo.sequences.camera_file import read_camera

INTRINSICS = (100.0, 110.0, 79.5, 60.25)
RADTAN = (-0.16, 0.02, 0.001, -0.002)
OPENCV = """%YAML:1.0
---
calibration_time: "Mon 01 Jan 2024 01:02:03"
image_width: 160
image_height: 120
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 1.0e+02, 0., 79.5, 0., 110., 60.25,
       0., 0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 4
   cols: 1
   dt: d
   data: [ -1.6000000000000000e-01, 2e-2, 1e-3, -0.002 ]
fisheye_model: 0
avg_reprojection_error: 2.5e-01
"""
KALIBR = """cam0:
  T_cam_imu:
  - [0.01, -0.99, 0.02, 0.06]
  cam_overlaps: []
  camera_model: pinhole
  distortion_coeffs: [-0.16, 0.02, 0.001, -0.002]
  distortion_model: radtan
  intrinsics: [100.0, 110.0, 79.5, 60.25]
  resolution: [160, 120]
  rostopic: /cam0/image_raw
"""
ROS = """image_width: 160
image_height: 120
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [100.0, 0, 79.5, 0, 110, 60.25, 0, 0, 1]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 4
  data: [-0.16, 0.02, 0.001, -0.002]
projection_matrix: {rows: 3, cols: 4, data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]}
"""
ECHO = """header: {seq: 0, frame_id: camera}
height: 120
width: 160
distortion_model: "radtan"
D: [-0.16, 0.02, 0.001, -0.002]
K: [100.0, 0.0, 79.5, 0.0, 110.0, 60.25, 0.0, 0.0, 1.0]
P: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
---
"""
EUROC = (
    KALIBR.replace("cam0:\n", "")
    .replace("  ", "")
    .replace("coeffs", "coefficients")
    .replace("radtan", "radial-tangential")
)
NESTED = f"""camera_matrix: [[100, 0, 79.5], [0, 110, 60.25], [0, 0, 1]]
dist_coeff: [{[*RADTAN, 0.0]}]
image_size: [160, 120]
"""
LEFT = """M1: [100, 0, 79.5, 0, 110, 60.25, 0, 0, 1]
D1: [-0.16, 0.02, 0.001, -0.002, 0]
"""
STEREO = LEFT + "imageSize: [160, 120]\n"


def write(folder: Path, text: str) -> Path:
    (folder / "camera.yaml").write_text(text)
    return folder / "camera.yaml"


def write_frames(folder: Path, frame: np.ndarray, count: int = 2) -> Path:
    folder.mkdir()
    for k in range(count):
        cv2.imwrite(str(folder / f"{k}.png"), frame)
    return folder


@pytest.mark.parametrize(
    "text", [OPENCV, KALIBR, ROS, ECHO, EUROC, NESTED, STEREO],
    ids=["opencv", "kalibr", "ros", "echo", "euroc", "nested", "stereo"],
)  # fmt: skip
def test_each_writer_says_the_same(text: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibration = read_camera(write(tmp_path, text))
    assert (calibration.intrinsics, calibration.size, calibration.model) == (INTRINSICS, (160, 120), "radtan")
    assert calibration.coefficients[:4] == RADTAN and not any(calibration.coefficients[4:])


@pytest.mark.parametrize("name", ["camera.yml", "camera.json"])
def test_file_that_opencv_itself_writes(name: str, tmp_path: Path) -> None:
    storage = cv2.FileStorage(str(tmp_path / name), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 160)
    storage.write("image_height", 120)
    storage.write("camera_matrix", np.array([[100, 0, 79.5], [0, 110, 60.25], [0, 0, 1]]))
    storage.write("distortion_coefficients", np.array([[0.1, 0.2, -0.3, 1e-5]]).T)
    storage.write("fisheye_model", 1)
    storage.release()
    calibration = read_camera(tmp_path / name)
    assert (calibration.intrinsics, calibration.size, calibration.model) == (INTRINSICS, (160, 120), "equidistant")
    assert calibration.coefficients == (0.1, 0.2, -0.3, 1e-5)


@pytest.mark.parametrize(
    ("old", "new", "model"),
    [
        ("distortion_model: plumb_bob", "distortion_model: equidistant", "equidistant"),
        ("distortion_model: plumb_bob", "distortion_model: fisheye", "equidistant"),
        ("[-0.16, 0.02, 0.001, -0.002]", "[-0.1, 0, 0, 0, 0, 0.1, 0, 0]", "radtan"),
        ("[-0.16, 0.02, 0.001, -0.002]", "[-0.1, 0, 0, 0, 0, 0, 0, 0, 0.1, 0, 0, 0, 0.01, 0]", "radtan"),
        ("[-0.16, 0.02, 0.001, -0.002]", "[]", None),
        ("[-0.16, 0.02, 0.001, -0.002]", "[0, 0, 0, 0, 0]", None),
        (ROS[ROS.index("distortion_model") : ROS.index("projection")], "distortion_model: none\n", None),
    ],
)
def test_models_of_distortion(old: str, new: str, model: str | None, tmp_path: Path) -> None:
    assert old in ROS
    calibration = read_camera(write(tmp_path, ROS.replace(old, new)))
    assert (calibration.undistortion(calibration.camera(160, 120)) is None) == (model is None)
    assert calibration.model == (model or "radtan")


def test_frames_are_undistorted_and_stay_indexed(tmp_path: Path) -> None:
    """theta = atan(0.5) = 0.463648: column 80 + 46.36 of the fisheye is seen at 80 + 50."""
    drive = write_frames(tmp_path / "drive", np.tile(np.arange(160, dtype=np.uint8), (120, 1)))
    fisheye = write(tmp_path, KALIBR.replace("79.5", "80").replace("radtan", "equidistant").replace(
        "[-0.16, 0.02, 0.001, -0.002]", "[0, 0, 0, 0]"))  # fmt: skip
    plain = open_sequence(drive, intrinsics=(100, 110, 80, 60.25))
    sequence = open_sequence(drive, camera=fisheye)
    assert isinstance(sequence, IndexedSequence)
    assert sequence.camera == plain.camera == Camera(100, 110, 80, 60.25, 160, 120)
    assert sequence.frame(1)[60, 130] == 126 and next(sequence.frames())[60, 130] == 126
    assert (len(sequence), sequence.name, sequence.assumed_times) == (len(plain), plain.name, True)
    np.testing.assert_array_equal(sequence.times, plain.times)
    assert sequence.fingerprint() != plain.fingerprint()
    straight = open_sequence(drive, camera=write(tmp_path, KALIBR.replace("-0.16, 0.02, 0.001, -0.002", "0, 0, 0, 0")))
    assert straight.camera == Camera(*INTRINSICS, 160, 120)
    np.testing.assert_array_equal(next(straight.frames()), next(plain.frames()))


def test_video_is_undistorted(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 120))
    for _ in range(3):
        writer.write(np.repeat(np.tile(np.arange(160, dtype=np.uint8), (120, 1))[..., None], 3, 2))
    writer.release()
    plain = list(open_sequence(tmp_path / "a.avi").frames())
    sequence = open_sequence(tmp_path / "a.avi", camera=write(tmp_path, ROS))
    assert not isinstance(sequence, IndexedSequence)
    frames = list(sequence.frames())
    # y = 0, x = 0.605: 0.605 (1 - 0.16 * 0.366 + 0.02 * 0.134) - 0.002 * 3 * 0.366 = 0.5690: column 136.4 at 140
    assert abs(int(frames[0][60, 140, 0]) - 136.4) < 4 < abs(int(plain[0][60, 140, 0]) - 136.4) + 1.5
    assert len(frames) == len(sequence) == 3


def test_file_without_a_size_or_a_model_is_a_note(tmp_path: Path) -> None:
    drive = write_frames(tmp_path / "drive", np.zeros((120, 160), np.uint8))
    for text, note in (
        (OPENCV.replace("image_width: 160\n", ""), "names no image_width.*taken for the frames' size, 160x120"),
        (OPENCV.replace("fisheye_model: 0\n", ""), "four coefficients are taken for k1 k2 p1 p2; write 'fisheye_model"),
        ("width: 160\nheight: 120\nK: [100, 0, 80, 0, 100, 60, 0, 0, 1]\n", "says nothing of distortion"),
    ):
        with pytest.warns(UserWarning, match=note):
            assert open_sequence(drive, camera=write(tmp_path, text)).camera is not None
    result = check_source(drive, camera=write(tmp_path, KALIBR))
    assert result.usable and result.field_of_view_deg == pytest.approx((77.32, 57.22), abs=0.01)


BOMB = "a: &a [1, 1]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(9 * [f'*{chr(97 + k)}'])}]\n" for k in range(9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (KALIBR + KALIBR.replace("cam0", "cam1"), "has 2 cameras, cam0, cam1; expected one: copy the lines"),
        (STEREO + LEFT.replace("1:", "2:"), "has 2 cameras, M1, M2; expected one"),
        (KALIBR.replace("pinhole", "omni"), "camera model 'omni', expected pinhole"),
        (KALIBR.replace("pinhole", "ds"), "camera model 'ds'"),
        (KALIBR.replace("radtan", "fov"), "distortion model 'fov', expected none or one of radtan, .*equidistant"),
        (KALIBR.replace("radtan", "none"), "distortion_model is none, but its coefficients are"),
        (KALIBR.replace("radtan", "[a]"), "distortion model"),
        (KALIBR.replace("radtan", "equidistant").replace("[-0.16, 0.02,", "[-0.16,"), "expected a list of 4 numbers"),
        (KALIBR.replace("-0.16", "-1600"), r"distortion_coeffs \[-1600.0.* are those of no camera"),
        (KALIBR.replace("-0.16", "-9"), "distortion is not defined beyond"),
        (KALIBR.replace("100.0", "nan"), "intrinsics: number 1 is 'nan', expected a finite number"),
        (KALIBR.replace("100.0", "9" * 5000), "intrinsics: number 1 is '9{40}', expected a finite number"),
        (KALIBR.replace("100.0", "-100.0"), "expected positive focal lengths"),
        (KALIBR.replace("100.0", "1.0"), "intrinsics 1 110 .* expected fx fy cx cy in pixels"),
        (KALIBR.replace("[160, 120]", "[160, 120, 3]"), "resolution is .*, expected a list of 2 numbers"),
        (KALIBR.replace("[160, 120]", "[320, 240]"), "on images of 320x240, but the frames are 160x120; calibrate"),
        (OPENCV.replace("1.0e+02, 0.,", "1.0e+02, 0.5,"), "camera_matrix is 100 0.5 79.5 .*without skew"),
        (OPENCV.replace("image_height: 120", "image_height: 120.5"), "expected whole pixels"),
        (OPENCV + "camera_matrix: [1]\n", "camera_matrix is there twice"),
        (OPENCV.replace("distortion_coeff", "distortion").replace("_model: 0", "_model: 1"), "it has no coefficients"),
        (BOMB, r"an alias \(\*a\)"),
        ("[" * 100_000, "more than 20 levels"),
        ("a: 1\n---\nb: 2\n", "several documents"),
        ("a: " + "x" * 1_000_001, "1000004 bytes, expected .* of at most 1000000"),
        ("? [1]\n: 2\n", "stands where a name is expected"),
        ("<opencv_storage>\n</opencv_storage>", "no names with values in it"),
        ("name: x\n", "with camera_matrix or intrinsics; it has name"),
        ("\xff: [", "not YAML"),
    ],
)  # fmt: skip
def test_refused(text: str, message: str, tmp_path: Path) -> None:
    drive = write_frames(tmp_path / "drive", np.zeros((120, 160), np.uint8))
    with pytest.raises(DistilvoError, match=message) as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        open_sequence(drive, camera=write(tmp_path, text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600 and "camera.yaml" in str(caught.value)


@pytest.mark.parametrize("text", [OPENCV, KALIBR.replace("radtan", "equidistant")], ids=["opencv", "kalibr"])
def test_damaged(text: str, tmp_path: Path) -> None:
    drive = write_frames(tmp_path / "drive", np.zeros((120, 160), np.uint8))
    file = write(tmp_path, text)
    damage(file, lambda: assert_sound(open_sequence(drive, camera=file)), TEXT, few=25)


def test_a_field_of_view_alone(tmp_path: Path) -> None:
    """A view of 90 degrees across: the focal length is half the width."""
    drive = write_frames(tmp_path / "drive", np.zeros((120, 160), np.uint8))
    camera = open_sequence(drive, fov=90.0).camera
    assert camera is not None and (camera.fx, camera.fy) == pytest.approx((80.0, 80.0))
    assert (camera.cx, camera.cy, camera.width, camera.height) == (79.5, 59.5, 160, 120)
    for degrees in (0.0, -60.0, 4.9, 141.0, float("nan")):
        with pytest.raises(DistilvoError, match=r"--fov .*: expected degrees across the image's width, 5 to 140"):
            open_sequence(drive, fov=degrees)


def test_camera_beside_another_one(tmp_path: Path) -> None:
    drive = write_frames(tmp_path / "00", np.zeros((120, 160), np.uint8))
    with pytest.raises(DistilvoError, match="--intrinsics and --camera: expected one of them"):
        open_sequence(drive, intrinsics=INTRINSICS, camera=write(tmp_path, KALIBR))
    with pytest.raises(DistilvoError, match="--camera and --fov: expected one of them"):
        open_sequence(drive, fov=90.0, camera=write(tmp_path, KALIBR))
    drive.rename(tmp_path / "image_0")
    (tmp_path / "calib.txt").write_text("P0: 100 0 80 0 0 100 60 0 0 0 1 0\n")
    (tmp_path / "times.txt").write_text("0\n0.1\n")
    with pytest.raises(DistilvoError, match=r"has intrinsics of its own.*leave --camera out"):
        open_sequence(tmp_path, "kitti", camera=write(tmp_path, KALIBR))
    with pytest.raises(DistilvoError, match=r"nowhere.yaml: cannot be read \(No such file"):
        open_sequence(tmp_path / "image_0", "folder", camera=tmp_path / "nowhere.yaml")


def test_flag_of_the_command_line(tmp_path: Path) -> None:
    drive = write_frames(tmp_path / "drive", np.zeros((120, 160), np.uint8))
    command = [
        sys.executable,
        "-m",
        "distilvo",
        "check",
        str(drive),
        "--json",
        "--camera",
        str(write(tmp_path, KALIBR)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["field_of_view_deg"][0]) == (0, pytest.approx(77.32, abs=0.01))
