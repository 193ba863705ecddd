"""The verb convert: there and back, against evo, and nothing that a user has is overwritten."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from distilvo.commands import main
from distilvo.geometry import se3
from distilvo.trajectory.formats import read_kitti, read_trajectory, read_tum, write_kitti, write_tum


def drive(seed: int, frames: int = 12, far_m: float = 0.0) -> np.ndarray:
    """A winding path, about a metre a frame, that begins so far from the origin."""
    noise = np.random.default_rng(seed).normal(0, [0.05, 0.05, 0.1, 0.3, 0.5, 0.3], (frames, 6))
    path = se3.trajectory(np.array([0, 0, 1.0, 0, 0, 0]) + noise)
    path[:, :3, 3] += far_m
    return path


def convert(*arguments: object) -> None:
    """The verb, as from the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["distilvo", "convert", *map(str, arguments)])
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
        main.main()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that the verb ends with, and nothing else."""
    with pytest.raises(SystemExit) as status:
        convert(*arguments)
    output = capsys.readouterr()
    assert status.value.code == 2 and output.out == "" and output.err.count("\n") == 1, output.err
    return output.err


def write_times(path: Path, times: np.ndarray) -> np.ndarray:
    path.write_text("".join(f"{time:.9f}\n" for time in times))
    return np.loadtxt(path)


@hypothesis_settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from((0.0, 1e3, 5e6)), st.sampled_from((0.0, 1403636579.763555527)))
def test_there_and_back(seed: int, far_m: float, start: float) -> None:
    """KITTI to TUM to KITTI to TUM: the same poses to the ninth decimal of a TUM file, times to the last."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        path = drive(seed, far_m=far_m)
        write_kitti(folder / "a.kitti", path, decimals=15)
        stamps = start + np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.2, len(path)))
        times = write_times(folder / "times.txt", stamps)
        convert(folder / "a.kitti", folder / "b.tum", "--times", folder / "times.txt")
        convert(folder / "b.tum", folder / "c.kitti")
        convert(folder / "c.kitti", folder / "d.tum", "--times", folder / "c.times.txt")
        np.testing.assert_allclose(read_kitti(folder / "c.kitti"), path, rtol=1e-15, atol=3e-9)
        assert (folder / "c.times.txt").read_text() == (folder / "times.txt").read_text()
        np.testing.assert_array_equal(read_tum(folder / "d.tum")[0], times)
        np.testing.assert_allclose(read_tum(folder / "d.tum")[1], read_tum(folder / "b.tum")[1], rtol=1e-15, atol=3e-9)


def test_evo_converts_to_the_same(tmp_path: Path) -> None:
    file_interface = pytest.importorskip("evo.tools.file_interface", reason="evo is not installed")
    from evo.core.trajectory import PoseTrajectory3D

    write_kitti(tmp_path / "a.kitti", drive(3))
    times = write_times(tmp_path / "times.txt", 1.4e9 + np.arange(13) * 0.1)
    poses = file_interface.read_kitti_poses_file(str(tmp_path / "a.kitti")).poses_se3
    file_interface.write_tum_trajectory_file(tmp_path / "evo.tum", PoseTrajectory3D(poses_se3=poses, timestamps=times))
    convert(tmp_path / "a.kitti", tmp_path / "ours.tum", "--times", tmp_path / "times.txt")
    theirs, ours = np.loadtxt(tmp_path / "evo.tum"), np.loadtxt(tmp_path / "ours.tum")
    signs = np.sign((theirs[:, 4:] * ours[:, 4:]).sum(axis=1))[:, None]  # q and -q are one rotation
    np.testing.assert_allclose(ours[:, :4], theirs[:, :4], atol=1e-9)
    np.testing.assert_allclose(ours[:, 4:] * signs, theirs[:, 4:], atol=2e-9)
    evo_tum = file_interface.read_tum_trajectory_file(str(tmp_path / "evo.tum"))
    file_interface.write_kitti_poses_file(tmp_path / "evo.kitti", evo_tum)
    convert(tmp_path / "evo.tum", tmp_path / "ours.kitti")
    np.testing.assert_allclose(read_kitti(tmp_path / "ours.kitti"), read_kitti(tmp_path / "evo.kitti"), atol=1e-12)


