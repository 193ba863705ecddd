"""Clips, the loop and its checkpoints, in miniature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.data import Clips, FrameCache, motion_scale, open_cache
from distilvo.data.augmentation import MIRROR, exposed, mirrored
from distilvo.distill import checkpoint, trainer
from distilvo.distill.batches import Batches
from distilvo.distill.task import Supervised
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import student_architecture
from distilvo.models.teacher import DEMO, PAPER, QUARTER
from distilvo.pipeline.recipes import distill_student, train_supervised
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe
from tiny_teacher import TINY

RECIPE = Recipe(epochs=2, clip_length=3, batch_size=4)


@pytest.fixture(scope="module")
def store(kitti_root: Path, tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    return open_cache(open_dataset(kitti_root), Preprocessing((48, 160), 1), tmp_path_factory.mktemp("cache"))


def make(store: FrameCache) -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(TINY)
    network.set_motion_scale(*motion_scale(store))
    return network


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_store_is_decoded_once(kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Preprocessing((48, 160), 1)
    first = open_cache(open_dataset(kitti_root), form, tmp_path)
    assert first.frames.shape == (80, 1, 48, 160)
    assert first.motions.shape == (76, 6)
    monkeypatch.setattr(Preprocessing, "apply", None)  # decoding again would fail
    again = open_cache(open_dataset(kitti_root), form, tmp_path)
    assert np.array_equal(first.frames, again.frames)


def test_store_needs_poses(kitti_root: Path, tmp_path: Path) -> None:
    sequences = open_dataset(kitti_root)
    sequences[1].poses = None
    with pytest.raises(DistilvoError, match="01: no ground-truth poses"):
        open_cache(sequences, Preprocessing((48, 160), 1), tmp_path)
    with pytest.raises(DistilvoError, match="no sequences"):
        open_cache([], Preprocessing((48, 160), 1), tmp_path)


def test_a_drive_of_one_frame_has_no_motion(tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=1)
    with pytest.raises(DistilvoError, match="00: 1 frame; expected at least 2, motion lies between frames"):
        open_cache(open_dataset(tmp_path), Preprocessing((48, 160), 1), tmp_path / "cache")


def test_interrupted_decoding_leaves_nothing_that_looks_whole(
    kitti_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, apply, calls = Preprocessing((48, 160), 1), Preprocessing.apply, []

    def interrupted(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return apply(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Preprocessing, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_cache(open_dataset(kitti_root), form, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    monkeypatch.setattr(Preprocessing, "apply", apply)
    assert len(open_cache(open_dataset(kitti_root), form, tmp_path).frames) == 80


def test_clips_pair_frames_with_their_motions(store: FrameCache) -> None:
    clips = Clips(store, RECIPE)
    true = {drive.first: store.drive_motions(index) for index, drive in enumerate(store.drives)}
    count = 0
    for batch in clips.epoch(5):
        assert batch.inputs.shape == (4, 4, 1, 48, 160)
        for target in batch.targets:  # each clip's motions stand side by side in exactly one drive
            hits = [(m[k : k + 3] == target.numpy()).all() for m in true.values() for k in range(len(m) - 2)]
            count += sum(hits)
            assert sum(hits) == 1
    assert count == 4 * len(clips)


def test_epochs_are_repeatable_and_differ(store: FrameCache) -> None:
    clips = Clips(store, RECIPE)
    first, again, later = (next(clips.epoch(number)) for number in (0, 0, 1))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.targets, later.targets)
    assert torch.equal(list(clips.epoch(0))[2].inputs, next(clips.epoch(0, start=2)).inputs)


@pytest.mark.parametrize("distilled", [False, True])
def test_frames_of_a_camera_that_looks_aside_are_not_mirrored(
    distilled: bool, store: FrameCache, tmp_path: Path
) -> None:
    """KITTI's optical axis is 1 % off the middle: mirrored, a car that drives straight on seems to turn."""
    aside, recipe = replace(TINY, centred=False), replace(RECIPE, mirror=True)
    with pytest.raises(DistilvoError, match="--mirror: the optical axis of the frames of teacher-demo is not in their"):
        if distilled:
            distill_student(PoseNetwork(TINY), aside, store, recipe, tmp_path)
        else:
            train_supervised(aside, store, recipe, tmp_path)


