"""TUM RGB-D and EuRoC MAV: association by time, order of the quaternion, body to camera, distortion."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.distortion import Undistortion
from distilvo.sequences import open_dataset, open_sequence
from distilvo.trajectory.association import poses_of_images
from real_data import REAL, needs

HALF = 0.5**0.5
GREY = np.zeros((480, 640), np.uint8)


def make_tum(root: Path, name: str = "rgbd_dataset_freiburg3_walk") -> Path:
    """Images at 10.0, 10.1, 10.2; poses at 10.015 and 10.19, with a quarter turn about z."""
    folder = root / name
    (folder / "rgb").mkdir(parents=True)
    for k in range(3):
        cv2.imwrite(str(folder / "rgb" / f"{k}.png"), GREY + k)
    listed = "# color images\n# file: 'a.bag'\n# timestamp filename\n"
    (folder / "rgb.txt").write_text(listed + "".join(f"{10 + k / 10:.6f} rgb/{k}.png\n" for k in range(3)))
    truth = f"10.015 1 2 3 0 0 0 1\n10.19 4 5 6 0 0 {HALF} {HALF}\n"
    (folder / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + truth)
    return folder


def test_tum(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"1 of 3 images have no pose within 0.02 s and are left out"):
        sequence = open_sequence(make_tum(tmp_path))
    assert (sequence.name, len(sequence)) == ("rgbd_dataset_freiburg3_walk", 2)
    assert sequence.camera == Camera(535.4, 539.2, 320.1, 247.6, 640, 480)
    np.testing.assert_allclose(sequence.times, [10.0, 10.2])
    assert [frame[0, 0] for frame in sequence.frames()] == [0, 2]
    assert sequence.poses is not None
    np.testing.assert_allclose(sequence.poses[:, :3, 3], [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_allclose(sequence.poses[1, :3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_tum_without_truth_and_without_a_known_camera(tmp_path: Path) -> None:
    folder = make_tum(tmp_path, "my_desk")
    (folder / "groundtruth.txt").unlink()
    with pytest.warns(UserWarning, match="does not name the camera.*--intrinsics"):
        sequence = open_sequence(folder)
    assert (sequence.camera, sequence.poses, len(sequence)) == (None, None, 3)


def test_tum_freiburg1_is_undistorted(tmp_path: Path) -> None:
    """A point off the axis lies elsewhere once the distortion is out; the principal point stays."""
    folder = make_tum(tmp_path, "fr1_xyz")
    dots = np.zeros((480, 640), np.uint8)
    dots[253:258, 316:322] = 255
    dots[58:63, 98:103] = 255
    cv2.imwrite(str(folder / "rgb" / "0.png"), dots)
    with pytest.warns(UserWarning):
        frame = next(open_sequence(folder).frames())
    assert frame[255, 318] == 255
    assert frame[60, 100] < 255


def test_a_folder_that_only_looks_like_the_data_set(tmp_path: Path) -> None:
    folder = make_tum(tmp_path, "my_fr2_walk")
    with pytest.warns(UserWarning, match=r"'fr2' in the folder's name: taken for .* freiburg2, 520.9"):
        sequence = open_sequence(folder)
    assert sequence.camera == Camera(520.9, 521.0, 325.1, 249.7, 640, 480)
    with pytest.warns(UserWarning):
        own = open_sequence(folder, intrinsics=(500, 500, 320, 240))
    assert own.camera == Camera(500, 500, 320, 240, 640, 480)
    assert next(own.frames())[0, 0] == 0  # as it is
    published = make_tum(tmp_path)
    with pytest.warns(UserWarning) as notes, pytest.raises(DistilvoError, match="has intrinsics of its own"):
        open_sequence(published, intrinsics=(500, 500, 320, 240))
    assert not any("in the folder's name" in str(note.message) for note in notes)


def test_an_image_that_is_missing_shifts_nothing(tmp_path: Path) -> None:
    folder = make_tum(tmp_path)
    (folder / "rgb" / "1.png").unlink()
    with pytest.warns(UserWarning, match=r"rgb.txt: of 3 images 1 missing: 1.png; the others keep their time"):
        sequence = open_sequence(folder)
    np.testing.assert_allclose(sequence.times, [10.0, 10.2])
    assert [frame[0, 0] for frame in sequence.frames()] == [0, 2]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("rgb.txt", None, "rgb.txt: cannot be read"),
        ("rgb.txt", "# nothing\n", "rgb.txt: the file is empty"),
        ("rgb.txt", "10.0\n", "line 1: found 1 columns, expected 'timestamp filename'"),
        ("rgb.txt", "1_0.0 rgb/0.png\n", "line 1: column 1 is '1_0.0', expected a finite number"),
        ("rgb.txt", "10.1 rgb/1.png\n10.0 rgb/0.png\n", "line 2: time 10.0.* after 10.1"),
        ("rgb.txt", "10.0 rgb/0.png\n10.01 rgb/8.png\n10.02 rgb/9.png\n", "8.png: no such image; 2 of 3 are missing"),
        ("rgb.txt", "20.0 rgb/0.png\n", "no image within 0.02 s of a pose; images span 20.000 to 20.000 s, ground"),
        ("groundtruth.txt", "10 1 2 3 0 0 0\n", "groundtruth.txt, line 1: found 7 columns"),
        ("groundtruth.txt", "10 1 2 3 0 0 0 2\n", "quaternion has length 2"),
        ("groundtruth.txt", "", "groundtruth.txt: the file is empty"),
    ],
)
def test_broken_tum(file: str, text: str | None, message: str, tmp_path: Path) -> None:
    folder = make_tum(tmp_path)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DistilvoError, match=message) as caught:
            open_sequence(folder)
    assert "\n" not in str(caught.value)


def test_tum_images_of_another_size_do_not_get_its_intrinsics(tmp_path: Path) -> None:
    folder = make_tum(tmp_path)
    cv2.imwrite(str(folder / "rgb" / "0.png"), GREY[::2, ::2])
    with pytest.warns(UserWarning), pytest.raises(DistilvoError, match=r"320x240, but .* calibrated for 640x480"):
        open_sequence(folder)


@needs("tum_fr2_desk")
def test_real_tum() -> None:
    """The first image's nearest row, and its quaternion as SciPy reads it."""
    sequence = open_sequence(REAL / "tum_fr2_desk")
    assert (len(sequence), next(sequence.frames()).shape) == (20, (480, 640, 3))
    assert sequence.camera == Camera(520.9, 521.0, 325.1, 249.7, 640, 480)
    assert sequence.poses is not None
    np.testing.assert_allclose(sequence.poses[0, :3, 3], [-0.0607, -2.1082, 1.5029])
    expected = [[0.50085694, -0.41079834, 0.76183138], [-0.86544238, -0.2251628, 0.4475614]]
    np.testing.assert_allclose(sequence.poses[0, :2, :3], expected, atol=1e-7)


