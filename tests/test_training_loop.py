"""The loop, its checkpoints and the teacher pass on three numbers: no frames, no poses."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from distilvo.distill import checkpoint
from distilvo.distill.batches import Batch, Batches, TeacherOutputs
from distilvo.distill.checkpoint import Checkpoint
from distilvo.distill.task import Supervised
from distilvo.distill.teacher_pass import Tables, check_outputs, outputs_key, teacher_pass
from distilvo.distill.trainer import BF16_IS_SLOW, TrainingSettings, train
from distilvo.errors import DistilvoError


class Numbers:
    """A training set of three batches of one sample: 1, 2 and 3, each of which is its own target times ``factor``."""

    def __init__(self, factor: float = 1.0) -> None:
        self.key, self.batch_size, self.samples, self.factor = f"numbers {factor}", 1, 3, factor
        self.given: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return 3

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[Batch]:
        for index in range(start, 3):
            self.given.append((number, index))
            value = torch.tensor([[index + 1.0]])[share]
            yield Batch(value, self.factor * value)


class Scaled(nn.Module):
    """One factor."""

    def __init__(self, factor: float = 0.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))
        self.types: list[torch.dtype] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.types.append((inputs @ torch.eye(1)).dtype)
        return self.factor * inputs


def run(folder: Path, settings: TrainingSettings, data: Numbers, network: Scaled | None = None) -> list[float]:
    """Train; the losses of the curve."""
    task = Supervised(Scaled() if network is None else network, torch.ones(1))
    return [loss for _, loss in train(task, Batches(data), settings, folder / "training", "t")]


def test_batches_follow_each_other_from_epoch_to_epoch(tmp_path: Path) -> None:
    data = Numbers()
    losses = run(tmp_path, TrainingSettings(5, learning_rate=1e-9), data)
    assert data.given[:5] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert losses == pytest.approx([1, 4, 9, 1, 4])  # the factor stays 0


def test_without_a_warm_up_the_first_step_is_taken_at_the_full_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps: (1 + cos 0) / 2 = 1 and (1 + cos(pi / 2)) / 2 = 0.5 of the rate."""
    rates: list[float] = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: rates.append(self.param_groups[0]["lr"]))
    run(tmp_path, TrainingSettings(2, learning_rate=0.01, warmup=0), Numbers())
    assert rates == pytest.approx([0.01, 0.005])


def test_a_training_goes_on_in_the_middle_of_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, data = TrainingSettings(6, warmup=1), Numbers()
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    real, left = Checkpoint.save_now_and_then, [4]

    def save(state: Checkpoint) -> None:
        real(state)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoint, "save_now_and_then", save)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, settings, data)
    data.given.clear()
    resumed = run(tmp_path, settings, data)
    assert data.given[:2] == [(1, 1), (1, 2)]  # the batches of steps 4 and 5
    assert resumed == run(tmp_path / "whole", settings, Numbers())


