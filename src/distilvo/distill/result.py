"""What a distillation comes to: the student, the trust it was trained with, a table, and whether the teacher paid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distilvo import parallel
from distilvo.distill.checkpoint import Curve
from distilvo.distill.nested import as_tensors, count_of, moved
from distilvo.distill.sample_set import SampleSet
from distilvo.distill.shapes import components_last, like_target
from distilvo.distill.task import Forward
from distilvo.distill.teachers import Teacher
from distilvo.distill.trust import Trust, sample_errors, squared_errors

Z_95 = 1.96
MOST_COMPONENTS = 6


@dataclass(frozen=True)
class ModelScore:
    """A row of the table.

    Attributes:
        name: of the model.
        parameters: of a torch module; None of anything else.
        errors: (n,) squared error of each sample, in units of the scale.
        rmse: root mean squared error of each component, in the targets' units.
    """

    name: str
    parameters: int | None
    errors: Tensor
    rmse: tuple[float, ...]

    @property
    def error(self) -> float:
        """Root mean squared error over all samples, in units of the scale."""
        return float(self.errors.nanmean().sqrt())


@dataclass(frozen=True)
class ScoreTable:
    """Scores of several models on the same samples; ``samples`` says which these are."""

    rows: tuple[ModelScore, ...]
    samples: str

    def __getitem__(self, name: str) -> ModelScore:
        """The row of a name; raises KeyError with the names that there are."""
        rows = {row.name: row for row in self.rows}
        if name not in rows:
            raise KeyError(f"{name}; expected one of {', '.join(rows)}")
        return rows[name]


@dataclass(frozen=True)
class DistilledRegressor:
    """What ``distill_regressor`` gives; ``print`` shows the table.

    Attributes:
        student: trained.
        baseline: the same student trained without the teacher, where it was wanted.
        trust: Phi of each sample, and what a learned trust is worth.
        outputs: the teacher's, (N, ...).
        hints: the teacher's, (N, K) of each layer.
        curves: (step, loss) of each training.
        scores: the table.
    """

    student: nn.Module
    baseline: nn.Module | None
    trust: Trust
    outputs: Tensor
    hints: tuple[Tensor, ...]
    curves: Mapping[str, Curve]
    scores: ScoreTable

    @property
    def gain(self) -> tuple[float, float, float] | None:
        """Error of the distilled student over that of the baseline, with its 95 % interval.

        None without a baseline, and where one of the two has no error at all.
        """
        if self.baseline is None:
            return None
        rows = [self.scores[name] for name in ("distilled", "student without teacher")]
        return ratio(*(row.errors for row in rows)) if all(row.error > 0 for row in rows) else None

    def __str__(self) -> str:
        """The table, the samples and the trust, and whether the teacher paid."""
        known = int((~self.trust.errors.reshape(len(self.outputs), -1).isnan()).any(1).sum())
        lines = [
            *_lines(self.scores),
            "",
            f"Errors: root mean square, {self.scores.samples}.",
            f"Trained on {len(self.outputs)} samples, {known} of them with a label and an output of the teacher.",
            _about_trust(self.trust),
        ]
        return "\n".join(lines if self.gain is None else [*lines, _verdict(*self.gain)])


def score_models(
    models: Mapping[str, Any],
    samples: SampleSet,
    *,
    test: SampleSet | None,
    validation: SampleSet | None,
    forward: Forward,
    scale: Tensor,
) -> ScoreTable:
    """Measure models on ``test``, else on ``validation``, else on the labelled training samples; None is left out.

    The first row always gives the mean of the training labels.
    """
    if test is not None:
        held_out, words = test, "on the test set"
    elif validation is not None:
        held_out, words = validation, "on the validation set, on which the student was chosen"
    else:
        held_out, words = samples, "on the labelled training samples, which says little of others: give test="
    labels = samples.facts.targets
    mean = components_last(labels).flatten(0, -2).nanmean(0)
    always = mean.reshape(-1, *[1] * (labels.ndim - 2)) if labels.ndim > 3 else mean
    runs: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "mean of the labels": (lambda inputs: always.expand(count_of(inputs), *labels.shape[1:]), None)
    }
    for name, model in models.items():
        if model is not None:
            runs[name] = (Teacher(model, forward=forward).function, model)
    rows = tuple(_score(name, run, model, held_out, scale) for name, (run, model) in runs.items())
    return ScoreTable(rows, f"{int((~rows[0].errors.isnan()).sum())} samples {words}")


@torch.no_grad()
def squares_of(run: Callable[[Any], Any], held_out: SampleSet, scale: Tensor, device: torch.device) -> Tensor:
    """Squared errors of all components, (n, ..., D), in units of the scale; NaN where there is no label."""
    parts = []
    for batch in held_out.in_order():
        if bool((~batch.targets.isnan()).any()):
            given = as_tensors(run(moved(batch.inputs, device)), "model").cpu().float()
            outputs = like_target(given, batch.targets.shape[1:], "model")
        else:
            outputs = batch.targets
        parts.append(squared_errors(outputs, batch.targets, scale))
    return torch.cat(parts)


def ratio(one: Tensor, other: Tensor) -> tuple[float, float, float]:
    """Root mean squared error of ``one`` over that of ``other``, from paired squares (n,), with its 95 % interval.

    By the delta method: the logarithm of the ratio is half the difference of two logarithms of means.
    """
    known = ~(one.isnan() | other.isnan())
    first, second = one[known].double(), other[known].double()
    centre = 0.5 * math.log(float(first.mean()) / float(second.mean()))
    spread = (first / first.mean() - second / second.mean()).std() if len(first) > 1 else torch.tensor(math.inf)
    half = Z_95 * 0.5 * float(spread) / math.sqrt(len(first))
    return math.exp(centre), math.exp(centre - half), math.exp(centre + half)


def _score(name: str, run: Callable[[Any], Any], model: Any, held_out: SampleSet, scale: Tensor) -> ModelScore:
    parameters = None
    if isinstance(model, nn.Module):
        model.eval()
        parameters = sum(parameter.numel() for parameter in model.parameters())
        with parallel.on_device(model) as device:
            squares = squares_of(run, held_out, scale, device)
    else:
        squares = squares_of(run, held_out, scale, torch.device("cpu"))
    errors = sample_errors(squares)
    rmse = squares.flatten(0, -2).nanmean(0).sqrt() * scale
    return ModelScore(name, parameters, errors.reshape(len(errors), -1).nanmean(1), tuple(rmse.tolist()))


def _lines(table: ScoreTable) -> list[str]:
    """The table in columns."""
    components = len(table.rows[0].rmse)
    shown = range(components) if components <= MOST_COMPONENTS else ()
    head = ["model", "parameters", "error (unit: scale)"] + [
        "error (unit: target)" if components == 1 else f"component {number}" for number in shown
    ]
    cells = [head] + [
        [row.name, "-" if row.parameters is None else f"{row.parameters:,}", f"{row.error:.4g}"]
        + [f"{row.rmse[number]:.4g}" for number in shown]
        for row in table.rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in cells
    ]


def _about_trust(trust: Trust) -> str:
    phi = trust.of_sample
    words = f"Trust: {trust.kind}, mean {float(phi.mean()):.2f}, from {float(phi.min()):.2f} to {float(phi.max()):.2f}"
    worth = ", ".join(f"{one:.2f}" for one in trust.worth)
    if worth and not trust.note:
        words += f"; rank correlation of predicted and true error on held-out labelled samples: {worth}"
    return f"{words}. {trust.note[:1].upper()}{trust.note[1:]}".rstrip()


def _verdict(centre: float, low: float, high: float) -> str:
    change, ends = 100 * (centre - 1), f"{100 * (low - 1):+.1f} to {100 * (high - 1):+.1f} %"
    verdict = "The teacher paid" if high < 1 else "The teacher did harm" if low > 1 else "No gain is shown"
    return (
        f"{verdict}: error {change:+.1f} % against the same student without it (95 % interval over the samples {ends}; "
        "one training each: other seeds may differ)."
    )
