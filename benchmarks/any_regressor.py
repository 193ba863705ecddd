"""Distillation of regressors that have nothing to do with VO: where a teacher pays, and where trust in it pays.

    pip install -c constraints.txt '.[train]'
    python benchmarks/any_regressor.py --out any_regressor.json
    python benchmarks/any_regressor.py --out any_regressor.json --tables

Two problems, five regimes, the rows of each; in each row the same student with the same weights at the start and the
same number of steps. Prints the tables and writes a plot beside the JSON file; with --tables of a file that is there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import torch
from small_regressions import SAMPLES, Digits, Friedman, Problem, Random, Samples
from torch import Tensor, nn

from distilvo import TrainingSettings, distill_regressor
from distilvo.files import atomic_path, read_json, write_json
from distilvo.study.statistics import Interval, mean_interval

PROBLEMS: tuple[Problem, ...] = (Digits(), Friedman())
STEPS, BATCH = 1500, 64
TEACHER_STEPS, TEACHER_BATCH = 3000, 128


@dataclass(frozen=True)
class Regime:
    """What the student has to learn from, as shares of its training set, and the rows that are compared on it."""

    title: str
    rows: tuple[str, ...]
    labelled: float = 1.0
    degraded: float = 0.0
    wrong: float = 0.0
    severity: int = 1


REGIMES = {
    "all": Regime("all labels, good teacher", ("labels", "no trust", "quantile", "rank")),
    "few": Regime(
        "5 % labels", ("labels", "labels, stopped early", "no trust", "learned", "hints", "all labels"), labelled=0.05
    ),
    "degraded": Regime(
        "5 % labels, 35 % degraded",
        (
            *("labels", "labels, stopped early", "no trust", "learned", "shuffled", "oracle"),
            *("hints", "hints, learned", "all labels"),
        ),
        labelled=0.05,
        degraded=0.35,
    ),
    "harsh": Regime(
        "5 % labels, 35 % degraded twice as much",
        ("labels", "no trust", "learned", "shuffled"),
        labelled=0.05,
        degraded=0.35,
        severity=2,
    ),
    "wrong": Regime(
        "all labels, 20 % of the teacher wrong", ("labels", "no trust", "quantile", "rank", "oracle"), wrong=0.2
    ),
}
ROWS = {
    "labels": "ground truth alone, of the labelled part",
    "labels, stopped early": "the same, stopped early by a fifth of it",
    "no trust": "imitation without trust",
    "learned": "learned trust",
    "shuffled": "learned trust, shuffled (control)",
    "quantile": "quantile trust",
    "rank": "rank trust",
    "oracle": "trust of an oracle",
    "hints": "imitation without trust, and hints",
    "hints, learned": "learned trust, and hints",
    "all labels": "ground truth of all samples (limit)",
}


@dataclass(frozen=True)
class Case:
    """One regime with one seed: what is drawn before any training. Masks and outputs are of the training set, (N,)."""

    train: Samples
    test: Samples
    labelled: Tensor
    degraded: Tensor
    test_degraded: Tensor
    outputs: Tensor
    wrong: Tensor
    seed: int


def draw(problem: Problem, teacher: nn.Module, regime: Regime, seed: int) -> Case:
    """Draw the data, label, degrade and run the teacher; degraded samples have their share of each part."""
    rng = np.random.default_rng(seed)
    train, test = problem.samples(rng)
    labelled = share_of(SAMPLES, regime.labelled, rng)
    degraded = torch.zeros(SAMPLES, dtype=torch.bool)
    for part in (labelled, ~labelled):
        degraded[part] = share_of(int(part.sum()), regime.degraded, rng)
    test_degraded = share_of(SAMPLES, regime.degraded, rng)
    for samples, places in ((train, degraded), (test, test_degraded)):
        samples.inputs[places] = problem.degrade(samples.inputs[places], regime.severity, rng)
    with torch.no_grad():
        outputs = teacher(train.inputs)
    wrong = share_of(SAMPLES, regime.wrong, rng)
    outputs[wrong] = outputs[wrong].roll(1, 0)  # each takes the output of another
    return Case(train, test, labelled, degraded, test_degraded, outputs, wrong, seed)


def share_of(count: int, share: float, rng: Random) -> Tensor:
    """A mask (count,) with exactly this share of it set, at random."""
    return torch.from_numpy(rng.permutation(count) < round(share * count))


def train_teacher(problem: Problem) -> nn.Sequential:
    """The problem's teacher, trained on samples and labels of its own."""
    samples = problem.teacher_samples()
    torch.manual_seed(2026)
    teacher, unit = problem.teacher(), samples.targets.std()
    optimiser = torch.optim.Adam(teacher.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, TEACHER_STEPS)
    for _ in range(TEACHER_STEPS):
        index = torch.randint(len(samples.inputs), (TEACHER_BATCH,))
        loss = ((teacher(samples.inputs[index]) - samples.targets[index]) / unit).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
    return teacher.eval()


