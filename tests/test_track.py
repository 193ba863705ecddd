"""``distilvo track``: height of the camera, rate of the model, deviations in the files, and a model without --model."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_film, make_kitti
from constant_model import write_onnx
from distilvo.commands import main
from distilvo.geometry.camera import Camera, canonical_intrinsics
from distilvo.pipeline.model_rate import at_models_rate, warn_of_rate
from distilvo.pipeline.tracking import track, tracker_of
from distilvo.runtime import packaged_models
from distilvo.sequences import open_sequence
from distilvo.trajectory.formats import read_tum
from test_selection import Stream

MOTION = np.array([0.0, 0.0, 1.0, 0.0, 0.02, 0.0], np.float32)
DEVIATION = np.array([0.02, 0.01, 0.05, 0.001, 0.002, 0.003], np.float32)
FLOW = json.dumps({"centred": True, "rate_hz": 10})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "certain.onnx", value=MOTION, deviation=DEVIATION, config=FLOW)


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return make_kitti(tmp_path / "data", "00", frames=8)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three seconds at 30 frames a second, of a texture that moves."""
    return make_film(tmp_path / "drive.avi", 90, 30.0, 1)


class Run:
    """The command, and what it printed on one line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: Path) -> None:
        self.monkeypatch, self.capsys, self.out = monkeypatch, capsys, out

    def __call__(self, source: Path, *flags: object) -> str:
        self.monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
        arguments = ["distilvo", "track", source, "--out", self.out, *flags]
        self.monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        try:
            main.main()
        except SystemExit as end:
            self.code = int(end.code or 0)
        else:
            self.code = 0
        return " ".join("".join(self.capsys.readouterr()).split())

    @property
    def summary(self) -> dict[str, object]:
        return json.loads((self.out / "summary.json").read_text())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    return Run(monkeypatch, capsys, tmp_path / "out")


NOT_KNOWN = "camera height not known: 1.65 m taken (--camera-height); lengths grow with it"


def test_height_of_a_source_that_tells_none(run: Run, drive: Path, model: Path) -> None:
    printed = run(drive, "--model", model)
    assert NOT_KNOWN in printed and "Camera 1.65 m above the road" in printed and run.code == 0
    assert run.summary["camera_height_m"] == 1.65
    assert np.linalg.norm(read_tum(run.out / "trajectory.tum")[1][1, :3, 3]) == pytest.approx(1.0, abs=1e-5)


def test_height_of_the_source_and_a_flag_that_wins(run: Run, drive: Path, model: Path) -> None:
    (drive / "camera_height.txt").write_text("3.3\n")
    printed = run(drive, "--model", model)
    assert "height not known" not in printed and "Camera 3.3 m above the road" in printed
    assert run.summary["camera_height_m"] == 3.3
    run.out = run.out.with_name("flag")
    printed = run(drive, "--model", model, "--camera-height", 0.825)
    assert "height not known" not in printed and run.summary["camera_height_m"] == 0.825
    assert np.linalg.norm(read_tum(run.out / "trajectory.tum")[1][1, :3, 3]) == pytest.approx(0.5, abs=1e-5)
    assert "0.825" in (run.out / "report.html").read_text()


@pytest.mark.parametrize("height", ["0", "0.05", "21", "nan", "inf", "-1"])
def test_impossible_heights_are_one_line(height: str, run: Run, drive: Path, model: Path) -> None:
    printed = run(drive, "--model", model, f"--camera-height={height}")
    assert run.code == 2 and "--camera-height" in printed and "expected metres of the camera above the road" in printed
    assert not run.out.exists()


def test_deviations_are_written(run: Run, drive: Path, model: Path) -> None:
    printed = run(drive, "--model", model, "--camera-height", 3.3)
    rows = list(csv.DictReader((run.out / "frames.csv").open()))
    names = ["tx_m", "ty_m", "tz_m", "rx_rad", "ry_rad", "rz_rad"]
    assert [*rows[0]] == ["frame", "time_s", "status", "segment", *(f"deviation_{name}" for name in names)]
    last = [float(rows[-1][f"deviation_{name}"]) for name in names]
    assert last == pytest.approx([0.04, 0.02, 0.1, 0.001, 0.002, 0.003])
    end = run.summary["end_deviation_m"]
    assert end == pytest.approx(np.sqrt(7 * (0.1**2 + 0.04**2 + 0.02**2)), rel=0.02)  # turns add next to nothing
    assert f"by the model the end is known to {end:.2f} m" in printed


def test_a_model_without_deviations(run: Run, drive: Path, tmp_path: Path) -> None:
    printed = run(drive, "--model", write_onnx(tmp_path / "m.onnx", value=MOTION))
    assert (run.out / "frames.csv").read_text().splitlines()[0] == "frame,time_s,status,segment"
    assert run.summary["end_deviation_m"] is None and "is known to" not in printed


@pytest.mark.parametrize(("gaps", "segments"), [((), 1), (("--gaps", "segment"), 2)])
def test_dark_frames_are_bridged_or_begin_a_segment(
    gaps: tuple[str, ...], segments: int, run: Run, drive: Path, model: Path
) -> None:
    for number in (4, 5):
        cv2.imwrite(str(drive / "image_2" / f"{number:06d}.png"), np.zeros((48, 160, 3), np.uint8))
    run(drive, "--model", model, *gaps)
    assert run.summary["segments"] == segments
    rows = list(csv.DictReader((run.out / "frames.csv").open()))
    assert [row["frame"] for row in rows if row["status"] != "ok"] == ["4", "5", "6"]  # the first one after has no pair


def test_a_model_folder_that_was_not_exported_is_tracked_and_checked_with(
    run: Run, drive: Path, tmp_path: Path, lstm_teacher: Path
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(lstm_teacher, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rate_hz": 20}))
    before = sorted(path.name for path in folder.iterdir())
    run(drive, "--model", folder)
    assert run.code == 0 and run.summary["frames"] == 8
    assert sorted(path.name for path in folder.iterdir()) == before
    run.monkeypatch.setattr(sys, "argv", ["distilvo", "check", str(drive), "--model", str(folder)])
    main.main()
    assert "the model was trained on 20 frames/s" in " ".join(run.capsys.readouterr().out.split())


def test_a_fast_film_is_thinned_to_the_rate_of_the_model(run: Run, film: Path, model: Path) -> None:
    printed = run(film, "--model", model)
    assert (
        "drive: 30.0 frames/s, thinned to 10.0, as near as can be to the model's 10 frames/s: 30 of 90; --fps"
        in printed
    )
    assert run.summary["frames"] == 30
    assert np.diff(read_tum(run.out / "trajectory.tum")[0]) == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(("flags", "frames"), [(("--fps", 30), 90), (("--stride", 2), 45), (("--end", 0.95), 10)])
def test_flags_choose_other_frames(flags: tuple[object, ...], frames: int, run: Run, film: Path, model: Path) -> None:
    printed = run(film, "--model", model, *flags)
    assert run.summary["frames"] == frames and ("thinned" in printed) == (flags[0] == "--end")


def test_a_model_that_does_not_say_its_rate_gets_all_frames(run: Run, film: Path, tmp_path: Path) -> None:
    assert "thinned" not in run(film, "--model", write_onnx(tmp_path / "m.onnx", value=MOTION))
    assert run.summary["frames"] == 90


def test_a_slow_source_is_told() -> None:
    sequence, line = at_models_rate(Stream(np.arange(40) * 100.0), 10)
    assert len(sequence) == 40 and line.endswith(
        "0.01 frames/s, slower than the model's 10 frames/s: motions are longer than it knows"
    )


@pytest.mark.parametrize(("rate", "frames"), [(6.7, 40), (10, 40), (14.9, 40), (15.1, 20), (20, 20), (25, 20), (60, 7)])
def test_what_is_thinned(rate: float, frames: int) -> None:
    sequence, line = at_models_rate(Stream(3 + np.arange(40) / rate), 10)
    assert len(sequence) == frames and bool(line) == (frames < 40)


def test_other_rates_are_named() -> None:
    drives = [Stream(np.arange(40) / rate) for rate in (5, 7, 10, 14, 16, 30, 31, 32, 33, 34)]
    for number, drive in enumerate(drives):
        drive.name = f"{number:02d}"
    with pytest.warns(UserWarning) as notes:
        warn_of_rate(drives, 10.0, "this")
    assert str(notes[0].message) == (
        "00 5.0, 04 16.0, 05 30.0, 06 31.0, 07 32.0 and 2 more frames/s, but this was trained on 10: motions between "
        "frames are of other lengths than it knows; take data of its rate"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_rate(drives[1:4], 10.0, "this")
        warn_of_rate(drives, None, "this")


def test_a_live_source_is_thinned_as_it_comes() -> None:
    sequence, line = at_models_rate(Stream(np.arange(60) / 30, live=True), 10)
    assert len(list(sequence.frames())) == 20 and "above 15 frames/s it is thinned to the model's 10" in line


def test_assumed_times_are_said(tmp_path: Path) -> None:
    images = make_kitti(tmp_path, "00", frames=4) / "image_2"
    sequence, line = at_models_rate(opened := open_sequence(images, kind="folder"), 10)
    assert sequence is opened and "10.0 frames/s are assumed, its times are not known" in line


def test_the_student_of_the_package(run: Run, drive: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_models, "FOLDER", model.parent)
    printed = run(drive)
    assert run.code == 2 and "student.onnx: no such file" in printed and not run.out.exists()
    model.rename(model.with_name("student.onnx"))
    run(drive)
    assert run.code == 0 and "student" in (run.out / "report.html").read_text()
    run.out = run.out.with_name("named")
    run(drive, "--model", "student")
    assert run.code == 0 and run.summary["frames"] == 8


def test_times_that_stand_still_are_refused_before_the_first_frame(run: Run, drive: Path, model: Path) -> None:
    times = drive.parent / "times.txt"
    times.write_text("".join(f"{0.1 * min(k, 5):.1f}\n" for k in range(8)))
    printed = run(drive, "--model", str(model), "--times", str(times))
    assert run.code == 2 and "frame 6 is at 0.500000 s, the one before at 0.500000 s; tracking needs" in printed


@pytest.mark.parametrize("centred", [True, False])
def test_the_view_is_that_of_the_model(centred: bool, drive: Path, tmp_path: Path) -> None:
    """A camera that misses 1.5 % of KITTI's view at the left misses 2.5 % of one with its axis in the middle."""
    sequence = open_sequence(drive, camera_height=1.5)
    assert sequence.camera is not None
    middle = canonical_intrinsics((48, 160))
    sequence.camera = Camera(middle[0, 0], middle[1, 1], middle[0, 2] - 0.015 * 160, middle[1, 2], width=160, height=48)
    model = write_onnx(tmp_path / "m.onnx", value=MOTION, config=json.dumps({"centred": centred}))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        track(sequence, tracker_of(sequence, model))
    assert [str(one.message) for one in caught if "does not see" in str(one.message)] == (
        ["00: the camera does not see 3% of the view that the model was trained on; its edges are repeated there"]
        if centred
        else []
    )
