"""Rendered streets along recorded drives: the same poses in several sceneries."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distilvo.commands.render import Render
from distilvo.errors import DistilvoError
from distilvo.trajectory.formats import read_kitti, write_kitti
from distilvo.world import routes as routes_module
from distilvo.world.adverse import AdverseConditions, sample_adverse_parts
from distilvo.world.routes import read_routes, render_routes, route_names
from distilvo.world.street import make_street_along

SMALL = (48, 160)


@pytest.fixture
def one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes, which take seconds to start."""
    monkeypatch.setattr(routes_module, "usable_cores", lambda: 1)


def bend(frames: int) -> NDArray[np.float64]:
    """A drive along a circle of 80 m to the right, a metre in each image."""
    angle = np.arange(frames) / 80.0
    cosine, sine = np.cos(angle), np.sin(angle)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 0], poses[:, 0, 2], poses[:, 0, 3] = cosine, sine, 80.0 * (1 - cosine)
    poses[:, 2, 0], poses[:, 2, 2], poses[:, 2, 3] = -sine, cosine, 80.0 * sine
    return poses


def pose_folder(folder: Path, **drives: int) -> Path:
    """A folder of pose files, each with so many poses."""
    folder.mkdir()
    for name, frames in drives.items():
        write_kitti(folder / f"{name.removeprefix('n')}.txt", bend(frames))
    return folder


def image(out: Path, name: str, index: int) -> NDArray[np.uint8]:
    read = cv2.imread(str(out / "sequences" / name / "image_2" / f"{index:06d}.png"))
    assert read is not None
    return np.asarray(read, np.uint8)


def unlike(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - two).mean())


@pytest.mark.usefixtures("one_core")
def test_all_drives_of_a_folder_in_several_sceneries(tmp_path: Path) -> None:
    poses, out = pose_folder(tmp_path / "poses", n00=12, n03=8), tmp_path / "out"
    Render(out, poses=(poses,), streets=2, seed=7, size=SMALL).run()
    names = ["00-07", "00-08", "03-07", "03-08"]
    assert sorted(path.name for path in (out / "sequences").iterdir()) == names
    for name in names:
        given_poses = read_kitti(poses / f"{name[:2]}.txt")
        np.testing.assert_allclose(read_kitti(out / "poses" / f"{name}.txt"), given_poses, atol=1e-9)
        assert len(list((out / "sequences" / name / "image_2").iterdir())) == len(given_poses)
    # Neither two seeds of a drive nor two drives of a seed are alike: light and camera, too.
    calibrations = {(out / "sequences" / name / "calib.txt").read_text() for name in names}
    assert len(calibrations) == 4
    assert all(unlike(image(out, one, 0), image(out, two, 0)) > 10.0 for one, two in combinations(names, 2))


@pytest.mark.usefixtures("one_core")
def test_more_seeds_go_on_and_whole_sequences_stay(tmp_path: Path) -> None:
    poses, out = pose_folder(tmp_path / "poses", n00=5), tmp_path / "out"
    Render(out, poses=(poses,), streets=2, size=SMALL).run()
    first = out / "sequences" / "00-00" / "image_2" / "000000.png"
    before = first.stat().st_mtime_ns
    (out / "sequences" / "00-01" / "image_2" / "000002.png").unlink()
    with pytest.warns(UserWarning, match=r"00-01: holds 4 images, .* it is made anew"):
        Render(out, poses=(poses,), streets=3, size=SMALL).run()
    assert first.stat().st_mtime_ns == before
    assert sorted(path.name for path in (out / "sequences").iterdir()) == ["00-00", "00-01", "00-02"]
    assert len(list((out / "sequences" / "00-01" / "image_2").iterdir())) == 5


@pytest.mark.usefixtures("one_core")
def test_one_scenery_has_no_seed_in_its_name_but_in_its_folder(tmp_path: Path) -> None:
    poses, out = pose_folder(tmp_path / "poses", n00=4), tmp_path / "out"
    Render(out, poses=(poses,), seed=1, size=SMALL).run()
    with pytest.raises(DistilvoError, match="seed: 1 -> 2"):
        Render(out, poses=(poses,), seed=2, size=SMALL).run()
    assert [path.name for path in (out / "sequences").iterdir()] == ["00"]


