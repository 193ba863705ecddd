"""Teachers of every kind give the same outputs; those of a module are kept, and never taken for another's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from sklearn.linear_model import LinearRegression
from torch import Tensor, nn

from distilvo.distill.imitation import attentive_imitation
from distilvo.distill.sample_set import SampleSet
from distilvo.distill.task import plainly
from distilvo.distill.teachers import AtEveryStep, Teacher, run_over
from distilvo.distill.trust_choice import measure_trust
from distilvo.errors import DistilvoError

INPUTS = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))  # three chunks that a teacher is run on
WEIGHT = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
TARGETS = INPUTS[:400] @ WEIGHT.T
DATA, MORE = (INPUTS[:400], TARGETS), INPUTS[400:]
SAMPLES = SampleSet(DATA, MORE).checked()


class Linear(nn.Module):
    """W x, by a hidden layer of the same numbers; counts the rows that it is run on."""

    def __init__(self, weight: Tensor = WEIGHT) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(3, 3, bias=False), nn.Linear(3, len(weight), bias=False)
        with torch.no_grad():
            self.hidden.weight.copy_(2 * torch.eye(3))
            self.out.weight.copy_(weight / 2)
        self.rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return self.out(self.hidden(x))


def session(outputs: int = 1) -> onnxruntime.InferenceSession:
    """``y = x W``, and the same again under other names."""
    names = [f"y{number}" for number in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], [name]) for name in names],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in names],
        [helper.make_tensor("w", TensorProto.FLOAT, [3, 2], WEIGHT.T.flatten().tolist())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


KINDS: dict[str, Any] = {
    "module": Linear,
    "function of tensors": lambda: lambda x: x @ WEIGHT.T,
    "function that gives an array": lambda: lambda x: x.numpy().astype(np.float64) @ WEIGHT.numpy().T,
    "scikit-learn": lambda: LinearRegression().fit(INPUTS.numpy(), (INPUTS @ WEIGHT.T).numpy()),
    "ONNX session": session,
    "array": lambda: (INPUTS @ WEIGHT.T).numpy(),
    "tensor of doubles": lambda: (INPUTS @ WEIGHT.T).double(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_teacher_gives_its_outputs(kind: str, tmp_path: Path) -> None:
    outputs, hints = run_over(KINDS[kind](), [], SAMPLES, tmp_path)
    torch.testing.assert_close(outputs, INPUTS @ WEIGHT.T, rtol=1e-4, atol=1e-5)
    assert outputs.dtype == torch.float32 and hints == ()


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_fits_targets_of_one_number(kind: str, tmp_path: Path) -> None:
    samples = SampleSet((INPUTS, INPUTS[:, 0])).checked()
    source: Any = KINDS[kind]()
    if kind == "module":
        source = Linear(WEIGHT[:1])
    elif kind == "scikit-learn":
        source = LinearRegression().fit(INPUTS.numpy(), (INPUTS @ WEIGHT[:1].T).numpy())
    elif kind in ("array", "tensor of doubles"):
        source = source[:, :1]
    else:
        whole = Teacher(source).function
        source = lambda x: whole(x)[:, :1]  # noqa: E731
    outputs, _ = run_over(source, [], samples, tmp_path)
    torch.testing.assert_close(outputs, INPUTS @ WEIGHT[0], rtol=1e-4, atol=1e-5)


def test_a_module_runs_in_evaluation_mode_without_gradients(tmp_path: Path) -> None:
    teacher = nn.Sequential(nn.BatchNorm1d(3), Linear(), nn.Dropout(0.9)).train()
    modes = []
    teacher.register_forward_hook(lambda module, _, out: modes.append((module.training, out.requires_grad)))
    outputs, _ = run_over(teacher, [], SAMPLES, tmp_path)
    torch.testing.assert_close(outputs, INPUTS @ WEIGHT.T, rtol=1e-3, atol=1e-4)
    assert set(modes) == {(False, False)}
    assert teacher[0].running_mean.tolist() == [0, 0, 0]


WRONG: dict[str, tuple[Any, str]] = {
    "one component": (lambda x: x[:, :1], r"teacher: gives the shape \(256, 1\), the targets have \(256, 2\)"),
    "three components": (lambda x: x, r"teacher: gives the shape \(256, 3\), the targets have \(256, 2\)"),
    "too few rows": (lambda x: x[:5, :2], "teacher: gives 5 rows for 256 samples; expected one a sample"),
    "transposed": (lambda x: x[:, :2].T, "teacher: gives the shape"),
    "a dict": (lambda x: {"y": x[:, :2]}, "teacher: gives a dict, expected one tensor or array; give a function"),
    "nothing": (lambda x: None, "teacher: cannot be made a tensor"),
    "infinite": (lambda x: x[:, :2] / 0, "teacher: 600 of 600 samples have outputs that are not finite"),
    "half a sample": (lambda x: x[:, :2].where(x[:, :1] > 0, torch.tensor([1.0, math.nan])), "have outputs that are"),
    "words": ("teacher.pt", "teacher: is a str, expected a torch module, a function"),
    "too few predictions": (INPUTS[:400, :2], "teacher: has 400 rows, expected 600: one for each sample of data, then"),
    "predictions of another width": (INPUTS, r"teacher: gives the shape \(600, 3\), the targets have \(600, 2\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_outputs_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    source, message = WRONG[name]
    with pytest.raises(DistilvoError, match=message) as caught:
        run_over(source, [], SAMPLES, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_session_with_several_outputs_wants_a_function(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="an ONNX session with inputs x and outputs y0, y1; expected one of each"):
        run_over(session(2), [], SAMPLES, tmp_path)


def test_a_session_takes_dicts_by_the_names_of_its_inputs(tmp_path: Path) -> None:
    samples = SampleSet(({"x": INPUTS[:400]}, TARGETS), {"x": MORE}).checked()
    outputs, _ = run_over(session(), [], samples, tmp_path)
    torch.testing.assert_close(outputs, INPUTS @ WEIGHT.T, rtol=1e-4, atol=1e-5)


class Named(nn.Module):
    """Takes a dict and gives one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"y": self.inner(batch["x"]), "minus y": -self.inner(batch["x"])}


