"""Pictures of a run as PNG files, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from distilvo.alignment import align
from distilvo.files import atomic_path
from distilvo.report.results import DriveResult, RunResults, TrustResult, TrustSample
from distilvo.report.style import LEAST_TRUSTED, MOST_TRUSTED, colour, dash, label

if TYPE_CHECKING:
    from distilvo.evaluation import ModelRow

_LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": "#e6e6e6",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
}
_TRUST_INCHES = 12.0
_HISTOGRAM_INCHES = 3.4


def write_plots(folder: Path, results: RunResults) -> list[Path]:
    """Write every picture of a run that there is something for, and return where they are.

    Raises:
        DistilvoError: a picture cannot be written, or an estimate does not fit its drive.
    """
    paths = []
    if results.rows:
        paths.append(folder / "errors.png")
        plot_errors(paths[-1], results.rows)
    if any(results.curves.values()):
        paths.append(folder / "curves.png")
        plot_curves(paths[-1], results.curves)
    if results.trust is not None:
        paths.append(folder / "trust.png")
        plot_trust(paths[-1], results.trust)
    for drive in results.drives:
        # Quoting keeps different names different and lets none of them leave the folder.
        paths.append(folder / f"trajectory_{quote(drive.name, safe=' ')}.png")
        plot_trajectories(paths[-1], drive)
    return paths


def plot_trajectories(path: Path, drive: DriveResult) -> None:
    """The drive from above, x to the right and z up the page, every estimate aligned with the truth by Sim(3)."""
    with png_figure(path, (7.5, 6.5)) as figure:
        axes = figure.subplots()
        truth = drive.truth[:, :3, 3]
        axes.plot(truth[:, 0], truth[:, 2], color="black", linewidth=2.4, label="truth")
        for model, estimate in drive.estimates.items():
            at = align(estimate, drive.truth, "sim3")[:, :3, 3]
            axes.plot(at[:, 0], at[:, 2], _LINES[dash(model)], color=colour(model), linewidth=1.7, label=label(model))
        axes.plot(*truth[0, [0, 2]], "o", color="black", markersize=9, markerfacecolor="white", label="start", zorder=5)
        axes.plot(*truth[-1, [0, 2]], "s", color="black", markersize=8, label="end", zorder=5)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel="x, right (m)", ylabel="z, forward (m)")
        axes.set_title(f"Drive {_plain(drive.name)} from above, estimates aligned by Sim(3)")
        figure.legend(loc="outside lower center", ncols=3)


def plot_errors(path: Path, rows: list[ModelRow]) -> None:
    """Three panels of bars, one bar for each model, the value written on it; shorter is better."""
    panels = (
        ("RMS-RPE, translation (m a frame)", [row.rms_rpe_t_m for row in rows], "{:.4f}"),
        ("RMS-RPE, rotation (degrees a frame)", [row.rms_rpe_r_deg for row in rows], "{:.4f}"),
        ("ATE (m, aligned by Sim(3))", [row.ate_m for row in rows], "{:.3f}"),
    )
    with png_figure(path, (12, 1.2 + 0.5 * len(rows))) as figure:
        for axes, (title, values, form) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
            bars = axes.barh([label(row.name) for row in rows], values, color=[colour(row.name) for row in rows])
            axes.bar_label(bars, [form.format(value) for value in values], padding=3, fontsize=9)
            axes.margins(x=0.2)
            axes.set_title(title)
            axes.grid(axis="y", visible=False)
            axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()


def plot_curves(path: Path, curves: dict[str, list[tuple[int, float]]]) -> None:
    """The loss along each training, on a logarithmic axis."""
    with png_figure(path, (8, 4.5)) as figure:
        axes = figure.subplots()
        for model, points in curves.items():
            steps, losses = [step for step, _ in points], [loss for _, loss in points]
            axes.plot(steps, losses, _LINES[dash(model)], color=colour(model), linewidth=1.7, label=label(model))
        axes.set(xlabel="training step", ylabel="training loss", yscale="log")
        axes.set_title("Trainings have different losses: compare the shapes, not the heights")
        axes.legend()


def plot_trust(path: Path, trust: TrustResult) -> None:
    """How Phi is spread over the training set, and the frames where the teacher was trusted least and most."""
    strips = [("least trusted", trust.least, LEAST_TRUSTED), ("most trusted", trust.most, MOST_TRUSTED)]
    strips = [strip for strip in strips if strip[1]]
    heights = [_HISTOGRAM_INCHES] + [_strip_inches(samples) for _, samples, _ in strips]
    with png_figure(path, (_TRUST_INCHES, sum(heights))) as figure:
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        axes = parts[0].subplots()
        axes.hist(trust.phi, bins=40, color=MOST_TRUSTED, edgecolor="white", linewidth=0.5)
        axes.set(xlabel="Φ, trust in the teacher", ylabel="training samples")
        axes.set_title(f"Trust over {len(trust.phi):,} training samples; median Φ {np.median(trust.phi):.3f}")
        axes.grid(axis="x", visible=False)
        for part, (title, samples, edge) in zip(parts[1:], strips, strict=True):
            part.suptitle(title, x=0.01, ha="left", color=edge, fontsize=11, fontweight="bold")
            for axes, sample in zip(part.subplots(1, len(samples), squeeze=False)[0], samples, strict=True):
                _draw_sample(axes, sample, edge)


def _strip_inches(samples: list[TrustSample]) -> float:
    """Height of a row of frames that fills the figure's width, with the room for its title and captions."""
    tallest = max(sample.frame.shape[0] / sample.frame.shape[1] for sample in samples)
    return tallest * _TRUST_INCHES / len(samples) + 1.0


def _draw_sample(axes: Any, sample: TrustSample, edge: str) -> None:
    axes.imshow(sample.frame, cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=edge, linewidth=1.5)
    caption = f"Φ {sample.phi:.3f}\noff by {sample.error_m:.3f} m, {sample.error_deg:.2f}°\n{_plain(sample.label)}"
    axes.set_xlabel(caption, fontsize=8)


@contextmanager
def png_figure(path: Path, inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure that becomes the PNG file ``path`` when it is done."""
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        figure = Figure(figsize=inches, layout="constrained", facecolor="white")
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", dpi=150)


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
