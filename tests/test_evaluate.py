"""The verb evaluate: times that nobody measured, the scale, what is left out, and --out, claimed once all is open."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import make_kitti
from distilvo.commands import main
from distilvo.files import read_json
from distilvo.geometry import se3
from distilvo.trajectory.formats import read_kitti, read_tum, write_kitti, write_tum

TINY = Path(__file__).parent / "data" / "tiny.onnx"


def drive(frames: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, [0.02, 0.02, 0.1, 0.01, 0.03, 0.01], (frames - 1, 6))
    return se3.trajectory(np.array([0, 0, 1.0, 0, 0, 0]) + noise)


def run(verb: str, *arguments: object) -> None:
    """A verb, as from the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["distilvo", verb, *map(str, arguments)])
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
        main.main()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The last line, that of the error, where all others are notes."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as status:
        run("evaluate", *arguments)
    *notes, line = capsys.readouterr().err.splitlines()
    assert status.value.code == 2 and all(note.startswith("distilvo: note: ") for note in notes)
    return line


def scored(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[dict[str, Any], str]:
    """The one JSON object, and the notes."""
    capsys.readouterr()
    run("evaluate", *arguments, "--json")
    output = capsys.readouterr()
    return json.loads(output.out), output.err


@pytest.fixture
def untimed(tmp_path: Path) -> Path:
    """A KITTI data set of 20 frames without times.txt: 10 Hz are assumed."""
    (make_kitti(tmp_path / "data", "00") / "times.txt").unlink()
    return tmp_path / "data"


def test_assumed_times_are_never_matched(
    untimed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    """Another clock matches some of them by chance: 15 of 20 frames, shifted."""
    truth = read_kitti(untimed / "poses" / "00.txt")
    write_tum(tmp_path / "whole.tum", truth, 5.0 + 0.1037 * np.arange(20))
    row, notes = scored(capsys, tmp_path / "whole.tum", "--data", untimed)
    assert row["poses"] == 20 and row["ate_m"] == pytest.approx(0, abs=1e-6)
    assert "has no measured times: the 20 poses of both are paired one by one" in notes
    write_tum(tmp_path / "part.tum", truth[:15], 0.1 * np.arange(15))
    line = refused(capsys, tmp_path / "part.tum", "--data", untimed, "--out", tmp_path / "out")
    assert "15 poses, but 20 in the ground truth; the ground truth has no measured times" in line
    assert "times.txt" in line and "TUM" in line and "13 columns" in line
    line = refused(capsys, tmp_path / "whole.tum", "--data", untimed, "--unit", "s", "--out", tmp_path / "out")
    assert "needs the times of the truth" in line
    line = refused(capsys, lstm_teacher, "--data", untimed, "--unit", "s", "--out", tmp_path / "out")
    assert "no measured times for 00; add times.txt" in line and not (tmp_path / "out").exists()


def test_what_track_writes_from_assumed_times_passes_for_no_times(
    untimed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "track"
    run("track", untimed / "sequences" / "00", "--model", TINY, "--out", out)
    printed, summary = capsys.readouterr().out, read_json(out / "summary.json")
    assert f"ATE {summary['ate_m']:.2f} m, Sim(3), scale {summary['ate_scale']:#.3g}" in printed
    np.testing.assert_allclose(read_tum(out / "trajectory.tum")[0], 0.1 * np.arange(20))  # for programs that need some
    write_tum(tmp_path / "T.tum", read_kitti(untimed / "poses" / "00.txt"), 7.0 + 0.1037 * np.arange(20))
    row, notes = scored(capsys, out / "trajectory.tum", "--truth", tmp_path / "T.tum")
    assert "the estimate has no measured times" in notes and row["poses"] == 20
    assert row["ate_scale"] == pytest.approx(summary["ate_scale"], rel=1e-5)


def test_models_write_marked_times_too(untimed: Path, tmp_path: Path, lstm_teacher: Path) -> None:
    make_kitti(untimed, "01", seed=1)
    run("evaluate", lstm_teacher, "--data", untimed, "--align", "se3", "--out", tmp_path / "out", "--json")
    folder = tmp_path / "out" / "trajectories" / lstm_teacher.name
    assert [(folder / f"{name}.tum").read_text()[0] for name in ("00", "01")] == ["#", "0"]


def test_results_of_other_sequences_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    for number in range(2):
        make_kitti(tmp_path / "data", f"{number:02d}", frames=4)
    given = lstm_teacher, "--data", tmp_path / "data", "--out", tmp_path / "out"
    run("evaluate", *given, "--sequences", "00", "--json")
    before = (tmp_path / "out" / "scores.json").read_bytes()
    assert "other settings (sequences: ['00'] -> ['01'])" in refused(capsys, *given, "--sequences", "01")
    assert (tmp_path / "out" / "scores.json").read_bytes() == before
    run("evaluate", *given, "--sequences", "00", "--json")


def test_scale_pairs_and_what_is_left_out_stand_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half the size, every third of 151 poses missing, two rows lost."""
    frames = np.flatnonzero(np.arange(151) % 3)
    estimate = drive(151)[frames]
    estimate[:, :3, 3] /= 2
    write_kitti(tmp_path / "T.txt", drive(151))
    write_kitti(tmp_path / "E.txt", estimate, frames)
    rows = (tmp_path / "E.txt").read_text().splitlines()
    rows[10], rows[20] = f"{frames[10]} {'nan ' * 12}", f"{frames[20]} {'inf ' * 12}"
    (tmp_path / "E.txt").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")
    run("evaluate", tmp_path / "E.txt", "--truth", tmp_path / "T.txt", "--out", tmp_path / "out")
    output = capsys.readouterr()
    assert "2 of 100 rows hold numbers that are not finite" in output.err
    lines = output.out.splitlines()
    place = next(k for k, line in enumerate(lines) if line.startswith("estimate") and "left out" in line)
    head, _, counts = lines[place : place + 3]
    assert "poses  RPE pairs  left out  scale (Sim(3))" in head
    assert counts.split() == ["E", "T", "98", "97", "2", "2.00"]
    assert "E, T: left out: 2 poses of the estimate, 51 true poses between those scored" in output.out
    expected = {"poses": 98, "rpe_pairs": 97, "left_out": 2, "truth_left_out": 51}
    (row,) = read_json(tmp_path / "out" / "scores.json")["scores"]
    assert {name: row[name] for name in expected} == expected and row["ate_scale"] == pytest.approx(2, rel=1e-6)
    table = next(csv.DictReader((tmp_path / "out" / "scores.csv").open()))
    assert {name: int(table[name]) for name in expected} == expected and float(table["ate_scale"]) == row["ate_scale"]
    latex = (tmp_path / "out" / "scores.tex").read_text()
    assert "& 2.00 " in latex and "98 poses, 97 RPE pairs; left out: 2 poses of the estimate, 51 true poses" in latex
    assert "scale (Sim(3))" in (tmp_path / "out" / "report.html").read_text()


def test_drives_together_have_no_scale_and_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, scale in (("00", 2.0), ("01", 3.0)):
        estimate = drive(31)
        estimate[:, :3, 3] /= scale
        write_kitti(tmp_path / "truth" / f"{name}.txt", drive(31))
        write_kitti(tmp_path / "mine" / f"{name}.txt", estimate[::2], np.arange(0, 31, 2))
    rows = scored(capsys, tmp_path / "mine", "--truth", tmp_path / "truth")[0]["scores"]
    assert [row["ate_scale"] for row in rows] == [pytest.approx(2, rel=1e-6), pytest.approx(3, rel=1e-6), None]
    assert [row["truth_left_out"] for row in rows] == [15, 15, 30]


def test_euroc_as_truth_and_times_in_nanoseconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, times = drive(31), 1403636579763555584 + 10**8 * np.arange(31)
    positions = path[:, :3, 3].tolist()
    lines = [f"{t},{x},{y},{z},1,0,0,0" + ",0" * 9 for t, (x, y, z) in zip(times, positions, strict=True)]
    (tmp_path / "data.csv").write_text("#timestamp, p_RS_R_x [m], ...\n" + "\n".join(lines))
    level = path.copy()
    level[:, :3, :3] = np.eye(3)
    write_tum(tmp_path / "E.tum", level, times / 1e9)
    row, notes = scored(capsys, tmp_path / "E.tum", "--truth", tmp_path / "data.csv")
    assert "poses of the body (IMU)" in notes and row["ate_m"] == pytest.approx(0, abs=1e-6) and row["poses"] == 31
    write_tum(tmp_path / "ns.tum", level, times.astype(float))
    line = refused(capsys, tmp_path / "ns.tum", "--truth", tmp_path / "data.csv")
    assert line.endswith(f"the times of {tmp_path}/ns.tum look like nanoseconds: multiply by 1e-9")
    write_tum(tmp_path / "late.tum", level, 0.1 * np.arange(31))
    line = refused(capsys, tmp_path / "late.tum", "--truth", tmp_path / "data.csv")
    assert "try --offset 1403636579.764" in line
    offset = ("--offset", 1403636579.764)
    assert scored(capsys, tmp_path / "late.tum", "--truth", tmp_path / "data.csv", *offset)[0]["poses"] == 31


@pytest.mark.parametrize("wrong", ["model", "estimate", "truth", "sequence", "poses", "folder"])
def test_what_is_wrong_never_claims_out(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    make_kitti(tmp_path / "data", "00")
    make_kitti(tmp_path / "data", "01")
    (tmp_path / "data" / "poses" / "01.txt").unlink()
    (tmp_path / "00.txt").write_text("1 2 3\n")
    (tmp_path / "empty").mkdir()
    data, good = ("--data", tmp_path / "data"), tmp_path / "data" / "poses" / "00.txt"
    one = ("--sequences", "00")
    arguments, message = {
        "model": ((tmp_path / "gone", *data), "gone: no such file or folder"),
        "estimate": ((lstm_teacher, tmp_path / "00.txt", *data, *one), "00.txt, line 1: found 3 columns"),
        "truth": ((good, "--truth", tmp_path / "00.txt"), "00.txt, line 1: found 3 columns"),
        "sequence": ((lstm_teacher, *data, "--sequences", "07"), "has no sequence 07"),
        "poses": ((lstm_teacher, *data), "no ground truth for 01"),
        "folder": ((tmp_path / "empty", *data), "no trajectory file and no config.json in it"),
    }[wrong]
    assert message in refused(capsys, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lengths_of_models_grow_with_the_height_that_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    make_kitti(tmp_path / "data", "00")
    ways = []
    for flags, height in ([], 1.65), (["--camera-height", 3.3], 3.3):
        out = tmp_path / f"out{height}"
        run("evaluate", lstm_teacher, "--data", tmp_path / "data", "--out", out, *flags)
        note = "camera height not known: 1.65 m taken" in " ".join(capsys.readouterr().err.split())
        assert note == (not flags) and read_json(out / "summary.json")["camera_heights_m"] == {"00": height}
        path = out / "trajectories" / "teacher-demo" / "00.kitti"
        ways.append(np.linalg.norm(np.diff(read_kitti(path)[:, :3, 3], axis=0), axis=1))
    assert ways[1] == pytest.approx(2 * ways[0], rel=1e-4) and ways[0].min() > 0
    assert "--camera-height 30: expected metres" in refused(
        capsys, lstm_teacher, "--data", tmp_path / "data", "--camera-height", 30
    )


def test_a_height_is_nothing_for_trajectory_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(tmp_path / "a.kitti", drive(9))
    files = tmp_path / "a.kitti", "--truth", tmp_path / "a.kitti"
    assert "--camera-height is for models" in refused(capsys, *files, "--camera-height", 2)
