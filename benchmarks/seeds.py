"""Distilled against supervised student over several seeds, on the streets and with the teacher of a finished demo.

    python benchmarks/seeds.py runs/demo --seeds 0 1 2

Seed, shape, training set and number of optimiser steps are the same for both students of a pair.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from distilvo.clips import motion_scale, open_store
from distilvo.evaluation import Evaluation, constant_motion, evaluate, network_motions
from distilvo.files import write_json
from distilvo.models.files import load_model
from distilvo.models.student import student_architecture
from distilvo.recipes import distil, train_supervised
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe

MEASURES = ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m")
STUDENT_T = {
    2: 12.706,
    3: 4.303,
    4: 3.182,
    5: 2.776,
    6: 2.571,
    7: 2.447,
    8: 2.365,
    9: 2.306,
    10: 2.262,
}  # 95 %, by seeds


def main() -> None:
    """Print and keep one row for each seed and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/seeds.json"))
    arguments = parser.parse_args()
    settings = json.loads((arguments.demo / "config.json").read_text())
    recipe, cache = Recipe(**settings["student"]), arguments.demo / "cache"
    teacher, _ = load_model(arguments.demo / "models/teacher")
    form = teacher.architecture.frame_format
    train, test = (open_store(open_dataset(arguments.demo / "data" / part), form, cache) for part in ("train", "test"))
    shape = student_architecture(settings["rate"], teacher.architecture)
    rows = [
        _row("mean_motion", None, evaluate(constant_motion(motion_scale(train)[0].numpy()), test)),
        _row("teacher", None, evaluate(network_motions(teacher), test)),
    ]
    for seed in arguments.seeds:
        seeded, folder = replace(recipe, seed=seed), arguments.demo / f"training/seed-{seed}"
        student, _ = train_supervised(shape, train, seeded, folder, f"seed {seed}: supervised")
        rows.append(_row("student_supervised", seed, evaluate(network_motions(student), test)))
        made = distil(teacher, shape, train, seeded, folder, cache, f"seed {seed}: distilled")
        rows.append(_row("student_distilled", seed, evaluate(network_motions(made.student), test)))
    write_json(arguments.out, rows)
    _print(rows)


def _row(name: str, seed: int | None, found: Evaluation) -> dict[str, object]:
    return {"name": name, "seed": seed, **{measure: getattr(found, measure) for measure in MEASURES}}


def _print(rows: list[dict[str, object]]) -> None:
    print("| model | seed | RMS-RPE trans (m) | RMS-RPE rot (deg) | ATE (m, Sim(3)) |\n|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['name']} | {'-' if row['seed'] is None else row['seed']} | "
            + " | ".join(f"{row[m]:.4f}" for m in MEASURES)
            + " |"
        )
    values = {
        name: np.array([[row[m] for m in MEASURES] for row in rows if row["name"] == name], float)
        for name in ("student_supervised", "student_distilled")
    }
    for name, found in values.items():
        print(f"| {name}, mean ± standard deviation | | {_cells(found, 1.0)} |")
    paired = values["student_distilled"] - values["student_supervised"]
    if len(paired) in STUDENT_T:
        factor = STUDENT_T[len(paired)] / len(paired) ** 0.5
        print(f"| distilled minus supervised, mean ± 95 % interval (paired) | | {_cells(paired, factor)} |")


def _cells(values: np.ndarray, factor: float) -> str:
    spread = factor * values.std(0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    return " | ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(values.mean(0), spread, strict=True))


if __name__ == "__main__":
    main()