def test_forward_picks_from_dicts_and_outputs_of_another_forward_are_not_taken(tmp_path: Path) -> None:
    samples = SampleSet(({"x": INPUTS[:400]}, TARGETS), {"x": MORE}).checked()
    teacher = Named()
    outputs, _ = run_over(teacher, [], samples, tmp_path, lambda model, inputs: model(inputs)["y"])
    torch.testing.assert_close(outputs, INPUTS @ WEIGHT.T, rtol=1e-4, atol=1e-5)
    minus, _ = run_over(teacher, [], samples, tmp_path, lambda model, inputs: model(inputs)["minus y"])
    assert torch.equal(minus, -outputs)


def test_hints_are_layers_or_arrays(tmp_path: Path) -> None:
    array, column = torch.randn(600, 2, 2), np.arange(600.0)
    _, hints = run_over(Linear(), ["hidden", array, column, "out"], SAMPLES, tmp_path)
    torch.testing.assert_close(hints[0], 2 * INPUTS)
    assert torch.equal(hints[1], array.flatten(1))
    assert hints[2].tolist() == column[:, None].tolist()
    torch.testing.assert_close(hints[3], INPUTS @ WEIGHT.T)


@pytest.mark.parametrize(
    ("source", "hint", "message"),
    [
        (lambda x: x[:, :2], "hidden", "hints: layer 'hidden' of a teacher that is no torch module; expected an array"),
        (INPUTS[:, :2], "hidden", "hints: layer 'hidden' of a teacher that is an array; expected an array"),
        (Linear(), "deep", "layer 'deep' is not in Linear; it has hidden, out"),
        (Linear(), torch.zeros(400, 2), "hint 1: has 400 rows, expected 600"),
        (Linear(), torch.full((600, 2), math.inf), "hint 1: 600 of 600 samples have outputs that are not finite"),
    ],
)
def test_hints_that_are_not_there_are_refused(source: Any, hint: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match=message):
        run_over(source, [hint], SAMPLES, tmp_path)


def test_outputs_of_a_module_are_read_back(tmp_path: Path) -> None:
    teacher = Linear()
    outputs, hints = run_over(teacher, ["hidden"], SAMPLES, tmp_path)
    assert teacher.rows == 600
    again, hints_again = run_over(teacher, ["hidden"], SampleSet(DATA, MORE).checked(), tmp_path)
    assert teacher.rows == 600
    assert torch.equal(again, outputs) and torch.equal(hints_again[0], hints[0])
    assert run_over(other := Linear(), ["hidden"], SAMPLES, tmp_path)[0].shape == (600, 2)
    assert other.rows == 0  # the same weights