def run_rows(problem: Problem, teacher: nn.Module, regime: Regime, case: Case) -> Iterator[tuple[str, float]]:
    """Train the student of each row; the row and its error on the test set, RMS."""
    yield "teacher", rms(teacher, case.test)
    given = teacher if regime.wrong == 0 else case.outputs
    learned = torch.ones(SAMPLES)
    for row in regime.rows:
        torch.manual_seed(case.seed)
        student = problem.student()
        training = TrainingSettings(steps=STEPS, learning_rate=problem.rate, seed=case.seed)
        how = arguments(row, case, learned, problem.hint)
        result = distill_regressor(given, student, training=training, batch_size=BATCH, **how)
        learned = result.trust.phi if row == "learned" else learned
        yield row, rms(student, case.test)


def arguments(row: str, case: Case, learned: Tensor, hint: tuple[str, str]) -> dict[str, Any]:
    """What ``distill_regressor`` is given in a row besides teacher, student and training settings."""
    inputs, truth = case.train.inputs, case.train.targets
    if row.startswith("labels") or row == "all labels":
        known = torch.ones_like(case.labelled) if row == "all labels" else case.labelled
        held_out = torch.zeros_like(known)
        if row == "labels, stopped early":
            held_out[known.nonzero()[::5, 0]] = True
        ground_truth = {"data": (inputs[known & ~held_out], truth[known & ~held_out]), "alpha": 1.0, "trust": "none"}
        return ground_truth | ({"validation": (inputs[held_out], truth[held_out])} if held_out.any() else {})
    errors = (case.outputs - truth).square()[:, 0]
    trusts = {
        "no trust": "none",
        "hints": "none",
        "hints, learned": "learned",
        "shuffled": learned[torch.from_numpy(np.random.default_rng(case.seed).permutation(SAMPLES))],
        "oracle": errors.median() / (errors.median() + errors),
    }
    hints = {"hints": hint} if row.startswith("hints") else {}
    return {
        "data": (inputs, torch.where(case.labelled[:, None], truth, torch.nan)),
        "trust": trusts.get(row, row),
        **hints,
    }


@torch.no_grad()
def rms(network: nn.Module, samples: Samples) -> float:
    """Root of the mean squared error, in the unit of the targets."""
    return float((network(samples.inputs) - samples.targets).square().mean().sqrt())


def measure(seeds: int) -> dict[str, Any]:
    """All cells, ``(problem, regime, row, seed, error)``, with sizes of the networks and seconds of CPU time."""
    cells, sizes, begin = [], {}, time.process_time()
    for problem in PROBLEMS:
        teacher = train_teacher(problem)
        sizes[problem.name] = [sum(p.numel() for p in net.parameters()) for net in (teacher, problem.student())]
        for name, regime in REGIMES.items():
            for seed in range(seeds):
                for row, error in run_rows(problem, teacher, regime, draw(problem, teacher, regime, seed)):
                    cells.append({"problem": problem.name, "regime": name, "row": row, "seed": seed, "error": error})
    return {"parameters": sizes, "seconds": round(time.process_time() - begin), "cells": cells}


