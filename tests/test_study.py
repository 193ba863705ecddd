"""Whole studies in miniature on the KITTI layout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import make_kitti
from distilvo.commands.study import Study
from distilvo.data import motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.teacher import SHIPPED_ENCODER, SHIPPED_TEACHER
from distilvo.output_folders import claim_folder
from distilvo.pipeline.evaluation import evaluate, network_motions
from distilvo.sequences import open_dataset
from distilvo.study import runner
from distilvo.study.plan import plan_key
from distilvo.study.plan_file import read_plan
from distilvo.study.runner import run_study
from small_plan import SMALL, plan
from study_in_this_process import work_here
from tiny_teacher import TINY

STREETS = "[streets]\ntrain = 2\ntest = 1\nframes = 10"


@pytest.fixture(scope="module")
def teacher(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    store = open_cache(open_dataset(kitti_root), TINY.preprocessing, tmp_path_factory.mktemp("cache"))
    network.set_motion_scale(*motion_scale(store))
    return save_model(network, tmp_path_factory.mktemp("teacher"), {})


def test_study_goes_on_cell_by_cell(
    kitti_root: Path,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small, out = plan(tmp_path), tmp_path / "out"
    written: list[list[int]] = []
    real = runner.write_results
    monkeypatch.setattr(
        runner,
        "write_results",
        lambda p, cells, *a, **k: (written.append([c.seed for c in cells]), real(p, cells, *a, **k)),
    )
    Study(str(tmp_path / "plan.toml"), out, kitti_root, teacher, workers=2).run()
    printed = capsys.readouterr().out
    assert "gt" in printed and f"Tables: {out / 'tables.md'}" in printed and str(out / "study.json") in printed
    assert len(written) == 2 and written[0].count(0) == 2 and written[1] == [0, 1, 0, 1]  # tables after each seed
    cells = json.loads((out / "study.json").read_text())
    assert [(cell["row"], cell["seed"]) for cell in cells] == [("gt", 0), ("gt", 1), ("ours", 0), ("ours", 1)]
    wanted = {"method", "hint", "schedule", "rate", "seed", "parameters", "latency_ms", "rms_rpe_t_m", "rms_rpe_r_deg"}
    assert wanted | {"ate_m", "train_s"} <= set(cells[0])
    assert len({cell["steps"] for cell in cells}) == 1  # equal budgets
    assert cells[0]["rms_rpe_t_m"] != cells[1]["rms_rpe_t_m"]
    assert cells[0]["hint_error"] > 0 and cells[2]["hint_error"] > 0
    assert list(cells[0]["drives"]) == ["03"] and cells[0]["drives"]["03"]["ate_m"] == cells[0]["ate_m"]
    assert cells[0]["error_ate_m"] == sorted(cells[0]["error_ate_m"])
    assert cells[0]["error_ate_m"][0] < cells[0]["ate_m"] < cells[0]["error_ate_m"][-1]
    assert "small" in (out / "tables.md").read_text() and (out / "report.html").stat().st_size > 1000
    kept = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.json")}
    first = out / "cells" / "gt" / "1.json"
    before = json.loads(first.read_text())
    references = json.loads((out / "references.json").read_text())
    assert references[1]["drives"]["03"]["rms_rpe_t_m"] == references[1]["rms_rpe_t_m"] > 0
    monkeypatch.setattr(runner, "evaluate", None)  # the teacher's errors are kept
    first.unlink()
    written.clear()
    run_study(small, out, kitti_root, teacher, workers=1)
    assert written == [[0, 0, 1], [0, 1, 0, 1]]  # and of what is there first
    times = [{"latency_ms": one["latency_ms"]} for one in references]
    kept_references = json.loads((out / "references.json").read_text())
    assert [one | time for one, time in zip(kept_references, times, strict=True)] == references
    again = json.loads(first.read_text())
    assert again | {"train_s": 0} == before | {"train_s": 0}  # made again, as it was
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path != first)
    with pytest.raises(DistilvoError, match=r"row 'ours' was made with other settings \(inherit: True -> False\)"):
        run_study(plan(tmp_path, SMALL.replace("inherit = true", "")), out, kitti_root, teacher, workers=1)


def test_a_study_goes_on_with_the_data_and_the_teacher_that_it_began_with(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)
    data, out = tmp_path / "kitti", tmp_path / "out"
    for number in range(4):
        make_kitti(data, f"{number:02d}", frames=9, seed=number)
    small = plan(tmp_path, SMALL.replace("seeds = [0, 1]", "seeds = [0]").replace("epochs = 1", "epochs = 2"))
    run_study(small, out, data, teacher, workers=1)
    tables = (out / "tables.md").read_text()
    torch.manual_seed(1)
    for number, architecture in enumerate((TINY, replace(TINY, size=(64, 160)))):
        other = save_model(PoseNetwork(architecture), tmp_path / f"other-{number}", {})
        with pytest.raises(DistilvoError, match=rf"other-{number}: not the model that this study began with"):
            run_study(small, out, data, other, workers=1)
    truth = (data / "poses" / "03.txt").read_text()
    (data / "poses" / "03.txt").write_text((data / "poses" / "00.txt").read_text())
    with pytest.raises(DistilvoError, match=r"out: its drives for test have other frames, times or poses than when"):
        run_study(replace(small, seeds=(0, 1)), out, data, teacher, workers=1)
    assert (out / "tables.md").read_text() == tables
    (data / "poses" / "03.txt").write_text(truth)
    run_study(small, out, data, teacher, workers=1)


def test_what_cannot_be_made_is_said_before_the_folder_is_taken(
    kitti_root: Path, teacher: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "plan.toml", tmp_path / "out"
    path.write_text(SMALL)
    message = r"row 'gt': shape 'cut': a teacher that sees flow first has no such student; expected shape nano; or give"
    with pytest.raises(DistilvoError, match=message):
        Study(plan=str(path), out=out, data=kitti_root).run()
    for kind in ("guided", "hint"):
        path.write_text(SMALL.replace("inherit = true", f'{kind}_layer = "fc.9"'))
        with pytest.raises(
            DistilvoError, match=rf"row 'ours': {kind} layer of the \w+: layer 'fc\.9' is not in (?!.*--teac)"
        ):
            Study(plan=str(path), out=out, data=kitti_root, teacher=teacher).run()
    path.write_text(SMALL.replace('test = ["03"]', 'test = ["04"]'))
    with pytest.raises(DistilvoError, match="has no sequence 04"):
        Study(plan=str(path), out=out, data=kitti_root, teacher=teacher).run()
    with pytest.raises(DistilvoError, match="--workers 0; expected at least 1"):
        Study(plan=str(path), out=out, data=kitti_root, teacher=teacher, workers=0).run()
    with pytest.raises(DistilvoError, match="plans: a folder; expected a study's TOML file"):
        (tmp_path / "plans").mkdir()
        Study(plan=str(tmp_path / "plans"), out=out, data=kitti_root).run()
    assert not out.exists()


def test_each_row_gets_the_learning_rate_that_does_best_in_validation(
    kitti_root: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_here(monkeypatch)
    text = SMALL.replace('train = ["00", "01", "02"]', 'train = ["00", "01"]\nvalidation = ["02"]')
    text = text.replace("inherit = true", "budget = 2.0").replace("seeds = [0, 1]", "seeds = [0]")
    text = text.replace("[tables]", '[rows.longer]\nblend = "ground-truth"\nhint = "none"\nbudget = 2.0\n[tables]')
    out = tmp_path / "out"
    rates = ("0.0001", "0.3")
    run_study(
        plan(tmp_path, text + f"[choice]\nlearning_rates = [{', '.join(rates)}]\n"), out, kitti_root, teacher, workers=2
    )
    short, long, longer = json.loads((out / "study.json").read_text())
    assert long["steps"] == longer["steps"] == 2 * short["steps"]
    assert {path.name for path in (out / "trials").iterdir()} == {"gt", "ours"}  # "longer" is "gt" with more epochs
    for cell, tried in ((short, "gt"), (long, "ours"), (longer, "gt")):
        trials = {rate: json.loads((out / "trials" / tried / f"{rate}.json").read_text()) for rate in rates}
        errors = {rate: trial["validation_t_m"] * trial["validation_r_deg"] for rate, trial in trials.items()}
        assert cell["learning_rate"] == float(min(errors, key=errors.__getitem__))
        student = load_model(out / "models" / cell["row"] / "0")[0]
        drive = open_cache([open_dataset(kitti_root)[2]], student.preprocessing, tmp_path / "cache")
        total = evaluate(network_motions(student), drive).total
        assert (cell["validation_t_m"], cell["validation_ate_m"]) == pytest.approx((total.rms_rpe_t_m, total.ate_m))
    choice = "[choice]\nlearning_rates = [1e-4, 0.3]\n"
    for old, new, file in (
        ("budget = 2.0", "budget = 1.0", "cells/ours/0"),
        ('shape = "slim"', "", "trials/ours/0.0001"),
    ):
        changed = plan(tmp_path, text.replace(old, new, 1) + choice)
        with pytest.raises(DistilvoError, match=rf"{file}\.json: row 'ours' was made with other settings"):
            run_study(changed, out, kitti_root, teacher, workers=1)


def test_data_that_do_not_fit_the_plan(kitti_root: Path, teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "small.toml").write_text(SMALL)
    with pytest.raises(DistilvoError, match="names sequences; expected --data"):
        Study(plan=str(tmp_path / "small.toml"), out=out, teacher=teacher).run()
    with pytest.raises(DistilvoError, match="renders its own streets; leave --data out"):
        streets = SMALL.replace('[sequences]\ntrain = ["00", "01", "02"]\ntest = ["03"]', STREETS)
        (tmp_path / "streets.toml").write_text(streets)
        Study(plan=str(tmp_path / "streets.toml"), out=out, data=kitti_root, teacher=teacher).run()
    assert not out.exists()  # it is free for another try
    absent = plan(tmp_path, SMALL.replace('"02"]', '"12"]'))
    with pytest.raises(DistilvoError, match="has no sequence 12"):
        run_study(absent, out, kitti_root, teacher, workers=1)


def test_a_study_goes_on_with_the_same_settings_only(kitti_root: Path, teacher: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "plan.toml", tmp_path / "out"
    path.write_text(SMALL)
    settings = {"plan": plan_key(read_plan(str(path))), "data": str(kitti_root), "teacher": str(teacher)}
    claim_folder(out, "study", settings)
    claim_folder(out, "study", settings | {"plan": plan_key(plan(tmp_path, SMALL.replace("[0, 1]", "[0, 1, 2]")))})
    (out / "study.json").write_text("[]")
    path.write_text(SMALL.replace("epochs = 1", "epochs = 2"))
    with pytest.raises(DistilvoError, match=r"a run with other settings \(plan\.recipe\.epochs: 1 -> 2\); "):
        Study(plan=str(path), out=out, data=kitti_root, teacher=teacher).run()


def test_a_plan_that_trains_its_teacher_begins_with_the_encoder(
    kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []
    monkeypatch.setattr(runner, "run_study", lambda *arguments, **_: taken.append(arguments[3]) or [])
    monkeypatch.setattr("distilvo.study.study_drives.check_named", lambda *_: None)
    for name in ("paper", "scarce"):
        Study(plan=name, out=tmp_path / name, data=kitti_root).run()
    assert taken == [SHIPPED_ENCODER, SHIPPED_TEACHER]


def test_kitti_preset_in_miniature(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but for its size: sequences 00-08 and 09-10, a teacher trained further, cross-fitting, three rates."""
    for number in range(11):
        make_kitti(tmp_path / "kitti", f"{number:02d}", frames=8, seed=number)
    preset = read_plan("kitti")
    short = replace(preset.recipe, epochs=1, clip_length=2, batch_size=4)
    names = ("ground-truth", "laplace", "cross-fitted", "fitnets", "aht-ail")
    folds = replace(preset.rows["aht-ail"], name="cross-fitted", folds=2)
    known = preset.rows | {"cross-fitted": folds}
    rows = {name: replace(known[name], rate=50 + 5 * i) for i, name in enumerate(names)}
    tables = {"blends": ("ground-truth", "laplace"), "literature": ("ground-truth", "fitnets", "aht-ail")}
    published = {"literature": {"fitnets": preset.published["literature"]["fitnets"]}}
    made = replace(
        preset,
        recipe=short,
        teacher=short,
        fold_teacher=short,
        rows=rows,
        tables=tables,
        seeds=(0,),
        published=published,
    )
    work_here(monkeypatch)
    run_study(made, tmp_path / "out", tmp_path / "kitti", teacher, workers=1)
    cells = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [cell["row"] for cell in cells] == list(names)
    assert len({cell["parameters"] for cell in cells}) > 2
