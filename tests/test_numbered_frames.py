"""Clips, decoding and the cache on frames that show their own number, so that each can be told from all others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.data import Clips, Drive, FrameCache, open_cache
from distilvo.data.decoding import decode
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe

LENGTHS = (7, 4, 12)  # frames of the drives: with clips of 3 motions 2, 1 and 3 clips
PLAIN = Recipe(clip_length=3, batch_size=2, exposure_gain=0.0, exposure_offset=0.0)
FORM = Preprocessing((4, 6), 1)


def numbered(*lengths: int) -> Any:
    """A cache of 1 x 2 images: frame k shows k and 0; pair k has the motion k."""
    firsts = [sum(lengths[:k]) for k in range(len(lengths))]
    frames = np.zeros((sum(lengths), 1, 1, 2), np.uint8)
    frames[:, 0, 0, 0] = np.arange(sum(lengths))
    motions = np.repeat(np.arange(sum(lengths) - len(lengths), dtype=np.float32)[:, None], 6, axis=1)
    drives = [Drive(str(k), first, length) for k, (first, length) in enumerate(zip(firsts, lengths, strict=True))]
    return SimpleNamespace(frames=frames, motions=motions, drives=drives, key="numbered")


def test_a_clip_is_of_one_drive_and_has_its_own_motions() -> None:
    cache = numbered(*LENGTHS)
    clips = Clips(cache, PLAIN)
    assert len(clips) == 3
    seen, drive_of = set(), np.repeat([0, 1, 2], LENGTHS)
    for number in range(60):
        firsts = []
        for batch in clips.epoch(number):
            assert batch.inputs.shape == (2, 4, 1, 1, 2)
            for frames, targets, index in zip(batch.inputs[:, :, 0, 0, 0], batch.targets, batch.index, strict=True):
                first = int(frames[0])
                assert frames.tolist() == [first, first + 1, first + 2, first + 3]
                assert drive_of[first] == drive_of[first + 3]
                assert index.tolist() == [first - drive_of[first] + k for k in range(3)]
                assert targets[:, 4].tolist() == index.tolist()
                firsts.append(first)
                seen.update(frames.tolist())
        assert np.bincount(drive_of[firsts]).tolist() == [2, 1, 3]
        assert all(second - first >= 3 for first, second in zip(sorted(firsts), sorted(firsts)[1:], strict=False))
    assert seen == set(range(23))  # each drive is cut at every phase


def test_clips_of_chosen_drives() -> None:
    clips = Clips(numbered(*LENGTHS), PLAIN, {2})
    frames = {frame for batch in clips.epoch(0) for frame in batch.inputs[:, :, 0, 0, 0].flatten().tolist()}
    assert len(clips) == 1 and min(frames) >= 11
    with pytest.raises(DistilvoError, match="1 clips of 4 frames in 3 sequences; expected at least one batch of 2"):
        Clips(numbered(*LENGTHS), PLAIN, {1})


@pytest.mark.parametrize("share", [slice(0, 1), slice(1, 2)])
def test_a_share_of_a_batch_is_that_of_the_whole_one(share: slice) -> None:
    recipe = replace(PLAIN, mirror=True, exposure_gain=0.1, exposure_offset=5.0)
    clips = Clips(numbered(*LENGTHS), recipe)
    whole, parts = list(clips.epoch(1)), list(clips.epoch(1, 1, share))
    assert len(parts) == 2
    for all_of_it, part in zip(whole[1:], parts, strict=True):
        for name in ("inputs", "targets", "index"):
            assert torch.equal(getattr(all_of_it, name)[share], getattr(part, name))


def test_about_half_of_the_clips_are_mirrored_and_have_rows_of_their_own() -> None:
    cache = numbered(40)
    cache.frames[..., 0] += 1  # one more than the number, so that 0 lies on the other side
    clips = Clips(cache, replace(PLAIN, mirror=True))
    assert (clips.samples, Clips(cache, PLAIN).samples) == (78, 39)
    sides = []
    for number in range(30):
        for batch in clips.epoch(number):
            for frames, targets, index in zip(batch.inputs[:, :, 0, 0], batch.targets, batch.index, strict=True):
                flipped = frames[0, 1] > frames[0, 0]
                pairs = index - 39 * flipped
                assert frames[0].max() == pairs[0] + 1 and targets[:, 2].tolist() == pairs.tolist()
                assert targets[:, 4].tolist() == ((1 - 2 * flipped.int()) * pairs).tolist()
                sides.append(bool(flipped))
    assert 0.4 < np.mean(sides) < 0.6  # of 360


def test_keys_of_clips_tell_what_they_are() -> None:
    cache, other = numbered(*LENGTHS), numbered(*LENGTHS)
    other.key = "other"
    changes = [{}, {"clip_length": 2}, {"batch_size": 1}, {"seed": 1}, {"mirror": True}]
    keys = [Clips(cache, replace(PLAIN, **change)).key for change in changes]  # type: ignore[arg-type]
    keys += [Clips(other, PLAIN).key, *(Clips(cache, PLAIN, drives).key for drives in ({0}, {2}, {0, 2}))]
    assert len(set(keys)) == 9
    assert Clips(cache, PLAIN, [2, 0]).key == Clips(cache, PLAIN, {0, 2}).key


class Stream:
    """Frames one after the other, as a video gives them; frame k is grey k."""

    name, camera = "film", Camera(6.0, 6.0, 2.5, 1.5, 6, 4)

    def __init__(self, count: int) -> None:
        self.count = count

    def frames(self) -> Iterator[np.ndarray]:
        return (np.full((4, 6), k, np.uint8) for k in range(self.count))


class Files(Stream):
    """The same as files; notes which are read."""

    poses = reference = camera_height = None
    assumed_times = False

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.times, self.read = np.arange(float(count)), list[int]()

    def __len__(self) -> int:
        return self.count

    def fingerprint(self) -> bytes:
        return b""

    def frame(self, index: int) -> np.ndarray:
        self.read.append(index)
        return np.full((4, 6), index, np.uint8)


class Counter:
    """A progress bar that adds up."""

    total = 0

    def advance(self, count: int = 1, note: str = "") -> None:
        self.total += count


@pytest.mark.parametrize("count", [3, 16, 17, 35])
@pytest.mark.parametrize("kind", [Stream, Files])
def test_every_frame_is_decoded_into_its_place(kind: type[Stream], count: int) -> None:
    sequence, into, bar = kind(count), np.full((count, 1, 4, 6), 99, np.uint8), Counter()
    decode(sequence, FORM, into, bar)  # type: ignore[arg-type]
    assert into.min((1, 2, 3)).tolist() == into.max((1, 2, 3)).tolist() == list(range(count))
    assert bar.total == count
    assert sorted(getattr(sequence, "read", range(count))) == list(range(count))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_stream_of_another_length_is_refused(count: int) -> None:
    with pytest.raises(DistilvoError, match=f"film: {count} frames could be read, expected 3"):
        decode(Stream(count), FORM, np.zeros((3, 1, 4, 6), np.uint8), Counter())  # type: ignore[arg-type]


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    for name, frames in (("00", 3), ("01", 5), ("02", 4)):
        make_kitti(tmp_path / "kitti", name, frames, size=(12, 40), seed=int(name))
    return tmp_path / "kitti"


def test_parts_of_drives_of_different_lengths(kitti: Path, tmp_path: Path) -> None:
    sequences = open_dataset(kitti)
    store = open_cache(sequences, FORM, tmp_path / "cache")
    assert [(drive.first, drive.frames) for drive in store.drives] == [(0, 3), (3, 5), (8, 4)]
    for index, sequence in enumerate(sequences):
        own = open_cache([sequence], FORM, tmp_path / "cache")
        assert torch.equal(store.drive_frames(index), torch.from_numpy(np.array(own.frames)))
        np.testing.assert_array_equal(store.drive_motions(index), own.motions)
        np.testing.assert_array_equal(store.drive_times(index), sequence.times)
    assert store.motions.dtype == np.float32 and store.times.dtype == np.float64


DAMAGES = {
    "frames of another shape": ("frames.npy", lambda frames: frames[:-1]),
    "frames of another size": ("frames.npy", lambda frames: frames[..., :-1]),
    "frames of another kind": ("frames.npy", lambda frames: frames.astype(np.int8)),
    "motions of another kind": ("motions.npy", lambda motions: motions.astype(np.float64)),
    "times of another kind": ("times.npy", lambda times: times.astype(np.float32)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_cache_of_another_form_is_made_anew(name: str, kitti: Path, tmp_path: Path) -> None:
    whole = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    frames, (file, damage) = np.array(whole.frames), DAMAGES[name]
    path = tmp_path / "cache" / whole.key / file
    np.save(path, damage(np.load(path)))
    again = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    assert (again.frames.dtype, again.motions.dtype, again.times.dtype) == (np.uint8, np.float32, np.float64)
    np.testing.assert_array_equal(again.frames, frames)


def test_a_whole_cache_is_taken_as_it_is(kitti: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    monkeypatch.setattr(Preprocessing, "apply", None)  # decoding again would fail
    again = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    np.testing.assert_array_equal(again.frames, first.frames)


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["frames.npy", "motions.npy", "times.npy"])
def test_a_pickle_in_a_cache_is_not_read(name: str, kitti: Path, tmp_path: Path) -> None:
    whole = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    motions, path = whole.motions.copy(), tmp_path / "cache" / whole.key / name
    np.save(path, np.array([Trap(tmp_path / "sprung")], dtype=object), allow_pickle=True)
    np.testing.assert_array_equal(open_cache(open_dataset(kitti), FORM, tmp_path / "cache").motions, motions)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("change", [{"key": "0" * 16}, {"drives": []}])
def test_a_cache_with_another_index_is_made_anew(change: dict[str, Any], kitti: Path, tmp_path: Path) -> None:
    whole = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    path = tmp_path / "cache" / whole.key / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    again = open_cache(open_dataset(kitti), FORM, tmp_path / "cache")
    assert (again.key, again.drives) == (whole.key, whole.drives) == (FrameCache(path.parent).key, again.drives)


def test_keys_of_caches_tell_what_they_are_made_of(kitti: Path, tmp_path: Path) -> None:
    def key(form: Preprocessing = FORM, **change: object) -> str:
        sequence = open_dataset(kitti)[1]
        for name, value in change.items():
            setattr(sequence, name, value)
        return open_cache([sequence], form, tmp_path / "cache").key

    poses, camera = open_dataset(kitti)[1].poses, open_dataset(kitti)[1].camera
    assert poses is not None and camera is not None
    moved = poses.copy()
    moved[2, 0, 3] += 1e-9
    keys = [key(), key(Preprocessing((4, 5), 1)), key(Preprocessing((5, 6), 1)), key(Preprocessing((4, 6), 3))]
    keys += [key(name="02"), key(poses=moved), key(camera=replace(camera, cx=camera.cx + 1e-6))]
    assert key() == keys[0]
    assert len(set(keys)) == 7