def make_euroc(root: Path) -> Path:
    """Images at 0, 50, 100 ms; the body turned by a quarter about z at 50 ms; camera looking along the body's x."""
    mav = root / "V1_01_easy" / "mav0"
    (mav / "cam0" / "data").mkdir(parents=True)
    (mav / "state_groundtruth_estimate0").mkdir()
    stamps = [1403715273262142976 + k * 50_000_000 for k in range(3)]
    for k, stamp in enumerate(stamps):
        cv2.imwrite(str(mav / "cam0" / "data" / f"{stamp}.png"), np.full((120, 160), k, np.uint8))
    lines = "".join(f"{stamp},{stamp}.png\r\n" for stamp in stamps)
    (mav / "cam0" / "data.csv").write_text("#timestamp [ns],filename\r\n" + lines)
    (mav / "cam0" / "sensor.yaml").write_text(SENSOR)
    poses = [
        f"{stamps[0] + 2_000_000}, 0,0,0, 1,0,0,0",
        f"{stamps[1] + 2_000_000}, 1,2,3, {HALF},0,0,{HALF}",
    ]
    header = "#timestamp, p_RS_R_x [m], ..., q_RS_w [], q_RS_x [], ...\n"
    rows = "".join(pose + ", 0" * 9 + "\n" for pose in poses)
    (mav / "state_groundtruth_estimate0" / "data.csv").write_text(header + rows)
    return mav.parent


SENSOR = """# General sensor definitions.
sensor_type: camera
T_BS:
  cols: 4
  rows: 4
  data: [0.0, 0.0, 1.0, 0.1,
        -1.0, 0.0, 0.0, 0.2,
         0.0, -1.0, 0.0, 0.3,
         0.0, 0.0, 0.0, 1.0]
rate_hz: 20
resolution: [160, 120]
camera_model: pinhole
intrinsics: [100.0, 110.0, 80, 60] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.16, 0.0, 0.0, 1.0e-05]
"""


def test_euroc(tmp_path: Path) -> None:
    """At 50 ms the camera is at (1, 2, 3) + Rz(90) (0.1, 0.2, 0.3) and looks along the world's y."""
    with pytest.warns(UserWarning, match="1 of 3 images have no pose within 0.02 s"):
        sequence = open_sequence(make_euroc(tmp_path))
    assert (sequence.name, len(sequence)) == ("V1_01_easy", 2)
    assert sequence.camera == Camera(100, 110, 80, 60, 160, 120)
    np.testing.assert_allclose(np.diff(sequence.times), 0.05, atol=1e-6)
    assert sequence.poses is not None
    np.testing.assert_allclose(sequence.poses[0, :3, 3], [0.1, 0.2, 0.3], atol=1e-12)
    np.testing.assert_allclose(sequence.poses[1, :3, 3], [0.8, 2.1, 3.3], atol=1e-12)
    np.testing.assert_allclose(sequence.poses[1, :3, :3], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)


