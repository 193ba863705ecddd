"""Which truth belongs to which estimate, and the verb evaluate over trajectory files: table, JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import json
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from conftest import make_kitti
from distilvo.commands import main
from distilvo.data import open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.models.model_folder import load_model
from distilvo.pipeline import evaluation
from distilvo.sequences import choose
from distilvo.settings import Scoring
from distilvo.trajectory.estimates import is_trajectory, open_truths
from distilvo.trajectory.formats import Trajectory, write_kitti, write_tum
from distilvo.trajectory.metrics import errors
from distilvo.trajectory.scores import score, with_totals
from real_data import REAL, needs


def drive(frames: int, seed: int = 0, step_m: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, [0.02, 0.02, 0.1, 0.01, 0.03, 0.01], (frames - 1, 6))
    return se3.trajectory(np.array([0, 0, step_m, 0, 0, 0]) + noise)


def evaluate(*arguments: object) -> None:
    """The verb, as from the command line."""
    command = ["distilvo", "evaluate", *map(str, arguments)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
        main.main()


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that the verb ends with, and nothing else."""
    with pytest.raises(SystemExit) as status:
        evaluate(*arguments)
    output = capsys.readouterr()
    assert status.value.code == 2 and output.out == "" and output.err.count("\n") == 1, output.err
    return output.err


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """A drive of 150 m as a KITTI file."""
    write_kitti(tmp_path / "T.txt", drive(151))
    return tmp_path / "T.txt"


def numbered(path: Path, estimate: np.ndarray, frames: np.ndarray) -> Path:
    write_kitti(path, estimate[frames])
    rows = path.read_text().splitlines()
    path.write_text("".join(f"{frame} {row}\n" for frame, row in zip(frames, rows, strict=True)))
    return path


