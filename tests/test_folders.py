"""Output folders: who may claim one, two commands at once in one, and streets that are whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilvo import files
from distilvo.errors import DistilvoError
from distilvo.files import draft_folder, remove_drafts, remove_inside, write_text
from distilvo.output_folders import claim_folder, differences
from distilvo.world import dataset, street_writer
from distilvo.world.dataset import render_streets
from distilvo.world.routes import render_routes
from distilvo.world.street import make_street
from distilvo.world.street_writer import write_street

SIZE = (48, 160)
CLAIMER = """
import sys, time
from pathlib import Path
from distilvo.output_folders import claim_folder, differences
from distilvo.files import write_text
out, settings = Path(sys.argv[1]), {"frames": int(sys.argv[2])}
claim_folder(out, "render", settings)
print("claimed", flush=True)
if len(sys.argv) > 3:
    sys.stdin.readline()
write_text(out / "made.txt", sys.argv[2])
"""


def claimer(*arguments: object) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", CLAIMER, *map(str, arguments)], text=True, **pipes)


def claim_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "distilvo.json").read_text())


def test_a_run_that_made_nothing_is_forgotten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    claim_folder(out, "train", {"epochs": 1})
    (out / "cache/deep").mkdir(parents=True)
    (out / "cache/deep/frames.npy").write_text("decoded")
    claim_folder(out, "train", {"epochs": 2})  # the corrected command
    claim_folder(out, "distill", {"rate": 90})
    assert claim_of(out) == {"kind": "distill", "settings": {"rate": 90}}
    assert (out / "cache/deep/frames.npy").read_text() == "decoded"


@pytest.mark.parametrize("content", ["file", "deep/file", "deep/cache/file", "link", ".hidden"])
def test_a_run_that_made_something_stays(content: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    claim_folder(out, "train", {"epochs": 1})
    (out / content).parent.mkdir(parents=True, exist_ok=True)
    if content == "link":
        (out / content).symlink_to(tmp_path, target_is_directory=True)
    else:
        (out / content).write_text("mine")
    for kind, settings in (("train", {"epochs": 2}), ("distill", {"epochs": 1})):
        with pytest.raises(DistilvoError, match=r"out: holds a run .*; choose another --out"):
            claim_folder(out, kind, settings)
    claim_folder(out, "train", {"epochs": 1})
    assert claim_of(out) == {"kind": "train", "settings": {"epochs": 1}}


def test_without_locks_no_run_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may be about to begin there."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    claim_folder(tmp_path / "out", "train", {"epochs": 1})
    with pytest.raises(DistilvoError, match="holds a run with other settings"):
        claim_folder(tmp_path / "out", "train", {"epochs": 2})


def test_nothing_is_written_into_a_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DistilvoError, match="was not made by 'distilvo train'"):
        claim_folder(tmp_path, "train", {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_second_command_in_a_folder_waits_for_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with claimer(out, 40, "wait") as first:
        assert first.stdout is not None and first.stdout.readline() == "claimed\n"
        with claimer(out, 40) as second:
            assert second.stderr is not None
            assert "another distilvo works in this folder; waiting" in second.stderr.readline()
            assert not (out / "made.txt").exists() and second.poll() is None
            with claimer(out, 50) as third:  # of other settings: refused at once, though nothing was made yet
                assert "a run with other settings (frames: 40 -> 50)" in third.communicate()[1]
            first.communicate("go\n")
            assert second.communicate()[0] == "claimed\n" and second.returncode == 0
    assert (out / "made.txt").read_text() == "40" and claim_of(out)["settings"] == {"frames": 40}


def test_a_folder_that_is_removed_meanwhile_is_one_line_and_is_not_made_again(tmp_path: Path) -> None:
    out = claim_folder(tmp_path / "out", "train", {})
    write_text(out / "a.txt", "a")
    shutil.rmtree(out)
    with pytest.raises(DistilvoError, match="out: was removed while distilvo worked in it; the same command begins"):
        write_text(out / "checkpoints" / "b.txt", "b")
    assert not out.exists()
    write_text(tmp_path / "other.txt", "other")  # other folders do not mind
    claim_folder(out, "train", {})
    write_text(out / "b.txt", "b")


def test_of_two_drafts_the_first_one_stays(tmp_path: Path) -> None:
    with draft_folder(tmp_path / "00") as late:
        (late / "a").write_text("late")
        (tmp_path / "00").mkdir()
        (tmp_path / "00" / "a").write_text("first")
    assert (tmp_path / "00" / "a").read_text() == "first" and [path.name for path in tmp_path.iterdir()] == ["00"]


def test_drafts_of_killed_processes_go_and_links_are_not_followed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    victim, parent = tmp_path / "victim", tmp_path / "sequences"
    victim.mkdir(), parent.mkdir()
    (victim / "a").write_text("mine")
    (parent / f".00.{process.pid}.unfinished" / "image_2").mkdir(parents=True)
    (parent / f".01.{process.pid}.unfinished").symlink_to(victim, target_is_directory=True)
    kept = [f".02.{os.getppid()}.unfinished", ".03.unfinished", f"04.{process.pid}.unfinished"]
    for name in kept:
        (parent / name).mkdir()
    remove_drafts(parent)
    assert sorted(path.name for path in parent.iterdir()) == sorted(kept)
    assert (victim / "a").read_text() == "mine"


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    (victim / "0").mkdir(parents=True), (out / "ours" / "0").mkdir(parents=True)
    (out / "theirs").symlink_to(victim, target_is_directory=True)
    (out / "ours" / "1").symlink_to(victim / "0", target_is_directory=True)
    for folder in ("ours/0", "theirs/0", "ours/1"):
        remove_inside(out / folder, out)
    assert (victim / "0").is_dir() and not (out / "ours" / "0").exists()


def test_a_full_disk_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def full(path: Path, _: bytes) -> None:
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        path.touch()

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DistilvoError, match=r"sequences/07: cannot write the sequence .*No space left"):
        write_street(make_street(7, 5, SIZE), tmp_path, "07")
    assert len(written) == 3 and not list((tmp_path / "sequences").iterdir())


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Streets that are rendered from now on, by seed; each is drawn in black, which is quick."""
    seeds: list[int] = []
    real = dataset._render

    def render(seed: int, **how: Any) -> None:
        seeds.append(seed)
        real(seed, **how)

    monkeypatch.setattr(dataset, "_render", render)
    monkeypatch.setattr(street_writer.Street, "render", lambda *_: np.zeros((*SIZE, 3), np.uint8))
    return seeds


