"""Time against error on real film, from what ``real_film.py --out`` wrote.

    python benchmarks/plot_real_film.py benchmarks/real-film.json docs/images/real_film.png

Each tracker has a mark for each drive, joined by a line; down and to the left is better.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullFormatter

COLOURS = ("#009e73", "#56b4e9", "#0072b2", "#cc79a7", "#d55e00", "#e69f00")
MARKS = {"o": "circles", "s": "squares", "^": "triangles"}
PANELS = {
    "rms_rpe_t_percent_of_step": "translation error (RMS, % of the mean step)",
    "rms_rpe_r_deg": "rotation error (RMS, degrees a frame)",
}


def main() -> None:
    """Draw both errors against milliseconds a frame, decoding included."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("image", type=Path)
    arguments = parser.parse_args()
    draw(json.loads(arguments.results.read_text(encoding="utf-8")), arguments.image)


def draw(drives: dict[str, dict[str, dict[str, float | None]]], image: Path) -> None:
    """One panel for each error; a tracker without the measure is left out of its panel."""
    trackers = list(dict.fromkeys(name for rows in drives.values() for name in rows))
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 4.2), layout="constrained")
    for axis, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for tracker, colour in zip(trackers, COLOURS, strict=False):
            rows = {drive: rows[tracker] for drive, rows in drives.items() if rows[tracker][measure] is not None}
            times = [1000 / row["frames_per_second"] for row in rows.values()]
            errors = [row[measure] for row in rows.values()]
            axis.plot(times, errors, color=colour, linewidth=1, alpha=0.6)
            for drive, time, error in zip(rows, times, errors, strict=True):
                mark = list(MARKS)[list(drives).index(drive) % len(MARKS)]
                label = tracker if drive == next(iter(drives)) else None
                axis.plot(time, error, mark, color=colour, label=label, markersize=7)
        axis.set(xscale="log", xlabel="ms a frame on one core, decoding included", ylabel=title, ylim=(0, None))
        axis.set_xticks([5, 10, 20, 50], ["5", "10", "20", "50"])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[-1].legend(fontsize=8, loc="lower left")
    marks = ", ".join(f"{mark} {drive}" for mark, drive in zip(MARKS.values(), drives, strict=False))
    figure.suptitle(f"Real film (KITTI odometry); {marks}", fontsize=10)
    figure.savefig(image, dpi=110)


if __name__ == "__main__":
    main()
