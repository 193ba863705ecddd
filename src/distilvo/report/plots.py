"""Pictures of a run as PNG and SVG files, drawn by matplotlib without a display."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from distilvo.files import atomic_path
from distilvo.pairs import travelled
from distilvo.progress import progress
from distilvo.report.measures import by_length, length_grid, spread
from distilvo.report.results import Curves, DriveResult, ModelRow, RunResults, TrustResult, TrustSample
from distilvo.report.style import ALIGNMENTS, LEAST_TRUSTED, MOST_TRUSTED, Palette, label, over

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
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "distilvo",  # the same run gives the same file
}
_TRUST_INCHES = 12.0
_HISTOGRAM_INCHES = 3.4
_WHISKERS = (5, 95)


def write_plots(folder: Path, results: RunResults) -> list[Path]:
    """Write every picture of a run that there is something for, and return where they are.

    All are PNG and SVG, but trust in the teacher, which is made of frames: PNG alone.

    Raises:
        DistilvoError: a picture cannot be written, or an estimate does not fit its drive.
    """
    drives = [drive for drive in results.drives if drive.estimates]
    models = [name for drive in drives for name in drive.estimates]
    plots = _Plots(results, drives, Palette([*(row.name for row in results.rows), *models, *results.curves]))
    paths = [*plots.errors(folder / "errors.png"), *plots.spread(folder / "spread.png")]
    paths += [*plots.lengths(folder / "lengths.png"), *plots.curves(folder / "curves.png")]
    if results.trust is not None:
        paths.append(folder / "trust.png")
        plot_trust(paths[-1], results.trust)
    with progress("pictures", len(drives)) as bar:
        for drive in drives:
            # Quoting keeps different names different and lets none of them leave the folder.
            name = quote(drive.name, safe=" ")
            paths += plots.trajectories(folder / f"trajectory_{name}.png", drive)
            paths += plots.along(folder / f"along_{name}.png", drive)
            bar.advance()
    return paths


class _Plots:
    """Each method draws one picture and gives its files, or draws nothing where there is nothing to draw."""

    def __init__(self, results: RunResults, drives: list[DriveResult], palette: Palette) -> None:
        self.rows: list[ModelRow] = results.rows
        self.losses: Curves = results.curves
        self.drives, self.how, self.palette = drives, results.how, palette

    def errors(self, path: Path) -> list[Path]:
        """Three panels of bars, one bar for each model, the value written on it; shorter is better."""
        if not self.rows:
            return []
        relative, aligned = over(self.how), ALIGNMENTS[self.how.ate_alignment]
        panels = (
            (f"RMS-RPE, translation (m{relative})", [row.rms_rpe_t_m for row in self.rows], "{:.4f}"),
            (f"RMS-RPE, rotation (degrees{relative})", [row.rms_rpe_r_deg for row in self.rows], "{:.4f}"),
            (f"ATE (m, {aligned})", [row.ate_m for row in self.rows], "{:.3f}"),
        )
        names = [label(row.name) for row in self.rows]
        colours = [self.palette.colour(row.name) for row in self.rows]
        with _figure(path, (14, 1.2 + 0.5 * len(names))) as figure:
            for axes, (title, values, form) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
                bars = axes.barh(names, values, color=colours)
                axes.bar_label(bars, [form.format(value) for value in values], padding=3, fontsize=9)
                axes.margins(x=0.2)
                axes.set_title(title, fontsize=10)
                axes.grid(axis="y", visible=False)
                axes.tick_params(axis="y", length=0)
            axes.invert_yaxis()
        return _files(path)

    def spread(self, path: Path) -> list[Path]:
        """Boxes of the relative errors of all pairs of frames."""
        found = spread(self.drives, self.how)
        if not found[0]:
            return []
        titles = f"translation error (m{over(self.how)})", f"rotation error (degrees{over(self.how)})"
        with _figure(path, (12, 1.2 + 0.5 * len(found[0]))) as figure:
            for axes, values, title in zip(figure.subplots(1, 2, sharey=True), found, titles, strict=True):
                drawn = axes.boxplot(
                    list(values.values()), orientation="horizontal", whis=_WHISKERS, showfliers=False, showmeans=True,
                    meanline=True, patch_artist=True, tick_labels=[label(model) for model in values],
                )  # fmt: skip
                for number, model in enumerate(values):
                    own = self.palette.colour(model)
                    drawn["boxes"][number].set(facecolor="white", edgecolor=own, linewidth=1.6)
                    for line in (drawn["medians"][number], drawn["means"][number]):
                        line.set(color=own, linewidth=1.6)
                axes.set_title(title)
                axes.set_xlim(left=0)
            axes.invert_yaxis()
            figure.supxlabel("boxes: the middle half; whiskers: the middle 90 %; dashed: the mean", fontsize=9)
        return _files(path)

    def lengths(self, path: Path) -> list[Path]:
        """KITTI's errors by the length of the stretch."""
        found = by_length(self.drives, self.how, length_grid(self.drives))
        if not found:
            return []
        with _figure(path, (12, 4.2)) as figure:
            titles = "translation error (%)", "rotation error (degrees/100 m)"
            for part, (axes, title) in enumerate(zip(figure.subplots(1, 2), titles, strict=True), 1):
                for model, lines in found.items():
                    axes.plot(lines[0], lines[part], marker="o", markersize=4, **self._line(model))
                axes.set(
                    xlabel="length of the stretch (m)", title=f"{title}, {ALIGNMENTS[self.how.relative_alignment]}"
                )
                axes.set_ylim(bottom=0)
            _legend(figure)
        return _files(path)

    def curves(self, path: Path) -> list[Path]:
        """The loss along each training, on a logarithmic axis."""
        if not any(self.losses.values()):
            return []
        with _figure(path, (8, 4.5)) as figure:
            axes = figure.subplots()
            for model, points in self.losses.items():
                axes.plot([step for step, _ in points], [loss for _, loss in points], **self._line(model))
            axes.set(xlabel="training step", ylabel="training loss", yscale="log")
            axes.set_title("Trainings have different losses: compare the shapes, not the heights")
            axes.legend()
        return _files(path)

    def trajectories(self, path: Path, drive: DriveResult) -> list[Path]:
        """The drive from above, x to the right and z up the page, every estimate aligned as for the ATE."""
        with _figure(path, (7.5, 6.5)) as figure:
            axes = figure.subplots()
            if drive.truth is not None:
                axes.plot(*drive.way[:, [0, 2]].T, color="black", linewidth=2.4, label=drive.reference or "truth")
            for model in drive.estimates:
                axes.plot(*drive.aligned(model, self.how)[:, [0, 2]].T, **self._line(model))
            ends: dict[str, Any] = {"color": "black", "linestyle": "none", "zorder": 5}
            axes.plot(*drive.way[0, [0, 2]], marker="o", markersize=9, markerfacecolor="white", label="start", **ends)
            axes.plot(*drive.way[-1, [0, 2]], marker="s", markersize=8, label="end", **ends)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set(xlabel="x, right (m)", ylabel="z, forward (m)")
            aligned = f", estimates: {ALIGNMENTS[self.how.ate_alignment]}" if drive.truth is not None else ""
            axes.set_title(f"Drive {_plain(drive.name)} from above{aligned}")
            _legend(figure)
        return _files(path)

    def along(self, path: Path, drive: DriveResult) -> list[Path]:
        """The errors over the metres driven: of the position, and of each pair of frames where poses are known."""
        if drive.truth is None:
            return []
        driven = travelled(drive.way)
        with _figure(path, (9, 6 if drive.has_poses else 3.6)) as figure:
            panels = figure.subplots(1 + drive.has_poses, 1, sharex=True, squeeze=False)[:, 0]
            for model, estimate in drive.estimates.items():
                off = np.linalg.norm(drive.aligned(model, self.how) - drive.way[estimate.places], axis=1)
                panels[0].plot(driven[estimate.places], off, **self._line(model))
                if drive.has_poses:
                    found = drive.deviations(model, self.how)
                    panels[1].plot(driven[found.rpe_ends], found.rpe_t_m, **self._line(model))
            panels[0].set_title(f"Drive {_plain(drive.name)}: position error (m, {ALIGNMENTS[self.how.ate_alignment]})")
            if drive.has_poses:
                panels[1].set_title(f"Translation error (m{over(self.how)})")
            panels[-1].set(xlabel="metres driven")
            for axes in panels:
                axes.set_ylim(bottom=0)
            _legend(figure, panels[0])
        return _files(path)

    def _line(self, model: str) -> dict[str, Any]:
        line = _LINES[self.palette.dash(model)]
        return {"linestyle": line, "color": self.palette.colour(model), "linewidth": 1.7, "label": label(model)}


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
    with _drawn(inches) as figure:
        yield figure
        _save(figure, path)


@contextmanager
def _figure(path: Path, inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure that becomes ``_files(path)`` when it is done."""
    with _drawn(inches) as figure:
        yield figure
        for file in _files(path):
            _save(figure, file)
            figure.set_layout_engine("none")  # it has been laid out: half of the time


@contextmanager
def _drawn(inches: tuple[float, float]) -> Iterator[Figure]:
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        yield Figure(figsize=inches, layout="constrained", facecolor="white")


def _save(figure: Figure, path: Path) -> None:
    form = path.suffix[1:]
    dated = {"Date": None} if form == "svg" else None
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=form, dpi=150, metadata=dated)


def _files(path: Path) -> list[Path]:
    return [path, path.with_suffix(".svg")]


def _legend(figure: Figure, axes: Any = None) -> None:
    lines, names = (axes or figure.axes[0]).get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=min(4, max(1, len(names))))


def _plain(text: str) -> str:
    """Text in which matplotlib finds no formula."""
    return text.replace("$", r"\$")
