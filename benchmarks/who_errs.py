"""Where a teacher is worse than its students, and what hints change, in the folder of a finished study "fallible".

    python benchmarks/who_errs.py runs/fallible

On the test set, by seed: the share of the frame pairs on which the teacher's error is larger than the student's, of all
pairs and of the tenth with the largest errors of the teacher; then paired differences of rows that no table of the
study compares.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from distilvo.data import FrameCache, open_cache
from distilvo.models.model_folder import load_model
from distilvo.models.network import PoseNetwork
from distilvo.sequences import open_dataset
from distilvo.study.statistics import ERRORS, paired

STUDENTS = ("ground-truth", "ht-additional-joint")
PAIRS = (("ht-additional-joint", "additional"), ("ht-additional-joint", "ground-truth"))


def main() -> None:
    """Print the shares and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    out = parser.parse_args().study
    teacher, _ = load_model(out / "teacher")
    cache = open_cache(open_dataset(out / "data/test"), teacher.preprocessing, out / "cache")
    own = errors(teacher, cache, teacher.scale)
    worst = own > torch.quantile(own, 0.9)
    cells = json.loads((out / "study.json").read_text())
    seeds = sorted({cell["seed"] for cell in cells})
    for row in STUDENTS:
        students = [errors(load_model(out / "models" / row / str(seed))[0], cache, teacher.scale) for seed in seeds]
        for name, pairs in (("all pairs", own >= 0), ("its worst tenth", worst)):
            shares = [float((own > student)[pairs].float().mean()) for student in students]
            print(f"{row}: the teacher is worse on {', '.join(f'{share:.2f}' for share in shares)} of {name}")
    for row, other in PAIRS:
        for measure in ERRORS:
            values = [{c["seed"]: c[measure.field] for c in cells if c["row"] == name} for name in (row, other)]
            difference = paired(*values).difference
            if difference is not None:
                print(f"{row} less {other}: {measure.name} {difference.show(4, True)} {measure.unit}")


@torch.no_grad()
def errors(network: PoseNetwork, cache: FrameCache, scale: Tensor) -> Tensor:
    """Squared error of each frame pair, (P,), in units of the teacher's scale."""
    motions = torch.cat([network.predict(cache.drive_frames(index)) for index in range(len(cache.drives))])
    return ((motions - torch.from_numpy(cache.motions)) / scale).square().sum(-1)


if __name__ == "__main__":
    main()
