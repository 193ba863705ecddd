"""``distilvo check``: images, times, camera and height of a source, and every way in which a copy is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from corridor import CAMERA, FRAMES, lines, make_corridor, write_times
from distilvo.check import check, check_source
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Frame
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import open_sequence
from distilvo.sequences.image_files import ImageSequence


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


def test_truncated_images(folder: Path) -> None:
    for k in (3, 7, 8, 20, 21, 22, 30):
        file = folder / "image_0" / f"{k:06d}.png"
        file.write_bytes(file.read_bytes()[:500])
    cv2.imwrite(str(folder / "image_0" / "000035.png"), np.zeros((96, 300), np.uint8))
    result = check_source(folder)
    assert (result.unreadable, len(result.unreadable_frames), result.sizes) == (8, 5, {"320x96 grey": FRAMES - 8})
    assert "000003.png: the image ends too early" in result.unreadable_frames[0]
    assert "8 of 40 frames unreadable or of another size; the others are 320x96 grey" in lines(result, "problem")[5]
    assert result.poses is not None and result.poses.verdict == "agree"  # by the images that are left


def test_first_image_truncated(folder: Path) -> None:
    file = folder / "image_0" / "000000.png"
    file.write_bytes(file.read_bytes()[:500])
    result = check_source(folder)
    assert not result.usable and "000000.png: the image ends too early" in lines(result, "problem")[0]


def test_duplicate_times(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[[5, 6]] = times[4]
    write_times(folder, times)
    result = check_source(folder)
    assert (result.duplicate_times, result.out_of_order_times) == (2, 0) and not result.usable
    assert "2 frames have the time of the one before, first frame 5 at 0.400000 s" in lines(result, "problem")[0]


def test_times_out_of_order(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[5] = 0.35
    sequence = open_sequence(folder)
    sequence.times = times  # type: ignore[misc]
    result = check(sequence)
    assert result.out_of_order_times == 1 and result.rate_hz == pytest.approx(10)
    assert "first from 0.400000 s to 0.350000 s after frame 4" in lines(result, "problem")[0]
    write_times(folder, times)  # from a file they are refused at once, by their line
    assert "times.txt, line 6" in lines(check_source(folder), "problem")[0]


def test_gap(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[10:] += 0.3
    times[20:] += 0.1
    write_times(folder, times)
    result = check_source(folder)
    assert (result.gaps, result.longest_gap_s, result.usable) == (2, pytest.approx(0.4), True)
    assert "the longest 0.400 s after frame 9" in lines(result, "note")[0]


def test_another_rate(folder: Path) -> None:
    write_times(folder, np.arange(FRAMES) * 0.05)
    result = check_source(folder)
    assert result.rate_hz == pytest.approx(20) and "trained on 10 frames/s; thin the frames" in lines(result, "note")[0]
    known = check_source(folder, rate_hz=20.0)
    assert not any("trained on" in line for line in lines(known, "note"))
    assert "the model was trained on 5 frames/s; thin" in lines(check_source(folder, rate_hz=5.0), "note")[0]
    assert "the model was trained on 60 frames/s; train" in lines(check_source(folder, rate_hz=60.0), "note")[0]
    unknown = check_source(folder, preprocessing=Preprocessing((48, 160), 1))
    assert not any("trained on" in line for line in lines(unknown, "note"))


def test_no_poses_and_no_times(folder: Path) -> None:
    (folder.parent.parent / "poses" / "00.txt").unlink()
    (folder / "times.txt").unlink()
    result = check_source(folder)
    assert result.usable and not result.has_poses and result.poses is None
    notes = lines(result, "note")
    assert len(notes) == 2 and "poses: there are none" in notes[0] and "10 Hz assumed" in notes[1]


def test_folder_without_intrinsics(folder: Path) -> None:
    result = check_source(folder / "image_0", "folder")
    assert result.usable and result.field_of_view_deg is None
    assert [line.split(":")[0] for line in lines(result, "note")] == [
        "note    poses",
        "note    camera",
        "note    height",
    ]
    assert "assumed" in next(line for line in lines(result, "ok") if "rate" in line)
    given = check_source(folder / "image_0", "folder", intrinsics=(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy))
    assert given.field_of_view_deg == pytest.approx((81.70, 29.24), abs=0.01)


def test_camera_that_sees_nothing_of_the_view(folder: Path) -> None:
    result = check_source(folder / "image_0", "folder", intrinsics=(4000.0, 4000.0, 160.0, 48.0))
    assert not result.usable and "check the intrinsics" in lines(result, "problem")[0]


def test_images_coarser_than_the_model(folder: Path) -> None:
    assert not lines(check_source(folder, preprocessing=Preprocessing((96, 320), 1)), "note")
    fine = check_source(folder, preprocessing=Preprocessing((192, 640), 1))
    assert "0.50 pixels for each of the model's 640x192" in lines(fine, "note")[0]


def test_view_of_a_model_whose_optical_axis_is_in_the_middle(folder: Path) -> None:
    """Its image reaches further to the left, and less far to the right, than KITTI's."""
    shift = 319 / 2 - CAMERA.cx
    seen = check_source(folder, preprocessing=Preprocessing((96, 320), 1, centred=True))
    assert seen.unseen == pytest.approx(shift / 320, abs=2e-3) and shift > 3
    assert "the models' is 82 x 29" in next(str(one) for one in seen.findings if one.about == "camera")