def test_euroc_becomes_tum_or_kitti(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A quarter turn about y, w first in EuRoC."""
    rows = [f"{1403636579763555584 + k * 10**8},1,2,{k},0.70710678,0,0.70710678,0" + ",0" * 9 for k in range(3)]
    (tmp_path / "data.csv").write_text("#timestamp, ...\n" + "\n".join(rows) + "\n")
    convert(tmp_path / "data.csv", tmp_path / "e.tum")
    output = capsys.readouterr()
    assert output.out == f"{tmp_path}/e.tum: 3 poses, 1403636579.764 to 1403636579.964 s\n"
    assert "poses of the body (IMU)" in output.err
    first = (tmp_path / "e.tum").read_text().split("\n")[0].split()
    assert first == ["1403636579.763555527", "1.000000000", "2.000000000", "0.000000000", *first[4:]]
    np.testing.assert_allclose([float(x) for x in first[4:]], [0, np.sqrt(0.5), 0, np.sqrt(0.5)], atol=1e-8)
    convert(tmp_path / "data.csv", tmp_path / "e.txt", "--to", "kitti", "--times", tmp_path / "t.txt")
    turned = [[0, 0, 1, 1], [0, 1, 0, 2], [-1, 0, 0, 2], [0, 0, 0, 1]]
    np.testing.assert_allclose(read_kitti(tmp_path / "e.txt")[2], turned, atol=1e-8)
    assert len((tmp_path / "t.txt").read_text().splitlines()) == 3


def test_frame_numbers_choose_the_times_and_survive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, frames = drive(1, frames=3), np.array([1, 2, 5, 6])
    write_kitti(tmp_path / "k360.txt", path, frames)
    write_times(tmp_path / "times.txt", np.arange(8) * 0.5)
    convert(tmp_path / "k360.txt", tmp_path / "a.tum", "--times", tmp_path / "times.txt")
    np.testing.assert_array_equal(read_tum(tmp_path / "a.tum")[0], frames * 0.5)
    write_times(tmp_path / "own.txt", np.array([7.0, 8, 9, 10]))
    convert(tmp_path / "k360.txt", tmp_path / "b.tum", "--times", tmp_path / "own.txt")
    np.testing.assert_array_equal(read_tum(tmp_path / "b.tum")[0], [7, 8, 9, 10])
    capsys.readouterr()
    convert(tmp_path / "k360.txt", tmp_path / "c.kitti")
    assert "each row begins with its frame number" in capsys.readouterr().err
    np.testing.assert_array_equal(read_trajectory(tmp_path / "c.kitti").frames, frames)
    assert not (tmp_path / "c.times.txt").exists()


def test_a_lost_frame_leaves_the_times_of_the_others(tmp_path: Path) -> None:
    write_kitti(tmp_path / "a.txt", drive(1, frames=3))
    rows = (tmp_path / "a.txt").read_text().splitlines()
    (tmp_path / "a.txt").write_text("\n".join([rows[0], "nan " * 12, rows[2], rows[3]]))
    write_times(tmp_path / "times.txt", np.arange(4) * 0.5)
    convert(tmp_path / "a.txt", tmp_path / "a.tum", "--times", tmp_path / "times.txt")
    np.testing.assert_array_equal(read_tum(tmp_path / "a.tum")[0], [0, 1, 1.5])


def test_times_in_nanoseconds_are_made_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(tmp_path / "a.kitti", drive(1, frames=1))
    (tmp_path / "times.txt").write_text("1403636579763555584\n1403636579863555584\n")
    convert(tmp_path / "a.kitti", tmp_path / "a.tum", "--times", tmp_path / "times.txt")
    assert "look like nanoseconds, and are multiplied by 1e-9" in capsys.readouterr().err
    np.testing.assert_allclose(read_tum(tmp_path / "a.tum")[0], [1403636579.7635556, 1403636579.8635556], atol=3e-7)


def test_a_trajectory_with_nanoseconds_is_made_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"14036365797{k}3555584 {k} 0 0 0 0 0.6 0.8\n" for k in range(3)]
    (tmp_path / "a.tum").write_text("".join(rows))
    convert(tmp_path / "a.tum", tmp_path / "a.kitti")
    assert "look like nanoseconds, and are multiplied by 1e-9" in capsys.readouterr().err
    convert(tmp_path / "a.kitti", tmp_path / "b.tum", "--times", tmp_path / "a.times.txt")
    times, poses = read_tum(tmp_path / "b.tum")
    np.testing.assert_allclose(times, 1403636579.7035556 + 0.01 * np.arange(3), atol=3e-7)
    assert poses[2, :3, 3].tolist() == [2, 0, 0] and poses[0, 1, 0] == pytest.approx(0.96)  # w last


def test_times_that_repeat_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(tmp_path / "a.kitti", drive(1, frames=3))
    (tmp_path / "times.txt").write_text("0\n1\n1\n2\n")
    convert(tmp_path / "a.kitti", tmp_path / "a.tum", "--times", tmp_path / "times.txt")
    assert "times.txt: 1 times repeat the one before" in capsys.readouterr().err


def test_what_cannot_be_converted_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kitti, tum, other = tmp_path / "poses" / "00.txt", tmp_path / "a.tum", tmp_path / "other.kitti"
    write_kitti(kitti, drive(1))
    write_tum(tum, drive(1), np.arange(13.0))
    new = tmp_path / "new.tum"
    assert "has no measured times, and a TUM file needs them; give --times FILE" in refused(capsys, kitti, new)
    times = tmp_path / "sequences" / "00" / "times.txt"
    times.parent.mkdir(parents=True)
    write_times(times, np.arange(12.0))
    assert f"; try --times {times}" in refused(capsys, kitti, new)
    assert "12 times, but" in refused(capsys, kitti, new, "--times", times)
    assert "has times of its own; leave --times" in refused(capsys, tum, new, "--times", times)
    assert "no measured times that could be written" in refused(capsys, kitti, other, "--times", times)
    assert "give --to tum or --to kitti" in refused(capsys, tum, tmp_path / "new.txt")
    assert "the suffix says tum, but --to kitti" in refused(capsys, tum, new, "--to", "kitti")
    assert "cannot be read (No such file" in refused(capsys, tmp_path / "gone.txt", new)
    write_tum(tmp_path / "assumed.tum", drive(1), np.arange(13.0), assumed=True)
    assert "has no measured times" in refused(capsys, tmp_path / "assumed.tum", new)
    times.write_text("0\n2\n1\n")
    assert "line 3: time 1.000000 s after 2.000000 s" in refused(capsys, kitti, new, "--times", times)
    assert not new.exists() and not other.exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tum, out, times = tmp_path / "a.tum", tmp_path / "b.kitti", tmp_path / "b.times.txt"
    write_tum(tum, drive(1), np.arange(13.0))
    for there in (times, out):
        there.write_text("mine\n")
        assert f"{there}: exists already" in refused(capsys, tum, out)
        assert [file.read_text() for file in (times, out) if file.exists()].count("mine\n") == 1 + (there == out)
    out.unlink(missing_ok=True)
    times.unlink(missing_ok=True)
    (tmp_path / "same").symlink_to(tmp_path)
    for name in (out, tmp_path / "same" / "b.kitti"):
        assert "b.kitti: is the file of the poses, too" in refused(capsys, tum, out, "--times", name)
        assert not out.exists()
    before = tum.read_bytes()
    assert "exists already" in refused(capsys, tum, tum)
    assert tum.read_bytes() == before
