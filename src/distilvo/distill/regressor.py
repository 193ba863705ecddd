"""One call that distils any regressor: run the teacher, measure the trust in it, train the student, compare."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distilvo import parallel
from distilvo.distill.arguments import (
    group_numbers,
    held_out,
    layer_pairs,
    sample_weights,
    trust_or_kind,
    unit_of_targets,
)
from distilvo.distill.batches import Batches, TeacherOutputs
from distilvo.distill.checkpoint import Curve
from distilvo.distill.hints import Tap
from distilvo.distill.nested import is_array
from distilvo.distill.result import DistilledRegressor, score_models, squares_of
from distilvo.distill.sample_set import Facts, SampleSet
from distilvo.distill.shapes import components_last, like_target
from distilvo.distill.stages import stages
from distilvo.distill.task import Forward, Supervised, Task, plainly
from distilvo.distill.teachers import AtEveryStep, HintSource, run_over
from distilvo.distill.trainer import Log, TrainingSettings, train
from distilvo.distill.trust import Trust, sample_errors, squared_errors
from distilvo.distill.trust_choice import measure_trust
from distilvo.distill.validation import Best
from distilvo.errors import DistilvoError
from distilvo.settings import Blend, Method, Schedule, Trusting

DEFAULT_TRAINING = TrainingSettings(steps=2000)
FAR = 2.5  # spreads
LOOKS = 20
"""Times that a training is validated."""


def distill_regressor(
    teacher: Any,
    student: nn.Module,
    data: Any,
    *,
    unlabelled: Any = None,
    validation: Any = None,
    test: Any = None,
    trust: Trusting | Tensor | None = None,
    hints: tuple[HintSource, str] | Sequence[tuple[HintSource, str]] = (),
    hint_weight: float = 0.1,
    blend: Blend = "attentive",
    alpha: float = 0.5,
    schedule: Schedule = "joint",
    sigma_layer: str | None = None,
    scale: Any = None,
    weights: Any = None,
    groups: Any = None,
    forward: Forward = plainly,
    rerun_teacher: bool = False,
    baseline: bool = False,
    training: TrainingSettings = DEFAULT_TRAINING,
    batch_size: int = 64,
    patience: int | None = None,
    folder: str | Path | None = None,
    log: Log | None = None,
) -> DistilledRegressor:
    """Train a small regressor with a big one's help; where samples have no label, it learns from the teacher alone.

    The loss of a sample with a label is ``a ||p_S - y||^2 + (1 - a) Phi ||p_S - p_T||^2``, without one
    ``Phi ||p_S - p_T||^2``, in units of ``scale`` (Saputra et al., ICCV 2019, Section 3.2.5, where all have labels).

    Args:
        teacher: a torch module; a function of a batch of inputs; an object with ``predict`` (scikit-learn); an ONNX
            Runtime session; or its predictions as an array, a row for each sample of ``data``, then of ``unlabelled``,
            NaN where it has none. It runs once, in evaluation mode.
        student: a torch module; it is trained in place, and is on the CPU afterwards.
        data: ``(inputs, targets)`` as arrays, or a map-style data set of such pairs. Targets (N,), (N, D), (N, T, D) or
            dense (N, C, H, W); **NaN means no label**, of a sample or of a part of it. Inputs may be dicts or tuples.
        unlabelled: inputs without targets, as an array or a map-style data set.
        validation: as ``data``: the student with the smallest error on it, looked at 20 times, is given back.
        test: as ``data``: what the table is measured on; without it validation, or else the labelled training samples.
        trust: Phi. ``learned`` (default where labels are missing): the teacher's error is predicted; ``quantile``
            (default otherwise), ``rank``, ``ratio``, ``paper``: by its error, which needs all labels; ``none``: 1; or
            an array (N,) of 0 to 1.
        hints: pairs of layers ``(teacher's, student's)`` by module path; of the teacher also an array (N, K).
        hint_weight: of the mean over all hints.
        blend: how ground truth and imitation are blended; ``laplace`` and ``gaussian`` learn a sigma.
        alpha: ``a``, the weight of the ground truth of a sample with a label.
        schedule: hints and output at once (``joint``), or one after the other (``two-stage``).
        sigma_layer: the student's layer that sigma is read from; its first hint layer where not given.
        scale: unit of the components of a target, one number or (D,); the spread of the labels where not given.
        weights: (N,) of the samples of ``data`` and ``unlabelled``; they are brought to 1 on average. One with weight 0
            is as if it were not there.
        groups: (N,) integers; samples of one group, such as frames of one film, do not judge each other's trust.
        forward: ``forward(model, inputs)`` gives the outputs, where a model is not simply called, or gives a dict.
        rerun_teacher: run the teacher at every step, on the inputs as they are then: for random augmentation.
        baseline: train a copy of the student without the teacher, for as many steps, and compare the two.
        training: steps, learning rate, precision, seed.
        batch_size: samples at a step.
        patience: so many looks at ``validation`` without a smaller error end the training.
        folder: of checkpoints and of what the teacher gave: the same call goes on where it stopped. Needed by several
            processes; a temporary one where not given.
        log: ``log(step, losses)``, called now and then, e.g. ``lambda step, losses: wandb.log(losses, step=step)``.

    Returns:
        The student, the trust, the teacher's outputs, curves and scores; ``print`` shows the table.

    Raises:
        DistilvoError: something has another shape or kind than is expected here, in one line.
    """
    if folder is None and parallel.size() > 1:
        raise DistilvoError("folder: is not given; several processes need one that all of them see")
    pairs = layer_pairs(hints)
    sources, guided = [source for source, _ in pairs], [path for _, path in pairs]
    method = Method(blend, "attentive" if pairs else "none", schedule, alpha=alpha, hint_weight=hint_weight)
    student.cpu()
    for path in (*guided, *([] if sigma_layer is None else [sigma_layer])):
        Tap(student, path).close()  # here and not after hours where it is not there
    with ExitStack() as stack:
        place = Path(folder or stack.enter_context(tempfile.TemporaryDirectory()))
        samples = SampleSet(
            data, unlabelled, sample_weights(weights), None, batch_size, training.seed, rerun_teacher
        ).checked()
        facts, unit = samples.facts, unit_of_targets(scale, samples.facts)
        chosen_on, tested_on = held_out("validation", validation, samples), held_out("test", test, samples)
        wanted, groups = trust_or_kind(trust, samples, teacher), group_numbers(groups, samples.samples)
        run = AtEveryStep(teacher, sources, samples, forward) if rerun_teacher else None
        outputs, tapped = run_over(teacher, sources, samples, place, forward)
        trusted = _trust(wanted, _of_weight(outputs, samples), tapped, facts, unit, groups)
        batches = Batches(samples, TeacherOutputs(outputs, trusted.phi, tapped), run)
        fit = _Fit(_fitted(forward, samples.target_shape), unit, chosen_on, patience, training, place, log)
        _note_offset(student, samples, fit.forward, unit)
        alone = copy.deepcopy(student) if baseline else None
        torch.manual_seed(training.seed)  # of projections of hints
        curves = fit.distill(student, method, batches, guided, sigma_layer)
        if alone is not None:
            labelled = samples.of(facts.is_labelled.nonzero()[:, 0])
            curves["without teacher"] = fit.supervise(alone, Batches(labelled))
    models = {"teacher": None if is_array(teacher) else teacher, "student without teacher": alone, "distilled": student}
    table = score_models(models, samples, test=tested_on, validation=chosen_on, forward=forward, scale=unit)
    return DistilledRegressor(student, alone, trusted, outputs, tapped, curves, table)


@dataclass(frozen=True)
class _Fit:
    """Trains students alike."""

    forward: Forward
    scale: Tensor
    validation: SampleSet | None
    patience: int | None
    training: TrainingSettings
    folder: Path
    log: Log | None

    def distill(
        self, student: nn.Module, method: Method, batches: Batches, guided: Sequence[str], sigma_layer: str | None
    ) -> dict[str, Curve]:
        """All stages, as many steps as without a teacher; the curve of each by its name."""
        curves = {}
        for stage in stages(
            student,
            method,
            batches,
            self.training.steps,
            self.scale,
            guided=guided,
            sigma_layer=sigma_layer,
            forward=self.forward,
        ):
            best = self._best(student, stage.steps) if stage.task.imitation is not None else None
            curves[stage.name] = self._train(stage.task, batches, stage.steps, stage.name, best)
            stage.task.close()
        return curves

    def supervise(self, student: nn.Module, batches: Batches) -> Curve:
        """The student on ground truth alone."""
        task, steps = Supervised(student, self.scale, self.forward), self.training.steps
        return self._train(task, batches, steps, "without teacher", self._best(student, steps))

    def _train(self, task: Task, batches: Batches, steps: int, name: str, best: Best | None) -> Curve:
        settings = replace(self.training, steps=steps, warmup=min(self.training.warmup, steps // 5))
        path = self.folder / f"{name.replace(' ', '-')}.safetensors"
        log = None if self.log is None else partial(_named, self.log, name)
        return train(task, batches, settings, path, name, best=best, log=log)

    def _best(self, student: nn.Module, steps: int) -> Best | None:
        if self.validation is None:
            return None
        held_out = self.validation

        def error(device: torch.device) -> float:
            squares = squares_of(partial(self.forward, student), held_out, self.scale, device)
            return float(sample_errors(squares).nanmean().sqrt())

        return Best(student, error, max(1, steps // LOOKS), self.patience, held_out.key)


def _named(log: Log, name: str, step: int, losses: dict[str, float]) -> None:
    log(step, {f"{name}/{loss}": value for loss, value in losses.items()})


def _fitted(forward: Forward, target: Sequence[int]) -> Forward:
    """Outputs of the shape of the targets, (B, *target), where they differ in dimensions of size 1 alone."""
    return lambda network, inputs: like_target(forward(network, inputs), target, "student")


@torch.no_grad()
def _note_offset(student: nn.Module, samples: SampleSet, forward: Forward, scale: Tensor) -> None:
    """A note where a student begins far from all labels: small steps take long to cover the way."""
    some = samples.read(samples.facts.is_labelled.nonzero()[:64, 0])
    modes = {module: module.training for module in student.modules()}
    outputs = components_last(forward(student.eval(), some.inputs))
    for module, mode in modes.items():
        module.training = mode
    off = ((components_last(some.targets) - outputs) / scale).flatten(0, -2).nanmean(0)
    worst = int(off.abs().nan_to_num().argmax())
    if abs(float(off[worst])) > FAR:
        warnings.warn(
            f"targets: component {worst} lies {float(off[worst]):.1f} times its spread away from what the student "
            "gives before it is trained; standardise the targets, or set the bias of its last layer to their mean",
            stacklevel=3,
        )


def _of_weight(outputs: Tensor, samples: SampleSet) -> Tensor:
    """Outputs (N, ...), NaN for the samples whose weight is 0."""
    if samples.sample_weights is None:
        return outputs
    return outputs.where(samples.sample_weights.reshape(-1, *[1] * (outputs.ndim - 1)) > 0, torch.nan)


def _trust(
    wanted: Tensor | Trusting | None,
    outputs: Tensor,
    hints: Sequence[Tensor],
    facts: Facts,
    unit: Tensor,
    groups: Tensor | None,
) -> Trust:
    """Trust of the wanted kind, or the given one."""
    if isinstance(wanted, Tensor):
        return Trust(wanted, sample_errors(squared_errors(outputs, facts.targets, unit)), (), "given")
    return measure_trust(wanted, outputs, facts.targets, unit, hints=hints, more=facts.statistics, groups=groups)
