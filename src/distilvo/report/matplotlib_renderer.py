"""Plots as PNG and SVG files on white, drawn by matplotlib without a display."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unicodedata import category

import matplotlib
from matplotlib.figure import Figure

from distilvo.errors import printable
from distilvo.files import atomic_path
from distilvo.progress import progress
from distilvo.report.plot_specs import (
    INK,
    Axis,
    BarMark,
    BoxMark,
    DotsMark,
    HistogramMark,
    ImageStrip,
    LineMark,
    Mark,
    Panel,
    Plot,
    PointMark,
)

_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_SYMBOLS: dict[str, dict[str, Any]] = {
    "open circle": {"marker": "o", "markersize": 9, "markerfacecolor": "white"},
    "square": {"marker": "s", "markersize": 8},
}
_STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": "#e6e6e6",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "distilvo",  # the same run gives the same file
}
_POINTS_A_PIXEL = 0.85
_LETTERS_AN_INCH = 13
_LEGEND_LETTERS = 6  # as wide as the line beside a name


def write_plots(folder: Path, plots: Sequence[Plot]) -> list[Path]:
    """Write each plot as ``NAME.png`` and ``NAME.svg``, one with strips of frames as PNG alone; return the files.

    Raises:
        DistilvoError: an image cannot be written.
    """
    paths = []
    with progress("images", len(plots)) as bar:
        for plot in plots:
            paths += write_plot(folder, plot)
            bar.advance()
    return paths


def write_plot(folder: Path, plot: Plot) -> list[Path]:
    """Write one plot; see :func:`write_plots`."""
    strip_inches = [_strip_inches(strip, plot.inches[0]) for strip in plot.strips]
    width, height = plot.inches
    endings = ("png",) if plot.strips else ("png", "svg")
    # A name may have dots.
    paths = [folder / f"{plot.name}.{ending}" for ending in endings]
    with _drawn((width, height + sum(strip_inches))) as figure:
        parts = [figure]
        if plot.strips:
            heights = [height, *strip_inches]
            parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0].tolist()
        _draw_panels(parts[0], plot)
        for part, strip in zip(parts[1:], plot.strips, strict=True):
            _draw_strip(part, strip)
        for path in paths:
            _save(figure, path)
            figure.set_layout_engine("none")  # it has been laid out: half of the time
    return paths


@contextmanager
def png_figure(path: Path, inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure that becomes the PNG file ``path`` when it is done."""
    with _drawn(inches) as figure:
        yield figure
        _save(figure, path)


