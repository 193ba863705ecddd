"""The cache of decoded frames: its key, what it keeps, and a disk that is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_kitti
from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.pipeline.evaluation import constant_motion, evaluate, write_trajectories
from distilvo.sequences import open_dataset
from distilvo.trajectory.formats import read_tum

FORM = Preprocessing((48, 160), 1)


def set_times(sequence: Path, times: list[float]) -> None:
    (sequence / "times.txt").write_text("".join(f"{t}\n" for t in times))


@pytest.mark.parametrize("index", [0, 3, 5])
def test_other_images_on_the_same_poses_are_decoded_anew(index: int, tmp_path: Path) -> None:
    image = make_kitti(tmp_path, "00", frames=6) / "image_2" / f"{index:06d}.png"
    before = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    cv2.imwrite(str(image), 255 - cv2.imread(str(image)))
    after = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert before.key != after.key
    assert [k for k in range(6) if not np.array_equal(before.frames[k], after.frames[k])] == [index]


def test_copied_data_set_is_the_same(tmp_path: Path) -> None:
    keys = set()
    for place in ("here", "there"):
        make_kitti(tmp_path / place, "00", frames=6)
        keys.add(open_cache(open_dataset(tmp_path / place), FORM, tmp_path / "cache").key)
    assert len(keys) == 1


def test_true_times_reach_the_tum_files(tmp_path: Path) -> None:
    times = {"00": [0.0, 0.1, 0.35, 0.4], "01": [5.0, 5.5, 7.25]}
    for name, seconds in times.items():
        set_times(make_kitti(tmp_path, name, frames=len(seconds)), seconds)
    for _ in range(2):  # decoded, then read from the cache
        store = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
        assert [store.drive_times(index).tolist() for index in range(2)] == list(times.values())
    evaluation = evaluate(constant_motion(np.array([0, 0, 1, 0, 0, 0], np.float32)), store)
    write_trajectories(evaluation, tmp_path / "out")
    for name, seconds in times.items():
        assert read_tum(tmp_path / "out" / f"{name}.tum")[0].tolist() == seconds


def test_other_times_are_other_data(tmp_path: Path) -> None:
    sequence = make_kitti(tmp_path, "00", frames=3)
    for times in ([0.0, 0.1, 0.2], [0.0, 1.0, 3.0]):
        set_times(sequence, times)
        assert open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache").times.tolist() == times


@pytest.mark.parametrize("name", ["times.npy", "frames.npy", "motions.npy"])
def test_cache_that_lacks_a_file_is_made_anew(name: str, tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=4)
    store = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    frames = np.array(store.frames)
    (tmp_path / "cache" / store.key / name).unlink()
    again = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert np.array_equal(again.frames, frames)
    assert again.drive_times(0).tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("name", ["times.npy", "frames.npy", "motions.npy", "index.json"])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_cache_with_a_half_file_is_made_anew(name: str, share: float, tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=4)
    store = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    frames, motions = np.array(store.frames), np.array(store.motions)
    file = tmp_path / "cache" / store.key / name
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    again = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert np.array_equal(again.frames, frames) and np.array_equal(again.motions, motions)


@pytest.mark.parametrize("name", ["motions.npy", "times.npy"])
def test_cache_with_other_numbers_is_made_anew(name: str, tmp_path: Path) -> None:
    make_kitti(tmp_path / "kitti", "00", frames=4, size=(12, 40))
    sequences, form = open_dataset(tmp_path / "kitti"), Preprocessing((12, 40), 1)
    whole = open_cache(sequences, form, tmp_path / "cache")
    file = tmp_path / "cache" / whole.key / name
    np.save(file, np.load(file) + 1)
    again = open_cache(sequences, form, tmp_path / "cache")
    np.testing.assert_array_equal(again.motions, whole.motions)
    np.testing.assert_array_equal(again.times, whole.times)


def test_threads_put_every_frame_where_it_belongs(tmp_path: Path) -> None:
    for name, frames in (("00", 37), ("01", 18)):  # several tasks for the threads, the last one not full
        make_kitti(tmp_path, name, frames, seed=int(name))
    sequences = open_dataset(tmp_path)
    store = open_cache(sequences, FORM, tmp_path / "cache")
    for index, sequence in enumerate(sequences):
        one_by_one = np.stack([FORM.apply(frame, sequence.camera) for frame in sequence.frames()])
        assert np.array_equal(store.drive_frames(index).numpy(), one_by_one)


def test_of_several_broken_images_the_first_is_named(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "00", frames=60) / "image_2"
    for index in (50, 33, 17):
        (folder / f"{index:06d}.png").write_bytes(b"no image")
    for _ in range(5):
        with pytest.raises(DistilvoError, match=r"000017\.png: cannot be decoded"):
            open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")


DECODER = """
import sys, time
from pathlib import Path
from distilvo.data import open_cache
from distilvo.sequences import open_dataset
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences.image_files import ImageSequence

root, log = Path(sys.argv[1]), Path(sys.argv[2])
quick = ImageSequence.frame

def frame(self, index):
    with log.open("a") as file:
        file.write(f"{index}\\n")
    time.sleep(float(sys.argv[3]))
    return quick(self, index)

ImageSequence.frame = frame
print(open_cache(open_dataset(root), Preprocessing((48, 160), 1), root / "cache").key, flush=True)
"""


def decoder(root: Path, log: Path, pause_s: float) -> subprocess.Popen[str]:
    """Another process that wants the same frames, and takes its time with each."""
    command = [sys.executable, "-c", DECODER, str(root), str(log), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_lines(log: Path, count: int) -> None:
    end = time.monotonic() + 60
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert time.monotonic() < end, "the other process does not decode"
        time.sleep(0.01)


def test_of_two_processes_one_decodes(tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=40)
    both = [decoder(tmp_path, tmp_path / f"{name}.log", 0.05) for name in "ab"]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({out for out, _ in outputs}) == 1
    seen = [len(log.read_text().split()) for name in "ab" if (log := tmp_path / f"{name}.log").exists()]
    assert seen == [40]


def test_a_process_killed_half_way_leaves_no_half_cache(tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=40)
    killed = decoder(tmp_path, tmp_path / "killed.log", 0.05)
    wait_for_lines(tmp_path / "killed.log", 10)
    waiting = decoder(tmp_path, tmp_path / "waiting.log", 0.0)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert len((tmp_path / "killed.log").read_text().split()) < 40
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, err
    assert len((tmp_path / "waiting.log").read_text().split()) == 40
    sequence = open_dataset(tmp_path)[0]
    store = FrameCache(tmp_path / "cache" / out.strip())
    one_by_one = np.stack([FORM.apply(frame, sequence.camera) for frame in sequence.frames()])
    assert np.array_equal(store.frames, one_by_one)
    assert {file.name for file in (tmp_path / "cache" / out.strip()).iterdir()} == {
        "frames.npy", "motions.npy", "times.npy", "index.json"
    }  # fmt: skip


def test_full_disk_is_one_line_before_any_frame_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_kitti(tmp_path, "00", frames=4)
    sequences = open_dataset(tmp_path)

    def full(descriptor: int, offset: int, length: int) -> None:
        assert offset == 0 and length >= 4 * 48 * 160
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(Preprocessing, "apply", None)
    with pytest.raises(DistilvoError, match=r"frames\.npy: cannot be written \(No space left on device\)") as caught:
        open_cache(sequences, FORM, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert all(path.suffix == ".lock" and path.stat().st_size == 0 for path in left)