def test_outputs_of_other_weights_layers_or_data_are_not_taken(tmp_path: Path) -> None:
    run_over(Linear(), ["hidden"], SAMPLES, tmp_path)
    changed = {
        "weights": (Linear(WEIGHT + 1), ["hidden"], SAMPLES),
        "layers": (Linear(), ["out"], SAMPLES),
        "no layers": (Linear(), [], SAMPLES),
        "inputs": (Linear(), ["hidden"], SampleSet((INPUTS[:400] + 1, TARGETS), MORE).checked()),
        "unlabelled": (Linear(), ["hidden"], SampleSet(DATA, MORE + 1).checked()),
    }
    for name, (teacher, layers, samples) in changed.items():
        outputs, _ = run_over(teacher, layers, samples, tmp_path)
        assert teacher.rows == 600, name
        torch.testing.assert_close(outputs[:400], Linear(2 * teacher.out.weight)(next(samples.in_order(400)).inputs))


def test_a_function_is_run_anew_each_time(tmp_path: Path) -> None:
    factor = [1.0]
    for factor[0] in (1.0, 2.0):
        outputs, _ = run_over(lambda x: factor[0] * x[:, :2], [], SAMPLES, tmp_path)
        assert torch.equal(outputs, factor[0] * INPUTS[:, :2])


def test_what_is_kept_is_whole_or_refused(tmp_path: Path) -> None:
    run_over(Linear(), [], SAMPLES, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DistilvoError, match=r"not a whole file .*; remove it, the teacher is run again"):
        run_over(Linear(), [], SAMPLES, tmp_path)


class Flipped:
    """Images that are flipped at random each time: mean and spread stay."""

    def __init__(self, count: int = 40) -> None:
        self.images = torch.randn(count, 1, 4, 5, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        image = self.images[index]
        return image.flip(-1) if torch.rand(()) < 0.5 else image, 0.0


def first_pixel(images: Tensor) -> Tensor:
    return images[:, 0, 0, 0]


@pytest.mark.parametrize("teacher", [first_pixel, nn.Sequential(nn.Flatten(), nn.Linear(20, 1))])
def test_random_augmentation_is_refused_unless_the_teacher_runs_each_time(teacher: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.raises(DistilvoError, match=r"samples 0 to 39 differ each time they are read .*rerun_teacher=True"):
        run_over(teacher, [], SampleSet(Flipped()).checked(), tmp_path)
    outputs, _ = run_over(teacher, [], SampleSet(Flipped(), augmented=True).checked(), tmp_path)
    assert outputs.shape == (40,)


def test_a_teacher_at_every_step_sees_what_the_student_sees() -> None:
    samples = SampleSet(Flipped(), augmented=True, batch_size=8).checked()
    run = AtEveryStep(first_pixel, [], samples, plainly)
    for batch in samples.epoch(0):
        assert torch.equal(run(batch.inputs).outputs, first_pixel(batch.inputs))
    network = nn.Sequential(nn.Flatten(), nn.Linear(20, 3), nn.Linear(3, 1))
    given = AtEveryStep(network, ["1"], samples, plainly)(batch.inputs)
    torch.testing.assert_close(given.hints[0], network[:2](batch.inputs))
    torch.testing.assert_close(given.outputs, network(batch.inputs)[:, 0])


def test_arrays_cannot_be_run_at_every_step() -> None:
    samples = SampleSet(Flipped(), augmented=True).checked()
    with pytest.raises(DistilvoError, match="teacher: is an array, expected a teacher that can be run at every step"):
        AtEveryStep(torch.zeros(40), [], samples, plainly)
    with pytest.raises(DistilvoError, match="hints: 1 are arrays, expected layers"):
        AtEveryStep(first_pixel, [torch.zeros(40, 2)], samples, plainly)


def test_missing_predictions_get_no_trust_and_no_imitation(tmp_path: Path) -> None:
    predictions = INPUTS @ WEIGHT.T + torch.randn(600, 2)
    predictions[::3] = math.nan
    outputs, _ = run_over(predictions, [], SAMPLES, tmp_path)
    trust = measure_trust("none", outputs, SAMPLES.facts.targets)
    assert trust.phi.reshape(200, 3)[0].tolist() == [0, 1, 1] and trust.phi.sum() == 400
    student = torch.zeros(600, 2)
    losses = attentive_imitation(student, SAMPLES.facts.targets, outputs, trust.phi)
    own = TARGETS.square().sum(1)
    torch.testing.assert_close(losses[:400:3], own[::3])  # ground truth with weight 1
    assert losses[402::3].tolist() == [0.0] * 66  # neither label nor output


def test_a_teacher_that_is_run_at_every_step_is_known_by_its_weights() -> None:
    """So that a checkpoint of another teacher is refused."""
    samples = SampleSet((torch.rand(4, 2), torch.rand(4, 1)))
    torch.manual_seed(0)
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    keys = [AtEveryStep(network, [], samples, plainly).key for network in (one, one, other)]
    assert keys[0] == keys[1] != keys[2]