def name_rows(panels: Sequence[Any], names: Sequence[str]) -> None:
    """Give panels that share their y axis named rows, the first one on top."""
    panels[0].set_yticks(range(len(names)), [plain(name) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)


def plain(text: str) -> str:
    """Text in which matplotlib finds no formula, and no sign that no font has; spaces of all kinds are plain ones."""
    spaced = "".join(" " if category(sign) == "Zs" else sign for sign in text)
    return "\n".join(map(printable, spaced.split("\n"))).replace("$", r"\$")


@contextmanager
def _drawn(inches: tuple[float, float]) -> Iterator[Figure]:
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
        yield Figure(figsize=inches, layout="constrained", facecolor="white")


def _save(figure: Figure, path: Path) -> None:
    ending = path.suffix[1:]
    undated = {"Date": None} if ending == "svg" else None
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font does not have
        figure.savefig(temporary, format=ending, dpi=150, metadata=undated)


def _draw_panels(part: Any, plot: Plot) -> None:
    first, count = plot.panels[0], len(plot.panels)
    rows, columns = (count, 1) if plot.stacked else (1, count)
    grid = part.subplots(rows, columns, squeeze=False, sharex=plot.stacked, sharey=bool(first.rows))
    for axes, panel in zip(grid.flat, plot.panels, strict=True):
        _draw_panel(axes, panel)
        if plot.stacked:
            axes.label_outer()
    if first.rows:
        name_rows(list(grid.flat), first.rows)
    note = textwrap.fill(plot.note, int(_LETTERS_AN_INCH * plot.inches[0]))
    part.suptitle(plain(f"{plot.title}\n{note}".rstrip()), x=0.01, ha="left", fontsize=10)
    with_lines = [axes for axes, panel in zip(grid.flat, plot.panels, strict=True) if panel.lines]
    if with_lines:
        lines, names = with_lines[0].get_legend_handles_labels()
        columns = int(_LETTERS_AN_INCH * plot.inches[0] / (_LEGEND_LETTERS + max(map(len, names))))
        part.legend(lines, names, loc="outside lower center", ncols=max(1, min(4, columns, len(names))))


def _draw_panel(axes: Any, panel: Panel) -> None:
    for row, mark in enumerate(panel.marks):
        _draw_mark(axes, mark, row)
    axes.set(title=plain(panel.title), xlabel=panel.x.label, ylabel=panel.y.label)
    _scale(axes, "x", panel.x)
    _scale(axes, "y", panel.y)
    if panel.equal:
        axes.set_aspect("equal", adjustable="datalim")


def _scale(axes: Any, name: str, axis: Axis) -> None:
    if axis.log:
        axes.set(**{f"{name}scale": "log"})
    if axis.from_zero:
        axes.set(**{f"{name}lim": (0, None)})


def _draw_mark(axes: Any, mark: Mark, row: int) -> None:
    match mark:
        case LineMark():
            _draw_line(axes, mark)
        case PointMark():
            look = _SYMBOLS[mark.symbol]
            axes.plot(mark.x, mark.y, color="black", linestyle="none", zorder=5, label=plain(mark.name), **look)
        case DotsMark():
            axes.plot(mark.x, mark.y, "x", color=mark.colour, markersize=6, zorder=4, label=plain(mark.name))
        case BoxMark():
            _draw_box(axes, mark, row)
        case BarMark():
            bar = axes.barh(row, mark.value, color=mark.colour)
            axes.bar_label(bar, [mark.text], padding=3, fontsize=9)
            axes.margins(x=0.2)
        case HistogramMark():
            axes.stairs(mark.counts, mark.edges, fill=True, color=mark.colour)
            axes.vlines(mark.edges, 0, axes.get_ylim()[1], color="white", linewidth=0.5)
            axes.grid(axis="x", visible=False)


def _draw_line(axes: Any, mark: LineMark) -> None:
    colour = "black" if mark.colour == INK else mark.colour
    width, dots = _POINTS_A_PIXEL * mark.width, {"marker": "o", "markersize": 4} if mark.dots else {}
    line = {"linestyle": _DASHES[mark.dash], "linewidth": width, "color": colour, **dots}
    axes.plot(mark.x, mark.y, label=plain(mark.name), **line)


def _draw_box(axes: Any, mark: BoxMark, row: int) -> None:
    names = ("whislo", "q1", "med", "q3", "whishi")
    numbers = dict(zip(names, mark.quantiles, strict=True)) | {"mean": mark.mean}
    line = {"color": mark.colour, "linewidth": 1.6}
    axes.bxp(
        [numbers], positions=[row], widths=0.5, orientation="horizontal", manage_ticks=False, showfliers=False,
        showmeans=True, meanline=True, patch_artist=True, medianprops=line, meanprops=line | {"linestyle": "--"},
        whiskerprops=line, capprops=line,
        boxprops={"facecolor": "white", "edgecolor": mark.colour, "linewidth": 1.6},
    )  # fmt: skip


def _strip_inches(strip: ImageStrip, width: float) -> float:
    """Height of a row of frames that fills the width, with the room for its title and captions."""
    tallest = max(sample.image.shape[0] / sample.image.shape[1] for sample in strip.images)
    return tallest * width / len(strip.images) + 1.0


def _draw_strip(part: Any, strip: ImageStrip) -> None:
    part.suptitle(plain(strip.title), x=0.01, ha="left", color=strip.colour, fontsize=11, fontweight="bold")
    for axes, sample in zip(part.subplots(1, len(strip.images), squeeze=False)[0], strip.images, strict=True):
        axes.imshow(sample.image, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set(visible=True, color=strip.colour, linewidth=1.5)
        axes.set_xlabel(plain("\n".join(sample.caption)), fontsize=8)
