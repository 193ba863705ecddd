"""The whole corridor in miniature, killed on the way; and the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import make_kitti
from distilvo.commands import main
from distilvo.commands.demo_steps import run_demo
from distilvo.errors import DistilvoError
from distilvo.settings import PAPER, DemoSettings, Method, Recipe

SHORT = Recipe(epochs=2, clip_length=3, batch_size=2)
MINIATURE = DemoSettings(
    labelled_streets=2,
    unlabelled_streets=1,
    train_frames=8,
    test_streets=2,
    test_frames=6,
    student=SHORT,
)
LINE = """
    --labelled-streets 2 --unlabelled-streets 1 --train-frames 8 --test-streets 2 --test-frames 6
    --student.epochs 2 --student.clip-length 3 --student.batch-size 2
"""


def distilvo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "distilvo", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_demo_killed_and_run_again(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "distilvo", "demo", "--out", str(out), *LINE.split()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while not (out / "steps" / "3-trust.json").exists():
        assert process.poll() is None, "the demo ended before it could be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "summary.json").exists()
    before = {path: path.stat().st_mtime_ns for path in (out / "steps").iterdir()}
    rendered = {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.png")}

    summary = run_demo(MINIATURE, out)

    assert all(path.stat().st_mtime_ns == then for path, then in (before | rendered).items())
    assert json.loads((out / "summary.json").read_text()) == summary
    assert [model["name"] for model in summary["models"]] == [
        "mean_motion", "teacher", "shipped_student", "student_supervised", "student_paper", "student_distilled",
    ]  # fmt: skip
    for model in summary["models"]:
        assert model["rms_rpe_t_m"] > 0 and model["rms_rpe_r_deg"] > 0 and model["ate_m"] > 0
    assert all(model["reduction_percent"] >= 92.95 for model in summary["models"][2:])
    assert len({model["parameters"] for model in summary["models"][2:]}) == 1
    assert summary["onnx_max_abs_difference"] < 1e-3
    assert summary["wall_s"] > 0 and summary["peak_rss_mb"] > 0
    for path in (
        "first_drive/report.html",
        "report.html",
        "table.md",
        "metrics.json",
        "config.json",
        "models/student_distilled/model.onnx",
    ):
        assert (out / path).stat().st_size > 0
    assert len(list((out / "trajectories" / "student_distilled").glob("*.tum"))) == 2
    assert list((out / "plots").glob("*.png"))
    assert not [path for path in out.rglob("*.part")]


def test_demo_leaves_other_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DistilvoError, match="was not made by 'distilvo demo'"):
        run_demo(MINIATURE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_demo_with_other_settings_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "distilvo.json").write_text(json.dumps({"kind": "demo", "settings": {"test_streets": 3}}))
    (tmp_path / "d" / "config.json").write_text("{}")
    with pytest.raises(DistilvoError, match=r"other settings \(.*test.streets: 3 -> 2"):
        run_demo(MINIATURE, tmp_path / "d")


def test_verbs_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """render, train, distill, evaluate, export and track as a user types them."""
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["distilvo", *line.split()])
        main.main()
        return capsys.readouterr().out

    recipe = "--epochs 1 --clip-length 3 --batch-size 2"
    run("render --out streets --streets 2 --frames 10 --size 48 160 --seed 5")
    run(f"train streets --out teacher {recipe}")
    run(f"train streets --out alone --rate 92.95 {recipe}")
    run(f"distill streets --out student --teacher teacher {recipe}")
    run("evaluate teacher alone student --data streets --out scores")
    assert len(json.loads((tmp_path / "scores" / "summary.json").read_text())["models"]) == 4
    assert (tmp_path / "scores" / "table.md").read_text().count("\n") == 6
    run("export student")
    (tmp_path / "mine.onnx").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        run("export student --out mine.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "mine"
    assert "RMS-RPE" in run("track streets/sequences/05 --model student --out track")
    assert json.loads((tmp_path / "track" / "summary.json").read_text())["frames"] == 10


def test_render_along_a_pose_file(tmp_path: Path) -> None:
    source = make_kitti(tmp_path / "source", "03", frames=6)
    poses = source.parents[1] / "poses" / "03.txt"
    done = distilvo("render", "--out", "along", "--poses", str(poses), "--size", "48", "160", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "along" / "sequences" / "03" / "image_2").iterdir())) == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("track nowhere --model m", "nowhere: no such path"),
        ("track . --model m", "no image"),
        ("evaluate m --data nowhere", "m: no such file or folder"),
        ("train nowhere --out m", "nowhere: no such folder; "),
        ("distill nowhere --out m --rate 99.99 --teacher none", "none: no such folder"),
        ("export m", "m: no such folder"),
        ("train nowhere --out m --epochs 0", "epochs: is 0, expected at least 1"),
        ("demo --test-streets 1 --student.clip-length 0", "clip-length: is 0, expected at least 1"),
        (f"track {300 * 'n'} --model m", f"{300 * 'n'}: "),  # the system refuses such a name
    ],
)
def test_bad_input_gets_one_line_and_status_2(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["distilvo", *line.split()])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    with pytest.raises(SystemExit) as status:
        main.main()
    error = capsys.readouterr().err
    assert status.value.code == 2
    assert message in error
    assert error.strip().count("\n") == 0
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "runs/a.npy"), "runs/a.npy: No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError("torn"), "torn"),
    ],
)
def test_what_the_system_refuses_gets_one_line_and_status_2(
    error: OSError, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(main.Export, "run", refuse)
    monkeypatch.setattr(sys, "argv", ["distilvo", "export", "m"])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    with pytest.raises(SystemExit) as status:
        main.main()
    assert status.value.code == 2
    assert capsys.readouterr().err == f"distilvo: {line}; check path, permissions and free space\n"


def test_help_does_not_import_what_costs_time() -> None:
    code = (
        "import sys; from distilvo.commands.main import main; sys.argv = ['distilvo', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "costly = {'torch', 'numba', 'onnxruntime', 'plotly', 'cv2', 'matplotlib'}\n"
        "sys.exit(bool(costly & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_the_preset_of_the_paper_and_a_flag_that_changes_it() -> None:
    flags = ("", "--preset paper", "--schedule joint --preset paper")
    best, paper, joint = (main._parse(["distill", "data", "--out", "o", *line.split()]) for line in flags)
    assert best.method == Method() and best.preset == "best"
    assert paper.method == PAPER and paper.preset == "paper"
    assert joint.method == replace(PAPER, schedule="joint")


def test_the_method_of_the_paper_is_that_of_its_section_3() -> None:
    paper = Method(
        blend="attentive",
        hint="attentive",
        schedule="two-stage",
        trust="paper",
        hint_form="sum",
        separate=False,
        freeze=True,
        inherit=False,
    )
    assert paper == PAPER
