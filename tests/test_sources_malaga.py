"""Malaga Urban: 10 Hz by time, the GPS as a reference, and half-unpacked archives."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences import open_sequence
from distilvo.sequences.malaga import at_rate
from real_data import REAL, needs

DATA = REAL / "malaga_format"
NAME = "malaga-urban-dataset-extract-01"
START = 1261228749.918590
GPS_HEADER = "%           Time                     Lat   Local X    Local Y \n"


def gps_row(time: float, east: float, north: float, up: float = 0.0, fix: int = 1) -> str:
    numbers = [time, 0.64, -0.078, 43.7, fix, 9, 0, 0, east, north, up] + [0] * 14
    return " ".join(f"{number:.7f}" for number in numbers) + " \n"


def make_extract(root: Path, stamps: list[str], size: tuple[int, int] = (800, 600), gps: str | None = None) -> Path:
    """An extract with both cameras' images at these times."""
    extract = root / NAME
    folder = extract / f"{NAME}_rectified_{size[0]}x{size[1]}_Images"
    folder.mkdir(parents=True)
    jpeg = cv2.imencode(".jpg", np.zeros((size[1], size[0], 3), np.uint8))[1].tobytes()
    for stamp in stamps:
        for side in ("left", "right"):
            (folder / f"img_CAMERA1_{stamp}_{side}.jpg").write_bytes(jpeg)
    (extract / "Images").mkdir()
    if gps is not None:
        (extract / f"{NAME}_all-sensors_GPS.txt").write_text(GPS_HEADER + gps)
    return extract


def stamps(count: int) -> list[str]:
    return [f"{START + 0.05 * k:.6f}" for k in range(count)]


def test_every_second_image_of_the_left_camera(tmp_path: Path) -> None:
    sequence = open_sequence(make_extract(tmp_path, stamps(7)))
    assert (sequence.name, len(sequence)) == (NAME, 4)
    assert sequence.camera == Camera(621.18428, 621.18428, 404.0076, 309.05989, 800, 600)
    np.testing.assert_allclose(sequence.times, START + 0.1 * np.arange(4), atol=1e-6)
    assert (sequence.poses, sequence.reference) == (None, None)
    assert next(sequence.frames()).shape == (600, 800, 3)


def test_large_images_have_their_own_intrinsics(tmp_path: Path) -> None:
    extract = make_extract(tmp_path, stamps(2), size=(1024, 768))
    assert open_sequence(extract).camera == Camera(795.11588, 795.11588, 517.12973, 395.59665, 1024, 768)
    make_extract(tmp_path / "b", stamps(2))
    shutil.move(tmp_path / "b" / NAME / f"{NAME}_rectified_800x600_Images", extract)
    camera = open_sequence(extract).camera
    assert camera is not None and camera.width == 800
    camera = open_sequence(extract / f"{NAME}_rectified_1024x768_Images").camera
    assert camera is not None and camera.width == 1024


def test_reference_between_and_outside_of_fixes(tmp_path: Path) -> None:
    """Fixes at 0.05 s (0, 0) and 0.25 s (2, 4) after the first image, one without a fix between them."""
    gps = gps_row(START + 0.05, 0, 0) + gps_row(START + 0.1, 900, 900, fix=0) + gps_row(START + 0.25, 2, 4, 1)
    with pytest.warns(UserWarning, match=r"2 of 4 images lie outside its time.*; 1 of 3 rows have no fix"):
        sequence = open_sequence(make_extract(tmp_path, stamps(7), gps=gps))
    expected = [[0, 0, 0], [0.5, 1, 0.25], [1.5, 3, 0.75], [2, 4, 1]]
    np.testing.assert_allclose(sequence.reference, expected, atol=1e-5)


def test_long_gaps_of_the_gps_are_a_warning(tmp_path: Path) -> None:
    gps = gps_row(START - 1, 0, 0) + gps_row(START + 29, 30, 0)
    with pytest.warns(UserWarning, match="the longest gap is 30 s and is filled by a straight line"):
        open_sequence(make_extract(tmp_path, stamps(3), gps=gps))