@pytest.mark.parametrize(("factor", "expected"), [(1000.0, 2.0), (0.1, 0.2)])
def test_gradients_are_only_ever_scaled_down(
    factor: float, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is (0 - factor)^2, its gradient -2 factor: 2000, clipped to 2, and 0.2."""
    gradients: list[float] = []
    network = Scaled()
    monkeypatch.setattr(
        torch.optim.Adam,
        "step",
        lambda self: gradients.append(float(network.factor.grad)),  # type: ignore[arg-type]
    )
    run(tmp_path, TrainingSettings(2, clip_norm=2.0), Numbers(factor), network)
    assert -gradients[0] == pytest.approx(expected)
    assert -gradients[1] == pytest.approx(min(2.0, 4 * expected))  # of one step alone: 2 (0 - 2 factor) 2


@pytest.mark.parametrize(
    ("precision", "has_bf16", "kind"),
    [("no", True, torch.float32), ("bf16", True, torch.bfloat16), ("bf16", False, torch.float32)],
)
def test_the_network_runs_in_the_precision_that_is_set(
    precision: str, has_bf16: bool, kind: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And in 32-bit floats, with a note, where 16-bit ones would be slower."""
    for name in ("torch.cpu._is_avx512_bf16_supported", "torch.ops.mkldnn._is_mkldnn_bf16_supported"):
        monkeypatch.setattr(name, lambda: has_bf16)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    network = Scaled()
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        run(tmp_path, TrainingSettings(1, precision=precision), Numbers(), network)  # type: ignore[arg-type]
    assert network.types == [kind]
    assert [str(note.message) for note in notes] == ([] if has_bf16 else [BF16_IS_SLOW])


@pytest.mark.parametrize(
    ("steps", "points"),
    [(399, 399), (400, 200), (603, 201)],  # every step, every second and every third
)
def test_a_curve_has_about_two_hundred_points(steps: int, points: int, tmp_path: Path) -> None:
    network = Scaled()
    state = Checkpoint(tmp_path / "c", {}, Supervised(network, torch.ones(1)), torch.optim.Adam(network.parameters()))
    for step in range(steps):
        state.record(float(step), steps)
    every = steps // points
    assert len(state.curve) == points
    assert state.curve[:2] == [(every, (every - 1) / 2), (2 * every, every + (every - 1) / 2)]  # mean of their steps
    assert state.curve[-1][0] == steps


def test_what_is_left_at_the_end_is_a_point_too(tmp_path: Path) -> None:
    network = Scaled()
    state = Checkpoint(tmp_path / "c", {}, Supervised(network, torch.ones(1)), torch.optim.Adam(network.parameters()))
    for step in range(401):
        state.record(float(step), 401)
    assert state.curve[-2:] == [(400, 398.5), (401, 400.0)]


def test_a_checkpoint_is_saved_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, now = Scaled(), [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    state = Checkpoint(tmp_path / "c", {}, Supervised(network, torch.ones(1)), torch.optim.Adam(network.parameters()))
    saved = []
    for now[0] in (1.0, 29.0, 31.0, 60.0, 62.0):
        state.record(now[0], 100)
        state.save_now_and_then()
        saved.append(state.path.exists() and saved_step(state.path) == state.step)
    assert saved == [False, False, True, False, True]  # more than 30 s after the last time


def test_a_damaged_checkpoint_is_named_with_the_reason_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "training").write_bytes(b"\x10")
    with pytest.raises(DistilvoError, match=r"training: not a whole checkpoint \(.*header.*\); remove it") as caught:
        run(tmp_path, TrainingSettings(1), Numbers())
    assert "\n" not in str(caught.value)


def saved_step(path: Path) -> int:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["training"])["step"]


def by_part(part: int) -> Tables:
    """Part k has k + 1 samples, outputs 10 k and hints 100 k."""
    return {"outputs": torch.full((part + 1, 2), 10.0 * part), "hints.0": torch.full((part + 1, 3), 100.0 * part)}


def test_outputs_of_a_teacher_lie_in_the_order_of_the_parts(tmp_path: Path) -> None:
    order: list[int] = []
    tables = teacher_pass(lambda part: (order.append(part), by_part(part))[1], [1, 2, 3], tmp_path / "o")
    assert order == [0, 1, 2]
    assert tables["outputs"][:, 1].tolist() == [0, 10, 10, 20, 20, 20]
    assert tables["hints.0"][:, 2].tolist() == [0, 100, 100, 200, 200, 200]
    again = teacher_pass(None, [1, 2, 3], tmp_path / "o")  # type: ignore[arg-type]  # not run again
    assert again.keys() == tables.keys() and all(torch.equal(again[name], tables[name]) for name in tables)


def test_tables_of_more_than_nine_parts_keep_their_order(tmp_path: Path) -> None:
    tables = teacher_pass(lambda part: {"outputs": torch.tensor([float(part)])}, [1] * 12, tmp_path / "o")
    assert tables["outputs"].tolist() == list(range(12))