@pytest.mark.parametrize("architecture", [PAPER, QUARTER, DEMO, student_architecture(92.95, QUARTER)])
def test_the_papers_networks_see_centred_frames(architecture: Architecture) -> None:
    assert architecture.preprocessing.intrinsics[0, 2] == (architecture.size[1] - 1) / 2


def test_mirrored_clips_turn_the_other_way(store: FrameCache) -> None:
    plain, mirrored = (
        Clips(store, replace(RECIPE, batch_size=24)),
        Clips(store, replace(RECIPE, batch_size=24, mirror=True)),
    )
    a, b = next(plain.epoch(0)), next(mirrored.epoch(0))
    flipped = [not torch.equal(x, y) for x, y in zip(a.targets, b.targets, strict=True)]
    assert 0 < sum(flipped) < 24
    for k, turned in enumerate(flipped):
        assert torch.equal(b.inputs[k], a.inputs[k].flip(-1) if turned else a.inputs[k])
        assert torch.equal(b.targets[k, :, 4], -a.targets[k, :, 4] if turned else a.targets[k, :, 4])
        assert torch.equal(b.targets[k, :, 2], a.targets[k, :, 2])


def test_motion_scale_by_hand(store: FrameCache, monkeypatch: pytest.MonkeyPatch) -> None:
    motions = np.zeros((4, 6), np.float32)
    motions[:, 2] = [0, 2, 0, 2]  # mean 1, distance from it 1
    motions[:, 4] = [0.04, -0.04, 0.04, -0.04]
    motions[:, 3] = [0.03, -0.03, 0.03, -0.03]
    monkeypatch.setattr(store, "motions", motions)
    mean, scale = motion_scale(store)
    assert mean.tolist() == [0, 0, 1, 0, 0, 0]
    # All rotations: sqrt(0.03^2 + 0.04^2) = 0.05; sqrt(0.03 x 0.05), sqrt(0.04 x 0.05); the last one has none.
    assert scale.tolist() == pytest.approx([1, 1, 1, 0.0387298, 0.0447214, 0.005])


def test_training_from_given_weights(store: FrameCache, tmp_path: Path) -> None:
    first, _ = train_supervised(TINY, store, RECIPE, tmp_path / "a")
    recipe = replace(RECIPE, epochs=1, learning_rate=1e-9, seed=7)
    again, _ = train_supervised(TINY, store, recipe, tmp_path / "b", init=first)
    names = [name for name, _ in first.named_parameters()]
    assert all(torch.allclose(first.get_parameter(n), again.get_parameter(n), atol=1e-5) for n in names)


def test_too_little_data_is_said(store: FrameCache) -> None:
    with pytest.raises(DistilvoError, match="24 clips of 4 frames in 4 sequences; expected at least one batch of 25"):
        Clips(store, replace(RECIPE, batch_size=25))


def test_training_learns(store: FrameCache, tmp_path: Path) -> None:
    architecture = replace(TINY, lstm=(), dropout=0.0)
    network, curve = train_supervised(architecture, store, replace(RECIPE, epochs=30, learning_rate=5e-3), tmp_path)
    losses = [loss for _, loss in curve]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    assert torch.tensor([1e-39]).mul(1).item() > 0  # denormal numbers are as they were
    assert not network.training


