"""A teacher's error on its training set, on other training streets and on the test set, and the trust that follows.

    python benchmarks/trust.py runs/study

Reads the folder of a finished study. Prints the teacher's error on its training streets, the error of the teachers of a
cross-fitting on streets that they were not trained on, and the teacher's error on the test set; then statistics of Phi
by kind of trust.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from distilvo.data import FrameCache, open_cache
from distilvo.distill.trust import Trust
from distilvo.files import read_json
from distilvo.models.model_folder import load_model
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.pipeline.frame_trust import ROTATION, TRANSLATION
from distilvo.pipeline.recipes import FoldTeachers, cross_fit
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe, Trusting

FOLDS = 2
KINDS: tuple[Trusting, ...] = get_args(Trusting)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    out = parser.parse_args().study
    teacher, _ = load_model(out / "teacher")
    folder = out / "cache"
    train, test = (
        open_cache(open_dataset(out / "data" / part), teacher.preprocessing, folder) for part in ("train", "test")
    )
    plan = read_json(out / "distilvo.json")["settings"]["plan"]
    mirror = plan["recipe"]["mirror"]
    fold_teachers = FoldTeachers(FOLDS, Recipe(**plan["fold_teacher"]), load_model(out / "teacher_begin")[0])
    hint = teacher.architecture.last_layer
    own = run_teacher(teacher, hint, train, folder, mirror).motions[: len(train.motions)]
    crossed = cross_fit(teacher, train, fold_teachers, folder, mirror)[: len(train.motions)]
    held_out = run_teacher(teacher, hint, test, folder).motions
    print("| teacher's error, RMS over frame pairs | translation (m) | rotation (deg) |\n|---|---|---|")
    for name, motions, cache in (
        ("on its own training streets", own, train),
        (f"of {FOLDS} teachers on the training streets of the others", crossed, train),
        ("on the test streets", held_out, test),
    ):
        rotation = np.rad2deg(_rms(motions, cache, ROTATION))
        print(f"| {name} | {_rms(motions, cache, TRANSLATION):.4f} | {rotation:.4f} |")
    truth = torch.from_numpy(train.motions)
    ranks = [np.argsort(np.argsort(((m - truth) / teacher.scale).square().sum(-1).numpy())) for m in (own, crossed)]
    correlation = np.corrcoef(ranks[0], ranks[1])[0, 1]
    print(f"\nRank correlation of both errors over the {len(truth):,} training pairs: {correlation:.3f}\n")
    print("| Phi | mean | 5 % quantile | least |\n|---|---|---|---|")
    for source, motions in (("in sample", own), ("cross-fitted", crossed)):
        for kind in KINDS:
            phi = Trust.fit(motions, truth, teacher.scale, kind).phi
            print(f"| {kind}, {source} | {phi.mean():.3f} | {torch.quantile(phi, 0.05):.3f} | {phi.min():.3f} |")


def _rms(motions: Tensor, cache: FrameCache, part: tuple[int, ...]) -> float:
    errors = (motions - torch.from_numpy(cache.motions))[:, list(part)]
    return float(errors.square().sum(-1).mean().sqrt())


if __name__ == "__main__":
    main()
