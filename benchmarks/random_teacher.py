"""A teacher of the study's kind with random weights, for ``without_flow.toml``.

    python benchmarks/random_teacher.py FOLDER

The study trains it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from distilvo.models.kinds import network_of
from distilvo.models.model_folder import save_model
from distilvo.models.teacher import QUARTER


def main() -> None:
    """Write the model folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    torch.manual_seed(7)
    save_model(network_of(QUARTER).eval(), parser.parse_args().folder, {"note": "random weights"})


if __name__ == "__main__":
    main()