def test_json_is_one_object_and_nothing_else(truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(tmp_path / "E.txt", drive(151, seed=1))
    evaluate("--truth", truth, "--estimate", tmp_path / "E.txt", "--align", "sim3", "--json")
    output = capsys.readouterr()
    row = json.loads(output.out)
    assert output.err == "" and row["alignment"] == "sim3" and row["poses"] == 151 and row["note"] is None
    assert row.keys() >= {"t_rel_percent", "r_rel_deg_per_100m", "ate_m", "mean_rpe_t_m", "mean_rpe_r_deg"}
    # Rotations are the same under every alignment, and the ATE of the paper is that of Sim(3).
    expected = errors(drive(151, seed=1), drive(151))
    assert row["rms_rpe_r_deg"] == pytest.approx(expected.rms_rpe_r_deg, rel=1e-5)
    assert row["ate_m"] == pytest.approx(expected.ate_m, rel=1e-5)
    assert row["rms_rpe_t_m"] != pytest.approx(expected.rms_rpe_t_m, rel=1e-4)


def test_the_paper_measures_are_the_default(truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tum(tmp_path / "E.tum", drive(151, seed=1), np.arange(151) * 0.1)
    evaluate("--truth", truth, "--estimate", tmp_path / "E.tum", "--json")
    row, expected = json.loads(capsys.readouterr().out), errors(drive(151, seed=1), drive(151))
    assert (row["relative_alignment"], row["ate_alignment"]) == ("none", "sim3")
    names = ["rms_rpe_t_m", "mean_rpe_r_deg", "ate_m", "t_rel_percent", "r_rel_deg_per_100m"]
    for name in names:
        assert row[name] == pytest.approx(getattr(expected, name), rel=1e-5)


def test_a_short_drive_gets_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(tmp_path / "T.txt", drive(61))
    write_kitti(tmp_path / "E.txt", drive(61, seed=1))
    evaluate(tmp_path / "E.txt", "--truth", tmp_path / "T.txt", "--json")
    scores = json.loads(capsys.readouterr().out)
    assert scores["t_rel_percent"] is None and scores["r_rel_deg_per_100m"] is None
    assert "not more than 100 m" in scores["note"]
    evaluate(tmp_path / "E.txt", "--truth", tmp_path / "T.txt", "--out", tmp_path / "scores")
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("E "))
    assert row.split()[-2:] == ["short", "short"] and "nan" not in text.lower()
    assert "short & short" in (tmp_path / "scores" / "scores.tex").read_text()
    assert next(csv.DictReader((tmp_path / "scores" / "scores.csv").open()))["t_rel_percent"] == ""


def test_every_other_frame_has_no_pair_of_consecutive_frames_of_the_truth(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered(tmp_path / "E.txt", drive(151), np.arange(0, 151, 2))
    evaluate("--truth", truth, "--estimate", tmp_path / "E.txt", "--unit", "truth-frames")
    text = capsys.readouterr().out
    assert text.count("no pair") == 4 and "no two poses that are scored lie 1 frame of the truth apart" in text
    assert "left out: 75 true poses between those scored" in text
    evaluate("--truth", truth, "--estimate", tmp_path / "E.txt", "--json")
    row = json.loads(capsys.readouterr().out)
    assert (row["poses"], row["rpe_pairs"], row["left_out"], row["truth_left_out"]) == (76, 75, 0, 75)


@pytest.fixture
def contest(tmp_path: Path) -> Path:
    """Ground truth of two drives in truth/, estimates of both in orb_1/ and of one in dso/."""
    for index, name in enumerate(("00", "01")):
        write_kitti(tmp_path / "truth" / f"{name}.txt", drive(131, seed=index))
        write_kitti(tmp_path / "orb_1" / f"{name}.kitti", drive(131, seed=index + 2))
    write_tum(tmp_path / "dso" / "01.tum", drive(131, seed=5), np.arange(131) * 0.1)
    (tmp_path / "truth" / "notes.txt").write_text("not a trajectory\n")
    return tmp_path


def test_many_estimates_against_many_sequences(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [contest / "orb_1", contest / "dso" / "01.tum", "--truth", contest / "truth", "--align", "se3"]
    evaluate(*arguments, "--out", contest / "scores")
    lines = capsys.readouterr().out.splitlines()
    rows = [tuple(line.split()[:2]) for line in lines if line.startswith(("orb", "dso"))]
    assert rows == 2 * [("orb_1", "00"), ("orb_1", "01"), ("orb_1", "all"), ("dso", "01")]
    rule = next(k for k, line in enumerate(lines) if set(line) == {"─"})
    assert lines[rule - 1].split() == ["estimate", "sequence", *7 * ["SE(3)"]]

    scores = json.loads((contest / "scores" / "scores.json").read_text())["scores"]
    assert [row["sequence"] for row in scores] == ["00", "01", "all 2", "01"]
    squares = [row["ate_m"] ** 2 for row in scores]
    assert squares[2] == pytest.approx((squares[0] + squares[1]) / 2)
    table = list(csv.DictReader((contest / "scores" / "scores.csv").open()))
    assert [float(row["ate_m"]) for row in table] == [row["ate_m"] for row in scores]
    assert {row["alignment"] for row in table} == {"se3"}


def test_latex_word_for_word(contest: Path) -> None:
    evaluate(contest / "orb_1", "--truth", contest / "truth" / "00.txt", "--out", contest / "scores")
    scores = json.loads((contest / "scores" / "scores.json").read_text())["scores"][0]
    digits = {"rms_rpe_t_m": 4, "rms_rpe_r_deg": 4, "mean_rpe_t_m": 4, "mean_rpe_r_deg": 4, "ate_m": 3}
    digits |= {"t_rel_percent": 3, "r_rel_deg_per_100m": 3}
    numbers = " & ".join(f"{scores[name]:.{count}f}" for name, count in digits.items())
    assert (contest / "scores" / "scores.tex").read_text().splitlines()[1:] == [
        r"\begin{tabular}{llrrrrrrrr}",
        r"\toprule",
        r" &  & RMS-RPE & RMS-RPE & mean RPE & mean RPE & ATE & t\_rel & r\_rel & scale \\",
        r" &  & (m/frame) & (deg/frame) & (m/frame) & (deg/frame) & (m) & (\%) & (deg/100m) &  \\",
        r"estimate & sequence & none & none & none & none & Sim(3) & none & none & Sim(3) \\",
        r"\midrule",
        rf"orb\_1 & 00 & {numbers} & {scores['ate_scale']:#.3g} \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% orb_1, 00: 131 poses, 130 RPE pairs",
    ]


def test_estimates_of_one_name_go_by_their_folder_or_path(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("a", "b"):
        write_kitti(contest / folder / "orb_1" / "00.txt", drive(131, seed=9))
    write_kitti(contest / "b" / "orb_1" / "00.kitti", drive(131, seed=9))
    same = [contest / "a" / "orb_1", contest / "b" / "orb_1" / "00.txt", contest / "b" / "orb_1" / "00.kitti"]
    evaluate(*same, same[1], "--truth", contest / "truth", "--json")
    names = [row["estimate"] for row in json.loads(capsys.readouterr().out)["scores"]]
    assert names == [str(same[0]), str(same[1]), str(same[2])]


def test_two_folders_of_one_name_are_not_taken_for_one(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kitti(contest / "b" / "orb_1" / "01.txt", drive(131, seed=9))
    evaluate(contest / "orb_1" / "00.kitti", contest / "b" / "orb_1" / "01.txt", "--truth", contest / "truth", "--json")
    rows = json.loads(capsys.readouterr().out)["scores"]
    assert [row["estimate"] for row in rows] == [str(contest / "orb_1"), str(contest / "b" / "orb_1")]


def test_two_short_drives_together_are_still_short() -> None:
    short = [score("e", name, Trajectory(drive(61)), Trajectory(drive(61)), Scoring()) for name in ("00", "01")]
    together = with_totals(short)[-1]
    assert together.sequence == "all 2" and together.missing_kitti == "short"
    assert "the longest path is" in (together.note() or "")


def test_sequences_can_be_chosen(contest: Path) -> None:
    (contest / "truth" / "00.times.txt").write_text("0\n")  # as convert writes them: no trajectory
    assert list(open_truths((contest / "truth",), ("01",))) == ["01"]
    assert "00.times" not in open_truths((contest / "truth",), ())
    with pytest.raises(DistilvoError, match="has no sequence 07; it has 00, 01"):
        open_truths((contest / "truth",), ("07",))


def test_truth_of_a_data_set_has_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_kitti(tmp_path / "data", "00", frames=20)
    evaluate(
        tmp_path / "data" / "poses" / "00.txt", "--data", tmp_path / "data", "--unit", "s", "--delta", 0.5, "--json"
    )
    row = json.loads(capsys.readouterr().out)
    assert row["rms_rpe_t_m"] == pytest.approx(0, abs=1e-6) and (row["rpe_delta"], row["rpe_unit"]) == (0.5, "s")


def test_poses_without_images_are_a_data_set_for_files(contest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (contest / "truth").rename(contest / "poses")
    evaluate(contest / "orb_1", "--data", contest, "--json")
    assert [row["sequence"] for row in json.loads(capsys.readouterr().out)["scores"]] == ["00", "01", "all 2"]


def test_a_folder_is_a_model_where_it_has_a_configuration(contest: Path) -> None:
    (contest / "model").mkdir()
    (contest / "model" / "config.json").write_text("{}")
    (contest / "model" / "notes.txt").write_text("")
    assert is_trajectory(contest / "orb_1") and is_trajectory(contest / "gone.txt")
    assert not is_trajectory(contest / "model") and not is_trajectory(contest / "gone")


def test_models_and_files_in_one_object(
    kitti_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    """The truth as an estimate, beside the shipped teacher: one has no error, and the other is the same anywhere."""
    monkeypatch.setattr("distilvo.progress._silent", False)  # --json sets it for the whole process
    evaluate(lstm_teacher, kitti_root / "poses" / "00.txt", "--data", kitti_root, "--sequences", "00", "01", "--json")
    rows = json.loads(capsys.readouterr().out)["scores"]
    names = [(row["estimate"], row["sequence"]) for row in rows]
    models = [(name, sequence) for name in ("mean_motion", lstm_teacher.name) for sequence in ("00", "01", "all 2")]
    assert names == [*models, ("poses", "00")]
    assert rows[-1]["ate_m"] == pytest.approx(0, abs=1e-6) and rows[3]["ate_m"] > 0.01
    teacher = load_model(lstm_teacher)[0]
    with TemporaryDirectory() as cache:
        store = open_cache(choose(kitti_root, ("00",)), teacher.architecture.preprocessing, Path(cache))
        alone = evaluation.evaluate(evaluation.network_motions(teacher), store)
    assert rows[3]["rms_rpe_t_m"] == pytest.approx(alone.total.rms_rpe_t_m, rel=1e-6)


def test_what_cannot_be_scored_ends_in_one_line(
    contest: Path, capsys: pytest.CaptureFixture[str], lstm_teacher: Path
) -> None:
    def broken(text: str) -> Path:
        (contest / "e.txt").write_text(text)
        return contest / "e.txt"

    one, rows = ("--truth", contest / "truth" / "00.txt"), (contest / "truth" / "00.txt").read_text().splitlines()
    assert "nothing to score" in refused(capsys)
    assert "no ground truth" in refused(capsys, contest / "orb_1")
    assert "cannot be read (No such file" in refused(capsys, contest / "gone.txt", *one)
    assert "cannot be read (No such file" in refused(capsys, contest / "orb_1" / "00.kitti", "--truth", "gone.txt")
    assert "named like none of the sequences" in refused(capsys, broken(""), "--truth", contest / "truth")
    assert "no estimate of 00" in refused(capsys, contest / "dso", *one)
    twice = ("--truth", contest / "truth" / "00.txt", contest / "orb_1" / "00.kitti")
    assert "a second ground truth called 00" in refused(capsys, contest / "dso", *twice)
    assert "model: no such file or folder" in refused(capsys, contest / "model", contest / "orb_1", *one)
    assert "needs --data" in refused(capsys, lstm_teacher, contest / "orb_1", *one)
    assert "delta: is 0.5" in refused(capsys, contest / "orb_1", *one, "--delta", 0.5)
    assert "needs the times of the truth" in refused(capsys, contest / "orb_1", *one, "--unit", "s")
    assert "1 of 1 rows hold numbers that are not finite" in refused(capsys, broken("nan " * 12 + "\n"), *one)
    assert "line 2: found 11 columns" in refused(capsys, broken(f"{rows[0]}\n{rows[1].rsplit(None, 1)[0]}\n"), *one)
    assert "line 1: its nine rotation columns" in refused(capsys, broken("2 " + rows[0].split(None, 1)[1]), *one)
    assert "130 poses, but 131" in refused(capsys, broken("\n".join(rows[1:])), *one)
    assert "frame 4 once more" in refused(capsys, broken(f"4 {rows[4]}\n4 {rows[4]}\n"), *one)
    assert "frame 131, but" in refused(capsys, broken(f"0 {rows[0]}\n131 {rows[4]}\n"), *one)


@needs("scorer_oracle", "kitti_poses")
def test_published_scorer_over_both_of_its_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    """The folder also holds what the scorer printed; those files are no estimate of any sequence."""
    evaluate(REAL / "scorer_oracle", "--truth", REAL / "kitti_poses", "--align", "first", "--json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["scores"]
    assert [(row["sequence"], f"{row['t_rel_percent']:.3f}", f"{row['ate_m']:.3f}") for row in rows[:2]] == [
        ("09", "2.607", "17.919"),
        ("10", "2.293", "9.035"),
    ]
