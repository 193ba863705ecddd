"""Two processes do what one does: in this file's ``main``, which torchrun starts, and by the command line."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from distilvo import parallel
from distilvo.commands import main as cli
from distilvo.commands.distill import Distill
from distilvo.commands.train import Train
from distilvo.data import Clips, FrameCache, motion_scale, open_cache
from distilvo.distill import checkpoint, trainer
from distilvo.distill.batches import Batch, Batches
from distilvo.distill.regressor import distill_regressor
from distilvo.distill.task import Losses, Supervised
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model
from distilvo.models.network import PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.pipeline.recipes import FoldTeachers, distill_student, train_supervised
from distilvo.sequences import open_dataset
from distilvo.settings import PAPER, Recipe
from tiny_teacher import TINY

EXACT = replace(TINY, batch_norm=False, dropout=0.0)
RECIPE = Recipe(epochs=2, clip_length=3, batch_size=4, mirror=True)
STEPS = 12  # two epochs of 24 clips, four at a time
INTERRUPTED_AT = 5
METHODS = {
    "two-stage": PAPER,
    "joint, projected, probabilistic": replace(PAPER, blend="gaussian", schedule="joint", hint_layer="lstm.0"),
    "sigma on frozen layers": replace(PAPER, blend="laplace"),
}
VERB = ["train", "--rate", "97", "--epochs", "2", "--clip-length", "3", "--batch-size", "4"]


class Broken(Supervised):
    """Its loss is no number in the last process."""

    def forward(self, batch: Any) -> Losses:
        total = super().forward(batch)["total"]
        return {"total": total * float("nan") if parallel.rank() == parallel.size() - 1 else total}


def make(store: FrameCache) -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(EXACT)
    network.set_motion_scale(*motion_scale(store))
    return network.eval()


def weights(network: PoseNetwork) -> str:
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def count_steps() -> list[int]:
    """For each step of training from now on, the clips that this process has of it."""
    clips: list[int] = []
    real = trainer._step

    def step(model: Any, batch: Batch, *arguments: Any) -> float:
        clips.append(len(batch.inputs))
        return real(model, batch, *arguments)

    trainer._step = step
    return clips


def count_drives() -> list[int]:
    """For each drive that a teacher is run on from now on, its frames."""
    frames: list[int] = []
    real = PoseNetwork.predict

    def predict(network: PoseNetwork, drive: torch.Tensor) -> torch.Tensor:
        frames.append(len(drive))
        return real(network, drive)

    PoseNetwork.predict = predict
    return frames


def regress(out: Path) -> dict[str, Any]:
    """``distill_regressor`` in two ways: a module over two parts of the samples, and a function over one."""
    torch.manual_seed(0)
    x = torch.rand(5000, 2, generator=torch.Generator().manual_seed(1)) * 4 - 2
    y = x.sin() + (x > 1) * 0.5
    teacher = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    rows: list[int] = []
    teacher.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])) if len(given[0]) > 1 else None)
    found = {}
    for name, source, kept, more in (
        ("module", teacher, 5000, {"hints": ("0", "0"), "schedule": "two-stage"}),
        ("function", torch.sin, 150, {"blend": "gaussian", "sigma_layer": "1"}),
    ):
        student = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        made = distill_regressor(
            source,
            student,
            (x[:100], y[:100]),
            unlabelled=x[100:kept],
            validation=(x[-50:], y[-50:]),
            baseline=True,
            training=TrainingSettings(40, 1e-2),
            batch_size=16,
            folder=out / name,
            **more,
        )
        tensors = [*student.state_dict().values(), *made.baseline.state_dict().values(), made.trust.phi]
        found[name] = {
            "numbers": torch.cat([tensor.flatten() for tensor in tensors]).tolist(),
            "table": str(made),
            "curves": made.curves,
        }
        found[name]["rows"] = sum(rows) - 50  # without those of the table
    return found


def do_all(data: Path, out: Path) -> dict[str, Any]:
    """What is compared: trainings on ground truth and from a teacher, one that goes on, and one that fails."""
    store = open_cache(open_dataset(data), Preprocessing((48, 160), 1), out / "cache")
    teacher = make(store)
    found: dict[str, Any] = {"curves": {}, "weights": {}}
    steps = count_steps()
    network, found["curves"]["resumed"] = train_supervised(EXACT, store, RECIPE, out / "begun")
    found["clips"] = list(steps)
    found["weights"]["resumed"] = weights(network)
    network, found["curves"]["supervised"] = train_supervised(EXACT, store, RECIPE, out / "supervised")
    found["weights"]["supervised"] = weights(network)
    small, drives = student_architecture(60, EXACT), count_drives()
    for name, method in METHODS.items():
        made = distill_student(teacher, small, store, RECIPE, out / name, outputs=out / "outputs", method=method)
        found["curves"] |= {f"{name}: {stage}": curve for stage, curve in made.curves.items()}
        found["weights"][name] = weights(made.student)
    found["drives"] = len(drives)
    found["regressor"] = regress(out / "regressor")
    folds = FoldTeachers(2, replace(RECIPE, epochs=1, mirror=False))
    # batch norm and dropout: not what one process does, yet alike in all
    made = distill_student(teacher, TINY, store, RECIPE, out / "c", method=PAPER, fold_teachers=folds)
    found["weights"]["cross-fitted"] = weights(made.student)
    found["phi"] = float(made.trust.phi.mean())
    batches = Batches(Clips(store, replace(RECIPE, mirror=False)))
    with pytest.raises(DistilvoError) as failure:
        train(Broken(teacher, teacher.scale), batches, TrainingSettings(4), out / "broken.safetensors", "broken")
    return found | {"failure": str(failure.value)}


def main() -> None:
    """Under torchrun: ``all DATA OUT``, or ``lose RANK`` and a command line in which that process is killed."""
    torch.set_num_threads(1)
    if sys.argv[1] == "all":
        data, out = map(Path, sys.argv[2:])
        (out / f"rank-{parallel.rank()}.json").write_text(json.dumps(do_all(data, out)))
        return
    lost, sys.argv = int(sys.argv[2]), ["distilvo", *sys.argv[3:]]
    checkpoint.EVERY_S = 0.0
    steps, real = [], trainer._step

    def step(*arguments: Any) -> float:
        steps.append(1)
        if len(steps) > INTERRUPTED_AT and parallel.rank() == lost:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    trainer._step = step
    cli.main()


def torchrun(*command: object) -> subprocess.CompletedProcess[str]:
    """Two processes, one thread each."""
    source = str(Path(parallel.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*launch, *map(str, command)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
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
    done = torchrun(__file__, "all", kitti_root, root / "two")
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
    done = torchrun(__file__, "lose", 0, *command)
    assert done.returncode != 0
    assert len(said(done)) == 1, done.stderr
    assert "rank 1 of 2: another process was lost (out of memory?)" in said(done)[0]
    assert "the same command goes on" in said(done)[0]
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
    assert len(said(done)) == 1 and "export: runs in one process" in said(done)[0]


def test_a_wrong_command_line_is_told_once() -> None:
    done = torchrun("-m", "distilvo", "train", "data")
    assert done.returncode != 0
    assert done.stderr.count("For full helptext") == 1 and "--out" in done.stderr


def pretend(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}.items():
        monkeypatch.setenv(name, str(value))


def test_shares_make_the_whole_batch(kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_cache(open_dataset(kitti_root), Preprocessing((48, 160), 1), tmp_path)
    clips = Clips(store, replace(RECIPE, batch_size=6, seed=1))
    shares = []
    for rank in range(3):
        pretend(monkeypatch, rank, 3)
        shares.append(list(clips.epoch(0, 1, parallel.share(6))))
    for whole, *parts in zip(clips.epoch(0, 1), *shares, strict=True):
        assert [len(part.inputs) for part in parts] == [2, 2, 2]
        assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs)
        assert torch.equal(torch.cat([part.targets for part in parts]), whole.targets)


def test_a_batch_that_cannot_be_shared_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 1, 2)
    recipe, folder = Recipe(batch_size=3), tmp_path / "out"
    verbs = (
        Train(tmp_path, folder, recipe=recipe),
        Distill(tmp_path, folder, recipe=recipe),
    )
    for verb in verbs:
        with pytest.raises(DistilvoError, match="batch-size: is 3 for 2 processes together, expected a multiple of 2"):
            verb.run()
    assert not folder.exists()


def test_batch_norms_on_gpus_see_the_whole_batch_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = PoseNetwork(TINY).eval()
    task, frames = Supervised(network, network.scale), torch.rand(1, 3, 1, 48, 160) * 255
    before = network(frames)
    pretend(monkeypatch, 0, 2)
    with trainer._norms_over_all(task, torch.device("cuda")):
        kinds = [type(module) for module in network.modules()]
        assert kinds.count(torch.nn.SyncBatchNorm) == 5 and torch.nn.BatchNorm2d not in kinds
        assert torch.equal(network(frames), before)
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())
    assert torch.equal(network(frames), before)
    with trainer._norms_over_all(task, torch.device("cpu")):
        assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in network.modules())


if __name__ == "__main__":
    main()
