"""How much of a model's squared error lies on frames that are nearly black.

    python benchmarks/dark_frames.py DATA MODEL [MODEL ...]

A frame pair is dark where one of its images has a mean grey value below ``DARK``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from distilvo.data import FrameCache, open_cache
from distilvo.models.model_folder import load_model
from distilvo.models.teacher import named_model
from distilvo.pipeline.evaluation import evaluate, network_motions
from distilvo.sequences import open_dataset

DARK = 40
"""Of 255."""


def main() -> None:
    """Print, for each model, the share of the squared errors on dark pairs, and the errors on the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="folders, or names of bundled models")
    arguments = parser.parse_args()
    for model in arguments.models:
        network, _ = load_model(named_model(model))
        with tempfile.TemporaryDirectory() as scratch:
            cache = open_cache(open_dataset(arguments.data), network.preprocessing, Path(scratch), "frames")
            dark = np.concatenate([dark_pairs(cache, index) for index in range(len(cache.drives))])
            errors = evaluate(network_motions(network), cache, str(model)).pooled
        print(f"{model}: {dark.sum()} of {len(dark)} pairs are dark")
        for measure, unit, error in (("translation", "m", errors.rpe_t_m), ("rotation", "deg", errors.rpe_r_deg)):
            share, rms = (error[dark] ** 2).sum() / (error**2).sum(), np.sqrt((error[~dark] ** 2).mean())
            print(
                f"    {measure}: {100 * share:.0f} % of the squared error on them; RMS of the others {rms:.4f} {unit}"
            )


def dark_pairs(cache: FrameCache, index: int) -> np.ndarray:
    """Which frame pairs (n - 1,) of a drive hold a dark image."""
    dark = cache.drive_frames(index).flatten(1).float().mean(1).numpy() < DARK
    return dark[1:] | dark[:-1]


if __name__ == "__main__":
    main()
