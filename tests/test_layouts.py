"""Further layouts of trajectory files: KITTI-360, whole matrices, EuRoC, commas, headers; rows that are no pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.trajectory.formats import read_kitti, read_trajectory, write_tum

IDENTITY_ROW = "1 0 0 0 0 1 0 0 0 0 1 0"


def drive(seed: int, frames: int = 40) -> np.ndarray:
    """A winding path, about a metre a frame."""
    noise = np.random.default_rng(seed).normal(0, [0.05, 0.05, 0.1, 0.02, 0.1, 0.02], (frames, 6))
    return se3.trajectory(np.array([0, 0, 1.0, 0, 0, 0]) + noise)


def rows_of(path: np.ndarray, whole: bool = False) -> list[str]:
    """Each pose as the text of its upper 3x4, or of all of it."""
    return [" ".join(map(repr, pose[: 4 if whole else 3].ravel().tolist())) for pose in path]


@pytest.mark.parametrize("separator", [" ", ", ", ",", "\t"])
@pytest.mark.parametrize("whole", [False, True])
def test_kitti_360_and_whole_matrices(whole: bool, separator: str, tmp_path: Path) -> None:
    path, file = drive(0, frames=3), tmp_path / "poses.txt"
    rows = [row.replace(" ", separator) for row in rows_of(path, whole)]
    file.write_text("\n".join(f"{k}{separator}{row}" for k, row in zip((1, 2, 7, 9), rows, strict=True)))
    numbered = read_trajectory(file)
    np.testing.assert_array_equal(numbered.frames, [1, 2, 7, 9])
    np.testing.assert_array_equal(numbered.poses, path)
    file.write_text("\n".join(rows))
    each = read_trajectory(file)
    assert each.frames is None
    np.testing.assert_array_equal(each.poses, path)


def test_the_last_row_of_a_whole_matrix_is_checked(tmp_path: Path) -> None:
    for first, second in (("", ""), ("3 ", "4 ")):
        (tmp_path / "t.txt").write_text(f"{first}{IDENTITY_ROW} 0 0 0 1\n{second}{IDENTITY_ROW} 0 0 1 1\n")
        with pytest.raises(DistilvoError, match="line 2: the last row of the 4x4 matrix is 0 0 1 1, expected 0 0 0 1"):
            read_trajectory(tmp_path / "t.txt")


TURNED = [[0, 0, 1, 1], [0, 1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]]
"""A quarter turn about y at (1, 2, 3)."""
EUROC_HEADER = "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z []"


@pytest.mark.parametrize("more", ["", ",0.1,0,0,0,0,0,0,0,0"])
@pytest.mark.parametrize("header", [EUROC_HEADER + "\n", ""])
def test_euroc_by_hand(header: str, more: str, tmp_path: Path) -> None:
    """A quarter turn about y, w first; the last digits of a time in ns survive. 17 columns, and the export of 8."""
    row = "0.70710678,0,0.70710678,0" + more
    (tmp_path / "data.csv").write_text(
        f"{header}1403636579763555584,1,2,3,{row}\n1403636579863555584,1,2,4,{row}\n", encoding="utf-8-sig"
    )
    with pytest.warns(UserWarning, match=r"EuRoC's layout: poses of the body \(IMU\), not of the camera"):
        trajectory = read_trajectory(tmp_path / "data.csv")
    np.testing.assert_allclose(trajectory.times, [1403636579.763555584, 1403636579.863555584], rtol=0, atol=3e-7)
    np.testing.assert_allclose(trajectory.poses[0], TURNED, atol=1e-8)


def test_evo_reads_the_same_from_euroc(tmp_path: Path) -> None:
    file_interface = pytest.importorskip("evo.tools.file_interface", reason="evo is not installed")
    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(5, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1)[:, None]
    numbers = np.concatenate([rng.normal(size=(5, 3)), quaternions, rng.normal(size=(5, 9))], axis=1)
    rows = [
        f"{1403636579763555584 + 5000000 * k}," + ",".join(map(repr, row)) for k, row in enumerate(numbers.tolist())
    ]
    (tmp_path / "data.csv").write_text("\n".join([EUROC_HEADER, *rows]) + "\n")
    expected = file_interface.read_euroc_csv_trajectory(str(tmp_path / "data.csv"))
    with pytest.warns(UserWarning, match="EuRoC"):
        trajectory = read_trajectory(tmp_path / "data.csv")
    np.testing.assert_allclose(trajectory.poses, np.array(expected.poses_se3), atol=1e-12)
    np.testing.assert_array_equal(trajectory.times, expected.timestamps)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("# timestamp tx ty tz qx qy qz qw", "{t} 1 2 3 0 0.70710678 0 0.70710678"),
        ("# timestamp tx ty tz qw qx qy qz", "{t} 1 2 3 0.70710678 0 0.70710678 0"),
        ("timestamp,x,y,z,qx,qy,qz,qw", "{t},1,2,3,0,0.70710678,0,0.70710678"),
        ("time, x, y, z, q_w, q_x, q_y, q_z", "{t}, 1, 2, 3, 0.70710678, 0, 0.70710678, 0"),
    ],
)
def test_a_header_says_where_w_is(header: str, row: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("\n".join([header, row.format(t="1.5"), row.format(t="2.5")]))
    trajectory = read_trajectory(tmp_path / "t.txt")
    np.testing.assert_allclose(trajectory.poses[1], TURNED, atol=1e-8)
    np.testing.assert_array_equal(trajectory.times, [1.5, 2.5])


def test_nanoseconds_with_w_last_are_not_called_those_of_a_body(tmp_path: Path) -> None:
    header, row = "timestamp,tx,ty,tz,qx,qy,qz,qw", "1403636579763555584,1,2,3,0,0.70710678,0,0.70710678"
    (tmp_path / "t.csv").write_text(f"{header}\n{row}\n")
    with pytest.warns(UserWarning, match="the times look like nanoseconds, and are multiplied by 1e-9") as caught:
        trajectory = read_trajectory(tmp_path / "t.csv")
    assert len(caught) == 1
    np.testing.assert_allclose(trajectory.poses[0], TURNED, atol=1e-8)
    np.testing.assert_allclose(trajectory.times, [1403636579.7635556], atol=3e-7)


def test_columns_in_another_order_are_refused_and_commas_get_a_note(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("t,qw,qx,qy,qz,x,y,z\n0,1,0,0,0,5,6,7\n")
    with pytest.raises(DistilvoError, match=r"t.csv: its header says t,qw,.*; expected the columns timestamp tx"):
        read_trajectory(file)
    file.write_text("0,5,6,7,0,0,0,1\n1,5,6,7,0,0,0,1\n")
    with pytest.warns(UserWarning, match="separated by commas, read as TUM: timestamp tx ty tz qx qy qz qw"):
        assert read_trajectory(file).poses[1, :3, 3].tolist() == [5, 6, 7]


def test_rows_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text("0 0 0 0 0 0 0 1\n1 nan 0 0 0 0 0 1\n2 2 0 0 0 0 0 1\n3 0 0 inf 0 0 0 1\n")
    with pytest.warns(UserWarning, match=r"2 of 4 rows hold .* not finite \(first: line 2\) and are left out"):
        tum = read_trajectory(file)
    assert tum.times is not None and tum.times.tolist() == [0, 2] and tum.left_out == 2
    nan_row = " ".join(["nan"] * 12)
    file.write_text(f"{IDENTITY_ROW}\n{nan_row}\n{IDENTITY_ROW}\n")
    with pytest.warns(UserWarning, match="1 of 3 rows"):
        kitti = read_trajectory(file)
    assert kitti.frames is not None and kitti.frames.tolist() == [0, 2]  # each row is a frame
    assert (kitti.left_out, kitti.frame_count) == (1, 3)
    file.write_text(f"4 {IDENTITY_ROW}\n7 {nan_row}\n5 {IDENTITY_ROW}\n")
    with pytest.warns(UserWarning, match="1 of 3 rows"):
        numbered = read_trajectory(file)
    assert numbered.frames is not None and numbered.frames.tolist() == [4, 5]
    with pytest.raises(DistilvoError, match="line 2: column 1 is 'nan', expected a finite number"):
        file.write_text(f"{IDENTITY_ROW}\n{nan_row}\n")
        read_kitti(file)  # of a data set, which has a pose for each image


def test_the_first_of_rows_with_one_time_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_text(
        "0 0 0 0 0 0 0 1\n0 0 0 0 0 0 0 1\n1 5 0 0 0 0 0 1\n1 6 0 0 0 0 0 1\n1 7 0 0 0 0 0 1\n2 8 0 0 0 0 0 1\n"
    )
    message = (
        r"3 of 6 rows repeat the time of the row before \(first: line 2\) .* left out; 2 of them have another pose"
    )
    with pytest.warns(UserWarning, match=message):
        trajectory = read_trajectory(file)
    assert trajectory.times is not None and trajectory.times.tolist() == [0, 1, 2]
    assert trajectory.poses[:, 0, 3].tolist() == [0, 5, 8] and trajectory.left_out == 3


def test_assumed_times_are_no_times(tmp_path: Path) -> None:
    path, times = drive(0, frames=3), np.arange(4) * 0.1
    write_tum(tmp_path / "t.tum", path, times, assumed=True)
    trajectory = read_trajectory(tmp_path / "t.tum")
    assert trajectory.times is None
    np.testing.assert_allclose(trajectory.poses, path, atol=1e-8)
    file_interface = pytest.importorskip("evo.tools.file_interface", reason="evo is not installed")
    np.testing.assert_allclose(file_interface.read_tum_trajectory_file(str(tmp_path / "t.tum")).timestamps, times)
