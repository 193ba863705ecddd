"""A teacher of any kind, run once over a set of samples: a torch module, a function, a fitted model, an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distilvo import parallel
from distilvo.distill.batches import TeacherOutputs
from distilvo.distill.hints import Tap
from distilvo.distill.nested import as_tensors, count_of, is_array, moved
from distilvo.distill.sample_set import SampleSet, checksums
from distilvo.distill.shapes import like_target, per_sample
from distilvo.distill.task import Forward, plainly
from distilvo.distill.teacher_pass import Tables, check_outputs, outputs_key, teacher_pass
from distilvo.errors import DistilvoError

HintSource = str | Any
"""A layer of the teacher by its path, or an array (N, K) with one row a sample."""

CHUNK = 256  # samples that a teacher is run on at a time
CHUNKS_IN_PART = 16


class Teacher:
    """Runs on batches of inputs; gives outputs and hints."""

    def __init__(self, source: Any, hints: Sequence[HintSource] = (), forward: Forward = plainly) -> None:
        """Take a teacher.

        Args:
            source: a torch module, put in evaluation mode when it is called here; a function of a batch of inputs; an
                object with ``predict`` (scikit-learn), which is given an array; an ONNX Runtime session of one output.
            hints: of a torch module the paths of layers.
            forward: runs a torch module.

        Raises:
            DistilvoError: it is none of these, or hints of a layer are wanted of a teacher that has none.
        """
        self.source, self.layers = source, tuple(layer for layer in hints if isinstance(layer, str))
        self.is_known_by_weights = isinstance(source, nn.Module) and forward is plainly
        self.function: Callable[[Any], Any]
        if isinstance(source, nn.Module):
            self.function = lambda inputs: forward(source, inputs)
        elif hasattr(source, "get_inputs") and hasattr(source, "run"):
            self.function = lambda inputs: _run_session(source, inputs)
        elif hasattr(source, "predict"):
            self.function = lambda inputs: source.predict(inputs.numpy() if isinstance(inputs, Tensor) else inputs)
        elif callable(source):
            self.function = source
        else:
            raise DistilvoError(
                f"teacher: is a {type(source).__name__}, expected a torch module, a function of a batch, an object "
                "with predict, an ONNX Runtime session, or an array of predictions"
            )
        if self.layers and not isinstance(source, nn.Module):
            raise DistilvoError(
                f"hints: layer '{self.layers[0]}' of a teacher that is no torch module; expected an array (N, K)"
            )

    @torch.no_grad()
    def __call__(self, inputs: Any, count: int, target_shape: Sequence[int]) -> Tables:
        """Outputs (B, *target_shape) and hints (B, K) for a batch of ``count`` samples, on the CPU."""
        module = self.source if isinstance(self.source, nn.Module) else None
        with ExitStack() as stack:
            if module is not None:
                module.eval()
                inputs = moved(inputs, stack.enter_context(parallel.on_device(module)))
            taps = [stack.enter_context(Tap(self.source, layer)) for layer in self.layers]
            given = as_tensors(self.function(inputs), "teacher")
        if not isinstance(given, Tensor):
            raise DistilvoError(
                f"teacher: gives a {type(given).__name__}, expected one tensor or array; give a function that picks it"
            )
        outputs = like_target(given.detach().cpu().float(), target_shape, "teacher")
        if len(outputs) != count:
            raise DistilvoError(f"teacher: gives {len(outputs)} rows for {count} samples; expected one a sample")
        hints = [per_sample(tap.take(), (count,)).cpu().float() for tap in taps]
        return {"outputs": outputs, **{f"hints.{number}": hint for number, hint in enumerate(hints)}}


def run_over(
    source: Any, hints: Sequence[HintSource], samples: SampleSet, folder: Path, forward: Forward = plainly
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs (N, ...) and hints, (N, K) each, of a teacher over all samples; a torch module's are kept in ``folder``.

    Args:
        source: as ``Teacher`` takes it, or an array with one row a sample, NaN where there is none.
        hints: layers of a torch module, or arrays (N, K).
        samples: labelled and unlabelled.
        folder: of what a torch module that is simply called gave, by the hash of its weights and of all samples.
        forward: runs a torch module.

    Raises:
        DistilvoError: outputs do not fit the targets or are not finite, or the inputs differ each time they are read.
    """
    names = ["teacher", *(f"hint {n}" for n in range(1, len(hints) + 1))]
    arrays = {n: as_tensors(one, names[n]) for n, one in enumerate((source, *hints)) if is_array(one)}
    shape, facts = samples.target_shape, samples.facts
    tables: Tables = {}
    layers = [hint for hint in hints if isinstance(hint, str)]
    if 0 not in arrays:
        teacher = Teacher(source, hints, forward)
        tables = _kept(teacher, samples, folder)
    elif layers:
        raise DistilvoError(
            f"hints: layer '{layers[0]}' of a teacher that is an array; expected an array (N, K) instead"
        )
    else:
        tables["outputs"] = like_target(arrays[0].float(), shape, "teacher")
    in_order = iter(tables[f"hints.{number}"] for number in range(len(layers)))
    given = tuple(next(in_order) if isinstance(hint, str) else arrays[n].float() for n, hint in enumerate(hints, 1))
    for name, table in zip(names, (tables["outputs"], *given), strict=True):
        if len(table) != len(facts.targets):
            raise DistilvoError(
                f"{name}: has {len(table)} rows, expected {len(facts.targets)}: one for each sample of data, then of "
                "unlabelled"
            )
        check_outputs({"outputs": table}, name)
    return tables["outputs"], tuple(hint.reshape(len(hint), -1) for hint in given)