def test_height_of_the_camera(folder: Path) -> None:
    height = folder / "camera_height.txt"
    assert check_source(folder).camera_height_m == 1.5
    assert "height: the camera is 1.5 m above the road" in "".join(lines(check_source(folder), "ok"))
    assert check_source(folder, camera_height=0.9).camera_height_m == 0.9
    height.unlink()
    unknown = check_source(folder)
    (note,) = lines(unknown, "note")
    assert "camera height not known: 1.65 m taken (--camera-height)" in note and unknown.camera_height_m is None
    assert unknown.usable and json.loads(json.dumps(unknown.to_dict()))["camera_height_m"] is None
    assert "--camera-height 25: expected" in lines(check_source(folder, camera_height=25), "problem")[0]


def test_counts_that_do_not_fit(folder: Path) -> None:
    sequence = open_sequence(folder)
    sequence.poses = np.tile(np.eye(4), (FRAMES - 1, 1, 1))
    sequence.times = np.arange(FRAMES + 2) * 0.1  # type: ignore[misc]
    problems = lines(check(sequence), "problem")
    assert ["times: 42 for 40 frames" in problems[0], "poses: 39 for 40 frames" in problems[1]] == [True, True]


def test_reference(folder: Path) -> None:
    files = sorted((folder / "image_0").iterdir())[:3]
    reference = np.array([[0.0, 0, 0], [3, 4, 0], [3, 4, 1]])
    result = check(ImageSequence("drive", files, np.arange(3) * 0.1, reference=reference), "malaga")
    assert result.has_reference and result.path_m == pytest.approx(6)
    assert any("GPS: 6 m along, within 3 x 4 x 1 m" in line for line in lines(result, "ok"))


class Stream:
    """Frames that can only be had one after the other."""

    name, camera, poses, reference, camera_height = "stream", None, None, None, None
    assumed_times = False

    def __init__(self, frames: list[Frame | DistilvoError]) -> None:
        self._frames = frames
        self.times = np.arange(len(frames)) * 0.1

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> Iterator[Frame]:
        for frame in self._frames:
            if isinstance(frame, DistilvoError):
                raise frame
            yield frame

    def fingerprint(self) -> bytes:
        return b""


def test_streams() -> None:
    frame = np.zeros((4, 6), np.uint8)
    broken = check(Stream([frame, frame, DistilvoError("image 2: broken"), frame]))
    assert (broken.frames, broken.unreadable, broken.unreadable_frames) == (3, 1, ["image 2: broken"])
    assert "those after it were not reached" in lines(broken, "problem")[1]
    mixed = check(Stream([frame, frame, np.zeros((4, 6, 3), np.uint8)]))
    assert mixed.sizes == {"6x4 grey": 2, "6x4 colour": 1} and "one size" in lines(mixed, "problem")[0]
    assert len(lines(check(Stream([frame])), "problem")) == 1
    assert check(Stream([frame] * 120), "camera").frames == 100  # it would never end
    none = check(Stream([]))
    assert not none.usable and "frames: there are none" in lines(none, "problem")[0]


@pytest.mark.parametrize("name", ["empty", "missing", "words.txt"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").touch()
    result = check_source(tmp_path / name)
    assert not result.usable and result.frames == 0 and len(result.findings) == 1
