"""Patterns of images, videos as phones make them, live cameras, and the guess by path."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.sequences import open_dataset, open_sequence
from distilvo.sequences.guess import guess


def write_grey(file: Path, value: int, size: tuple[int, int] = (8, 12)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full(size, value, np.uint8))


def test_pattern_of_images(tmp_path: Path) -> None:
    for k in (10, 9, 1):
        write_grey(tmp_path / "drive" / f"{k}_left.png", k)
        write_grey(tmp_path / "drive" / f"{k}_right.png", 200, (9, 9))
    sequence = open_sequence(tmp_path / "drive" / "*_left.png")
    assert (sequence.name, [frame[0, 0] for frame in sequence.frames()]) == ("drive", [1, 9, 10])
    assert len(open_sequence(str(tmp_path / "**" / "?_left.*"))) == 2


def test_pattern_without_images(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(DistilvoError, match=r"\*.txt: 1 files match this pattern, none of them an image"):
        open_sequence(tmp_path / "*.txt")
    with pytest.raises(DistilvoError, match=r"\*.png: 0 files match"):
        open_sequence(tmp_path / "*.png")


def test_folder_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    write_grey(tmp_path / "drive [2]" / "0.png", 3)
    assert len(open_sequence(tmp_path / "drive [2]")) == 1


def make_mp4(file: Path, frames: int = 6) -> bytes:
    """Frames 64x48 that are bright at the top only, 20 a second."""
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 20.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MP4")
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:12] = 255
    for _ in range(frames):
        writer.write(frame)
    writer.release()
    return file.read_bytes()


def test_video_is_turned_as_its_file_says(tmp_path: Path) -> None:
    """The track header's matrix turned by 90 degrees clockwise, as a phone held upright writes it: top to right."""
    data = make_mp4(tmp_path / "a.mp4")
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    at = data.index(upright, data.index(b"tkhd"))
    (tmp_path / "phone.mp4").write_bytes(data[:at] + turned + data[at + 36 :])
    frame = next(open_sequence(tmp_path / "phone.mp4").frames())
    assert frame.shape == (64, 48, 3)
    assert frame[:, -6:].mean() > 200 and frame[:, :24].mean() < 50
    assert next(open_sequence(tmp_path / "a.mp4").frames())[:6].mean() > 200


class FakeDevice:
    """A camera that gives five images each time it is opened; Ctrl-C comes after ``interrupt_after``."""

    there = True
    interrupt_after: int | None = None

    def __init__(self, index: int) -> None:
        self.index, self._taken = index, 0

    def isOpened(self) -> bool:
        return self.there

    def read(self) -> tuple[bool, Any]:
        self._taken += 1
        if self._taken == self.interrupt_after:
            os.kill(os.getpid(), signal.SIGINT)
        return self._taken <= 5, np.full((4, 6, 3), (30, 20, 10 * self.index), np.uint8)

    def release(self) -> None: ...


def test_live_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
    camera = open_sequence("camera:1")
    assert (camera.name, len(camera), camera.camera, camera.poses) == ("camera:1", 0, None, None)
    seen = []
    with pytest.warns(UserWarning, match="camera:1: no more images after 5; the drive ends here"):
        for frame in camera.frames():
            np.testing.assert_array_equal(frame[0, 0], [10, 20, 30])
            seen.append(float(camera.times[-1]))
    assert len(camera) == len(seen) == 5
    assert seen[0] == 0.0 and (np.diff(seen) >= 0).all()
    np.testing.assert_array_equal(camera.times, seen)


def test_first_interrupt_ends_the_frames_and_a_second_one_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
    camera = open_sequence("camera:0")
    monkeypatch.setattr(FakeDevice, "interrupt_after", 3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background a shell has it ignored
    try:
        assert len(list(camera.frames())) == 3
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        with pytest.raises(KeyboardInterrupt):
            for _ in camera.frames():
                if len(camera) == 3:
                    os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_such_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeDevice)
    monkeypatch.setattr(FakeDevice, "there", False)
    with pytest.raises(DistilvoError, match="camera:7: there is no such camera"):
        open_sequence("camera:7")
    with pytest.raises(DistilvoError, match="camera:front: expected camera:0, camera:1"):
        open_sequence("camera:front")


def test_one_camera_of_a_kitti_sequence(tmp_path: Path) -> None:
    sequence = tmp_path / "sequences" / "00"
    for name, value in (("image_2", 2), ("image_3", 3)):
        write_grey(sequence / name / "000000.png", value)
    (sequence / "calib.txt").write_text("".join(f"P{k}: 10{k} 0 6 0 0 100 4 0 0 0 1 0\n" for k in range(4)))
    (sequence / "times.txt").write_text("0\n")
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "00.txt").write_text("1 0 0 7 0 1 0 0 0 0 1 0\n")
    right = open_sequence(sequence / "image_3")
    assert right.name == "00" and right.camera is not None and right.camera.fx == 103
    assert right.poses is not None and right.poses[0, 0, 3] == 7
    assert next(right.frames())[0, 0] == 3
    left = open_sequence(sequence).camera
    assert left is not None and left.fx == 102


