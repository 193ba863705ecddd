"""Names that become paths: of rows, sequences and models; none leads out of a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError, printable
from distilvo.paths import check_distinct, check_regular, check_utf8, checked_name, near

BAD = [
    "", ".", "..", "../victim", "../../../victim", "/etc/passwd", "a/b", "a\\b", "..\\..\\victim", "C:\\victim",
    "C:victim", "\\\\server\\share", "n" * 201, "ä" * 101, "a\nb", "a\x00b", "\x1b[31m", "a.", "a ", " a", ".hidden",
    "a\udcff", "con", "NUL", "aux.txt", "com1", "a*", "a?", 'a"', "a|b", "a<b", "a:b", "\u202egpj",
]  # fmt: skip
GOOD = [
    "00",
    "aht-ail@92.95",
    "2011_09_26_drive_0001_sync",
    "größe",
    "夜",
    "a b",
    "console",
    "n" * 200,
    "a.b",
    "x[red]",
]


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_name_a_folder_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DistilvoError, match=r"row .*: cannot name a folder \(") as caught:
        checked_name(name, "row")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("name", GOOD)
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert checked_name(name, "row") == name


@given(st.text(max_size=250))
def test_a_checked_name_is_one_part_of_a_path_and_can_be_made(name: str) -> None:
    try:
        checked_name(name, "row")
    except DistilvoError:
        return
    path = Path("out") / "cells" / name
    assert path.parts == ("out", "cells", name)
    assert os.path.normpath(path) == str(path)
    assert len(os.fsencode(f".{name}.json.4194304.part")) <= 255


def test_names_that_are_one_folder_on_some_disk_are_refused() -> None:
    check_distinct(["best", "worst", "bests"], "rows")
    for one, other in (("best", "best"), ("best", "Best"), ("größe", "GRÖSSE"), ("\u00e9", "e\u0301")):
        with pytest.raises(DistilvoError, match=r"rows .* are one folder on some disks"):
            check_distinct([one, "x", other], "rows")


@given(st.text())
def test_printable_text_commands_no_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # as a terminal does
    assert shown == text or not text.isprintable()


def test_a_long_message_keeps_its_beginning_and_its_advice() -> None:
    message = str(DistilvoError("a.txt: " + "x" * 10**6 + "; try b"))
    assert message.startswith("a.txt: x") and message.endswith("x; try b") and len(message) < 2100


def test_only_files_are_read_as_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    for path in (tmp_path / "file", tmp_path, tmp_path / "missing"):  # the reader has a message for the last two
        check_regular(path, "a file")
    with pytest.raises(DistilvoError, match="file: has 3 bytes, more than 2; expected a file"):
        check_regular(tmp_path / "file", "a file", largest=2)
    with pytest.raises(DistilvoError, match="cannot be a file's name"):
        check_regular(Path("a\0b"), "a file")
    others = [Path(os.devnull)]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "link").symlink_to(tmp_path / "pipe")
        others += [tmp_path / "pipe", tmp_path / "link"]
    for path in others:
        assert not stat.S_ISREG(path.stat().st_mode)
        with pytest.raises(DistilvoError, match="a pipe, socket or device"):
            check_regular(path, "a file")


def test_names_that_are_not_utf8_are_named_where_a_reader_needs_them() -> None:
    check_utf8(Path("größe.onnx"))
    with pytest.raises(DistilvoError, match=r"m\\udcff\.onnx: its name is not UTF-8") as caught:
        check_utf8(Path("m\udcff.onnx"))
    assert str(caught.value).encode()


def test_a_path_that_is_not_there_names_what_is(tmp_path: Path) -> None:
    (tmp_path / "Teacher.onnx").touch()
    (tmp_path / "runs").mkdir()
    assert near(tmp_path / "teachr.onnx") == f"did you mean {tmp_path / 'Teacher.onnx'}? "
    assert near(tmp_path / "quite" / "another.mp4") == f"{tmp_path} holds Teacher.onnx, runs; "
    assert near(tmp_path / "runs" / "x") == f"{tmp_path / 'runs'} holds nothing; "
