"""What reaches the terminal: names as they are, no markup, no escape sequence of a file."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.table import Table
from rich.text import Text

from distilvo import progress as bars
from distilvo.commands import main as cli
from distilvo.files import write_text
from distilvo.progress import _PlainConsole, progress

TINY = Path(__file__).parent / "data" / "tiny.onnx"
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
UTF8_NAMES = sys.platform == "darwin" or os.name == "nt"  # systems that refuse other names


def console(width: int = 200) -> tuple[_PlainConsole, io.StringIO]:
    output = io.StringIO()
    return _PlainConsole(file=output, force_terminal=True, width=width), output


def test_markup_and_emoji_in_names_are_printed_as_they_are() -> None:
    shown, output = console()
    table = Table("[b]header", title="[/title]")
    table.add_row("[/foo] :smile:")
    shown.print("x[/foo] [red]y[/red] :smile:")
    shown.print(table)
    shown.rule("[bold]1 render")
    text = output.getvalue()
    for part in ("x[/foo] [red]y[/red] :smile:", "[b]header", "[/title]", "[/foo] :smile:", "[bold]1 render"):
        assert part in Text.from_ansi(text).plain


def test_no_escape_sequence_of_a_name_reaches_the_terminal() -> None:
    shown, output = console()
    table = Table("header")
    table.add_row(f"a{ESCAPE}"), table.add_row(Text(f"b{ESCAPE}"))
    shown.print(f"c{ESCAPE}\ud800"), shown.print(table), shown.rule(f"d{ESCAPE}")
    text = output.getvalue()
    assert "\x1b]" not in text and "\x1b[2J" not in text and "\x07" not in text
    text.encode()
    plain = Text.from_ansi(text).plain
    assert plain.count(r"\x1b]0;owned") == 4 and plain.count(r"\x07") == 3 and r"\ud800" in plain


@pytest.mark.parametrize("width", [10, 30, 80])
@pytest.mark.parametrize("no_wrap", [False, True])
def test_a_narrow_terminal_leaves_no_digit_out(width: int, no_wrap: bool) -> None:
    """A number that is cut off is another number."""
    shown, output = console(width)
    table = Table("model", caption="a note with many words below it")
    for name in ("parameters", "latency (ms)", "error\n(m)"):
        table.add_column(name, justify="right", no_wrap=no_wrap, overflow="fold")
    table.add_row("a student with a long name", "1,402,770", "0.1234 ± 0.0056", Text("297.5400\nbetter"))
    shown.print(table)
    words = re.findall(r"[^\s│]+", Text.from_ansi(output.getvalue()).plain)
    assert {"a", "student", "with", "long", "name", "1,402,770", "0.1234", "0.0056", "297.5400", "better"} <= set(words)


@pytest.mark.parametrize("name", ["/a folder/of the disk/study.json", "report:1.0", "an_out_folder" * 9])
def test_a_narrow_terminal_does_not_break_a_path(name: str) -> None:
    """Whoever copies it copies all of it; a number in it has no colour of its own."""
    shown, output = console(20)
    shown.print(f"Tables: {name}")
    assert output.getvalue() == f"Tables: {name}\n"


def test_labels_of_progress_command_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, output = console()
    monkeypatch.setattr(bars, "_silent", False)  # a test that printed JSON has silenced this process
    monkeypatch.setattr(bars, "console", shown)
    with progress(f"[/x]{ESCAPE}", 2) as bar:
        bar.advance(note=f"[/y]{ESCAPE}")
    assert "\x1b]" not in output.getvalue() and "[/x]" in output.getvalue() and "[/y]" in output.getvalue()
    monkeypatch.setattr(bars, "console", _PlainConsole(file=io.StringIO()))
    monkeypatch.setattr(bars, "LOG_EVERY_S", 0.0)
    with progress(f"log{ESCAPE}", 2) as bar:
        bar.advance(note=ESCAPE)
    assert "\x1b" not in (text := capsys.readouterr().out) and "log" in text


def test_notes_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cli._show_warning(UserWarning(f"{ESCAPE}/calib.txt\nnot found"))
    assert capsys.readouterr().err == "distilvo: note: \\x1b]0;owned\\x07\\x1b[2J/calib.txt\\nnot found\n"


def test_texts_with_names_that_are_not_utf8_are_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "größe \udcff")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "größe \\udcff"


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for index in range(3):
        grey = np.random.default_rng(index).integers(0, 256, (60, 180), dtype=np.uint8)
        (folder / f"{index}.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    return folder


def distilvo(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "distilvo", *arguments]
    environment = {**os.environ, **more}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, errors="surrogateescape", check=False
    )


@pytest.mark.parametrize(
    ("source", "out", "encoding"),
    [
        ("images", "x[/foo]", "utf-8"),
        ("[red]i[/]", "[bold]o:smile:", "utf-8"),
        (f"i{ESCAPE}".replace("/", ""), f"o{ESCAPE}", "ascii"),
        pytest.param("i\udcff", "o\udcfe", "utf-8", marks=pytest.mark.skipif(UTF8_NAMES, reason="refused there")),
    ],
)
def test_a_drive_is_tracked_whatever_the_folders_are_called(
    source: str, out: str, encoding: str, tmp_path: Path
) -> None:
    images(tmp_path / source)
    done = distilvo("track", source, "--model", str(TINY), "--out", out, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "Traceback" not in done.stderr
    lines = (tmp_path / out / "trajectory.tum").read_text().splitlines()
    assert len(lines) == 4 and "assumed rate" in lines[0]
    name = "".join(c if c.isprintable() else repr(c)[1:-1] for c in out)
    assert f"Trajectory: {name}/trajectory.tum" in done.stdout


def test_a_pipe_that_is_closed_is_no_error(tmp_path: Path) -> None:
    images(tmp_path / "images")
    code = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
        "sys.argv = ['distilvo', 'check', 'images', '--json']\n"
        "from distilvo.__main__ import main; main()"
    )
    environment = os.environ | {"PYTHONUNBUFFERED": ""}  # short output is then written when Python ends
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == "" and done.returncode == 141


class OutOfMemoryError(RuntimeError):
    """Torch's, by its name."""


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OutOfMemoryError("CUDA"), RuntimeError("[alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate")],
)
def test_too_little_memory_is_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Greedy:
        def run(self) -> None:
            raise error

    monkeypatch.setattr(cli, "_verb", Greedy)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    with pytest.raises(SystemExit) as status:
        cli.main()
    assert status.value.code == 2 and capsys.readouterr().err.startswith("distilvo: not enough memory; ")


@pytest.mark.parametrize(
    "command", ["render --out o --poses", "evaluate x --sequences --data d", "distill d --unlabelled --out o"]
)
def test_a_list_with_nothing_in_it_is_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["distilvo", *command.split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert re.search(r"--(poses|sequences|unlabelled): nothing behind it; expected", capsys.readouterr().err)
