"""Trajectory files: hand-worked values, round trips, and one clear line for each kind of broken file."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.trajectory.formats import read_kitti, read_trajectory, read_tum, write_kitti, write_tum
from real_data import REAL, needs

IDENTITY_ROW = "1 0 0 0 0 1 0 0 0 0 1 0"


def drive(seed: int, frames: int = 40) -> np.ndarray:
    """A winding path, about a metre a frame."""
    noise = np.random.default_rng(seed).normal(0, [0.05, 0.05, 0.1, 0.02, 0.1, 0.02], (frames, 6))
    return se3.trajectory(np.array([0, 0, 1.0, 0, 0, 0]) + noise)


def test_kitti_row_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "00.txt"
    file.write_text("# truth\n\n0 0 1 10 0 1 0 20 -1 0 0 30\n")
    expected = [[0, 0, 1, 10], [0, 1, 0, 20], [-1, 0, 0, 30], [0, 0, 0, 1]]
    np.testing.assert_array_equal(read_kitti(file), [expected])


def test_tum_row_by_hand(tmp_path: Path) -> None:
    """Half the angle's sine on y: a quarter turn to the right."""
    file = tmp_path / "t.txt"
    file.write_text("12.5 10 20 30 0 0.70710678 0 0.70710678\n")
    times, path = read_tum(file)
    np.testing.assert_array_equal(times, [12.5])
    np.testing.assert_allclose(path[0], [[0, 0, 1, 10], [0, 1, 0, 20], [-1, 0, 0, 30], [0, 0, 0, 1]], atol=1e-8)


def test_tum_quaternion_is_written_x_y_z_w(tmp_path: Path) -> None:
    quarter_about_x = se3.matrices_from_motions(np.array([[1.0, 2.0, 3.0, np.pi / 2, 0, 0]]))
    write_tum(tmp_path / "t.txt", quarter_about_x, np.array([1.5]))
    numbers = [float(field) for field in (tmp_path / "t.txt").read_text().split()]
    np.testing.assert_allclose(numbers, [1.5, 1, 2, 3, np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-9)


def test_files_survive_the_round_trip_and_leave_nothing_else(tmp_path: Path) -> None:
    path, times = drive(0), np.arange(41) * 0.1 + 1.3e9
    write_kitti(tmp_path / "k.txt", path)
    write_tum(tmp_path / "t.txt", path, times)
    np.testing.assert_allclose(read_kitti(tmp_path / "k.txt"), path, atol=1e-7)
    read_times, read_path = read_tum(tmp_path / "t.txt")
    np.testing.assert_allclose(read_times, times, atol=1e-6)
    np.testing.assert_allclose(read_path, path, atol=1e-7)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["k.txt", "t.txt"]


def test_the_number_of_columns_decides_the_format(tmp_path: Path) -> None:
    path, times = drive(0, frames=4), np.arange(5) * 0.1
    write_kitti(tmp_path / "kitti", path)
    write_tum(tmp_path / "tum", path, times)
    rows = (tmp_path / "kitti").read_text().splitlines()
    (tmp_path / "numbered").write_text("\ufeff# frame, pose\n" + "".join(f"{k} {rows[k]}\n" for k in (2, 4, 0)))
    kitti, tum, numbered = (read_trajectory(tmp_path / name) for name in ("kitti", "tum", "numbered"))
    assert kitti.frames is None and kitti.times is None and tum.frames is None and numbered.times is None
    np.testing.assert_allclose(kitti.poses, path, atol=1e-7)
    np.testing.assert_allclose(tum.poses, path, atol=1e-7)
    np.testing.assert_allclose(tum.times, times)
    np.testing.assert_array_equal(numbered.frames, [0, 2, 4])
    np.testing.assert_array_equal(numbered.poses, kitti.poses[[0, 2, 4]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1 2 3\n", "line 1: found 3 columns, expected 12 .* 13 .* 8"),
        (f"0 {IDENTITY_ROW}\n{IDENTITY_ROW}\n", "line 2: found 12 columns, expected 13"),
        (f"3 {IDENTITY_ROW}\n1 {IDENTITY_ROW}\n3 {IDENTITY_ROW}\n", "line 3: frame 3 once more, after line 1"),
        (f"0.5 {IDENTITY_ROW}\n", "line 1: the frame number is 0.5"),
        (f"-1 {IDENTITY_ROW}\n", "line 1: the frame number is -1"),
        (f"1e300 {IDENTITY_ROW}\n", "line 1: the frame number is 1e"),
        ("1 0 0 1_0 0 1 0 0 0 0 1 0\n", "line 1: column 4 is '1_0', expected a finite number"),
        ("1 0 0 \u0663 0 1 0 0 0 0 1 0\n", "line 1: column 4 is '\u0663', expected a finite number"),
        ("1e200 1e200 0 0 1e200 -1e200 0 0 0 0 1 0\n", "line 1: .* not a rotation"),
        ("0 1 2 1e30 0 0 0 1\n", r"line 1: 1e\+30 m from the origin, expected metres"),
        (f"0 {IDENTITY_ROW}\n1 1 0 0 -2e9 0 1 0 0 0 0 1 0\n", r"line 2: 2e\+09 m from the origin, expected metres"),
        ("0 1 2 3 1e200 0 0 1e200\n", "line 1: the quaternion has length inf"),
    ],
)
def test_a_broken_trajectory_file_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "e.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DistilvoError, match=message) as caught:
        read_trajectory(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@given(st.binary(max_size=60), st.integers(0, 10_000), st.booleans())
def test_a_mutated_file_is_read_or_refused_in_one_line(junk: bytes, place: int, insert: bool) -> None:
    """What is read is a trajectory: rotations, finite numbers, frames and times in order."""
    whole = b"".join(b"%d 1 0 0 %d.5 0 1 0 0 0 0 1 0\n" % (k, k) for k in range(20))
    place %= len(whole)
    with NamedTemporaryFile() as file:
        file.write(whole[:place] + junk + whole[place if insert else place + len(junk) :])
        file.flush()
        try:
            trajectory = read_trajectory(file.name)
        except DistilvoError as error:
            assert "\n" not in str(error)
            return
    rotations = trajectory.poses[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.swapaxes(1, 2), np.tile(np.eye(3), (len(rotations), 1, 1)), atol=1e-2
    )
    assert np.isfinite(trajectory.poses).all() and (trajectory.frames is None or (np.diff(trajectory.frames) > 0).all())


def test_tum_repeated_times_pass(tmp_path: Path) -> None:
    """Ground truth of the TUM benchmark has them."""
    (tmp_path / "t.txt").write_text("0.5 1 2 3 0 0 0 1\n0.5 1 2 3 0 0 0 1\n")
    np.testing.assert_array_equal(read_tum(tmp_path / "t.txt")[0], [0.5, 0.5])


@needs("tum_fr2_desk/groundtruth.txt")
def test_real_tum_ground_truth() -> None:
    times, path = read_tum(REAL / "tum_fr2_desk" / "groundtruth.txt")
    rotations = path[:, :3, :3]
    assert len(times) > 10000
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (len(times), 1, 1)), atol=1e-9
    )


