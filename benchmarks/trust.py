"""What a teacher's error on its own training set says of its error elsewhere, in the folder of a finished study.

    python benchmarks/trust.py runs/study

Prints the teacher's error in sample, that of the teachers of a cross-fitting on streets that they were not trained on,
and the teacher's on the test set; then how Phi is spread, by kind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distilvo.clips import FrameStore, open_store
from distilvo.distill.teacher_pass import teacher_pass
from distilvo.distill.trust import ROTATION, TRANSLATION, Trust
from distilvo.files import read_json
from distilvo.models.files import load_model
from distilvo.recipes import FoldTeacher, cross_fit, last_fc
from distilvo.sequences import open_dataset
from distilvo.settings import Recipe

FOLDS = 2
KINDS = ("paper", "quantile", "rank")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    out = parser.parse_args().study
    teacher, _ = load_model(out / "teacher")
    form, cache = teacher.architecture.frame_format, out / "cache"
    train, test = (open_store(open_dataset(out / "data" / part), form, cache) for part in ("train", "test"))
    plan = read_json(out / "distilvo.json")["settings"]["plan"]
    mirror = plan["recipe"]["mirror"]
    how = FoldTeacher(Recipe(**plan["fold_teacher"]), load_model(out / "teacher_begin")[0])
    hint = last_fc(teacher.architecture)
    own = teacher_pass(teacher, hint, train, cache, mirror).motions[: len(train.motions)]
    crossed = cross_fit(teacher.architecture, train, FOLDS, how, cache, mirror)[: len(train.motions)]
    unseen = teacher_pass(teacher, hint, test, cache).motions
    print("| teacher's error, RMS over frame pairs | translation (m) | rotation (deg) |\n|---|---|---|")
    for name, motions, store in (
        ("on its own training streets", own, train),
        (f"of {FOLDS} teachers on the training streets of the others", crossed, train),
        ("on the test streets", unseen, test),
    ):
        print(f"| {name} | {_rms(motions, store, TRANSLATION):.4f} | {_degrees(_rms(motions, store, ROTATION)):.4f} |")
    truth = torch.from_numpy(train.motions)
    ranks = [np.argsort(np.argsort(((m - truth) / teacher.scale).square().sum(-1).numpy())) for m in (own, crossed)]
    print(
        f"\nRank correlation of both errors over the {len(truth):,} training pairs: {np.corrcoef(*ranks)[0, 1]:.3f}\n"
    )
    print("| Phi | mean | 5 % quantile | least |\n|---|---|---|---|")
    for source, motions in (("in sample", own), ("cross-fitted", crossed)):
        for kind in KINDS:
            phi = Trust.fit(motions, truth, teacher.scale, kind).phi
            print(f"| {kind}, {source} | {phi.mean():.3f} | {torch.quantile(phi, 0.05):.3f} | {phi.min():.3f} |")


def _rms(motions: Tensor, store: FrameStore, part: tuple[int, ...]) -> float:
    off = (motions - torch.from_numpy(store.motions))[:, list(part)]
    return float(off.square().sum(-1).mean().sqrt())


def _degrees(radians: float) -> float:
    return float(np.rad2deg(radians))


if __name__ == "__main__":
    main()