@pytest.mark.parametrize("fault", ["images", "empty image", "times", "poses", "no poses", "no calibration folder"])
def test_a_street_that_is_not_whole_is_made_anew_with_a_note(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = drawn(monkeypatch)
    render_streets(tmp_path, [3, 4], 6, SIZE, workers=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    street, poses = tmp_path / "sequences" / "03", tmp_path / "poses" / "03.txt"
    match fault:
        case "images":
            for index in range(1, 6):
                (street / "image_2" / f"{index:06d}.png").unlink()
        case "empty image":
            (street / "image_2" / "000002.png").write_bytes(b"")
        case "times":
            (street / "times.txt").write_text("0\n")
        case "poses":
            poses.write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
        case "no poses":
            poses.unlink()
        case _:
            shutil.rmtree(street / "image_2")
    with pytest.warns(UserWarning, match="sequences/03: holds .* expected 6 of each; it is made anew"):
        render_streets(tmp_path, [3, 4], 6, SIZE, workers=1)
    assert seeds == [3, 4, 3]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_streets_of_others_are_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = drawn(monkeypatch)
    render_streets(tmp_path, [3], 6, SIZE, workers=1)
    street = tmp_path / "sequences" / "03"
    with pytest.raises(DistilvoError, match="holds 6 images, 6 times, 6 poses, expected 8 of each"):
        render_streets(tmp_path, [3], 8, SIZE, workers=1)
    (street / "image_2" / "000001.png").unlink()
    (street / "notes.txt").write_text("mine")
    with pytest.raises(DistilvoError, match=r"holds 5 images, 6 times, 6 poses, .* move the folder away"):
        render_streets(tmp_path, [3], 6, SIZE, workers=1)
    assert (street / "notes.txt").read_text() == "mine" and seeds == [3]


@pytest.mark.parametrize(
    ("frames", "size", "seeds", "message"),
    [
        (10**9, SIZE, [0], "1000000000 frames; expected 2 to"),
        (6, (10**6, 10**6), [0], "1000000000000 pixels of an image; expected 1 to"),
        (6, (-5, -5), [0], "0 pixels of an image"),
        (6, SIZE, range(10**9), "1000000000 streets; expected 0 to"),
        (6, SIZE, [-1], "-1 as seed; expected 0 to"),
    ],
)
def test_streets_beyond_all_measure_are_one_line(
    frames: int, size: tuple[int, int], seeds: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DistilvoError, match=message):
        render_streets(tmp_path / "out", seeds, frames, size)
    assert not (tmp_path / "out").exists()


def test_two_renders_at_once_leave_whole_streets(tmp_path: Path) -> None:
    line = ["render", "--out", "out", "--frames", "12", "--size", "48", "160"]
    command = [sys.executable, "-m", "distilvo", *line]
    both = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sorted(path.name for path in (tmp_path / "out" / "sequences").iterdir()) == ["00"]
    street = tmp_path / "out" / "sequences" / "00"
    assert len(list((street / "image_2").iterdir())) == 12
    assert (street / "times.txt").read_text().count("\n") == 12


def test_a_name_leads_out_of_no_data_set(tmp_path: Path) -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    for name in ("../victim", "/victim", ".", ""):
        with pytest.raises(DistilvoError, match="cannot name a folder"):
            render_routes(tmp_path / "out", {name: poses}, [0], SIZE)
    assert not list(tmp_path.iterdir())


def test_the_lock_of_a_claim_is_held_until_the_process_ends(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", "train", {})
    lock = files.CLAIMS[tmp_path / "out"]
    assert lock is not None and lock.is_locked


def test_workers_know_what_their_parent_has_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = claim_folder(tmp_path / "out", "render", {})
    monkeypatch.setattr(files, "CLAIMS", {})  # as in a new process
    files.share_claims((out,))
    with draft_folder(out / "sequences" / "00"):
        pass
    shutil.rmtree(out)
    with pytest.raises(DistilvoError, match="out: was removed while"), draft_folder(out / "sequences" / "01"):
        pass
    assert not out.exists()


def test_what_differs_is_named_and_nothing_else() -> None:
    before = {"plan": {"recipe": {"epochs": 3, "seed": 0}, "test": ["03"]}, "data": "kitti"}
    now = {"plan": {"recipe": {"epochs": 4, "seed": 0}, "test": ["03"]}, "data": "kitti", "teacher": "mine"}
    assert differences(before, now) == "plan.recipe.epochs: 3 -> 4, teacher: None -> mine"
    assert differences(before, before) == ""