@pytest.mark.parametrize(
    ("made", "opened", "kind"),
    [
        ("00/image_0/0.png", "00", "kitti"),
        ("d/image_03/data/0.png", "d", "kitti-raw"),
        ("d/oxts/timestamps.txt", "d", "kitti-raw"),
        ("V1/mav0/cam0/data.csv", "V1", "euroc"),
        ("V1/mav0/cam0/data.csv", "V1/mav0", "euroc"),
        ("desk/rgb.txt", "desk", "tum"),
        ("e/x_rectified_a=0_800x600_Images/a.jpg", "e", "malaga"),
        ("e/x_all-sensors_GPS.txt", "e", "malaga"),
        ("e/x_rectified_800x600_Images/img_CAMERA1_1.0_left.jpg", "e/x_rectified_800x600_Images", "malaga"),
        ("bag/metadata.yaml", "bag", "bag"),
        ("a.bag", "a.bag", "bag"),
        ("a.MCAP", "a.MCAP", "bag"),
        ("a.MOV", "a.MOV", "video"),
        ("p/0.png", "p", "folder"),
        ("p/0.png", "p/*.png", "folder"),
        ("p/0.png", "../camera:0", None),
    ],
)
def test_guess(made: str, opened: str, kind: str | None, tmp_path: Path) -> None:
    file = tmp_path / made
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    if kind is None:
        with pytest.raises(DistilvoError, match=r"no such path; .* expected"):
            guess(tmp_path / opened)
    else:
        assert guess(tmp_path / opened) == kind
    assert guess(Path("camera:0")) == "camera"


def test_messages_name_what_is_near(tmp_path: Path) -> None:
    write_grey(tmp_path / "data" / "sequences" / "00" / "image_0" / "000000.png", 1)
    (tmp_path / "data" / "sequences" / "00" / "times.txt").touch()
    (tmp_path / "data" / "bag_0.db3").touch()
    (tmp_path / "data" / "notes.doc").touch()
    sequences = tmp_path / "data" / "sequences"
    for path, message in (
        ("data/sequences/0", rf"0: no such path; did you mean {sequences}/00\? expected"),
        ("data/seqences/00", rf"seqences/00: no such path; did you mean {sequences}\? "),
        ("data/SEQUENCES", rf"did you mean {sequences}\? "),
        ("data/sequences/77", rf"{sequences} holds 00; expected"),
        ("data/sequences/00/image_0/x/y", r"00/image_0 holds 000000.png; expected"),
        ("data/sequences/00/image_0/000000.png", r"a single image; .* their folder, .*00/image_0, or .*'.*/\*.png'"),
        ("data/sequences/00/times.txt", rf"a file of a sequence \(kitti\); expected its folder: {sequences}/00$"),
        ("data/bag_0.db3", rf"a part of a ROS 2 bag; expected its folder, with metadata.yaml: {tmp_path}/data$"),
        ("data/notes.doc", r"suffix '.doc', expected .*\.bag \.mcap.*\.h264 .*\.mts .* folder of images \(\.avif"),
    ):
        with pytest.raises(DistilvoError, match=message) as caught:
            guess(tmp_path / path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["dib", "jpe", "jp2", "pnm", "pam", "ras", "sr", "avif", "pbm"])
def test_images_of_rarer_formats(suffix: str, tmp_path: Path) -> None:
    frame = np.full((48, 64), 255, np.uint8) if suffix == "pbm" else np.full((48, 64, 3), (200, 100, 10), np.uint8)
    for k in range(2):
        cv2.imwrite(str(tmp_path / f"{k}.{suffix}"), frame)
    (tmp_path / f"1.{suffix}").rename(tmp_path / f"1.{suffix.upper()}")
    frames = list(open_sequence(tmp_path).frames())
    expected = frame if suffix == "pbm" else frame[..., ::-1]
    np.testing.assert_allclose(np.array(frames, int), np.stack([expected] * 2), atol=6)
    data = (tmp_path / f"0.{suffix}").read_bytes()
    (tmp_path / f"0.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(DistilvoError, match=r"0.* cannot be decoded|ends too early"):
        list(open_sequence(tmp_path).frames())


def test_kind_overrides_the_guess(tmp_path: Path) -> None:
    write_grey(tmp_path / "image_2" / "0.png", 1)
    write_grey(tmp_path / "5.png", 5)
    assert next(open_sequence(tmp_path, kind="folder").frames())[0, 0] == 5
    with pytest.raises(DistilvoError, match=r"rgb.txt: cannot be read"):
        open_sequence(tmp_path, kind="tum")
    with pytest.raises(DistilvoError, match="no such folder, expected one of kind euroc"):
        open_sequence(tmp_path / "5.png", kind="euroc")
    with pytest.raises(DistilvoError, match="there is no kind of source 'zip'"):
        open_sequence(tmp_path, kind="zip")  # type: ignore[arg-type]


def test_folder_that_holds_no_sequences_is_no_data_set(tmp_path: Path) -> None:
    write_grey(tmp_path / "0.png", 1)
    with pytest.raises(DistilvoError, match=r"no folder 'sequences'.*; or a folder of sequences of KITTI raw"):
        open_dataset(tmp_path)
