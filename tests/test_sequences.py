"""Sources of frames: what they yield, and one clear line for everything that may be wrong with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences import open_dataset, open_sequence
from real_data import REAL, needs

CALIB = "P0: 100 0 40 0 0 110 20 0 0 0 1 0\nP2: 120 0 41 0 0 130 21 0 0 0 1 0\n"
ROW = "1 0 0 {x} 0 1 0 0 0 0 1 0\n"


def image(index: int, colour: bool) -> np.ndarray:
    """(48, 64[, 3]) RGB: red grows with the index, green and blue are constant."""
    grey = np.full((48, 64), 10 * index, np.uint8)
    return np.dstack([grey, np.full_like(grey, 100), np.full_like(grey, 200)]) if colour else grey


def write_image(file: Path, frame: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), frame[..., ::-1] if frame.ndim == 3 else frame)


def make_sequence(root: Path, frames: int = 3, folder: str = "image_2", name: str = "00") -> Path:
    """A sound sequence in KITTI layout; returns root/sequences/NAME."""
    sequence = root / "sequences" / name
    for k in range(frames):
        write_image(sequence / folder / f"{k:06d}.png", image(k, colour=folder in ("image_2", "image_3")))
    (sequence / "calib.txt").write_text(CALIB)
    (sequence / "times.txt").write_text("".join(f"{0.1 * k:e}\n" for k in range(frames)))
    (root / "poses").mkdir(exist_ok=True)
    (root / "poses" / f"{name}.txt").write_text("".join(ROW.format(x=k) for k in range(frames)))
    return sequence


def make_video(file: Path, frames: int, size: tuple[int, int]) -> None:
    width, height = size
    writer = cv2.VideoWriter(str(file), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (width, height))
    for k in range(frames):
        writer.write(np.full((height, width, 3), (200, 100, 10 * k), np.uint8))
    writer.release()


def test_kitti_sequence(tmp_path: Path) -> None:
    sequence = open_sequence(make_sequence(tmp_path))
    assert (sequence.name, len(sequence)) == ("00", 3)
    assert sequence.camera == Camera(fx=120, fy=130, cx=41, cy=21, width=64, height=48)
    np.testing.assert_allclose(sequence.times, [0, 0.1, 0.2])
    assert sequence.poses is not None
    np.testing.assert_array_equal(sequence.poses[:, 0, 3], [0, 1, 2])
    np.testing.assert_array_equal(list(sequence.frames()), [image(k, colour=True) for k in range(3)])


def test_kitti_grey_folder_uses_its_own_projection(tmp_path: Path) -> None:
    sequence = open_sequence(make_sequence(tmp_path, folder="image_0"))
    assert sequence.camera == Camera(fx=100, fy=110, cx=40, cy=20, width=64, height=48)
    np.testing.assert_array_equal(next(sequence.frames()), image(0, colour=False))


def test_kitti_prefers_colour(tmp_path: Path) -> None:
    make_sequence(tmp_path, folder="image_0")
    assert next(open_sequence(make_sequence(tmp_path, folder="image_2")).frames()).ndim == 3


def test_kitti_without_truth_or_times(tmp_path: Path) -> None:
    path = make_sequence(tmp_path)
    (tmp_path / "poses" / "00.txt").unlink()
    (path / "times.txt").unlink()
    with pytest.warns(UserWarning, match="10 Hz assumed"):
        sequence = open_sequence(path)
    assert sequence.poses is None
    np.testing.assert_allclose(sequence.times, [0, 0.1, 0.2])


def test_dataset_lists_its_sequences_and_names_the_empty_ones(tmp_path: Path) -> None:
    make_sequence(tmp_path, name="10")
    make_sequence(tmp_path, name="02")
    (tmp_path / "sequences" / "11").mkdir()
    with pytest.warns(UserWarning, match="no images in 11"):
        sequences = open_dataset(tmp_path)
    assert [sequence.name for sequence in sequences] == ["02", "10"]


def test_dataset_without_sequences(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="no folder 'sequences'"):
        open_dataset(tmp_path)
    (tmp_path / "sequences" / "00").mkdir(parents=True)
    with pytest.raises(DistilvoError, match="no sequence with images"):
        open_dataset(tmp_path)
    with pytest.raises(DistilvoError, match="a whole KITTI dataset, expected one"):
        open_sequence(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("poses/00.txt", ROW.format(x=0) * 2, "2 poses, but 3 images"),
        ("poses/00.txt", ROW.format(x=0) * 2 + ROW.format(x="nan"), "00.txt, line 3: column 4 is 'nan'"),
        ("poses/00.txt", ROW.format(x=0) * 2 + "1 2 3\n", "00.txt, line 3: found 3 columns, expected 12"),
        ("poses/00.txt", "", "00.txt: the file is empty"),
        ("sequences/00/times.txt", "0\n0.1\n", "times.txt: 2 times, but 3 images"),
        ("sequences/00/times.txt", "0\n0.2\n0.1\n", "times.txt, line 3: time 0.1.* after 0.2"),
        ("sequences/00/calib.txt", "P0: 1 2 3\n", "calib.txt: no line for the camera P2"),
        ("sequences/00/calib.txt", "P2: 1 2 3\n", "calib.txt, line 1: found 3 columns, expected 12"),
        ("sequences/00/calib.txt", "P2: " + "nan " * 12, "calib.txt, line 1: .*finite"),
        ("sequences/00/calib.txt", "P2: " + "0 " * 12, "calib.txt, line 1: focal lengths 0 and 0, expected positive"),
        ("sequences/00/calib.txt", "P2: 1_0 " + "0 " * 11, "calib.txt, line 1: .*finite"),
        (
            "sequences/00/calib.txt",
            "P2: 12 0 6 0 0.5 12 4 0 0 0 1 0",
            "calib.txt, line 1: no projection matrix of a rec",
        ),
        (
            "sequences/00/calib.txt",
            "P2: 12 0 6 0 0 12 4 0 0 0 2 0",
            "calib.txt, line 1: no projection matrix of a rect",
        ),
        (
            "sequences/00/calib.txt",
            "P2: 1e300 0 6 0 0 12 4 0 0 0 1 0",
            r"calib.txt, line 1: intrinsics 1e\+300 12 6 4 for",
        ),
        ("sequences/00/calib.txt", "P2: 12 0 600 0 0 12 4 0 0 0 1 0", "calib.txt, line 1: intrinsics 12 12 600 4 for"),
        ("poses/00.txt", ROW.format(x=0) * 2 + ROW.format(x="1e300"), r"00.txt, line 3: 1e\+300 m from the origin"),
        ("sequences/00/calib.txt", None, r"calib.txt: cannot be read .*data_odometry_calib.zip"),
    ],
)
def test_broken_kitti_text_file(file: str, text: str | None, message: str, tmp_path: Path) -> None:
    path = make_sequence(tmp_path)
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text)
    with pytest.raises(DistilvoError, match=message) as caught:
        open_sequence(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.98])
def test_truncated_image(suffix: str, kept: float, tmp_path: Path) -> None:
    """Decoders fill up a truncated image without an error: it must not pass for a frame."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for k in range(2):
        write_image(tmp_path / f"{k}{suffix}", noise)
    second = tmp_path / f"1{suffix}"
    second.write_bytes(second.read_bytes()[: int(kept * second.stat().st_size)])
    frames = open_sequence(tmp_path).frames()
    next(frames)
    with pytest.raises(DistilvoError, match=rf"1\{suffix}: the image ends too early"):
        next(frames)


