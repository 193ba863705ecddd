"""Where a teacher is worse than its students, and what hints change, in the folder of a finished study "fallible".

    python benchmarks/who_errs.py runs/fallible

On the test set: on which share of the frame pairs the teacher's error is the larger one, of all pairs and of the tenth
where it errs most, by seed; then paired differences of rows that no table of the study puts side by side.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor

from distilvo.clips import FrameStore, open_store
from distilvo.models.files import load_model
from distilvo.models.network import PoseNetwork
from distilvo.sequences import open_dataset
from distilvo.study.statistics import ERRORS, paired

STUDENTS = ("ground-truth", "ht-additional-joint")
PAIRS = (("ht-additional-joint", "additional"), ("ht-additional-joint", "ground-truth"))


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    out = parser.parse_args().study
    teacher, _ = load_model(out / "teacher")
    store = open_store(open_dataset(out / "data/test"), teacher.architecture.frame_format, out / "cache")
    own = errors(teacher, store, teacher.scale)
    worst = own > torch.quantile(own, 0.9)
    cells = json.loads((out / "study.json").read_text())
    seeds = sorted({cell["seed"] for cell in cells})
    for row in STUDENTS:
        theirs = [errors(load_model(out / "models" / row / str(seed))[0], store, teacher.scale) for seed in seeds]
        shares = [[float((own > error)[which].float().mean()) for error in theirs] for which in (own >= 0, worst)]
        for name, found in zip(("all pairs", "its worst tenth"), shares, strict=True):
            print(f"{row}: the teacher is worse on {', '.join(f'{share:.2f}' for share in found)} of {name}")
    for row, other in PAIRS:
        for measure in ERRORS:
            values = [{c["seed"]: c[measure.field] for c in cells if c["row"] == name} for name in (row, other)]
            difference = paired(*values).difference
            if difference is not None:
                print(f"{row} less {other}: {measure.name} {difference.show(4, True)} {measure.unit}")


@torch.no_grad()
def errors(network: PoseNetwork, store: FrameStore, scale: Tensor) -> Tensor:
    """Squared error of each frame pair, (P,), in units of the teacher's scale."""
    said = torch.cat([network.predict(store.drive_frames(index)) for index in range(len(store.drives))])
    return ((said - torch.from_numpy(store.motions)) / scale).square().sum(-1)


if __name__ == "__main__":
    main()