def test_resumed_training_is_the_same_training(
    store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(steps=8, warmup=2)
    batches = Batches(Clips(store, RECIPE))
    whole = make(store)
    curve = train(Supervised(whole, whole.scale), batches, settings, tmp_path / "a", "whole")

    real_step, steps = trainer._step, []

    def step(*arguments: object) -> float:
        if len(steps) == 5:
            raise KeyboardInterrupt
        steps.append(1)
        return real_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(trainer, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        train(Supervised(network := make(store), network.scale), batches, settings, tmp_path / "b", "killed")
    monkeypatch.setattr(trainer, "_step", real_step)
    resumed = make(store)
    assert train(Supervised(resumed, resumed.scale), batches, settings, tmp_path / "b", "resumed") == curve
    assert same(weights(resumed), weights(whole))


def test_precisions_can_follow_each_other(store: FrameCache, tmp_path: Path) -> None:
    for precision in ("bf16", "no"):
        network, _ = train_supervised(TINY, store, replace(RECIPE, precision=precision), tmp_path / precision)
        assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_finished_training_is_only_read_back(
    store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = train_supervised(TINY, store, RECIPE, tmp_path)
    monkeypatch.setattr(trainer, "_step", None)  # a further step would fail
    again, _ = train_supervised(TINY, store, RECIPE, tmp_path)
    assert same(weights(first), weights(again))


def test_broken_and_foreign_checkpoints(store: FrameCache, tmp_path: Path) -> None:
    train_supervised(TINY, store, RECIPE, tmp_path)
    for recipe in (
        replace(RECIPE, learning_rate=1.0),
        replace(RECIPE, seed=3),
        replace(RECIPE, mirror=True),
        replace(RECIPE, exposure_gain=0.1),
    ):
        with pytest.raises(DistilvoError, match="other settings"):
            train_supervised(TINY, store, recipe, tmp_path)
    with pytest.raises(DistilvoError, match="other settings, data or network"):
        train_supervised(replace(TINY, fc=(9,)), store, RECIPE, tmp_path)
    path = tmp_path / "supervised.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DistilvoError, match="not a whole checkpoint"):
        train_supervised(TINY, store, RECIPE, tmp_path)


def test_diverging_training_is_said(store: FrameCache, tmp_path: Path) -> None:
    network = make(store)
    with torch.no_grad():
        network.fc[0][0].bias.fill_(float("nan"))
    with pytest.raises(DistilvoError, match="loss became nan"):
        train(
            Supervised(network, network.scale), Batches(Clips(store, RECIPE)), TrainingSettings(2), tmp_path / "c", "t"
        )
    assert not (tmp_path / "c").exists()


def test_every_augmentation_is_a_setting(store: FrameCache) -> None:
    """With none of them clips are the frames of the cache; each of them gives another key."""
    off = replace(RECIPE, exposure_gain=0.0, exposure_offset=0.0)
    for batch in Clips(store, off).epoch(0):
        for clip, pairs in zip(batch.inputs, batch.index, strict=True):
            drive = int(pairs[0]) // 19  # of 20 frames each
            first = int(pairs[0]) + drive
            assert np.array_equal(clip.numpy(), store.frames[first : first + 4])
    recipes = (off, RECIPE, *(replace(off, **{name: 1}) for name in ("mirror", "exposure_gain", "exposure_offset")))
    assert len({Clips(store, recipe).key for recipe in recipes}) == 5


def test_exposure_by_hand() -> None:
    light = torch.tensor([1.0, -2.0]).reshape(2, 1, 1, 1, 1, 1)  # n = 1, m = -2
    exposed_clip = exposed(torch.tensor([0.0, 100.0, 250.0]).reshape(1, 1, 1, 1, 3), light, gain=0.2, offset=15.0)
    assert exposed_clip.flatten().tolist() == pytest.approx([0.0, 90.0, 255.0])  # 1.2 x - 30, within 0 to 255


def test_mirrored_motion_is_that_of_the_mirrored_world() -> None:
    """Seen in a mirror, x points the other way: a motion T becomes S T S with S = diag(-1, 1, 1, 1)."""
    mirror = np.diag([-1.0, 1, 1, 1])
    motions = np.random.default_rng(0).uniform(-1, 1, (2, 5, 6))
    targets, inputs = torch.from_numpy(motions.copy()), torch.arange(4.0).expand(2, 6, 1, 1, 4).clone()
    inputs, targets = mirrored(inputs, targets, np.array([False, True]))
    assert np.array_equal(targets[0], motions[0])
    expected = mirror @ se3.matrices_from_motions(motions[1]) @ mirror
    assert np.allclose(se3.matrices_from_motions(targets[1].numpy()), expected)
    assert inputs[:, 0, 0, 0].tolist() == [[0, 1, 2, 3], [3, 2, 1, 0]]
    assert MIRROR.tolist() == [-1, 1, 1, 1, -1, -1]  # only pitch keeps its sign among the rotations


def test_learning_rate_by_hand(store: FrameCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four steps, two of them of warm-up: (k + 1) / 2 up to 1, times (1 + cos(pi k / 4)) / 2."""
    rates = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(
        torch.optim.Adam, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self))[1]
    )
    network = make(store)
    settings = TrainingSettings(4, learning_rate=0.001, warmup=2)
    train(Supervised(network, network.scale), Batches(Clips(store, RECIPE)), settings, tmp_path / "c", "t")
    assert rates == pytest.approx([0.0005, 0.000853553, 0.0005, 0.000146447], rel=1e-5)
