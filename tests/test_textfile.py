"""One parser for every text file: byte-order marks, comments, numbers that Python reads and people do not mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import make_kitti
from distilvo.errors import DistilvoError
from distilvo.files import read_json
from distilvo.sequences import open_sequence
from distilvo.textfile import check_times, nanoseconds, numbers, read_rows, read_table
from distilvo.trajectory.formats import read_trajectory


def test_a_byte_order_mark_and_comments_of_both_kinds_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "t.tum"
    file.write_bytes(b"\xef\xbb\xbf# made by hand\n% by another tool\n\n1.5 0 0 0 0 0 0 1\r\n2.5 0 0 1 0 0 0 1\n")
    trajectory = read_trajectory(file)
    np.testing.assert_array_equal(trajectory.times, [1.5, 2.5])
    assert [row.where for row in read_rows(file, "rows")] == [f"{file}, line 4", f"{file}, line 5"]


def test_every_text_file_of_a_sequence_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "00", frames=4)
    plain = open_sequence(folder)
    for file in (folder / "calib.txt", folder / "times.txt", tmp_path / "poses" / "00.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    marked = open_sequence(folder)
    assert marked.camera == plain.camera
    np.testing.assert_array_equal(marked.times, plain.times)
    np.testing.assert_array_equal(marked.poses, plain.poses)


def test_a_table_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("#a,b,c\n1, 2.5 ,x\n-3,4e-1,y\n")
    table, rows = read_table(file, 2, "a, b, then a word", ",")
    np.testing.assert_array_equal(table, [[1, 2.5], [-3, 0.4]])
    assert rows[1].fields == ["-3", "4e-1", "y"]
    file.write_text("1,2,x\n3,4\n")
    with pytest.raises(DistilvoError, match=r"t.csv, line 2: found 2 columns, expected 3 \(a, b, then a word\)"):
        read_table(file, 2, "a, b, then a word", ",")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_repr_writes_is_read_back(value: float) -> None:
    assert numbers([repr(value)], "x") == [value]


@pytest.mark.parametrize("field", ["nan", "-inf", "1_0", "\u0663", "0x1p3", "", "1,5"])
def test_what_is_no_number_for_people_is_refused(field: str) -> None:
    with pytest.raises(DistilvoError, match=r"here: number 2 is .*, expected a finite number"):
        numbers(["1", field], "here")


def test_nanoseconds_keep_their_last_digit_and_times_their_order(tmp_path: Path) -> None:
    assert nanoseconds("1403636579763555584", "x") == 1403636579763555584
    for field in ("1.5", "-1", "1e18", "14036365797635555840"):
        with pytest.raises(DistilvoError, match="whole nanoseconds"):
            nanoseconds(field, "x")
    (tmp_path / "t").write_text("1\n1\n0.5\n")
    table, rows = read_table(tmp_path / "t", 1, "seconds")
    with pytest.raises(DistilvoError, match=r"t, line 3: time 0.500000 s after 1.000000 s"):
        check_times(table[:, 0], rows)
    check_times(table[:2, 0], rows)


def test_intrinsics_are_for_sources_that_have_none(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "00", frames=3)
    with pytest.raises(DistilvoError, match=r"00: has intrinsics of its own, .*; leave --intrinsics out"):
        open_sequence(folder, intrinsics=(90.0, 90.0, 80.0, 24.0))
    images = open_sequence(folder / "image_2", "folder", intrinsics=(90.0, 91.0, 80.0, 24.0))
    camera = images.camera
    assert camera is not None and (camera.fx, camera.fy, camera.cx, camera.cy) == (90.0, 91.0, 80.0, 24.0)
    assert (camera.width, camera.height) == (160, 48)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_named_and_not_taken_for_numbers(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "t.txt"
    file.write_bytes("1 0 0 0 0 1 0 0 0 0 1 0\n".encode(encoding))
    with pytest.raises(DistilvoError, match=r"t.txt: cannot be read \(UTF-16 text; save it as UTF-8\)"):
        read_rows(file, "poses")
    file.write_bytes('{"a": 1}'.encode(encoding))
    with pytest.raises(DistilvoError, match=r"not JSON .*UTF-16 text; save it as UTF-8"):
        read_json(file)


def test_json_and_plans_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "config.json") == {"a": 1}
    plan_file = pytest.importorskip("distilvo.study.plan_file", reason="plans need the extra train")
    preset = plan_file.PRESETS / "paper.toml"
    (tmp_path / "plan.toml").write_bytes(b"\xef\xbb\xbf" + preset.read_bytes())
    assert plan_file.read_plan(str(tmp_path / "plan.toml")) == plan_file.read_plan("paper")
