"""Studies along given drives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from conftest import make_kitti
from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.models.model_folder import FLOW_ALONE, load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.sequences import open_dataset
from distilvo.study.cell import Workshop
from distilvo.study.plan import Routes
from distilvo.study.plan_file import read_plan
from distilvo.study.runner import run_study
from distilvo.study.study_drives import labelled_drives, open_drives
from small_plan import SMALL, plan
from study_in_this_process import work_here
from tiny_teacher import TINY


def test_a_study_along_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drives along poses, of which one has labels; the others are film."""
    for number, name in enumerate(("00", "01", "02", "03")):
        make_kitti(tmp_path / "kitti", name, frames=9, seed=number)
    torch.manual_seed(0)
    own = save_model(PoseNetwork(TINY), tmp_path / "teacher", {"training": FLOW_ALONE})
    text = SMALL.replace("[sequences]", '[routes]\nlabelled = ["01"]').replace('"02"]', '"01"]\nvalidation = ["01"]')
    text = text.replace("inherit = true", 'labels = "film"\ntrust = "learned"').replace("seeds = [0, 1]", "seeds = [0]")
    text = text.replace("epochs = 1", "epochs = 3") + "[teacher]\nepochs = 1\nclip_length = 3\nbatch_size = 4\n"
    made, out = plan(tmp_path, text.replace('["00", "01", "01"]', '["00", "01"]')), tmp_path / "out"
    work_here(monkeypatch)
    run_study(made, out, tmp_path / "kitti", own, workers=1)
    for part, drives in {"train": 2, "validation": 1, "test": 1}.items():
        sequences = open_dataset(out / "data" / part)
        assert len(sequences) == drives and all(len(one.poses) == 9 for one in sequences if one.poses is not None)
    assert all(cell["validation_t_m"] > 0 for cell in json.loads((out / "study.json").read_text()))
    drives = open_drives(made, out, None, TINY.preprocessing)
    assert drives.validation is not None
    assert (drives.validation.drive_motions(0) == drives.train.drive_motions(1)).all()
    assert not torch.equal(drives.validation.drive_frames(0), drives.train.drive_frames(1))  # other scenery
    assert Workshop(made, out, drives).data(made.rows["ours"]).labelled_drives == [1]
    network = load_model(out / "teacher")[0]  # it was trained on motions, in their unit
    assert torch.equal(
        network.scale, motion_scale(open_cache(open_dataset(out / "data/train"), TINY.preprocessing, out))[1]
    )
    untrained = replace(made, teacher=None)
    with pytest.raises(DistilvoError, match="knows optical flow alone"):
        run_study(untrained, tmp_path / "other", tmp_path / "kitti", own, workers=1)
    (tmp_path / "kitti/poses/03.txt").write_text((tmp_path / "kitti/poses/00.txt").read_text())
    with pytest.raises(DistilvoError, match=r"03\.txt: the sequence that is there was rendered along other poses"):
        run_study(made, out, tmp_path / "kitti", own, workers=1)
    with pytest.raises(DistilvoError, match="routes: all of 00, 01 are labelled, expected fewer than all"):
        plan(tmp_path, text.replace('["00", "01", "01"]', '["00", "01"]').replace('["01"]\n', '["01", "00"]\n', 1))
    missing = plan(tmp_path, text.replace('["00", "01", "01"]', '["00", "01", "07"]'))
    with pytest.raises(DistilvoError, match=r"kitti: no poses of drive 07; expected .*07\.txt or .*poses.07\.txt"):
        run_study(missing, tmp_path / "other", tmp_path / "kitti", own, workers=1)


@pytest.mark.parametrize(("sceneries", "names"), [(1, ["a", "a-b", "c"]), (2, ["a-30000", "a-b-30001", "c-30000"])])
def test_labels_are_those_of_the_named_routes(sceneries: int, names: list[str]) -> None:
    """A name may hold the sign that stands in front of a scenery's number."""
    routes = Routes(train=("a", "a-b", "c"), test=("d",), sceneries=sceneries, labelled=("a-b",))
    drives = cast(FrameCache, SimpleNamespace(drives=[SimpleNamespace(name=name) for name in names]))
    assert labelled_drives(replace(read_plan("paper"), data=routes), drives) == [1]


@pytest.mark.parametrize(("labelled", "indices"), [((), [0, 1, 3, 4]), (("b",), [3, 4])])
def test_labels_of_some_sceneries(labelled: tuple[str, ...], indices: list[int]) -> None:
    """Of each drive, or of each one that is named, the first sceneries."""
    routes = Routes(train=("a", "b"), test=("d",), sceneries=3, labelled=labelled, labelled_sceneries=2)
    names = [f"{route}-{seed}" for route in "ab" for seed in (30000, 30001, 30002)]
    drives = cast(FrameCache, SimpleNamespace(drives=[SimpleNamespace(name=name) for name in names]))
    assert labelled_drives(replace(read_plan("paper"), data=routes), drives) == indices
    with pytest.raises(DistilvoError, match="routes: 3 of 3 sceneries are labelled, expected fewer than all"):
        replace(routes, labelled_sceneries=3)