@pytest.mark.parametrize(
    ("gps", "message"),
    [
        ("", "GPS.txt: the file is empty"),
        (gps_row(START, 0, 0) + "1261228750 1 2\n", "GPS.txt, line 3: found 3 columns, expected 25"),
        (gps_row(START, 0, 0).replace("0.64", "north"), "line 2: column 2 is 'north.*', expected a finite number"),
        (gps_row(START, 0, 0) + gps_row(START - 1, 0, 0), "line 3: time .* after"),
        (gps_row(START, 0, 0) + gps_row(START + 1, 1e300, 0), r"line 3: 1e\+300 m from the origin"),
        (gps_row(START, 0, 0).replace("0.64", "0.6\u0663"), "line 2: .*, expected a finite number"),
        (gps_row(START, 0, 0, fix=0), "none of 1 rows has a fix"),
        (gps_row(5, 0, 0) + gps_row(6, 0, 0), "do not meet; expected the GPS of the same extract"),
    ],
)
def test_broken_gps(gps: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=message) as caught:
        open_sequence(make_extract(tmp_path, stamps(3), gps=gps))
    assert "\n" not in str(caught.value)


def test_folders_that_are_not_what_is_needed(tmp_path: Path) -> None:
    extract = make_extract(tmp_path, stamps(2), size=(320, 240))
    folder = extract / f"{NAME}_rectified_320x240_Images"
    with pytest.raises(DistilvoError, match="the image is 320x240, expected rectified 800x600 or 1024x768"):
        open_sequence(extract)
    for file in folder.glob("*_left.jpg"):
        file.unlink()
    with pytest.raises(DistilvoError, match="no image of the left camera"):
        open_sequence(extract)
    shutil.rmtree(folder)
    (extract / f"{NAME}_all-sensors_GPS.txt").write_text(GPS_HEADER)
    with pytest.raises(DistilvoError, match=r"no folder of rectified images.*raw images in Images are distorted"):
        open_sequence(extract)


def test_images_that_the_list_has_and_the_folder_has_not(tmp_path: Path) -> None:
    extract = make_extract(tmp_path, stamps(4))
    listed = "".join(f"img_CAMERA1_{s}_left.jpg\nimg_CAMERA1_{s}_right.jpg\n" for s in stamps(6))
    (extract / f"{NAME}_all-sensors_IMAGES.txt").write_text(listed)
    with pytest.warns(
        UserWarning, match="of 6 left images that it lists 2 missing: img_CAMERA1_1261228750.118590_left.jpg"
    ):
        open_sequence(extract)


def test_rate_by_time_not_by_index() -> None:
    """A stutter, a doubled frame and a gap, as the real camera has them."""
    times = np.array([0.0, 0.05, 0.123, 0.15, 0.2, 0.25, 0.2500001, 1.3, 1.35, 1.4])
    assert at_rate(times, 0.1) == [0, 2, 4, 7, 9]
    assert at_rate(np.array([0.0, 0.01, 5.0]), 0.1) == [0, 2]


@given(st.lists(st.floats(-0.012, 0.012), min_size=1, max_size=60))
def test_a_jittering_camera_keeps_ten_hertz(jitter: list[float]) -> None:
    """20 Hz with 12 ms of jitter: no step is farther from 0.1 s than half the camera's period and the jitter."""
    times = 0.05 * np.arange(len(jitter)) + jitter
    kept = at_rate(times, 0.1)
    steps = np.diff(times[kept])
    assert kept[0] == 0 and ((steps > 0.074) & (steps < 0.126)).all()
    assert times[-1] - times[kept[-1]] < 0.1


@needs("malaga_format")
def test_real_texts(tmp_path: Path) -> None:
    """The first 203 stereo pairs and the GPS: the first image is 81 ms before the first fix."""
    names = (DATA / f"{NAME}_all-sensors_IMAGES.head.txt").read_text().split()
    extract = make_extract(tmp_path, [name.split("_")[2] for name in names if name.endswith("left.jpg")])
    shutil.copy(DATA / f"{NAME}_all-sensors_GPS.txt", extract)
    shutil.copy(DATA / f"{NAME}_all-sensors_IMAGES.head.txt", extract / f"{NAME}_all-sensors_IMAGES.txt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequence = open_sequence(extract)
    assert [str(note.message).partition("GPS.txt: ")[2] for note in caught] == [
        f"1 of {len(sequence)} images lie outside its time and take its first or last position"
    ]
    assert len(sequence) == 102
    steps = np.diff(sequence.times)
    assert abs(steps.mean() - 0.1) < 1e-3 and steps.min() > 0.07 and steps.max() < 0.13
    assert sequence.reference is not None
    np.testing.assert_array_equal(sequence.reference[0], 0)
    second = 0.018591 * np.array([1.6379767075207388, 3.5250645268861498, 3.3886803643685552])
    np.testing.assert_allclose(sequence.reference[1], second, atol=1e-6)
