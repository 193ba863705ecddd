"""Time to score a trajectory: the metrics alone, and the whole command.

    python benchmarks/metrics_speed.py TRUTH.txt

TRUTH.txt is a KITTI pose file, such as that of sequence 00 with its 4,541 poses; the estimate is the same with noise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from distilvo.geometry import se3
from distilvo.settings import Scoring
from distilvo.trajectory.formats import read_kitti, write_kitti
from distilvo.trajectory.metrics import deviations

ROUNDS = 15
NOISE = [0.01, 0.01, 0.03, 0.001, 0.002, 0.001]  # of each step, m and rad


def main() -> None:
    """Print the median times; where other work runs on the machine, compare CPU times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    file = parser.parse_args().truth
    truth = read_kitti(file)
    steps = se3.motions(truth)
    estimate = se3.trajectory(steps + np.random.default_rng(0).normal(0, NOISE, steps.shape))
    print(f"{len(truth)} poses, median of {ROUNDS}, load {os.getloadavg()[0]:.0f}:")
    for align in ("paper", "se3"):
        how = Scoring(align=align)
        print(f"  deviations, {align}: {median(partial(deviations, estimate, truth, how))}")
    print(f"  reading a KITTI file: {median(lambda: read_kitti(file))}")
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "estimate.txt"
        write_kitti(written, estimate)
        command = [sys.executable, "-m", "distilvo", "evaluate", "--truth", str(file), "--estimate", str(written)]
        print(f"  distilvo evaluate: {median(lambda: subprocess.run(command, check=True, capture_output=True))}")


def median(call: Callable[[], object]) -> str:
    """Median wall and CPU time of a call, child processes included."""
    wall, cpu = [], []
    for _ in range(ROUNDS):
        begin, busy = time.perf_counter(), sum(os.times()[:4])
        call()
        wall.append(time.perf_counter() - begin)
        cpu.append(sum(os.times()[:4]) - busy)
    return f"{statistics.median(wall):.3f} s, CPU {statistics.median(cpu):.3f} s"


if __name__ == "__main__":
    main()