class AtEveryStep:
    """Runs a teacher on the inputs of each batch anew; hints must be layers."""

    def __init__(self, source: Any, hints: Sequence[HintSource], samples: SampleSet, forward: Forward) -> None:
        """Raises DistilvoError where the teacher or a hint is an array."""
        if is_array(source):
            raise DistilvoError("teacher: is an array, expected a teacher that can be run at every step")
        if arrays := [hint for hint in hints if not isinstance(hint, str)]:
            raise DistilvoError(
                f"hints: {len(arrays)} are arrays, expected layers of a teacher that is run at every step"
            )
        self.teacher, self.shape = Teacher(source, hints, forward), samples.target_shape

    @property
    def key(self) -> str:
        """Layers and weights of a torch module; of a function nothing but its name can be told."""
        source = self.teacher.source
        known = outputs_key(source) if isinstance(source, nn.Module) else type(source).__name__
        return f"at every step {known} {self.teacher.layers}"

    def __call__(self, inputs: Any) -> TeacherOutputs:
        """Outputs and hints of a batch; no trust."""
        tables = self.teacher(inputs, count_of(inputs), self.shape)
        hints = tuple(tables[f"hints.{number}"] for number in range(len(self.teacher.layers)))
        return TeacherOutputs(tables["outputs"], torch.empty(0), hints)


def _kept(teacher: Teacher, samples: SampleSet, folder: Path) -> Tables:
    """The tables of a teacher: run anew, or of a torch module that is simply called from the folder."""
    facts, shape = samples.facts, samples.target_shape
    parts = torch.arange(samples.samples).split(CHUNK * CHUNKS_IN_PART)

    def run(part: int) -> Tables:
        tables: list[Tables] = []
        for index in parts[part].split(CHUNK):
            inputs = samples.read(index).inputs
            if not samples.augmented and not torch.allclose(
                checksums(inputs, len(index)), facts.checksums[index], 1e-9
            ):
                raise DistilvoError(
                    f"data: samples {int(index[0])} to {int(index[-1])} differ each time they are read (random "
                    "augmentation?), so the teacher's outputs are of other inputs; take the augmentation out, or run "
                    "the teacher at every step: rerun_teacher=True"
                )
            tables.append(teacher(inputs, len(index), shape))
        return {name: torch.cat([table[name] for table in tables]) for name in tables[0]}

    if teacher.is_known_by_weights and not samples.augmented:
        path = folder / f"teacher-{outputs_key(teacher.source, facts.digest, teacher.layers)}.safetensors"
    else:  # nobody can tell whether a function is the same as the last time
        path = folder / f"teacher-function-{facts.digest}.safetensors"
        parallel.on_main(lambda: path.unlink(missing_ok=True))
    return teacher_pass(run, [len(part) for part in parts], path)


def _run_session(session: Any, inputs: Any) -> Any:
    """An ONNX Runtime session on one tensor, or on a dict of them by the names of its inputs."""
    names = [one.name for one in session.get_inputs()]
    outputs = [one.name for one in session.get_outputs()]
    if len(outputs) != 1 or (isinstance(inputs, Tensor) and len(names) != 1):
        raise DistilvoError(
            f"teacher: an ONNX session with inputs {', '.join(names)} and outputs {', '.join(outputs)}; expected one "
            "of each, or inputs as a dict by name; give a function of a batch instead"
        )
    feed = {names[0]: inputs} if isinstance(inputs, Tensor) else inputs
    return session.run(None, {name: value.numpy() for name, value in feed.items()})[0]
