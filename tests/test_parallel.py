"""Two processes do what one does: in a program that torchrun starts, and by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import in_processes
from distilvo import parallel
from distilvo.commands import main as cli
from distilvo.data import open_cache
from distilvo.distill import checkpoint, trainer
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model
from distilvo.models.network import PoseNetwork
from distilvo.pipeline.recipes import train_supervised
from distilvo.sequences import open_dataset
from in_processes import EXACT, INTERRUPTED_AT, RECIPE, count_steps, do_all

PROGRAM = Path(in_processes.__file__)
STEPS = 12  # two epochs of 24 clips, four at a time
VERB = ["train", "--rate", "97", "--epochs", "2", "--clip-length", "3", "--batch-size", "4"]


def torchrun(*command: object) -> subprocess.CompletedProcess[str]:
    """Two processes, one thread each."""
    source = str(Path(parallel.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, *map(str, command)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def own_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Our lines on the error output; the rest are torchrun's."""
    return [line for line in done.stderr.splitlines() if line.startswith("distilvo:")]


def begin(data: Path, out: Path) -> None:
    """Train in one process, and stop before the end."""
    store = open_cache(open_dataset(data), Preprocessing((48, 160), 1), out / "cache")
    steps, real = [], trainer._step

    def step(*arguments: Any) -> float:
        steps.append(1)
        if len(steps) > INTERRUPTED_AT:
            raise KeyboardInterrupt
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "EVERY_S", 0.0)
        patch.setattr(trainer, "_step", step)
        train_supervised(EXACT, store, RECIPE, out / "begun")


@pytest.fixture(scope="module")
def runs(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    """Folder of ``one`` and ``two`` processes, and what the one and then each of the two found."""
    root = tmp_path_factory.mktemp("parallel")
    for name in ("one", "two"):
        begin(kitti_root, root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_step", trainer._step)  # do_all counts steps and drives
        patch.setattr(PoseNetwork, "predict", PoseNetwork.predict)
        alone = do_all(kitti_root, root / "one")
    done = torchrun(PROGRAM, "all", kitti_root, root / "two")
    assert done.returncode == 0, done.stderr
    both = [json.loads((root / "two" / f"rank-{rank}.json").read_text()) for rank in range(2)]
    yield root, [alone, *both]


def test_losses_are_those_of_one_process(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    alone, first, second = runs[1]
    assert first["curves"] == second["curves"]
    assert alone["curves"].keys() == first["curves"].keys() and len(first["curves"]) == 7
    for name, curve in alone["curves"].items():
        steps, losses = zip(*first["curves"][name], strict=True)
        assert list(steps) == [step for step, _ in curve]
        assert list(losses) == pytest.approx([loss for _, loss in curve], rel=1e-4, abs=1e-4), name


def test_processes_end_with_the_same_weights(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    _, first, second = runs[1]
    assert first["weights"] == second["weights"] and len(first["weights"]) == 6
    assert first["phi"] == second["phi"]


def test_begun_with_one_process_goes_on_with_two(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    alone, first, second = runs[1]
    assert alone["clips"] == [4] * (STEPS - INTERRUPTED_AT)
    assert first["clips"] == second["clips"] == [2] * (STEPS - INTERRUPTED_AT)
    resumed, whole = ([loss for _, loss in first["curves"][name]] for name in ("resumed", "supervised"))
    assert resumed == pytest.approx(whole, rel=1e-4)


def test_no_number_in_one_process_ends_all(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    for found in runs[1]:
        assert found["failure"] == "training: the loss became nan; try a smaller --learning-rate"


def test_shared_teacher_pass_is_the_whole_one(runs: tuple[Path, list[dict[str, Any]]]) -> None:
    alone, first, second = (found["drives"] for found in runs[1])
    assert alone == 2 * 4 * 2 and first == second == alone // 2  # two hints, four drives, mirrored too
    one, two = ({path.name: load_file(path) for path in (runs[0] / n / "outputs").iterdir()} for n in ("one", "two"))
    assert len(one) == 2 and one.keys() == two.keys()  # two hints; no parts are left
    for name, outputs in one.items():  # not bit by bit: the number of threads decides in which order is summed
        torch.testing.assert_close(two[name], outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["module", "function"])
def test_any_regressor_is_distilled_as_by_one_process(way: str, runs: tuple[Path, list[dict[str, Any]]]) -> None:
    alone, first, second = (found["regressor"][way] for found in runs[1])
    assert {**first, "rows": 0} == {**second, "rows": 0}  # to the last bit, the table too
    assert len(alone["numbers"]) > 100
    assert first["numbers"] == pytest.approx(alone["numbers"], rel=1e-3, abs=1e-4)
    assert first["curves"].keys() == alone["curves"].keys()
    if way == "module":
        assert alone["rows"] == 5000 and (first["rows"], second["rows"]) == (4096, 904)


def test_a_lost_process_ends_the_run_and_it_goes_on_with_one(
    kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = [*VERB[:1], str(kitti_root), "--out", str(out), *VERB[1:]]
    done = torchrun(PROGRAM, "lose", 0, *command)
    assert done.returncode != 0
    assert len(own_lines(done)) == 1, done.stderr
    assert "rank 1 of 2: another process was lost (out of memory?)" in own_lines(done)[0]
    assert "the same command goes on" in own_lines(done)[0]
    assert not (out / "config.json").exists()

    monkeypatch.setattr(trainer, "_step", trainer._step)
    steps = count_steps()
    monkeypatch.setattr(sys, "argv", ["distilvo", *command])
    cli.main()
    assert len(steps) == STEPS - INTERRUPTED_AT
    assert "last training loss" in capsys.readouterr().out
    assert load_model(out)[0].architecture.name.startswith("student")


def test_an_error_of_all_is_one_line() -> None:
    done = torchrun("-m", "distilvo", "export", "model")
    assert done.returncode != 0
    assert len(own_lines(done)) == 1 and "export: runs in one process" in own_lines(done)[0]


def test_a_wrong_command_line_is_told_once() -> None:
    done = torchrun("-m", "distilvo", "train", "data")
    assert done.returncode != 0
    assert done.stderr.count("For full helptext") == 1 and "--out" in done.stderr
