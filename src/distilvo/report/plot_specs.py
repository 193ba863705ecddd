"""What a plot is made of. Plain data: the page and the files of ``plots/`` are drawn from the same plot.

A plot has panels, a panel has marks. What is drawn, its names, units, alignments, colours and dashes stand here; how a
library draws it is decided in ``plotly_renderer`` (page) and ``matplotlib_renderer`` (PNG, SVG).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from distilvo.report.results import Image
from distilvo.report.style import Dash
from distilvo.trajectory.segments import Indices

INK = "ink"
"""The colour of text: black on paper, and on a page dark or light as the page is."""


@dataclass(frozen=True, eq=False)
class LineMark:
    """A line through points.

    Attributes:
        name: in the legend.
        x, y: (P,) in the units of the axes.
        colour: #rrggbb, or ``INK``.
        dash: the kind of the line.
        width: pixels of a page.
        dots: each point is marked; the line is never thinned.
        frames: (P,) the frame of the drive that each point belongs to, where there is one.
        spiky: a thinned line keeps the largest of neighbouring values.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    colour: str
    dash: Dash = "solid"
    width: float = 2.0
    dots: bool = False
    frames: Indices | None = None
    spiky: bool = False


@dataclass(frozen=True, eq=False)
class PointMark:
    """A named point at (x, y); its colour is ``INK``."""

    name: str
    x: float
    y: float
    symbol: Literal["open circle", "square"]


@dataclass(frozen=True, eq=False)
class DotsMark:
    """Single points (P,) that belong to ``frames`` (P,) of the drive."""

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    colour: str
    frames: Indices


@dataclass(frozen=True, eq=False)
class BoxMark:
    """A horizontal box with whiskers, one row of its panel: the 5, 25, 50, 75 and 95 % quantiles, and the mean."""

    name: str
    colour: str
    quantiles: tuple[float, float, float, float, float]
    mean: float


@dataclass(frozen=True, eq=False)
class BarMark:
    """A horizontal bar from 0, one row of its panel, with its value as ``text`` at its end."""

    name: str
    colour: str
    value: float
    text: str


@dataclass(frozen=True, eq=False)
class HistogramMark:
    """Bars of ``counts`` (B,) between ``edges`` (B + 1,)."""

    colour: str
    counts: NDArray[Any]
    edges: NDArray[Any]


Mark = LineMark | PointMark | DotsMark | BoxMark | BarMark | HistogramMark
ROWS = BoxMark, BarMark
"""Marks that are rows of a panel: the names stand at the y axis, the first one on top."""


@dataclass(frozen=True)
class Axis:
    """``label`` with its unit; ``log``: logarithmic; ``from_zero``: begins at 0."""

    label: str = ""
    log: bool = False
    from_zero: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes; ``title`` with unit and alignment; ``equal``: x and y have one scale, as on a map."""

    title: str
    x: Axis
    y: Axis
    marks: list[Mark]
    equal: bool = False

    @property
    def rows(self) -> list[str]:
        """The names at the y axis, from the top."""
        return [mark.name for mark in self.marks if isinstance(mark, ROWS)]

    @property
    def lines(self) -> list[LineMark]:
        """The marks that are lines; a panel with lines has a legend."""
        return [mark for mark in self.marks if isinstance(mark, LineMark)]


@dataclass(frozen=True, eq=False)
class CaptionedImage:
    """A frame and the lines below it; the last one says which frame it is."""

    image: Image
    caption: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ImageStrip:
    """Frames beside each other; ``colour`` is that of the title and of the edges."""

    title: str
    colour: str
    images: list[CaptionedImage]


@dataclass(frozen=True, eq=False)
class Plot:
    """Panels that belong together.

    Attributes:
        name: of the file, without its ending.
        title: one line.
        note: a sentence or two about what is shown; may be empty.
        panels: at least one.
        inches: width and height on paper, without the strips.
        stacked: one below the other with one x axis, not beside each other.
        strips: below the panels.
    """

    name: str
    title: str
    note: str
    panels: list[Panel]
    inches: tuple[float, float]
    stacked: bool = False
    strips: tuple[ImageStrip, ...] = ()