@pytest.mark.parametrize("diagonal", [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
def test_tum_half_turns(diagonal: list[int], tmp_path: Path) -> None:
    """Half turns about x, y and z have w = 0: the case where a naive formula divides by zero."""
    pose = np.eye(4)
    pose[:3, :3] = np.diag(diagonal)
    write_tum(tmp_path / "t.txt", pose[None], np.zeros(1))
    np.testing.assert_allclose(read_tum(tmp_path / "t.txt")[1][0], pose, atol=1e-8)


def test_evo_reads_the_same_from_our_files(tmp_path: Path) -> None:
    file_interface = pytest.importorskip("evo.tools.file_interface", reason="evo is not installed")
    path, times = drive(1), np.arange(41) * 0.1
    write_kitti(tmp_path / "k.txt", path)
    write_tum(tmp_path / "t.txt", path, times)
    kitti = np.array(file_interface.read_kitti_poses_file(str(tmp_path / "k.txt")).poses_se3)
    tum = file_interface.read_tum_trajectory_file(str(tmp_path / "t.txt"))
    np.testing.assert_allclose(kitti, path, atol=1e-7)
    np.testing.assert_allclose(np.array(tum.poses_se3), path, atol=1e-7)
    np.testing.assert_allclose(tum.timestamps, times, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n# only a comment\n", "is empty"),
        (f"{IDENTITY_ROW}\n1 0 0 0 0 1 0 0 0 0 1\n", "line 2: found 11 columns, expected 12"),
        ("0 1 2 3 0 0 0 1\n", "line 1: found 8 columns, expected 12 .*; make such a file: distilvo convert .*07"),
        (f"{IDENTITY_ROW}\n\n1 0 0 nan 0 1 0 0 0 0 1 0\n", "line 3: column 4 is 'nan', expected a finite number"),
        ("1 0 0 0 0 1 0 inf 0 0 1 0\n", "line 1: column 8 is 'inf'"),
        ("1 0 0 0 0 1 0 x 0 0 1 0\n", "line 1: column 8 is 'x', expected a finite number"),
        (f"{IDENTITY_ROW}\n2 0 0 0 0 1 0 0 0 0 1 0\n", "line 2: .* not a rotation"),
        ("1 0 0 0 0 1 0 0 0 0 -1 0\n", "line 1: .* not a rotation .*determinant -1"),
    ],
)
def test_broken_kitti_file_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "07.txt"
    file.write_text(text)
    with pytest.raises(DistilvoError, match=message) as caught:
        read_kitti(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2 3 0 0 0 1 9\n", "line 1: found 9 columns, expected 8"),
        ("0 1 2 3 0 0 0 0.5\n", "line 1: the quaternion has length 0.5"),
        ("1 1 2 3 0 0 0 1\n0 1 2 3 0 0 0 1\n", "line 2: time 0.000000 s after 1.000000 s"),
    ],
)
def test_broken_tum_file_is_named_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text(text)
    with pytest.raises(DistilvoError, match=message):
        read_tum(file)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=r"cannot be read \(No such file"):
        read_kitti(tmp_path / "none.txt")
    (tmp_path / "image").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DistilvoError, match="not a text file"):
        read_kitti(tmp_path / "image")


def test_times_must_match_poses(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="41 poses but 3 times"):
        write_tum(tmp_path / "t.txt", drive(0), np.arange(3.0))