def test_a_sequence_along_other_poses_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poses, out = pose_folder(tmp_path / "poses", n00=4), tmp_path / "out"
    Render(out, poses=(poses,), size=SMALL).run()
    monkeypatch.chdir(tmp_path)
    far = bend(4)
    far[:, :3, 3] += 1e6  # UTM coordinates are the same drive
    write_kitti(poses / "00.txt", far)
    Render(out, poses=(Path("poses/00.txt"),), size=SMALL).run()
    far[3, 0, 3] += 0.01
    write_kitti(poses / "00.txt", far)
    with pytest.raises(
        DistilvoError, match=r"poses/00\.txt: the sequence that is there was rendered along other poses"
    ):
        Render(out, poses=(poses,), size=SMALL).run()


class Bar:
    """What a bar is told."""

    def __init__(self, label: str, total: int, first: int) -> None:
        self.total, self.first, self.done = total, first, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count


def test_processes_render_the_same_in_any_company_and_the_bar_counts_their_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Bar] = []
    monkeypatch.setattr(routes_module, "progress", lambda *told: bars.append(Bar(*told)) or bars[-1])
    routes = read_routes([pose_folder(tmp_path / "poses", n00=6, n03=5)])
    alone = render_routes(tmp_path / "a", {"03": routes["03"]}, [2, 3], SMALL, workers=1)
    both = render_routes(tmp_path / "b", routes, [3], SMALL, workers=2)
    assert alone == [tmp_path / "a" / "sequences" / name for name in ("03-02", "03-03")]
    assert both == [tmp_path / "b" / "sequences" / name for name in ("00", "03")]
    for index in range(5):
        np.testing.assert_array_equal(image(tmp_path / "a", "03-03", index), image(tmp_path / "b", "03", index))
    render_routes(tmp_path / "b", routes | {"04": bend(3)}, [3], SMALL)
    assert [(bar.total, bar.first, bar.done) for bar in bars] == [(10, 0, 10), (11, 0, 11), (14, 11, 3)]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    pose_folder(tmp_path / "poses", n00=60, n01=3)
    line = ["render", "--out", "out", "--poses", "poses", "--size", "48", "160"]
    process = subprocess.Popen([sys.executable, "-m", "distilvo", *line], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while process.poll() is None and not list(tmp_path.glob("out/sequences/.*.unfinished/image_2/*.png")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out" / "sequences" / "00").exists()
    again = subprocess.run([sys.executable, "-m", "distilvo", *line], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in (tmp_path / "out" / "sequences").iterdir()) == ["00", "01"]


# --- adverse conditions ------------------------------------------------------------------------------------------


def effect(conditions: tuple[AdverseConditions, ...], frames: int) -> NDArray[np.float64]:
    """(C, N) strength of each adverse condition but the crowd in each image."""
    weather = [c for c in conditions if not c.crowded]
    return np.array([[c.strength(i) for i in range(frames)] for c in weather]).reshape(len(weather), frames)


@given(st.integers(0, 2**62), st.integers(2, 900), st.floats(0, 1))
def test_adverse_parts_come_and_go_and_a_larger_share_adds_to_them(seed: int, frames: int, share: float) -> None:
    conditions = sample_adverse_parts(seed, frames, share)
    assert set(conditions) <= set(sample_adverse_parts(seed, frames, min(1.0, share + 0.3)))
    assert sample_adverse_parts(seed, frames, 0.0) == ()
    strength = effect(conditions, frames)
    assert strength.sum(axis=0).max(initial=0.0) <= 1.0 + 1e-9, "one does not add to another"
    for condition in conditions:
        begin, end = condition.segment
        assert 0 <= begin < end <= frames and (condition.crowded or end - begin < 0.8 * 150)


def test_the_share_of_adverse_parts() -> None:
    for share in (0.2, 0.6, 1.0):
        drawn = [sample_adverse_parts(seed, 1000, share) for seed in range(300)]
        weather = [c for conditions in drawn for c in conditions if not c.crowded]
        assert len(weather) / 3000 == pytest.approx(share, abs=0.03)
        crowds = sum(c.crowded for conditions in drawn for c in conditions)
        assert crowds / 300 == pytest.approx(0.375 * share, abs=0.09)
        lengths = [c.segment[1] - c.segment[0] for c in weather]
        assert min(lengths) > 40.0 and max(lengths) < 80.0 and np.mean(lengths) == pytest.approx(60.0, abs=1.5)


@pytest.mark.usefixtures("one_core")
def test_adverse_conditions_change_images_in_their_parts_and_no_poses(tmp_path: Path) -> None:
    routes = {"00": bend(40)}
    plain, adverse = tmp_path / "plain", tmp_path / "adverse"
    seed = next(
        seed
        for seed in range(50)
        if [c.crowded for c in sample_adverse_parts(routes_module._scenery_seed("00", seed), 40, 1.0)] == [False]
    )
    render_routes(plain, routes, [seed], SMALL)
    render_routes(adverse, routes, [seed], SMALL, adverse=1.0)
    for file in ("poses/00.txt", "sequences/00/calib.txt", "sequences/00/times.txt"):
        assert (plain / file).read_bytes() == (adverse / file).read_bytes()
    (strength,) = effect(sample_adverse_parts(routes_module._scenery_seed("00", seed), 40, 1.0), 40)
    assert strength.max() == 1.0 and strength.min() == 0.0
    for index in range(40):
        same = np.array_equal(image(plain, "00", index), image(adverse, "00", index))
        assert same == (strength[index] == 0.0) or 0.0 < strength[index] < 0.1


def test_a_crowd_along_a_drive_leaves_the_way_free() -> None:
    seed = next(s for s in range(99) if any(c.crowded for c in sample_adverse_parts(s, 150, 1.0)))
    drives = [make_street_along(bend(150), seed, SMALL, adverse=adverse) for adverse in (0.0, 1.0)]
    np.testing.assert_array_equal(drives[0].poses, drives[1].poses)
    assert len(drives[1]._scene.movers) > len(drives[0]._scene.movers)
    for index in range(0, 150, 10):
        drives[1].render(index)
        ahead = drives[1].depth[18:30, 70:90]
        assert 2.0 < np.median(np.where(ahead > 0, ahead, np.inf)) < 15.0, "a car is close ahead all the way"


# --- refusals ----------------------------------------------------------------------------------------------------


def test_impossible_drives_are_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    poses, empty, out = pose_folder(tmp_path / "poses", n00=4), tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    (empty / "._00.txt").write_text("of another system")
    one = pose_folder(tmp_path / "short", n01=1) / "01.txt"
    (tmp_path / "notes.txt").write_text("1 2 3\n")
    jump = bend(4)
    jump[2:, 2, 3] += 99.0
    write_kitti(tmp_path / "jump.txt", jump)
    for paths, message in (
        ((empty,), r"empty: no pose file in this folder"),
        ((poses, poses / "00.txt"), r"00\.txt: would be sequence 00, and so would .*poses/00\.txt; rename one"),
        ((poses, one), r"01\.txt: holds 1 pose; expected at least 2"),
        ((tmp_path / "jump.txt",), r"jump\.txt, pose 3: 100\.0 m from the one before, 3600 km/h .* at most 10 m"),
        ((tmp_path / "nowhere.txt",), r"nowhere\.txt: cannot be read"),
        ((tmp_path / "notes.txt",), r"notes\.txt, line 1: .*3"),
    ):
        with pytest.raises(DistilvoError, match=message) as caught:
            Render(out, poses=paths, size=SMALL).run()
        assert "\n" not in str(caught.value)
    with pytest.raises(DistilvoError, match="--frames 4 beside --poses"):
        Render(out, poses=(poses,), frames=4).run()
    with pytest.raises(DistilvoError, match=r"share of 1\.5"):
        render_routes(out, {"00": bend(4)}, [0], SMALL, adverse=1.5)
    with pytest.raises(DistilvoError, match="1 frames; expected 2 to"):
        render_routes(out, {"00": bend(1)}, [0], SMALL)
    assert not out.exists()


def test_names_of_sequences() -> None:
    assert route_names(["00", "b"], [3]) == ["00", "b"]
    assert route_names(["00", "b"], [3, 12]) == ["00-03", "00-12", "b-03", "b-12"]
    with pytest.raises(DistilvoError, match="one folder"):
        route_names(["A", "a"], [0])
    with pytest.raises(DistilvoError, match="cannot name a folder"):
        route_names([".hidden"], [0])
