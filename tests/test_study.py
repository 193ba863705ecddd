"""A study's file, and whole studies in miniature on the KITTI layout."""

from __future__ import annotations

import json
import re
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
from distilvo.settings import PAPER, Method
from distilvo.study import runner
from distilvo.study.plan import Plan, Routes, plan_key
from distilvo.study.plan_file import read_plan
from distilvo.study.runner import run_study
from study_in_this_process import work_here
from tiny_teacher import TINY

SMALL = """
title = "small"
rate = 60
seeds = [0, 1]
[sequences]
train = ["00", "01", "02"]
test = ["03"]
[recipe]
epochs = 1
clip_length = 3
batch_size = 4
[rows.gt]
blend = "ground-truth"
hint = "none"
[rows.ours]
inherit = true
shape = "slim"
[tables]
blends = ["gt"]
"""

STREETS = "[streets]\ntrain = 2\ntest = 1\nframes = 10"


@pytest.fixture(scope="module")
def teacher(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    store = open_cache(open_dataset(kitti_root), TINY.preprocessing, tmp_path_factory.mktemp("cache"))
    network.set_motion_scale(*motion_scale(store))
    return save_model(network, tmp_path_factory.mktemp("teacher"), {})


def plan(tmp_path: Path, text: str = SMALL) -> Plan:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(str(path))


def test_presets_are_what_the_paper_asks_for() -> None:
    scarce, kitti, paper = map(read_plan, ("scarce", "kitti", "paper"))
    for study in (scarce, kitti, paper):
        assert {name for names in study.tables.values() for name in names} == set(study.rows)
        assert len(study.seeds) >= 5
    assert scarce.teacher is None and scarce.rows["learned"].method == replace(
        Method(), trust="learned", hint_form="maps"
    )
    assert (paper.rows, paper.published, kitti.choice) == (kitti.rows, kitti.published, None)
    assert kitti.recipe.epochs == 30 and kitti.recipe.learning_rate == 1e-4 and kitti.dropout == 0.25
    each, row = kitti.rows["aht-ail-each"], kitti.rows["aht-ail"]
    assert (each.training, each.budget) == (row.training, 2.0)  # 30 epochs a stage
    assert isinstance(paper.data, Routes) and paper.data.test == ("09", "10") == kitti.data.test  # type: ignore[union-attr]
    assert paper.published["literature"]["aht-ail"].ate_m == 29.03
    blends = {paper.rows[name].method.blend for name in paper.tables["blends"]}
    assert len(blends) == len(paper.tables["blends"]) == 8
    assert [paper.rows[name].rate for name in paper.tables["rates"]] == [65.8, 72.88, 79.69, 92.95, 96.0]
    assert paper.rows["aht-ail"].method == PAPER
    assert paper.rows["aht-ail@92.95"].label == "92.95 %: AHT, then AIL"  # of the curve


@pytest.mark.parametrize("page", ["study", "research"])
def test_plans_in_the_docs_can_be_read(page: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    made = plan(tmp_path, toml)
    assert made.title.startswith("mine")
    if page == "research":
        assert plan_key(made) == plan_key(read_plan("paper"))  # its folder has the other rows


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "small"', 'title = "small', "line 2"),
        ('title = "small"', "title = 3", "title is 3, expected to be a valid string"),
        ('title = "small"', 'title = "small"\nworkers = 3', "workers is unknown"),
        ("rate = 60\n", "", "'rate' is missing"),
        ('blend = "ground-truth"', 'blend = "truth"', "rows: gt: blend is 'truth', expected to be 'ground-truth', "),
        ('shape = "slim"', 'shape = "thin"', "rows: ours: shape is 'thin', expected to be 'cut', 'slim', 'nano'"),
        ("inherit = true", "inherits = true", "rows: ours: inherits is unknown"),
        ("inherit = true", 'name = "theirs"', "rows: ours: name is unknown"),
        ("inherit = true", 'like = "ours"', "row 'ours': like is 'ours', expected the name of another row"),
        ("inherit = true", 'like = "ail"', "row 'ours': like is 'ail', expected the name of another row"),
        ("inherit = true", "like = 3", "row 'ours': like is 3, expected the name of another row"),
        ("inherit = true", "like = []", r"row 'ours': like is \[\], expected the name of another row"),
        (
            "inherit = true",
            'like = "b"\n[rows.b]\nlike = "ours"',
            "row 'b': like is 'ours', expected the name of another",
        ),
        ("inherit = true", "folds = 1", "row 'ours': folds is 1, expected 0, or 2 and more"),
        ("inherit = true", "folds = true", "rows: ours: folds is True, expected to be a valid integer"),
        ("[rows.gt]", "[rows]\nrow = 3\n[rows.gt]", "rows: row is 3, expected to be a table"),
        ('blends = ["gt"]', 'blends = ["gt", "ail"]', "nowhere described: ail"),
        ('blends = ["gt"]', 'mixes = ["gt"]', "tables: mixes is 'mixes', expected to be 'blends', 'hints'"),
        ("epochs = 1", "epochs = 0", "epochs: is 0, expected at least 1"),
        ("epochs = 1", "epochs = 1.5", "recipe: epochs is 1.5, expected to be a valid integer"),
        ("epochs = 1", "learning_rate = nan", "recipe: learning_rate is nan, expected to be a finite number"),
        ("epochs = 1", "epoch = 1", "recipe: epoch is unknown"),
        ("inherit = true", 'inherit = "no"', "rows: ours: inherit is 'no', expected to be a valid boolean"),
        ("rate = 60\n", "rate = 100\n", "rate: is 100, expected at least 1 and less than 100"),
        ("rate = 60\n", 'rate = "60"\n', "rate is '60', expected to be a valid number"),
        ("rate = 60\n", "rate = true\n", "rate is True, expected to be a valid number"),
        ("rate = 60\n", "rate = 0.9295\n", r"is 0\.9295, .* rates are per cent; did you mean 92\.95\?"),
        ("inherit = true", "rate = 0.6", r"row 'ours': rate: is 0\.6, .* did you mean 60\?"),
        ("[tables]", '[curve]\nrow = "gt"\nrates = [70, 0.8]\n[tables]', r"is 0\.8, .* did you mean 80\?"),
        ("seeds = [0, 1]", "seeds = [0, -1]", r"seeds: is \[0, -1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = [0, 9223372036854775808]", "expected different numbers, 0 or more, less than 2"),
        ("epochs = 1", "epochs = 1\nseed = 5", "recipe: seed is 5, but students are trained with seeds"),
        ('"01", "02"]', '"01", "01"]', "sequences: 01 is named twice in one list"),
        (
            "[tables]",
            '[curve]\nrow = "gt"\nrates = [70]\n[tables]\nrates = ["gt"]',
            r"table 'rates' is that of \[curve\]; leave one",
        ),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"seeds: is \[1, 1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = [0, true]", "seeds: 1 is True, expected to be a valid integer"),
        ("seeds = [0, 1]", "seeds = []", r"seeds is \[\], expected to have at least 1 item; see"),
        ("seeds = [0, 1]", "seeds = [0, 1]\ndropout = 1.5", "dropout is 1.5, expected to be less than 1"),
        ('test = ["03"]', 'test = "03"', "sequences: test is '03', expected to be a list"),
        ('test = ["03"]', "test = [3]", "sequences: test: 0 is 3, expected to be a valid string"),
        ('test = ["03"]', 'test = ["02"]', "sequences: 02 is in train and in test; expected others"),
        ('[sequences]\ntrain = ["00", "01", "02"]\ntest = ["03"]', "", r"expected one of \[streets\], \[routes\] and"),
        ("[sequences]", "[streets]\ntrain = 1\ntest = 1\nframes = 9\n[sequences]", "expected one of"),
        ("[recipe]", "[choice]\nlearning_rates = [1e-3, 1e-2]\n[recipe]", "choice: .*expected validation = "),
        ("inherit = true", "budget = 0.0", r"row 'ours': budget is 0, expected more than 0"),
        ("[tables]", "[published.blends.gt]\nate = 1.0\n[tables]", "published: blends: gt: ate is unknown"),
        ("[tables]", "[published.blends.ours]\n[tables]", "published: table 'blends' has no row ours"),
        ('test = ["03"]', 'test = ["03"]\nvalidation = ["02"]', "sequences: 02 is in validation and elsewhere"),
        (
            "[sequences]",
            "[streets]\ntrain = 0\ntest = 1\nframes = 9\n[sequences]",
            "streets: train is 0, expected to be",
        ),
        (
            "[sequences]",
            "[streets]\ntrain = 1\ntest = 1\nframes = 1\n[sequences]",
            "streets: frames is 1, expected to be",
        ),
        ("[tables]", '[curve]\nrow = "ail"\nrates = [70]\n[tables]', "curve has a row that is nowhere described: ail"),
        ('title = "small"', 'like = "\\u0000"', "is no preset"),
        ('title = "small"', 'like = "papre"', "'papre' is no preset"),
        ('title = "small"', "like = " + "[" * 300 + "]" * 300, "is no preset"),
        ('title = "small"', "title = " + "[" * 300 + "]" * 300, "recursion limit exceeded"),
        ('title = "small"', "title = 0x" + "f" * 5000, "Exceeds the limit"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=rf"plan\.toml: .*{message}") as error:
        plan(tmp_path, SMALL.replace(old, new))
    assert "\n" not in str(error.value) and "see docs/study.md" in str(error.value)


@pytest.mark.parametrize(
    "name", ["../../../victim", "/victim", "C:\\\\victim", ".", "", "x" * 300, "a\\n", "a ", "NUL"]
)
def test_a_row_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    with pytest.raises(DistilvoError, match=r"plan\.toml: row .*: cannot name a folder"):
        plan(tmp_path, SMALL.replace("[rows.ours]", f'[rows."{name}"]'))


def test_rows_that_differ_in_case_alone(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=r"plan\.toml: rows 'gt' and 'GT' are one folder on some disks"):
        plan(tmp_path, SMALL.replace("[rows.ours]", "[rows.GT]"))


def test_a_plan_like_a_preset_with_tables_of_its_own(tmp_path: Path) -> None:
    """Its rows are added, and of the preset's those that its tables name; so are the paper's numbers."""
    recipe = 'title = "x"\nlike = "kitti"\n[sequences]\ntrain = ["00"]\ntest = ["01"]\n[recipe]\nepochs = 1\n'
    paper, whole = read_plan("paper"), plan(tmp_path, recipe)
    assert (whole.rows, whole.tables, whole.published) == (paper.rows, paper.tables, paper.published)
    own = plan(tmp_path, recipe + '[rows.mine]\nhint = "none"\n[tables]\nliterature = ["fitnets", "mine", "ail"]\n')
    assert own.tables == {"literature": ("fitnets", "mine", "ail")} and set(own.rows) == {"fitnets", "mine", "ail"}
    assert own.rows["ail"] == paper.rows["ail"]
    assert own.published == {"literature": {"fitnets": paper.published["literature"]["fitnets"]}}
    more = plan(tmp_path, recipe + '[rows.mine]\nhint = "none"\n[rows.ail]\nrate = 50\n')
    assert more.rows.keys() - paper.rows.keys() == {"mine"} and more.tables == paper.tables
    assert (more.rows["ail"].rate, more.rows["ail"].method.hint) == (50, "attentive")  # one of that name is replaced


def test_a_row_like_another(tmp_path: Path) -> None:
    """It takes all but the label, also of a row behind it that is like a third one."""
    text = SMALL.replace("[rows.gt]", '[rows.more]\nlike = "ours"\nbudget = 2.0\n[rows.gt]')
    text = text.replace("inherit = true", 'like = "base"\nlabel = "mine"')
    text = text.replace("[tables]", "[rows.base]\ninherit = true\nrate = 70\n[tables]")
    rows = plan(tmp_path, text).rows
    assert (rows["ours"].label, rows["more"].label) == ("mine", "more")
    assert rows["base"].shape == "cut" and rows["ours"] == replace(
        rows["base"], name="ours", label="mine", shape="slim"
    )
    assert rows["more"] == replace(rows["ours"], name="more", label="more", budget=2.0)
    assert rows["more"].method == replace(PAPER, inherit=True) and rows["more"].rate == 70


def test_a_row_like_one_of_the_preset(tmp_path: Path) -> None:
    """Which the plan leaves out, since no table of its own names it."""
    own = '[rows.mine]\nlike = "best@92.95"\ntrust = "rank"\n[tables]\nbeyond = ["ail", "mine"]\n'
    recipe = 'title = "x"\nlike = "kitti"\n[sequences]\ntrain = ["00"]\ntest = ["01"]\n[recipe]\nepochs = 1\n'
    best, rows = read_plan("paper").rows["best@92.95"], plan(tmp_path, recipe + own).rows
    assert set(rows) == {"ail", "mine"}
    assert rows["mine"] == replace(best, name="mine", label="mine", method=replace(best.method, trust="rank"))


def test_a_study_of_nothing() -> None:
    with pytest.raises(DistilvoError, match=r"nothing\.toml: no such file; .* presets kitti, paper, scarce"):
        read_plan("nothing.toml")


def test_study_goes_on_cell_by_cell(
    kitti_root: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, out = plan(tmp_path), tmp_path / "out"
    written: list[list[int]] = []
    real = runner.write_results
    monkeypatch.setattr(
        runner,
        "write_results",
        lambda p, cells, *a, **k: (written.append([c.seed for c in cells]), real(p, cells, *a, **k)),
    )
    run_study(small, out, kitti_root, teacher, workers=2)
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
    first.unlink()
    written.clear()
    run_study(small, out, kitti_root, teacher, workers=1)
    assert written == [[0, 0, 1], [0, 1, 0, 1]]  # and of what is there first
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
    path.write_text(SMALL.replace('test = ["03"]', 'test = ["04"]'))
    with pytest.raises(DistilvoError, match="has no sequence 04"):
        Study(plan=str(path), out=out, data=kitti_root, teacher=teacher).run()
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
