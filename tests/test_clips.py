"""The cache of decoded frames: what it is known by, what it keeps, and a disk that is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_kitti
from distilvo.clips import open_store
from distilvo.errors import DistilvoError
from distilvo.evaluation import constant_motion, evaluate, write_trajectories
from distilvo.sequences import open_dataset
from distilvo.sequences.frame_format import FrameFormat
from distilvo.trajectories import read_tum

FORM = FrameFormat((48, 160), 1)


def set_times(sequence: Path, times: list[float]) -> None:
    (sequence / "times.txt").write_text("".join(f"{t}\n" for t in times))


@pytest.mark.parametrize("index", [0, 3, 5])
def test_other_pictures_on_the_same_poses_are_decoded_anew(index: int, tmp_path: Path) -> None:
    picture = make_kitti(tmp_path, "00", frames=6) / "image_2" / f"{index:06d}.png"
    before = open_store(open_dataset(tmp_path), FORM, tmp_path / "cache")
    cv2.imwrite(str(picture), 255 - cv2.imread(str(picture)))
    after = open_store(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert before.key != after.key
    assert [k for k in range(6) if not np.array_equal(before.frames[k], after.frames[k])] == [index]


def test_copied_data_set_is_the_same(tmp_path: Path) -> None:
    keys = set()
    for place in ("here", "there"):
        make_kitti(tmp_path / place, "00", frames=6)
        keys.add(open_store(open_dataset(tmp_path / place), FORM, tmp_path / "cache").key)
    assert len(keys) == 1


def test_true_times_reach_the_tum_files(tmp_path: Path) -> None:
    times = {"00": [0.0, 0.1, 0.35, 0.4], "01": [5.0, 5.5, 7.25]}
    for name, seconds in times.items():
        set_times(make_kitti(tmp_path, name, frames=len(seconds)), seconds)
    for _ in range(2):  # decoded, then found
        store = open_store(open_dataset(tmp_path), FORM, tmp_path / "cache")
        assert [store.drive_times(index).tolist() for index in range(2)] == list(times.values())
    found = evaluate(constant_motion(np.array([0, 0, 1, 0, 0, 0], np.float32)), store)
    write_trajectories(found, tmp_path / "out")
    for name, seconds in times.items():
        assert read_tum(tmp_path / "out" / f"{name}.tum")[0].tolist() == seconds


def test_other_times_are_other_data(tmp_path: Path) -> None:
    sequence = make_kitti(tmp_path, "00", frames=3)
    for times in ([0.0, 0.1, 0.2], [0.0, 1.0, 3.0]):
        set_times(sequence, times)
        assert open_store(open_dataset(tmp_path), FORM, tmp_path / "cache").times.tolist() == times


@pytest.mark.parametrize("name", ["times.npy", "frames.npy", "motions.npy"])
def test_cache_that_lacks_a_file_is_made_anew(name: str, tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=4)
    store = open_store(open_dataset(tmp_path), FORM, tmp_path / "cache")
    frames = np.array(store.frames)
    (tmp_path / "cache" / store.key / name).unlink()
    again = open_store(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert np.array_equal(again.frames, frames)
    assert again.drive_times(0).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_full_disk_is_one_line_before_any_frame_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_kitti(tmp_path, "00", frames=4)
    sequences = open_dataset(tmp_path)

    def full(descriptor: int, offset: int, length: int) -> None:
        assert offset == 0 and length >= 4 * 48 * 160
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(FrameFormat, "apply", None)
    with pytest.raises(DistilvoError, match=r"frames\.npy: cannot be written \(No space left on device\)") as caught:
        open_store(sequences, FORM, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