WHOLE = {"outputs": torch.ones(6, 2), "hints.0": torch.ones(6, 3)}
NOT_OUTPUTS = {
    "fewer outputs": {"outputs": torch.ones(5, 2)},
    "more outputs": {"outputs": torch.ones(7, 2)},
    "a single output": {"outputs": torch.tensor(1.0)},
    "fewer hints": {"hints.0": torch.ones(5, 3)},
    "more hints": {"hints.0": torch.ones(7, 3)},
    "fewer of both": {"outputs": torch.ones(5, 2), "hints.0": torch.ones(5, 3)},
    "more of both": {"outputs": torch.ones(7, 2), "hints.0": torch.ones(7, 3)},
}


@pytest.mark.parametrize("name", NOT_OUTPUTS)
def test_outputs_of_other_samples_are_refused(name: str, tmp_path: Path) -> None:
    save_file({**WHOLE, **NOT_OUTPUTS[name]}, tmp_path / "o")
    with pytest.raises(DistilvoError, match="o: holds no outputs of 6 samples; remove it"):
        teacher_pass(by_part, [1, 2, 3], tmp_path / "o")


def test_hints_without_outputs_are_refused(tmp_path: Path) -> None:
    save_file({"hints.0": torch.ones(6, 2)}, tmp_path / "o")
    with pytest.raises(DistilvoError, match="o: holds no outputs of 6 samples"):
        teacher_pass(by_part, [1, 2, 3], tmp_path / "o")


def test_a_whole_sample_may_be_missing_and_a_part_of_one_may_not() -> None:
    nan, inf = math.nan, math.inf
    check_outputs({"outputs": torch.tensor([[1.0, 2.0], [nan, nan]]), "hints.0": torch.tensor([nan, 1.0])}, "t")
    for rows in ([[1.0, nan]], [[inf, 1.0]], [[inf, inf]], [[nan, inf]]):
        with pytest.raises(DistilvoError, match=r"t: 1 of 1 samples have outputs that are not finite"):
            check_outputs({"outputs": torch.tensor(rows)}, "t")


def test_outputs_are_named_by_the_teachers_weights_and_settings() -> None:
    keys = [
        outputs_key(Scaled()),
        outputs_key(Scaled(1.0)),
        outputs_key(Scaled(), "fc.0"),
        outputs_key(nn.Linear(1, 1)),
    ]
    assert len(set(keys)) == 4
    assert outputs_key(Scaled(), "fc.0", 48) == outputs_key(Scaled(), "fc.0", 48) != outputs_key(Scaled(), "fc.0", 49)


def test_batches_are_of_the_teacher_that_gave_them() -> None:
    def given(output: float = 0.0, hint: float = 0.0, trust: float = 0.0, count: int = 3) -> TeacherOutputs:
        return TeacherOutputs(
            torch.full((count, 1), output), torch.full((count,), trust), (torch.full((count, 2), hint),)
        )

    tables = [None, given(), given(output=1.0), given(hint=1.0), given(trust=1.0)]
    keys = [Batches(Numbers(), table).key for table in tables]
    assert keys[0] == "numbers 1.0 teacher=none"
    assert len({*keys, Batches(Numbers(2.0), given()).key}) == 6
    assert len(Batches(Numbers(), given())) == len(list(Batches(Numbers()).epoch(0))) == 3
    for count in (2, 4):
        with pytest.raises(DistilvoError, match=f"outputs are of {count} samples, expected 3"):
            Batches(Numbers(), given(count=count))
    whole = given()
    for name, other in (("numbers of trust", {"trust": torch.ones(4)}), ("hints", {"hints": (torch.ones(4, 2),)})):
        with pytest.raises(DistilvoError, match=f"the teacher's {name} are of 4 samples, expected 3"):
            Batches(Numbers(), replace(whole, **other))