def test_image_that_is_none_and_image_of_another_size(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", image(0, colour=True))
    write_image(tmp_path / "1.png", np.zeros((48, 60, 3), np.uint8))
    with pytest.raises(DistilvoError, match=r"1.png: the image is 60x48 colour, expected 64x48 colour"):
        list(open_sequence(tmp_path).frames())
    (tmp_path / "0.png").write_text("<html>not found</html>")
    with pytest.raises(DistilvoError, match=r"0.png: cannot be decoded"):
        open_sequence(tmp_path)


def test_folder_is_sorted_naturally(tmp_path: Path) -> None:
    for k in (10, 9, 1):
        write_image(tmp_path / f"frame{k}.PNG", image(k, colour=True))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._frame1.png").write_bytes(b"left by a copying program")
    sequence = open_sequence(tmp_path)
    assert [frame[0, 0, 0] for frame in sequence.frames()] == [10, 90, 100]
    assert (len(sequence), sequence.camera, sequence.poses) == (3, None, None)


def test_empty_folder_missing_path_and_strange_file(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="no image in the folder"):
        open_sequence(tmp_path)
    with pytest.raises(DistilvoError, match="no such path"):
        open_sequence(tmp_path / "nowhere")
    (tmp_path / "image_2").mkdir()
    with pytest.raises(DistilvoError, match="image_2: no image in the folder"):
        open_sequence(tmp_path)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(DistilvoError, match=r"a.doc: a file with the suffix '.doc'"):
        open_sequence(tmp_path / "a.doc")


@pytest.mark.parametrize("times_first", [True, False])
def test_video(times_first: bool, tmp_path: Path) -> None:
    """Odd sizes, RGB order, and the file's own 20 Hz."""
    make_video(tmp_path / "drive.avi", frames=5, size=(63, 47))
    sequence = open_sequence(tmp_path / "drive.avi")
    if times_first:
        assert len(sequence) == 5
    frames = list(sequence.frames())
    assert (sequence.name, len(frames), len(sequence)) == ("drive", 5, 5)
    assert frames[0].shape == (47, 63, 3)
    np.testing.assert_allclose(frames[3].mean(axis=(0, 1)), [30, 100, 200], atol=8)
    np.testing.assert_allclose(sequence.times, np.arange(5) / 20, atol=1e-6)
    np.testing.assert_array_equal(next(sequence.frames()), frames[0])


def test_fingerprints_of_other_images_differ(tmp_path: Path) -> None:
    make_video(tmp_path / "a.avi", 5, (64, 48))
    make_video(tmp_path / "b.avi", 5, (96, 48))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(3):
            write_image(tmp_path / name / f"{index}.png", image(index + 9 * (name == "b" and index == 1), True))
    for suffix in (".avi", ""):
        a, b = (open_sequence(tmp_path / f"{name}{suffix}") for name in ("a", "b"))
        assert a.fingerprint() == open_sequence(tmp_path / f"a{suffix}").fingerprint() != b.fingerprint()


def test_unreadable_video(tmp_path: Path) -> None:
    file = tmp_path / "bad.mp4"
    file.write_bytes(b"this is no video" * 100)
    with pytest.raises(DistilvoError, match=r"bad.mp4: not a video that can be read"):
        open_sequence(file)


def test_sequences_can_be_imported_without_opencv() -> None:
    code = "import sys, distilvo.sequences; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs("kitti_odometry")
def test_real_kitti() -> None:
    first, second = open_dataset(REAL / "kitti_odometry")
    assert (first.name, len(first), second.name, len(second)) == ("00", 160, "06", 51)
    assert first.camera == Camera(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)
    assert second.camera is not None and (second.camera.width, second.camera.height) == (1226, 370)
    assert first.poses is not None
    metres = np.linalg.norm(np.diff(first.poses[:, :3, 3], axis=0), axis=1).sum()
    assert metres == pytest.approx(117, abs=1)


@needs("video/solidWhiteRight.mp4")
def test_real_video() -> None:
    sequence = open_sequence(REAL / "video" / "solidWhiteRight.mp4")
    assert len(sequence) == 221
    np.testing.assert_allclose(np.diff(sequence.times), 0.04, atol=1e-3)
    assert next(sequence.frames()).shape == (540, 960, 3)
