"""What inherited layers are worth because they know optical flow: plain students that begin with the encoder's instead.

    python benchmarks/from_encoder.py PLAN OUT SEED

PLAN and OUT are those of a study with the row inherit@92.95, whose drives and teacher are there. Trains a student of
that row's shape on ground truth alone, with the learning rate and as many steps as that row, from the convolutions of
the bundled encoder, and prints its errors on the drives to test on and for validation.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from distilvo.data import motion_scale
from distilvo.models.kinds import network_of
from distilvo.models.model_folder import load_model
from distilvo.models.teacher import SHIPPED_ENCODER
from distilvo.pipeline.evaluation import evaluate, network_motions
from distilvo.pipeline.recipes import train_supervised
from distilvo.study.cell import Workshop
from distilvo.study.plan_file import read_plan
from distilvo.study.study_drives import open_drives

ROW = "inherit@92.95"


def main() -> None:
    """Train one student, and print its errors."""
    plan, out, seed = read_plan(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    teacher, _ = load_model(out / "teacher")
    drives = open_drives(plan, out, None, teacher.preprocessing)
    workshop, row = Workshop(plan, out, drives), plan.rows[ROW]
    recipe = replace(plan.recipe, seed=seed, epochs=workshop.epochs(row), learning_rate=workshop.learning_rate(row))
    architecture = workshop.architecture(row)
    torch.manual_seed(seed)
    first = network_of(architecture)
    first.set_motion_scale(*motion_scale(drives.train))
    own, encoder = first.state_dict(), load_model(SHIPPED_ENCODER, to_train=True)[0].state_dict()
    same = [name for name in own if name.startswith("convolutions.") and own[name].shape == encoder[name].shape]
    first.load_state_dict(own | {name: encoder[name] for name in same})
    with tempfile.TemporaryDirectory() as scratch:
        student, _ = train_supervised(architecture, drives.train, recipe, Path(scratch), init=first)
    for part, cache in (("test", drives.test), ("validation", drives.validation)):
        if cache is not None:
            errors = evaluate(network_motions(student), cache, part).total
            print(
                f"seed {seed}, {part}: {errors.rms_rpe_t_m:.4f} m, {errors.rms_rpe_r_deg:.4f} deg, {errors.ate_m:.1f} m"
            )


if __name__ == "__main__":
    main()
