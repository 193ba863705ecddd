"""Both stages of distillation in miniature: the teacher's outputs, every method, inherited layers, folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distilvo.data import MIRROR, Clips, FrameCache, motion_scale, open_cache
from distilvo.distill.batches import Batches, TeacherOutputs
from distilvo.distill.hints import Tap
from distilvo.distill.shapes import per_sample
from distilvo.distill.stages import stages
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, parameters_up_to
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.fast_student import fast_architecture
from distilvo.models.network import PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.models.teacher import DEMO
from distilvo.pipeline import recipes
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.pipeline.recipes import (
    FoldTeachers,
    cross_fit,
    distill_student,
    inherit,
    teacher_outputs,
    train_supervised,
)
from distilvo.sequences import open_dataset
from distilvo.settings import PAPER, Method
from test_training import RECIPE, TINY, make, same, weights


@pytest.fixture(scope="module")
def store(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return open_cache(open_dataset(kitti_root), Preprocessing((48, 160), 1), tmp_path_factory.mktemp("cache"))


def test_teacher_runs_once(store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = make(store).eval()
    given = run_teacher(teacher, "fc.0", store, tmp_path)
    assert given.motions.shape == (76, 6)
    assert given.hints.shape == (76, 8)
    assert torch.equal(given.motions[:19], teacher.predict(store.drive_frames(0)))
    monkeypatch.setattr(PoseNetwork, "predict", None)
    assert torch.equal(run_teacher(teacher, "fc.0", store, tmp_path).hints, given.hints)
    with torch.no_grad():
        teacher.fc[0][0].bias.add_(1)
    with pytest.raises(TypeError):  # other weights: the old outputs are not taken for theirs
        run_teacher(teacher, "fc.0", store, tmp_path)


def test_damaged_outputs_are_named(store: FrameCache, tmp_path: Path) -> None:
    run_teacher(make(store), "fc.0", store, tmp_path)
    path = next(tmp_path.glob("teacher-*"))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DistilvoError, match="not a whole file"):
        run_teacher(make(store), "fc.0", store, tmp_path)


@pytest.mark.parametrize("layer", ["lstm.0", "pool", "convolutions.0", "convolutions.3", "rotation"])
def test_any_layer_can_be_the_hint(layer: str, store: FrameCache, tmp_path: Path) -> None:
    """Run on whole drives in chunks, or on one pair: the same."""
    teacher = make(store).eval()
    hints = run_teacher(teacher, layer, store, tmp_path).hints
    assert len(hints) == 76
    with torch.no_grad(), Tap(teacher, layer) as tap:
        teacher(store.drive_frames(1)[:3][None].float())
    expected = per_sample(tap.take(), (1, 2))[0]
    assert torch.allclose(hints[19:21], expected, atol=1e-4)


def test_a_guided_layer_that_is_not_there_is_found_before_the_teacher_runs(store: FrameCache, tmp_path: Path) -> None:
    student = student_architecture(60, TINY)
    wrong = replace(PAPER, guided_layer="fc.9")
    with pytest.raises(
        DistilvoError, match=r"guided layer of the student: layer 'fc\.9' is not in PoseNetwork; it has .*fc\.0"
    ):
        distill_student(make(store), student, store, RECIPE, tmp_path, method=wrong)
    assert list(tmp_path.iterdir()) == []


def test_mirrored_clips_get_the_outputs_for_mirrored_frames(store: FrameCache, tmp_path: Path) -> None:
    teacher = make(store).eval()
    given, trust = teacher_outputs(teacher, store, PAPER, tmp_path, mirror=True)
    assert len(given.outputs) == len(trust.phi) == 152
    flipped = teacher.predict(store.drive_frames(2).flip(-1))
    assert torch.equal(given.outputs[76 + 38 : 76 + 57], flipped)
    by_truth = {tuple(m): i for i, m in enumerate(np.concatenate([store.motions, store.motions * MIRROR.numpy()]))}
    sides = set()
    for batch in Batches(Clips(store, replace(RECIPE, mirror=True)), given).epoch(0):
        assert batch.teacher is not None
        for truth, taught in zip(batch.targets.flatten(0, 1), batch.teacher.flatten(0, 1), strict=True):
            index = by_truth[tuple(truth.numpy())]
            sides.add(index < 76)
            assert torch.equal(taught, given.outputs[index])
    assert sides == {True, False}
    with pytest.raises(DistilvoError, match="outputs are of 152 samples, expected 76"):
        Batches(Clips(store, RECIPE), given)


def test_teachers_of_folds_belong_to_their_training_set(store: FrameCache, tmp_path: Path) -> None:
    """Two rows of a study with other labels and as many folds share a folder."""
    teacher, how = make(store), FoldTeachers(2, replace(RECIPE, epochs=1))
    first = cross_fit(teacher, store, how, tmp_path)
    other = cross_fit(teacher, store.with_labels_of([0, 1, 2]), how, tmp_path)
    assert first.shape == other.shape and not torch.equal(first, other)
    assert torch.equal(first, cross_fit(teacher, store, how, tmp_path))


def test_each_sample_gets_its_own_row_of_the_teacher(store: FrameCache) -> None:
    """Tables that hold their own row number: outputs, hints and trust of a batch are its index."""
    number = torch.arange(76.0)
    given = TeacherOutputs(number[:, None].expand(-1, 6), number, (number[:, None].expand(-1, 8),))
    clips = Clips(store, RECIPE)
    for samples, batch in zip(clips.epoch(0), Batches(clips, given).epoch(0), strict=True):
        assert batch.teacher is not None and batch.trust is not None
        assert batch.teacher.shape == (4, 3, 6) and batch.hints[0].shape == (4, 3, 8)
        for rows in (batch.teacher[..., 5], batch.hints[0][..., 7], batch.trust):
            assert torch.equal(rows, samples.index.float())
        assert np.allclose(batch.targets, store.motions[samples.index])


def test_two_stages_need_two_steps(store: FrameCache, tmp_path: Path) -> None:
    given, _ = teacher_outputs(make(store).eval(), store, PAPER, tmp_path)
    student = PoseNetwork(student_architecture(60, TINY))
    batches = Batches(Clips(store, RECIPE), given)
    guided = [student.architecture.last_layer]
    with pytest.raises(DistilvoError, match="two stages: 1 step in all; expected at least 2"):
        list(stages(student, PAPER, batches, 1, student.scale, guided=guided))
    assert [stage.steps for stage in stages(student, PAPER, batches, 2, student.scale, guided=guided)] == [1, 1]


def test_stages_train_and_freeze_what_they_should(store: FrameCache, tmp_path: Path) -> None:
    teacher = make(store).eval()
    architecture = student_architecture(60, TINY)
    guided = architecture.last_layer
    given, _ = teacher_outputs(teacher, store, PAPER, tmp_path)
    batches = Batches(Clips(store, RECIPE), given)
    student = PoseNetwork(architecture)
    student.set_motion_scale(teacher.mean, teacher.scale)
    trunk = parameters_up_to(student, guided, next(batches.epoch(0)).inputs[:1])
    names = {name for name, p in student.named_parameters() if any(p is q for q in trunk)}
    assert {name for name, _ in student.named_parameters()} - names == {
        f"{branch}.{layer}.{kind}"
        for branch in ("translation", "rotation")
        for layer in (0, 2)
        for kind in ("weight", "bias")
    }
    start = weights(student)
    first = Distillation(
        student, [HintLoss(guided, True, 8, given.hints[0])], frozen=set(student.parameters()) - set(trunk)
    )
    train(first, batches, TrainingSettings(6), tmp_path / "1", "hints")
    first.close()
    hinted = weights(student)
    assert all(torch.equal(hinted[n], start[n]) for n in hinted if n.startswith(("translation", "rotation")))
    assert not torch.equal(hinted["convolutions.0.0.weight"], start["convolutions.0.0.weight"])
    second = Distillation(student, imitation=ImitationLoss("attentive", student.scale, 0.5), frozen=trunk)
    train(second, batches, TrainingSettings(6), tmp_path / "2", "imitation")
    done = weights(student)
    moved = {name for name in done if not torch.equal(done[name], hinted[name])}
    assert moved and all(name.startswith(("translation", "rotation")) for name in moved)
    assert set(done) == set(PoseNetwork(architecture).state_dict())  # nothing of the task leaks into the student


METHODS = {
    "paper": PAPER,
    "FitNets": replace(PAPER, blend="ground-truth", hint="plain"),
    "nothing frozen": replace(PAPER, freeze=False),
    "best known": Method(),
    "laplace": replace(PAPER, blend="laplace", hint="none"),
    "gaussian, joint, projected": replace(PAPER, blend="gaussian", schedule="joint", hint_layer="lstm.0"),
    "convolution as hint": replace(
        PAPER, blend="upper-bound", hint_layer="convolutions.1", guided_layer="convolutions.1"
    ),
    "inherit": replace(PAPER, blend="minimum", inherit=True, hint="none"),
    "cross-fitted": replace(PAPER, trust="rank"),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_as_many_steps_as_supervised(name: str, store: FrameCache, tmp_path: Path) -> None:
    teacher, architecture = make(store).eval(), student_architecture(60, TINY)
    folds = FoldTeachers(2, replace(RECIPE, epochs=1)) if name == "cross-fitted" else None
    made = distill_student(teacher, architecture, store, RECIPE, tmp_path, method=METHODS[name], fold_teachers=folds)
    _, curve = train_supervised(architecture, store, RECIPE, tmp_path / "s")
    assert sum(points[-1][0] for points in made.curves.values()) == curve[-1][0]
    assert all(parameter.requires_grad for parameter in made.student.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in made.student.modules())
    assert set(made.student.state_dict()) == set(PoseNetwork(architecture).state_dict())
    begun = recipes._new(architecture, motion_scale(store), RECIPE).state_dict()
    assert not same(weights(made.student), begun)


def test_checkpoint_of_another_method_is_not_gone_on_from(store: FrameCache, tmp_path: Path) -> None:
    teacher, architecture = make(store).eval(), student_architecture(60, TINY)
    distill_student(teacher, architecture, store, RECIPE, tmp_path, method=PAPER)
    for change in (
        {"alpha": 0.9},
        {"freeze": False},
        {"hint": "plain"},
        {"trust": "rank"},
        {"blend": "minimum"},
    ):
        with pytest.raises(DistilvoError, match="other settings"):
            distill_student(teacher, architecture, store, RECIPE, tmp_path, method=replace(PAPER, **change))


@torch.no_grad()
def test_a_fast_student_begins_with_its_teachers_features(store: FrameCache) -> None:
    teacher, student = PoseNetwork(DEMO).eval(), PoseNetwork(fast_architecture("nano", DEMO.size)).eval()
    inherit(student, teacher, motion_scale(store))
    frames = torch.randint(0, 256, (2, 1, *DEMO.size), dtype=torch.uint8)
    assert torch.allclose(student.encode(frames), teacher.encode(frames), atol=1e-4)


def test_inherited_layers_are_the_teachers(store: FrameCache) -> None:
    teacher, student = make(store).eval(), PoseNetwork(student_architecture(60, TINY)).eval()
    names = inherit(student, teacher, motion_scale(store))
    assert {name.split(".")[0] for name in names} == {"convolutions", "translation", "rotation", "mean", "scale"}
    assert torch.equal(student.encode(store.drive_frames(0)), teacher.encode(store.drive_frames(0)))


def test_cross_fitted_outputs_come_from_a_teacher_that_has_not_seen_the_drive(
    store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []

    def pretend(
        architecture: object, store: FrameCache, recipe: object, folder: object, *, drives: list[int], **more: object
    ) -> tuple[PoseNetwork, list[int]]:
        network = make(store).eval()
        network.mean.fill_(float(len(seen)))  # tells which teacher it was
        network.scale.fill_(0)
        seen.append(set(drives))
        return network, []

    monkeypatch.setattr(recipes, "train_supervised", pretend)
    motions = cross_fit(PoseNetwork(TINY), store, FoldTeachers(3, RECIPE), tmp_path)
    assert seen == [{1, 2}, {0, 2, 3}, {0, 1, 3}]
    teachers = [motions[19 * d : 19 * (d + 1), 0].unique().tolist() for d in range(4)]
    assert teachers == [[0.0], [1.0], [2.0], [0.0]]


def test_log_sigma_learns_how_far_the_teacher_is_off(store: FrameCache) -> None:
    network = make(store)
    loss = ImitationLoss("gaussian", torch.ones(6), 0.0, ("fc.0", 8))
    batch = next(Batches(Clips(store, RECIPE)).epoch(0))
    with torch.no_grad(), Tap(network, "fc.0") as tap:
        prediction = network(batch.inputs)
        layer = tap.take()
    taught = replace(batch, teacher=prediction + 2.0)  # squared distance 6 * 4 = 24: sigma = sqrt(24) is likeliest
    optimiser = torch.optim.Adam(loss.parameters(), 0.05)
    for _ in range(400):
        optimiser.zero_grad()
        loss(prediction, taught, layer).mean().backward()
        optimiser.step()
    sigma = loss.log_sigma(layer).exp()
    assert sigma.mean().item() == pytest.approx(24**0.5, rel=0.05)


def test_tasks_say_what_they_need(store: FrameCache) -> None:
    network = make(store)
    batch = next(Batches(Clips(store, RECIPE)).epoch(0))
    hint = Distillation(network, [HintLoss("fc.0", True, 8, torch.randn(4, 8))])
    with pytest.raises(DistilvoError, match="run the teacher over the training set first"):
        hint(batch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.5}, "alpha: is 1.5, expected 0 to 1"),
        ({"hint_weight": 0.0}, "hint-weight: is 0.0"),
        ({"blend": "best"}, "blend: is best, expected one of ground-truth"),
    ],
)
def test_methods_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DistilvoError, match=message):
        Method(**change)