def test_euroc_opens_by_any_of_its_folders(tmp_path: Path) -> None:
    root = make_euroc(tmp_path)
    with pytest.warns(UserWarning):
        for path in (root, root / "mav0", root / "mav0" / "cam0"):
            assert (open_sequence(path).name, len(open_sequence(path))) == ("V1_01_easy", 2)
        assert [sequence.name for sequence in open_dataset(tmp_path)] == ["V1_01_easy"]
    with pytest.raises(DistilvoError, match=r"a folder of sequences \(euroc\)"):
        open_sequence(tmp_path)
    (root / "mav0" / "state_groundtruth_estimate0" / "data.csv").unlink()
    assert open_sequence(root).poses is None


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("cam0/data.csv", "1403715273262142976,", "1.4e9,", "line 2: '1.4e9', expected a time in whole nanoseconds"),
        ("cam0/data.csv", ".png", ".png,x", "line 2: found 3 columns"),
        ("cam0/data.csv", ",14", ",15", "no such image; 2 of 2 are missing"),
        ("cam0/sensor.yaml", SENSOR, "a: [", "sensor.yaml: not YAML"),
        ("cam0/sensor.yaml", SENSOR, "hello", "sensor.yaml: no names with values in it"),
        ("cam0/sensor.yaml", SENSOR, "a: &a [1, 1]\nT_BS: [*a, *a]\n", r"sensor.yaml: it has an alias \(\*a\)"),
        ("cam0/sensor.yaml", "radial-tangential", "equidistant", None),
        ("cam0/sensor.yaml", "radial-tangential", "fov", "distortion model 'fov', expected none or one of radtan"),
        ("cam0/sensor.yaml", "[160, 120]", "[752, 480]", "on images of 752x480, but the frames are 160x120"),
        ("cam0/sensor.yaml", "[100.0,", "[-100.0,", "expected positive focal lengths"),
        ("cam0/sensor.yaml", "intrinsics", "numbers", "with camera_matrix or intrinsics; it has sensor_type"),
        ("cam0/sensor.yaml", "-0.16", ".nan", "distortion_coefficients: number 1 is '.nan', expected a finite number"),
        ("cam0/sensor.yaml", "1.0, 0.1", "-1.0, 0.1", "T_BS is not a rigid transform"),
        ("cam0/sensor.yaml", "-0.16", "1e300", r"distortion_coefficients \[.*\] are those of no camera"),
        ("cam0/sensor.yaml", "[160, 120]", "[160.5, 120]", "resolution 160.5 120.0, expected whole pixels"),
        ("cam0/sensor.yaml", "[100.0,", "[1e5,", "intrinsics 100000 .* for images of 160x120"),
        ("state_groundtruth_estimate0/data.csv", " 1,2,3,", " 1,2,1e300,", r"line 3: 1e\+300 m from the origin"),
        ("state_groundtruth_estimate0/data.csv", f"{HALF},0,0,", "1e200,0,0,", "line 3: the quaternion has length inf"),
        ("state_groundtruth_estimate0/data.csv", ", 0\n", "\n", None),
        ("state_groundtruth_estimate0/data.csv", " 1,2,3,", " 1,2,", "line 3: found 16 columns, expected 17"),
        ("state_groundtruth_estimate0/data.csv", f"{HALF},0,0,", "1,0,0,", "line 3: the quaternion has length 1.22"),
        ("state_groundtruth_estimate0/data.csv", "14037152733", "13037152733", "line 3: time 1303715273.31.* after"),
    ],
)
def test_broken_euroc(file: str, old: str, new: str, message: str | None, tmp_path: Path) -> None:
    path = make_euroc(tmp_path) / "mav0" / file
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if message is None:  # a column less throughout is no harm, and a fisheye none either
            assert len(open_sequence(path.parents[1])) == 2
            return
        with pytest.raises(DistilvoError, match=message) as caught:
            open_sequence(path.parents[1])
    assert "\n" not in str(caught.value)


def test_undistortion_moves_a_point_to_where_a_pinhole_sees_it() -> None:
    """x = 0.5 is seen at 0.5 (1 - 0.16 * 0.25) = 0.48: pixel 128 goes to 130."""
    frame = np.zeros((120, 160), np.uint8)
    frame[:, 128] = 200
    undistorted = Undistortion(Camera(100, 100, 80, 60, 160, 120), (-0.16, 0, 0, 0))(frame)
    assert np.argmax(undistorted[60]) == 130
    assert (undistorted.shape, undistorted.dtype) == ((120, 160), np.uint8)


def test_nearest_pose_of_all() -> None:
    """Against brute force, ties included."""
    rng = np.random.default_rng(1)
    times, truth = np.sort(rng.uniform(0, 3, 200)), np.sort(rng.uniform(0, 3, 60))
    with pytest.warns(UserWarning):
        kept, nearest = poses_of_images("a", times, truth)
    distance = np.abs(times[:, None] - truth)
    np.testing.assert_array_equal(kept, np.flatnonzero(distance.min(axis=1) <= 0.02))
    np.testing.assert_array_equal(nearest, distance.argmin(axis=1)[kept])
