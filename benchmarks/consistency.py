"""Whether a teacher's contradictions tell its error: rank correlation with the true error on streets with labels.

    python benchmarks/consistency.py runs/consistency

Renders streets, a third of them in adverse conditions, and runs the shipped teacher on them. Prints Spearman's rank
correlation of each sign with the squared error of the frame pairs, over all of them and as the mean of the streets, and
of several signs together (the mean of their ranks). The size of the motion that the teacher gives is what a sign must
beat: it costs nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from distilvo.data import open_cache
from distilvo.distill.error_prediction import rank_correlation
from distilvo.distill.trust import ranks as ranks_of
from distilvo.models.model_folder import load_model
from distilvo.models.teacher import SHIPPED_TEACHER
from distilvo.pipeline.consistency import inconsistency
from distilvo.pipeline.frame_trust import relative_contradiction
from distilvo.sequences import open_dataset
from distilvo.world.dataset import render_streets

STREETS, FRAMES, ADVERSE = range(900, 930), 60, 1 / 3


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    teacher, _ = load_model(SHIPPED_TEACHER)
    render_streets(out / "data", STREETS, FRAMES, teacher.preprocessing.size, adverse=ADVERSE)
    cache = open_cache(open_dataset(out / "data"), teacher.preprocessing, out / "cache")
    signs = inconsistency(teacher, cache, teacher.scale)
    motions = torch.cat([teacher.predict(cache.drive_frames(index)) for index in range(len(cache.drives))])
    errors = squared((motions - torch.from_numpy(cache.motions)) / teacher.scale)
    rows = {"size of the motion": squared(motions / teacher.scale), **vars(signs)}
    rows["backward and two_frame"] = ranks(signs.backward) + ranks(signs.two_frame)
    rows["all three, by rank"] = rows["backward and two_frame"] + ranks(signs.mirrored)
    rows["all three, for the motion (as trust takes it)"] = relative_contradiction(
        [signs.backward, signs.two_frame, signs.mirrored], motions / teacher.scale
    )
    print(f"{len(errors)} frame pairs. Mean squares of translation and rotation:")
    for name, values in {"error": errors, **vars(signs)}.items():
        print(f"{name} {values[:, 0].mean():.3f} {values[:, 1].mean():.3f}")
    print("\n| sign | translation: all, by street | rotation: all, by street |\n|---|---|---|")
    for name, sign in rows.items():
        cells = [
            f"{rank_correlation(sign[:, k], errors[:, k]):.3f}, {by_street(sign[:, k], errors[:, k]):.3f}"
            for k in (0, 1)
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def squared(motions: Tensor) -> Tensor:
    """Squared length of translation and rotation, (P, 6) -> (P, 2)."""
    return torch.stack([motions[:, :3].square().sum(1), motions[:, 3:].square().sum(1)], 1)


def ranks(values: Tensor) -> Tensor:
    """Rank of each value in its column, (P, 2)."""
    return torch.stack([ranks_of(column) for column in values.unbind(1)], 1)


def by_street(a: Tensor, b: Tensor) -> float:
    """Mean of the rank correlations of the streets."""
    streets = zip(a.split(FRAMES - 1), b.split(FRAMES - 1), strict=True)
    return sum(rank_correlation(*street) for street in streets) / len(STREETS)


if __name__ == "__main__":
    main()
