"""Networks at the paper's image size for ``distilvo bench``.

    python benchmarks/speed.py FOLDER
    distilvo bench FOLDER/* --against paper --baselines --rounds 40 --json > benchmarks/bench.json

The networks have random weights, since times do not depend on weights: students of the paper's (192 x 640 RGB) and the
students made for speed (luminance), these in int8 too.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

STREETS = range(9_000_000, 9_000_003)  # seeds of those that int8 is calibrated on, as in distilvo export


def main() -> None:
    """Make the networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    make(parser.parse_args().folder)


def make(folder: Path) -> None:
    """Model folders, and int8 files of the students made for speed, calibrated on rendered streets."""
    from distilvo.data import open_cache
    from distilvo.models.fast_student import FAMILY, fast_architecture
    from distilvo.models.model_folder import load_model, save_model
    from distilvo.models.network import PoseNetwork
    from distilvo.models.onnx_export import export_onnx
    from distilvo.models.quantisation import quantise
    from distilvo.models.student import student_architecture
    from distilvo.models.teacher import PAPER
    from distilvo.sequences import open_dataset
    from distilvo.world.dataset import render_streets

    torch.manual_seed(0)
    for rate, name in ((92.95, "paper-student"), (72.88, "paper-72.88"), (79.69, "paper-79.69")):
        save_model(PoseNetwork(student_architecture(rate, PAPER)), folder / name, {})
    with tempfile.TemporaryDirectory() as name_of_scratch:
        scratch, preprocessing = Path(name_of_scratch), fast_architecture("nano").preprocessing
        render_streets(scratch / "streets", STREETS, 100, preprocessing.size)
        drives = open_cache(open_dataset(scratch / "streets"), preprocessing, scratch / "cache")
        for name in FAMILY:
            save_model(PoseNetwork(fast_architecture(name)), folder / name, {})
            network, config = load_model(folder / name)
            exported = scratch / f"{name}.onnx"
            export_onnx(network, config, exported, drives.drive_frames(0)[:10])
            quantise(exported, folder / f"{name}-int8.onnx", drives)


if __name__ == "__main__":
    main()
