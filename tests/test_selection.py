"""Some frames of a source, other times for them, and images that are missing in mid-drive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_kitti
from distilvo.errors import DistilvoError
from distilvo.sequences import IndexedSequence, Sequence, open_sequence
from distilvo.sequences.selection import Choice, select


def values(sequence: Sequence) -> list[int]:
    return [int(frame.flat[0]) for frame in sequence.frames()]


def write_folder(root: Path, count: int) -> Path:
    root.mkdir()
    for k in range(count):
        cv2.imwrite(str(root / f"{k:03d}.png"), np.full((8, 12), k, np.uint8))
    return root


def write_video(file: Path, rate: float, frames: int) -> Path:
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    for k in range(frames):
        writer.write(np.full((48, 64, 3), 8 * k, np.uint8))
    writer.release()
    return file


class Stream:
    """Frames one after the other, at times that are known before, or as they come."""

    name, camera, poses, reference, camera_height, assumed_times = "stream", None, None, None, None, False

    def __init__(self, times: np.ndarray, live: bool = False) -> None:
        self._times, self._live, self._given = times, live, 0

    @property
    def times(self) -> np.ndarray:
        return self._times[: self._given] if self._live else self._times

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[np.ndarray]:
        for k in range(len(self._times)):
            self._given = k + 1
            yield np.full((2, 2), k, np.uint8)

    def fingerprint(self) -> bytes:
        return b"stream"


CASES = {
    "all of it": (Choice(), list(range(30))),
    "every third": (Choice(stride=3), list(range(0, 30, 3))),
    "from a time to a time": (Choice(start=0.2, end=0.5), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
    "10 frames/s": (Choice(fps=10), list(range(0, 30, 3))),
    "15 frames/s from 0.5 s": (Choice(start=0.5, fps=15), list(range(15, 30, 2))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("live", [False, True])
def test_choice_of_30_frames_a_second(case: str, live: bool) -> None:
    choice, expected = CASES[case]
    chosen = select(Stream(5.0 + np.arange(30) / 30, live), choice, None, live=live)
    assert values(chosen) == expected
    assert chosen.times == pytest.approx(5.0 + np.array(expected) / 30)


def test_a_rate_that_does_not_divide_and_a_rate_that_varies() -> None:
    """25 frames/s on 10: 0.08 s is as close to 0.1 s as 0.12 s, and the first of both is taken."""
    assert values(select(Stream(np.arange(10) / 25), Choice(fps=10), None, live=False)) == [0, 2, 4, 6, 8]
    stutter = np.array([0.0, 0.02, 0.1, 0.11, 0.19, 0.31, 0.33, 0.6, 0.62, 0.7])
    assert values(select(Stream(stutter), Choice(fps=10), None, live=False)) == [0, 2, 4, 5, 7, 9]


def test_indexed_sources_stay_indexed_and_poses_go_with_the_frames(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "07", frames=9)
    whole, third = open_sequence(folder), open_sequence(folder, stride=3, start=0.2)
    assert isinstance(third, IndexedSequence) and len(third) == 3
    assert whole.poses is not None and third.poses is not None
    assert np.array_equal(third.poses, whole.poses[[2, 5, 8]]) and np.array_equal(third.times, whole.times[[2, 5, 8]])
    assert np.array_equal(third.frame(1), list(whole.frames())[5])
    assert third.fingerprint() != whole.fingerprint() != open_sequence(folder, stride=2).fingerprint()


def test_a_video_at_30_frames_a_second_for_a_model_at_10(tmp_path: Path) -> None:
    chosen = open_sequence(write_video(tmp_path / "v.avi", 30.0, 30), fps=10, end=0.5)
    assert not isinstance(chosen, IndexedSequence)
    assert np.allclose(values(chosen), [0, 24, 48, 72, 96, 120], atol=4)
    with pytest.warns(UserWarning, match=r"v: has 30.0 frames/s, fewer than --fps 60"):
        open_sequence(tmp_path / "v.avi", fps=60)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"start": 2, "end": 1}, "--start 2 --end 1: expected seconds"),
        ({"start": float("nan")}, "--start nan"),
        ({"stride": 0}, "--stride 0: expected 1 or more"),
        ({"fps": 0}, "--fps 0"),
        ({"fps": 5, "stride": 2}, "exclude each other"),
        ({"start": 100}, "no frame is chosen, its 9 frames last 0.800 s"),
        ({"fps": 5}, "has no times, so --fps cannot choose by them; take --stride"),
    ],
)
def test_choices_that_make_no_sense(options: dict[str, float], problem: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=problem):
        open_sequence(write_folder(tmp_path / "d", 9), **options)  # type: ignore[arg-type]


def test_times_of_a_file(tmp_path: Path) -> None:
    folder, file = write_folder(tmp_path / "d", 9), tmp_path / "times.txt"
    file.write_text("\n".join(str(k / 30) for k in range(9)))
    timed = open_sequence(folder, times=file, fps=10)
    assert (values(timed), timed.assumed_times) == ([0, 3, 6], False)
    (folder / "004.png").unlink()
    with pytest.warns(UserWarning, match=r"numbered 0 to 8, 1 missing: 004.png"):
        assert open_sequence(folder, times=file).times == pytest.approx(np.array([0, 1, 2, 3, 5, 6, 7, 8]) / 30)
    video = write_video(tmp_path / "v.avi", 30.0, 9)
    file.write_text("\n".join(str(k) for k in range(9)))
    assert open_sequence(video, times=file).times.tolist() == list(range(9))
    file.write_text("1\n2\n")
    with pytest.raises(DistilvoError, match=r"times.txt: 2 times, but v has 9 frames"):
        open_sequence(video, times=file)
    file.write_text("1403715273262142976\n1403715273362142976\n")
    with pytest.warns(UserWarning, match="look like nanoseconds"), pytest.raises(DistilvoError, match="2 times, but v"):
        open_sequence(video, times=file)
    file.write_text("1403715273262142\n1403715273362142\n")
    with pytest.raises(DistilvoError, match=r"times.txt, line 2: 1.40372e\+15, expected seconds"):
        open_sequence(video, times=file)


def test_images_lost_in_mid_drive_shift_nothing(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "07", frames=9)
    whole = open_sequence(folder)
    assert whole.poses is not None
    for k in (3, 4):
        next(folder.glob(f"image_*/00000{k}.png")).unlink()
    with pytest.warns(UserWarning) as notes:
        left = open_sequence(folder)
    told = " ".join(str(note.message) for note in notes)
    assert "2 missing: 000003.png, 000004.png" in told and len(notes) == 1 and "cut" not in told
    kept = [0, 1, 2, 5, 6, 7, 8]
    assert left.poses is not None and np.array_equal(left.poses, whole.poses[kept])
    assert np.array_equal(left.times, whole.times[kept])
    next(folder.glob("image_*/000008.png")).unlink()  # of which the names alone tell nothing
    with pytest.warns(UserWarning, match="9 poses for 6 images.*without an image: 3, 4, 8"):
        open_sequence(folder)
    kept = kept[:-1]
    (folder / "times.txt").unlink()
    with pytest.warns(UserWarning, match="10 Hz assumed"):
        assumed = open_sequence(folder)
    assert assumed.assumed_times and assumed.times == pytest.approx(np.array(kept) / 10)


def test_images_that_begin_at_another_number(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "07", frames=4)
    images = sorted(next(folder.glob("image_*")).iterdir(), reverse=True)
    for image in images:
        image.rename(image.with_name(f"{int(image.stem) + 100:06d}.png"))
    with pytest.warns(UserWarning, match=r"4 poses for as many images, numbered 100 to 103: taken one by one"):
        assert open_sequence(folder).times == pytest.approx(np.arange(4) / 10)
    for image in images:  # counted from 1: by their numbers the last one would have no row
        image.with_name(f"{int(image.stem) + 100:06d}.png").rename(image.with_name(f"{int(image.stem) + 1:06d}.png"))
    with pytest.warns(UserWarning, match="numbered 1 to 4: taken one by one"):
        assert open_sequence(folder).times == pytest.approx(np.arange(4) / 10)
    for image in images:
        image.with_name(f"{int(image.stem) + 1:06d}.png").rename(image.with_name(f"{int(image.stem) + 100:06d}.png"))
    images[0].with_name("000103.png").unlink()
    with pytest.raises(DistilvoError, match=r"4 times, but 3 images \(000100.png to 000102.png\).*at least 103"):
        open_sequence(folder)
