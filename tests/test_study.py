"""A study's file, and whole studies in miniature on the KITTI layout."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from conftest import make_kitti
from distilvo.clips import motion_scale, open_store
from distilvo.errors import DistilvoError
from distilvo.models.files import save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.teacher import DEMO
from distilvo.sequences import open_dataset
from distilvo.settings import Method
from distilvo.study import run
from distilvo.study.plan import Plan, Streets, read_plan
from distilvo.study.run import run_study

TINY = replace(
    DEMO,
    convolutions=((4, 5, 2), (6, 3, 2), (8, 3, 2), (10, 3, 2), (12, 3, 1)),
    lstm=(40,),
    fc=(8,),
    branch=4,
    reach=(1, 4),
)
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


@pytest.fixture(scope="module")
def teacher(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    store = open_store(open_dataset(kitti_root), TINY.frame_format, tmp_path_factory.mktemp("cache"))
    network.set_motion_scale(*motion_scale(store))
    return save_model(network, tmp_path_factory.mktemp("teacher"), {})


def plan(tmp_path: Path, text: str = SMALL) -> Plan:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(str(path))


def test_presets_are_what_the_paper_asks_for() -> None:
    builtin, fallible, kitti = map(read_plan, ("builtin", "fallible", "kitti"))
    assert fallible.teacher is None and {name for names in fallible.tables.values() for name in names} == set(
        fallible.rows
    )
    assert isinstance(builtin.data, Streets)
    assert len(builtin.seeds) >= 5
    assert builtin.rows == kitti.rows
    assert kitti.recipe.epochs == 2 * 30 and kitti.recipe.learning_rate == 1e-4 and kitti.dropout == 0.25
    blends = {builtin.rows[name].method.blend for name in builtin.tables["blends"]}
    assert len(blends) == len(builtin.tables["blends"]) == 8
    assert [builtin.rows[name].rate for name in builtin.tables["rates"]] == [65, 73, 80, 86, 92.95, 95, 97]
    assert builtin.rows["aht-ail"].method == Method()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "small"', 'title = "small', "plan.toml: .*line 2"),
        ("rate = 60\n", "", "'rate' is missing"),
        ('blend = "ground-truth"', 'blend = "truth"', "blend: is truth, expected one of"),
        ('shape = "slim"', 'shape = "thin"', "row 'ours': shape is thin, expected cut or slim or nano"),
        ("inherit = true", "inherits = true", "row 'ours': inherits is unknown"),
        ('blends = ["gt"]', 'blends = ["gt", "ail"]', "nowhere described: ail"),
        ('blends = ["gt"]', 'mixes = ["gt"]', "table 'mixes' is unknown; expected one of blends"),
        ("epochs = 1", "epochs = 0", "epochs: is 0, expected at least 1"),
        ("epochs = 1", "epochs = 1.5", "recipe: epochs is 1.5, expected a whole number"),
        ("epochs = 1", "learning_rate = nan", "recipe: learning_rate is nan, expected a number"),
        ("epochs = 1", "epoch = 1", "recipe: epoch is unknown"),
        ("inherit = true", 'inherit = "no"', "row 'ours': inherit is 'no', expected true or false"),
        ("rate = 60\n", "rate = 100\n", "rate is 100, expected more than 0 and less than 100"),
        ("seeds = [0, 1]", "seeds = [0, -1]", r"seeds: is \[0, -1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"seeds: is \[1, 1\], expected different numbers"),
        ("seeds = [0, 1]", "seeds = []", r"seeds: is \[\], expected a list of numbers"),
        ("seeds = [0, 1]", "seeds = [0, 1]\ndropout = 1.5", "dropout: is 1.5, expected 0 or more"),
        ('test = ["03"]', 'test = "03"', "sequences: test: is '03', expected a list of names"),
        ('test = ["03"]', 'test = ["02"]', "sequences: 02 is in train and in test; expected others"),
        (
            "[sequences]",
            "[streets]\ntrain = 0\ntest = 1\nframes = 9\n[sequences]",
            "streets: train 0, test 1, frames 9",
        ),
        ("[tables]", '[curve]\nrow = "ail"\nrates = [70]\n[tables]', "curve has a row that is nowhere described: ail"),
        ('title = "small"', 'like = "\\u0000"', "is no preset"),
        ('title = "small"', 'like = "paper"', "'paper' is no preset"),
    ],
)
def test_a_wrong_plan_is_one_clear_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=said):
        plan(tmp_path, SMALL.replace(old, new))


def test_a_study_of_nothing() -> None:
    with pytest.raises(DistilvoError, match=r"nothing\.toml: no such file; .* presets builtin, fallible, kitti"):
        read_plan("nothing.toml")


def test_study_goes_on_cell_by_cell(
    kitti_root: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, out = plan(tmp_path), tmp_path / "out"
    run_study(small, out, kitti_root, teacher, workers=2)
    cells = json.loads((out / "study.json").read_text())
    assert [(cell["row"], cell["seed"]) for cell in cells] == [("gt", 0), ("gt", 1), ("ours", 0), ("ours", 1)]
    wanted = {"method", "hint", "schedule", "rate", "seed", "parameters", "latency_ms", "rms_rpe_t_m", "rms_rpe_r_deg"}
    assert wanted | {"ate_m", "train_s"} <= set(cells[0])
    assert len({cell["steps"] for cell in cells}) == 1  # equal budgets
    assert cells[0]["rms_rpe_t_m"] != cells[1]["rms_rpe_t_m"]
    assert cells[0]["hint_error"] is None and cells[2]["hint_error"] > 0
    assert "small" in (out / "tables.md").read_text() and (out / "report.html").stat().st_size > 1000
    kept = {path: path.stat().st_mtime_ns for path in (out / "cells").rglob("*.json")}
    first = out / "cells" / "gt" / "1.json"
    before = json.loads(first.read_text())
    first.unlink()
    run_study(small, out, kitti_root, teacher, workers=1)
    again = json.loads(first.read_text())
    assert again | {"train_s": 0} == before | {"train_s": 0}  # made again, as it was
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path != first)
    with pytest.raises(DistilvoError, match="row 'ours' was made with other settings"):
        run_study(plan(tmp_path, SMALL.replace("inherit = true", "")), out, kitti_root, teacher)


def test_study_says_what_data_it_wants(kitti_root: Path, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="names sequences; expected --data"):
        run_study(plan(tmp_path), tmp_path / "out", None, teacher)
    with pytest.raises(DistilvoError, match="renders its own streets; leave --data out"):
        run_study(read_plan("builtin"), tmp_path / "out", kitti_root, teacher)
    absent = plan(tmp_path, SMALL.replace('"02"]', '"12"]'))
    with pytest.raises(DistilvoError, match="has no sequence 12"):
        run_study(absent, tmp_path / "out", kitti_root, teacher)


def test_kitti_preset_in_miniature(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but for its size: sequences 00-08 and 09-10, a teacher trained further, cross-fitting, three rates."""
    for number in range(11):
        make_kitti(tmp_path / "kitti", f"{number:02d}", frames=8, seed=number)
    preset = read_plan("kitti")
    short = replace(preset.recipe, epochs=1, clip_length=2, batch_size=4)
    names = ("ground-truth", "laplace", "cross-fitted", "fitnets", "aht-ail")
    rows = {name: replace(preset.rows[name], rate=50 + 5 * i) for i, name in enumerate(names)}
    tables = {"blends": ("ground-truth", "laplace"), "literature": ("ground-truth", "fitnets", "aht-ail")}
    made = replace(preset, recipe=short, teacher=short, fold_teacher=short, rows=rows, tables=tables, seeds=(0,))
    monkeypatch.setattr(run, "latencies_ms", lambda files: [1.0 + index for index in range(len(files))])
    run_study(made, tmp_path / "out", tmp_path / "kitti", teacher, workers=1)
    cells = json.loads((tmp_path / "out" / "study.json").read_text())
    assert [cell["row"] for cell in cells] == list(names)
    assert len({cell["parameters"] for cell in cells}) > 2
