"""``distilvo distill`` with film that has no poses, and with trajectories as teacher, in miniature."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.commands.distill import Distill
from distilvo.data import FrameCache, mean_and_unit, motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.student import shaped_architecture
from distilvo.models.teacher import DEMO
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.pipeline.recipes import distill_student
from distilvo.report.trust_report import trust_result
from distilvo.sequences import Sequence, open_dataset
from distilvo.settings import Method, Recipe, SourceOptions
from distilvo.trajectory.formats import read_trajectory, write_kitti
from tiny_teacher import TINY

RECIPE = Recipe(epochs=2, clip_length=3, batch_size=4)
PLAIN = Method(hint="none", inherit=False, trust="none")


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> list[Sequence]:
    """Two with poses, then two without."""
    root = tmp_path_factory.mktemp("film")
    for index in range(4):
        make_kitti(root, f"{index:02d}", frames=22, seed=index)
    drives = open_dataset(root)
    for drive in drives[2:]:
        drive.poses = None
    return drives


@pytest.fixture(scope="module")
def cache(sequences: list[Sequence], tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return open_cache(sequences, Preprocessing((48, 160), 1), tmp_path_factory.mktemp("cache"), need_poses=False)


@pytest.fixture(scope="module")
def teacher(cache: FrameCache) -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    network.set_motion_scale(*motion_scale(cache))
    return network.eval()


def test_film_changes_the_student_and_what_it_learns_there_is_the_teacher(
    cache: FrameCache, teacher: PoseNetwork, tmp_path: Path
) -> None:
    """A teacher that gives one constant motion: a student of film alone comes near it, one of labels does not."""
    constant = torch.tensor([0.3, -0.2, 2.0, 0.01, 0.05, -0.02])
    motions = constant.repeat(len(cache.motions), 1)
    motions[: 2 * 21] = torch.nan  # it says nothing where there are labels
    recipe = replace(RECIPE, epochs=25, learning_rate=5e-3)
    made = distill_student(motions, TINY, cache, recipe, tmp_path / "a", method=PLAIN)
    assert made.trust.phi[:42].eq(0).all() and made.trust.phi[42:].eq(1).all()
    assert made.teacher.hints == ()
    scale = made.student.scale
    on_film, on_labels = (made.student.predict(cache.drive_frames(index)).mean(0) for index in (2, 0))
    assert ((on_film - constant) / scale).norm() < 0.5 * ((on_labels - constant) / scale).norm()


def test_the_default_trust_is_learned_where_labels_are_missing(
    cache: FrameCache, teacher: PoseNetwork, tmp_path: Path
) -> None:
    known, trust = teacher_outputs(teacher, cache, Method(), tmp_path)
    assert trust.phi.shape == known.outputs.shape == (84, 6)
    assert trust.kind in ("learned", "none", "learned, none", "none, learned")  # noise may be worth nothing
    assert trust.errors[:42].isfinite().all() and trust.errors[42:].isnan().all()
    assert len(trust.worth) == 2 and all(-1 <= worth <= 1 for worth in trust.worth)
    _, read = teacher_outputs(teacher, cache, Method(), tmp_path)
    assert torch.equal(read.phi, trust.phi) and (read.kind, read.note) == (trust.kind, trust.note)
    assert len(list(tmp_path.glob("trust-*.safetensors"))) == 1


def test_trust_by_consistency_needs_no_label(cache: FrameCache, teacher: PoseNetwork, tmp_path: Path) -> None:
    film = cache.with_labels_of([])
    assert not film.labelled.any()
    _, trust = teacher_outputs(teacher, film, Method(trust="consistency"), tmp_path)
    assert trust.kind == "consistency"
    assert 0 < trust.phi.min() < trust.phi.max() <= 1
    assert trust.phi[:, 0].median() == pytest.approx(0.5, abs=0.05)  # of translation; half are trusted more
    _, mirrored = teacher_outputs(teacher, film, Method(trust="consistency"), tmp_path, mirror=True)
    assert torch.equal(mirrored.phi, torch.cat([trust.phi, trust.phi]))
    with pytest.raises(DistilvoError, match="the teacher is a trajectory; take learned or none"):
        teacher_outputs(torch.zeros(84, 6), film, Method(trust="consistency"), tmp_path)


def test_the_teacher_runs_once_whichever_drives_have_labels(
    cache: FrameCache, teacher: PoseNetwork, tmp_path: Path
) -> None:
    outputs = [
        teacher_outputs(teacher, some, Method(trust="consistency"), tmp_path)
        for some in (cache, cache.with_labels_of([]), cache.with_labels_of([1]))
    ]
    assert len(list(tmp_path.glob("teacher-*"))) == len(list(tmp_path.glob("consistency-*"))) == 1
    assert len(list(tmp_path.glob("trust-*"))) == 3  # what it is worth is told by labels
    assert all(torch.equal(known.outputs, outputs[0][0].outputs) for known, _ in outputs)


def test_kinds_of_trust_that_need_labels_refuse_film(cache: FrameCache, teacher: PoseNetwork, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="quantile needs the label of every sample, 42 of 84 have none"):
        teacher_outputs(teacher, cache, Method(trust="quantile"), tmp_path)
    assert not list(tmp_path.iterdir())  # the teacher, which may take hours, has not run


def test_a_student_of_film_alone_has_the_unit_of_its_teachers_motions(cache: FrameCache, tmp_path: Path) -> None:
    torch.manual_seed(1)
    motions = torch.randn(84, 6)
    film = cache.with_labels_of([])
    made = distill_student(motions, TINY, film, replace(RECIPE, epochs=1), tmp_path, method=PLAIN)
    mean, unit = mean_and_unit(motions)
    assert torch.equal(made.student.mean, mean) and torch.equal(made.student.scale, unit)


def test_hidden_labels_are_those_of_the_other_drives(cache: FrameCache) -> None:
    film = cache.with_labels_of([1])
    assert film.labelled_drives == [1] and cache.labelled_drives == [0, 1]
    assert np.array_equal(film.motions[21:42], cache.motions[21:42])
    assert np.isnan(film.motions[:21]).all() and not np.isnan(cache.motions[:21]).any()
    assert len({cache.key, film.key, cache.with_labels_of([0]).key}) == 3


def test_the_report_shows_true_against_predicted_errors(cache: FrameCache, teacher: PoseNetwork) -> None:
    known, trust = torch.zeros(84, 6), None
    errors = torch.full((84, 2), torch.nan)
    errors[:42] = torch.arange(42.0)[:, None] + 1
    from distilvo.distill.trust import Trust

    trust = Trust(torch.ones(84, 6), errors, (1.0, 1.0), "learned", torch.ones(84, 2) * 4, (0.5, 0.2))
    shown = trust_result(cache, known, trust)
    assert [one.name for one in shown.reliability] == ["translation", "rotation"]
    assert shown.reliability[0].predicted.tolist() == [2.0] * 42
    assert shown.reliability[1].true[3] == 2.0  # the root of 4
    assert shown.reliability[0].correlation == 0.0  # one prediction for all
    samples = [*shown.least, *shown.most]
    assert samples and all(np.isfinite(one.error_m) == one.label.startswith(("00", "01")) for one in samples)


def command(root: Path, out: Path, **more: object) -> Distill:
    return Distill(root, out, recipe=replace(RECIPE, epochs=1), **more)  # type: ignore[arg-type]


@pytest.fixture
def data(kitti_root: Path, tmp_path: Path) -> Path:
    """Two sequences with poses."""
    for name in ("00", "01"):
        shutil.copytree(kitti_root / "sequences" / name, tmp_path / "data/sequences" / name)
        (tmp_path / "data/poses").mkdir(exist_ok=True)
        shutil.copy(kitti_root / f"poses/{name}.txt", tmp_path / "data/poses")
    return tmp_path / "data"


def test_the_command_takes_film_and_says_what_it_was_trained_on(
    data: Path, kitti_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = (kitti_root / "sequences/02", kitti_root / "sequences/03/image_2")
    command(data, tmp_path / "out", unlabelled=film).run()
    printed = " ".join(capsys.readouterr().out.split())
    assert "2 sequences with poses, 2 without" in printed
    _, config = load_model(tmp_path / "out")
    assert config["training"]["data"]["sequences"] == 4
    claimed = json.loads((tmp_path / "out/distilvo.json").read_text())
    assert [Path(path).name for path in claimed["settings"]["unlabelled"]] == ["02", "image_2"]
    assert "Trust in the teacher" in (tmp_path / "out/report.html").read_text()


def test_every_flag_is_followed(data: Path, kitti_root: Path, tmp_path: Path) -> None:
    run = Distill(
        data,
        tmp_path / "out",
        unlabelled=(kitti_root / "sequences/02",),
        teacher=save_model(PoseNetwork(DEMO), tmp_path / "teacher", {}),
        rate=60,
        shape="slim",
        sequences=("01",),
        source=SourceOptions(stride=2),
        recipe=replace(RECIPE, epochs=1),
        method=Method(hint="none", trust="none"),
    )
    run.run()
    network, config = load_model(tmp_path / "out")
    assert network.architecture == shaped_architecture("slim", 60, DEMO)
    assert config["training"]["data"]["frames"] == 20 + 10 and config["training"]["data"]["sequences"] == 2
    assert config["training"]["trust"]["kind"] == "none" and config["training"]["method"]["hint"] == "none"
    assert [path.stem for path in (tmp_path / "out/checkpoints").glob("*.safetensors")] == ["imitation"]


def test_a_student_goes_on_from_its_own_weights(data: Path, tmp_path: Path, lstm_teacher: Path) -> None:
    """Without a learning rate to speak of it stays what it was; one that sees other images is refused."""
    torch.manual_seed(3)
    network = PoseNetwork(TINY)
    network.set_motion_scale(torch.zeros(6), torch.ones(6))
    save_model(network, tmp_path / "start", {})
    recipe = replace(RECIPE, learning_rate=1e-9)
    Distill(data, tmp_path / "out", teacher=lstm_teacher, init=tmp_path / "start", recipe=recipe).run()
    student, _ = load_model(tmp_path / "out")
    for name, values in student.named_parameters():
        torch.testing.assert_close(values, network.get_parameter(name), rtol=1e-4, atol=1e-5)
    save_model(PoseNetwork(replace(TINY, size=(96, 320))), tmp_path / "other", {})
    with pytest.raises(DistilvoError, match=r"other: sees images of .*96, 320.* the teacher .*48, 160"):
        command(data, tmp_path / "refused", init=tmp_path / "other", teacher=lstm_teacher).run()


def test_trajectories_can_be_the_teacher(data: Path, kitti_root: Path, tmp_path: Path) -> None:
    """Half the size: with the scale of the truth it is the truth, and the student learns the same from either."""
    folder = tmp_path / "slam"
    for name in ("00", "01"):
        poses = read_trajectory(kitti_root / f"poses/{name}.txt").poses
        motions = se3.motions(poses)
        motions[:, :3] /= 2
        write_kitti(folder / f"{name}.txt", se3.trajectory(motions))
    with pytest.raises(
        DistilvoError, match="taken for trajectories, which do not say their scale; give --teacher-scale metric"
    ):
        command(data, tmp_path / "a", teacher=folder).run()
    with pytest.raises(DistilvoError, match=r"is for trajectories, and .* is a model"):
        save_model(PoseNetwork(DEMO), tmp_path / "model", {})
        command(data, tmp_path / "a", teacher=tmp_path / "model", teacher_scale="truth").run()
    predicted = {}
    for scale in ("metric", "truth"):
        more = {"teacher": folder, "teacher_scale": scale, "method": Method(blend="teacher-only", trust="none")}
        command(data, tmp_path / scale, **more).run()
        tables = {path.stem: path for path in (tmp_path / scale).iterdir()}
        assert "report" in tables
        network, _ = load_model(tmp_path / scale)
        drive = open_cache(open_dataset(data), network.preprocessing, tmp_path / "cache")
        predicted[scale] = network.predict(drive.drive_frames(0))
    assert not torch.equal(predicted["metric"], predicted["truth"])
    more = {"teacher": kitti_root / "poses", "teacher_scale": "metric"}
    command(data, tmp_path / "whole", **more, method=Method(blend="teacher-only", trust="none")).run()
    network, _ = load_model(tmp_path / "whole")
    torch.testing.assert_close(network.predict(drive.drive_frames(0)), predicted["truth"], rtol=1e-3, atol=1e-4)


def test_flags_of_a_source_need_film(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="flags of a source without --unlabelled"):
        command(data, tmp_path / "out", source=SourceOptions(fps=5)).run()
    (data / "poses/01.txt").unlink()
    with pytest.raises(DistilvoError, match=r"01: no ground-truth poses .*give it as --unlabelled"):
        command(data, tmp_path / "out").run()
