"""Film without labels: in the cache, in clips, and opened from every kind of source."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.commands.adapt import Adapt
from distilvo.commands.distill import Distill
from distilvo.data import MIRROR, Clips, FrameCache, motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.pipeline.evaluation import constant_motion, evaluate, truth
from distilvo.pipeline.unlabelled import open_unlabelled
from distilvo.settings import SourceOptions
from test_numbered_frames import LENGTHS, PLAIN, numbered
from test_sources_media import make_mp4

FORM = Preprocessing((4, 6), 1)


class Film:
    """Frames that show their number, 0.125 s apart; with poses the camera goes 1, 2, 3, ... m forward."""

    camera = reference = camera_height = None
    assumed_times = False

    def __init__(self, name: str, frames: int, poses: bool) -> None:
        self.name, self.times = name, np.arange(frames) * 0.125
        motions = np.zeros((frames - 1, 6))
        motions[:, 2] = np.arange(1, frames)
        self.poses = se3.trajectory(motions) if poses else None

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[np.ndarray]:
        return (np.full((4, 6), k, np.uint8) for k in range(len(self)))

    def fingerprint(self) -> bytes:
        return b"frames"


@pytest.fixture
def mixed(tmp_path: Path) -> FrameCache:
    """Drives of 5, 4 and 6 frames, the second one without poses."""
    films = [Film("a", 5, True), Film("b", 4, False), Film("c", 6, True)]
    return open_cache(films, FORM, tmp_path / "cache", need_poses=False)


def test_film_without_poses_has_nan_in_its_places_and_no_others(mixed: FrameCache) -> None:
    assert mixed.motions.shape == (12, 6) and mixed.motions.dtype == np.float32
    assert mixed.motions[:, 2].tolist()[:4] == [1, 2, 3, 4] and mixed.motions[7:, 2].tolist() == [1, 2, 3, 4, 5]
    assert np.isnan(mixed.motions[4:7]).all()
    assert mixed.labelled.tolist() == [True] * 4 + [False] * 3 + [True] * 5
    assert mixed.drive_frames(1)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert mixed.drive_times(1).tolist() == [0, 0.125, 0.25, 0.375]


def test_film_without_poses_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_cache([Film("b", 4, False)], FORM, tmp_path, need_poses=False)
    monkeypatch.setattr(Preprocessing, "apply", None)  # decoding again would fail
    again = open_cache([Film("b", 4, False)], FORM, tmp_path, need_poses=False)
    assert again.key == first.key and np.array_equal(again.frames, first.frames)


def test_the_key_of_labelled_film_is_as_ever_and_another_without_poses(tmp_path: Path) -> None:
    golden = "bbab3a5334eca0af"  # caches that were made before are still good
    assert open_cache([Film("a", 5, True)], FORM, tmp_path).key == golden
    assert open_cache([Film("a", 5, True)], FORM, tmp_path, need_poses=False).key == golden
    assert open_cache([Film("a", 5, False)], FORM, tmp_path, need_poses=False).key != golden


def test_truth_of_unlabelled_film_is_refused_not_nan(mixed: FrameCache) -> None:
    for ask in (lambda: mixed.drive_motions(1), lambda: truth(mixed, 1)):
        with pytest.raises(DistilvoError, match="b: no ground-truth poses"):
            ask()
    with pytest.raises(DistilvoError, match="b: no ground-truth poses"):
        evaluate(constant_motion(np.zeros(6, np.float32)), mixed)
    assert truth(mixed, 2)[:, 2, 3].tolist() == [0, 1, 3, 6, 10, 15]


def test_poses_are_needed_unless_said(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="b: no ground-truth poses"):
        open_cache([Film("a", 5, True), Film("b", 4, False)], FORM, tmp_path)
    with pytest.raises(DistilvoError, match=r"no sequences to decode; expected at least one with frames$"):
        open_cache([], FORM, tmp_path, need_poses=False)


def test_motion_scale_is_that_of_the_labelled_pairs(mixed: FrameCache, tmp_path: Path) -> None:
    mean, unit = motion_scale(mixed)
    alone = open_cache([Film("a", 5, True), Film("c", 6, True)], FORM, tmp_path / "cache")
    assert torch.equal(mean, motion_scale(alone)[0]) and torch.equal(unit, motion_scale(alone)[1])
    assert mean[2] == pytest.approx(25 / 9)  # 1 + 2 + 3 + 4 and 1 + ... + 5 over 9 pairs


def test_motion_scale_needs_a_label(tmp_path: Path) -> None:
    cache = open_cache([Film("a", 5, False), Film("b", 4, False)], FORM, tmp_path, need_poses=False)
    with pytest.raises(DistilvoError, match="none of 2 sequences has ground-truth poses; expected at least one"):
        motion_scale(cache)


def test_clips_come_in_the_order_that_they_always_had() -> None:
    clips = Clips(numbered(*LENGTHS), replace(PLAIN, mirror=True))
    assert clips.key == "numbered 3 2 0 mirror=True exposure=0,0 drives=all"
    firsts = [[batch.index[:, 0].tolist() for batch in clips.epoch(number)] for number in (0, 1)]
    assert firsts == [[[11, 6], [17, 34], [0, 3]], [[3, 30], [16, 20], [33, 6]]]


@pytest.mark.parametrize("mirror", [False, True])
def test_targets_of_unlabelled_clips_alone_are_nan(mixed: FrameCache, mirror: bool) -> None:
    clips = Clips(mixed, replace(PLAIN, mirror=mirror))
    seen = set()
    for number in range(20):
        for batch in clips.epoch(number):
            pairs = batch.index % len(mixed.motions)
            expected = torch.from_numpy(mixed.motions)[pairs]
            flipped = batch.index >= len(mixed.motions)
            expected = torch.where(flipped[..., None], expected * MIRROR, expected)
            assert torch.equal(batch.targets.nan_to_num(99), expected.nan_to_num(99))
            assert batch.targets.isnan().any(-1).tolist() == (~torch.from_numpy(mixed.labelled)[pairs]).tolist()
            assert batch.inputs.isfinite().all()
            seen.update(zip(batch.targets.isnan().any(-1)[:, 0].tolist(), flipped[:, 0].tolist(), strict=True))
    assert seen == {(nan, flip) for nan in (False, True) for flip in ((False, True) if mirror else (False,))}


def frames_in(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for k in range(count):
        cv2.imwrite(str(folder / f"{k:06d}.png"), np.full((12, 40, 3), k, np.uint8))
    return folder


def test_every_source_is_opened_without_its_poses(tmp_path: Path) -> None:
    for name in ("00", "01"):
        make_kitti(tmp_path / "kitti", name, 4, size=(12, 40))
    make_mp4(tmp_path / "drive.mp4")
    paths = [
        tmp_path / "kitti",
        frames_in(tmp_path / "images", 3),
        tmp_path / "drive.mp4",
        tmp_path / "images/*[12].png",
    ]
    paths.append(make_kitti(tmp_path / "more", "07", 4, size=(12, 40)))
    with pytest.warns(UserWarning, match=r"images, drive, images-2: the camera's intrinsics are not known") as notes:
        sequences = open_unlabelled(paths, SourceOptions())
    assert sum("intrinsics" in str(note.message) for note in notes) == 1
    assert [(one.name, len(one)) for one in sequences] == [
        ("00", 4), ("01", 4), ("images", 3), ("drive", 6), ("images-2", 2), ("07", 4)
    ]  # fmt: skip
    assert all(one.poses is None for one in sequences)
    assert [one.camera is None for one in sequences] == [False, False, True, True, True, False]
    cache = open_cache(sequences, FORM, tmp_path / "cache", need_poses=False)
    assert len(cache.motions) == 17 and not cache.labelled.any()


@pytest.mark.filterwarnings("ignore")
def test_films_of_one_name_get_names_of_their_own(tmp_path: Path) -> None:
    paths = [frames_in(tmp_path / place / name, 2) for place, name in (("a", "drive"), ("b", "drive"), ("c", "Drive"))]
    paths.append(frames_in(tmp_path / "drive-2", 2))
    assert [one.name for one in open_unlabelled(paths, SourceOptions())] == ["drive", "drive-2", "Drive-3", "drive-2-2"]
    assert [one.name for one in open_unlabelled(paths[:2], SourceOptions(), {"drive"})] == ["drive-2", "drive-3"]


@pytest.mark.filterwarnings("ignore")
def test_options_hold_for_every_sequence(tmp_path: Path) -> None:
    for name in ("00", "01"):
        make_kitti(tmp_path, name, 6, size=(12, 40))
    sequences = open_unlabelled([tmp_path], SourceOptions(stride=2))
    assert [len(one) for one in sequences] == [3, 3]
    assert sequences[0].times.tolist() == pytest.approx([0, 0.2, 0.4])
    camera = open_unlabelled([frames_in(tmp_path / "images", 2)], SourceOptions(intrinsics=(20, 20, 20, 6)))[0].camera
    assert camera is not None and camera.fx == 20


def thirty_a_second(root: Path, name: str, frames: int) -> Path:
    folder = make_kitti(root, name, frames, size=(12, 40))
    (folder / "times.txt").write_text("".join(f"{k / 30:.6f}\n" for k in range(frames)))
    return folder


def test_film_is_thinned_to_the_rate_of_the_teacher(tmp_path: Path) -> None:
    film = thirty_a_second(tmp_path, "00", 12)
    with pytest.warns(UserWarning, match=r"00: 30\.0 frames/s, thinned to 10\.0, .*: 4 of 12; --fps or --stride"):
        (thinned,) = open_unlabelled([film], SourceOptions(), rate_hz=10.0)
    assert thinned.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3]) and thinned.poses is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options, rate, frames in ((SourceOptions(stride=2), 10.0, 6), (SourceOptions(), None, 12)):
            assert len(open_unlabelled([film], options, rate_hz=rate)[0]) == frames


def test_a_student_has_the_rate_of_its_teacher(tmp_path: Path) -> None:
    labelled, film = thirty_a_second(tmp_path / "a", "00", 6), thirty_a_second(tmp_path / "b", "01", 6)
    run = Distill(labelled.parents[1], tmp_path / "out", unlabelled=(film,))
    with pytest.warns(UserWarning) as notes:
        assert [len(one) for one in run._sequences(10.0)] == [6, 2]  # poses are of all frames
    assert [str(note.message).partition(":")[0] for note in notes] == [
        "00 30.0 frames/s, but the teacher was trained on 10",
        "01",
    ]
    assert run._network()[1] == 10.0


def test_adapt_thins_to_the_rate_of_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def opened(*_: object, rate_hz: float) -> NoReturn:
        rates.append(rate_hz)
        raise DistilvoError("opened")

    monkeypatch.setattr("distilvo.pipeline.unlabelled.open_unlabelled", opened)
    with pytest.raises(DistilvoError, match="opened"):
        Adapt(Path("student"), (tmp_path / "film.mp4",), tmp_path / "out").run()
    assert rates == [10.0]


@pytest.mark.parametrize("live", ["camera:0", "rtsp://robot:secret@10.0.0.1/cam", "https://example.org/film.mp4"])
def test_live_sources_are_refused(live: str) -> None:
    with pytest.raises(
        DistilvoError, match=r": live, but film to learn from is read more than once; record it"
    ) as error:
        open_unlabelled([Path(live)], SourceOptions())
    assert "secret" not in str(error.value)
    with pytest.raises(DistilvoError, match="0: live"):
        open_unlabelled([Path("0")], SourceOptions(kind="camera"))


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    images, one = frames_in(tmp_path / "images", 3), frames_in(tmp_path / "one", 1)
    kitti = make_kitti(tmp_path / "kitti", "00", 3, size=(12, 40))
    (tmp_path / "times.txt").write_text("0\n1\n2\n")
    (tmp_path / "nothing" / "sequences" / "00").mkdir(parents=True)
    timed = SourceOptions(times=tmp_path / "times.txt")
    for paths, options, message in (
        ([one], SourceOptions(), r"one: 1 frame; expected at least 2"),
        ([images, tmp_path / "one" / ".." / "images"], SourceOptions(), r"images: given twice"),
        ([tmp_path / "kitti", kitti], SourceOptions(), r"00: given twice"),
        ([images, kitti], timed, r"times\.txt: the times of one source, but there are 2"),
        ([tmp_path / "none.mp4"], SourceOptions(), r"none\.mp4: no such path"),
        ([tmp_path / "nothing"], SourceOptions(), r"sequences: no sequence with images"),
    ):
        with pytest.raises(DistilvoError, match=message):
            open_unlabelled(paths, options)
    assert open_unlabelled([images], timed)[0].times.tolist() == [0, 1, 2]