def errors_of(found: dict[str, Any], problem: str, regime: str) -> dict[str, np.ndarray]:
    """Errors by row, (seeds,)."""
    rows: dict[str, list[float]] = {}
    for cell in found["cells"]:
        if (cell["problem"], cell["regime"]) == (problem, regime):
            rows.setdefault(cell["row"], []).append(cell["error"])
    return {row: np.array(errors) for row, errors in rows.items()}


def change(errors: np.ndarray, reference: np.ndarray) -> Interval:
    """Difference of each seed in per cent of the reference's error: mean over seeds and 95 % interval."""
    return mean_interval(100 * (errors / reference - 1))


def tables(found: dict[str, Any]) -> str:
    """A Markdown table for each problem and regime."""
    blocks = []
    for problem in PROBLEMS:
        teacher, student = found["parameters"][problem.name]
        blocks.append(f"## {problem.name[0].upper()}{problem.name[1:]}: {teacher:,} -> {student:,} parameters")
        for name, regime in REGIMES.items():
            errors = errors_of(found, problem.name, name)
            seeds = len(errors["labels"])
            lines = [
                f"**{regime.title}**, {seeds} seeds, mean ± 95 % interval\n",
                f"| trained on | RMSE ({problem.unit}) | against ground truth alone (%) | against no trust (%) |",
                "|---|---|---|---|",
                f"| the teacher itself | {errors.pop('teacher').mean():.2f} | | |",
            ]
            for row, values in errors.items():
                against = [
                    "" if row == other else change(values, errors[other]).show(1, True)
                    for other in ("labels", "no trust")
                ]
                lines.append(f"| {ROWS[row]} | {mean_interval(values).show(2)} | {' | '.join(against)} |")
            blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, f"{found['seconds']} s of CPU time on one core."])


def plot(found: dict[str, Any], path: Path) -> None:
    """Change against ground truth alone, and against no trust, by row: a panel for each problem and regime, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure((11, 5.6), layout="constrained")
    panels = figure.subplots(len(PROBLEMS), len(REGIMES), sharey="col", sharex="row", squeeze=False)
    for panel_row, problem in zip(panels, PROBLEMS, strict=True):
        panel_row[0].set_ylabel(problem.name)
        for panel, (name, regime) in zip(panel_row, REGIMES.items(), strict=True):
            errors, rows = errors_of(found, problem.name, name), regime.rows[1:]
            for shift, (reference, colour) in enumerate((("labels", "C0"), ("no trust", "C1"))):
                places = [place + 0.25 * shift for place, row in enumerate(rows) if row != reference]
                changes = [change(errors[row], errors[reference]) for row in rows if row != reference]
                means, halves = [one.mean for one in changes], [one.half or 0 for one in changes]
                style = {"fmt": "o", "capsize": 2, "ms": 4, "color": colour, "label": f"against {reference}"}
                panel.errorbar(means, places, xerr=halves, **style)
            panel.axvline(0, color="grey", lw=1)
            panel.set_yticks(range(len(rows)), rows, fontsize=8)
            panel.set_ylim(len(rows) - 0.5, -0.5)
            panel.set_title(fill(regime.title, 20) if problem is PROBLEMS[0] else "", fontsize=9)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower right", fontsize=8, ncols=2)
    figure.supxlabel("change of the error (%), mean and 95 % interval", fontsize=9)
    with atomic_path(path) as draft:
        figure.savefig(draft, dpi=90, format="png")


def main() -> None:
    """Measure or read, print, plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file of all cells; the plot is written beside it")
    parser.add_argument("--tables", action="store_true", help="do not measure: read the cells of --out")
    options = parser.parse_args()
    if options.tables and options.out is None:
        parser.error("--tables needs --out, the file to read")
    found = read_json(options.out) if options.tables else measure(options.seeds)
    if options.out is not None:
        write_json(options.out, found)
        plot(found, options.out.with_suffix(".png"))
    print(tables(found))


if __name__ == "__main__":
    main()
