"""Files that are whole or not there, and what a killed process leaves behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, exclusive, reserve, write_tensors, write_text


def ended_process() -> int:
    """The PID of a process that lives no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_litter_of_dead_processes_goes(tmp_path: Path) -> None:
    dead, alive = ended_process(), os.getppid()
    litter = tmp_path / f".a[1].txt.{dead}.part"
    others = [
        tmp_path / f".a[1].txt.{alive}.part",  # is being written
        tmp_path / f".b.txt.{dead}.part",  # of another path
        tmp_path / f".a1.txt.{dead}.part",  # what a careless pattern would take for ours
        tmp_path / f".a[1].txt.{dead}.part.old",
        tmp_path / f".a[1].txt.{'9' * 30}.part",  # no PID
    ]
    for path in (litter, *others):
        path.write_text("half")
    write_text(tmp_path / "a[1].txt", "whole")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a[1].txt"])


def test_killed_writer_leaves_nothing_for_long(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from distilvo.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.txt")], check=False)
    assert len(list(tmp_path.glob(".out.txt.*.part"))) == 1
    write_text(tmp_path / "out.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DistilvoError, match=r"out/a\.txt: cannot be written"):
        write_text(tmp_path / "out" / "a.txt", "text")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_to_reserve_is_one_line(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DistilvoError, match="big: cannot be written"), atomic_path(tmp_path / "big") as temporary:
        temporary.write_bytes(b"1")
        reserve(temporary)
    assert not list(tmp_path.iterdir())


def test_reserved_file_has_no_holes_and_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.write(b"head")
        file.truncate(1_000_000)
    reserve(path)
    assert path.read_bytes() == b"head" + bytes(999_996)
    if hasattr(os, "posix_fallocate"):
        assert path.stat().st_blocks * 512 >= 1_000_000


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EOPNOTSUPP])
def test_file_systems_that_cannot_reserve_are_used_all_the_same(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    (tmp_path / "a").write_bytes(b"1")
    monkeypatch.setattr(os, "posix_fallocate", unable, raising=False)
    reserve(tmp_path / "a")
    monkeypatch.delattr(os, "posix_fallocate")
    reserve(tmp_path / "a")


def test_tensors_on_a_full_disk_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": torch.arange(3.0)}, {"made": "by hand"})
    kept = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DistilvoError, match=r"model\.safetensors: cannot be written \(No space left"):
        write_tensors(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == kept and list(tmp_path.iterdir()) == [path]
    assert load_file(path)["a"].tolist() == [0, 1, 2]


HOLDER = """
import sys, time
from pathlib import Path
from distilvo.files import exclusive
with exclusive(Path(sys.argv[1]), ""):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_a_lock_is_waited_for_with_a_note_and_free_after_a_kill(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / ".x.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock), "60"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        killer = threading.Timer(0.5, holder.kill)
        killer.start()
        with pytest.warns(UserWarning, match="waiting for it"), exclusive(lock, "waiting for it"):
            assert holder.wait() != 0  # the lock was not taken while its holder lived
    with exclusive(lock, "free: no note"):
        pass


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DistilvoError, match="cannot be written"), exclusive(tmp_path / "file" / ".x.lock", ""):
        pass


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_lock_on_a_full_or_read_only_disk_is_one_line(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with (
        pytest.raises(DistilvoError, match=r"x\.lock: cannot be written \(") as caught,
        exclusive(tmp_path / "x.lock", ""),
    ):
        pass
    assert os.strerror(code) in str(caught.value) and "\n" not in str(caught.value)


def test_an_error_under_a_lock_frees_it_and_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="of the work"), exclusive(tmp_path / "x.lock", ""):
        raise OSError("of the work")
    with exclusive(tmp_path / "x.lock", "free: no note"):
        pass


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()])
def test_a_file_system_without_locks_is_no_obstacle(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with exclusive(tmp_path / ".x.lock", ""):
        pass
