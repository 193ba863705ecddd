"""One HTML page of a run that holds all it shows: it opens without a network, on a phone, in light and in dark."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from distilvo import environment
from distilvo.files import write_text
from distilvo.report.page_template import render_page
from distilvo.report.plot_specs import ImageStrip, Panel, Plot
from distilvo.report.plotly_renderer import plotly_figure, points_of_a_line
from distilvo.report.results import DriveResult, ReportTable, RunResults, TableCell
from distilvo.report.run_plots import DrivePlots, RunPlots, run_palette, run_plots
from distilvo.report.style import Palette, label
from distilvo.report.thinning import evenly_spread
from distilvo.report.thumbnails import data_uris
from distilvo.trajectory.segments import travelled

_IMAGES_BUDGET = 750_000

ImageKey = tuple[str, int]
"""Which image of a page: key of the drive and frame, or title of the strip and place in it."""


@dataclass(frozen=True)
class PagePlot:
    """A panel on the page.

    Attributes:
        key: of its data, unique on the page.
        panel: what is drawn.
        size: class in ``page.css``.
        linked: how it shows a place of its drive: on a ``map``, ``along`` the way, by its ``time``, or not at all.
    """

    key: str
    panel: Panel
    size: str = ""
    linked: str = ""


@dataclass(frozen=True)
class PageImage:
    """An image as a ``data:`` address, with what stands below it, line by line; ``number``: frame, or place."""

    number: int
    address: str
    caption: tuple[str, ...]


@dataclass(frozen=True)
class PageSection:
    """A part of the page.

    Attributes:
        key: its anchor.
        link: the text of the link to it.
        title, note: above the plots.
        pair: plots beside each other.
        below: plots of the whole width.
        film: images of a drive along its way.
        strips: other images, by title.
        is_drive: its plots and images show one place together.
    """

    key: str
    link: str
    title: str
    note: str
    pair: list[PagePlot] = field(default_factory=list)
    below: list[PagePlot] = field(default_factory=list)
    film: list[PageImage] = field(default_factory=list)
    strips: dict[str, list[PageImage]] = field(default_factory=dict)
    is_drive: bool = False


@dataclass(frozen=True)
class PageRow:
    """A row of a table: a model, its colour, and what stands behind it."""

    name: str
    colour: str
    cells: list[TableCell]


@dataclass(frozen=True)
class PageTable:
    """A table with the colours of the models."""

    headers: tuple[str, ...]
    rows: list[PageRow]
    note: str


def write_page(path: Path, results: RunResults, plots: RunPlots | None = None) -> Path:
    """Write the page of a run, under 6 MB, and return its path; ``plots``: those of the run, where they are made.

    Raises:
        DistilvoError: the page cannot be written, or an estimate does not fit its drive.
    """
    plots = plots or run_plots(results)
    sections = _sections(plots)
    page_plots = [plot for section in sections for plot in (*section.pair, *section.below)]
    # A drive has one line more: the place of each frame.
    most_points = points_of_a_line(sum(len(plot.panel.lines) for plot in page_plots) + len(plots.drives))
    palette = run_palette(results)
    text = render_page(
        "report.html",
        results=results,
        tables=[_table(table, palette) for table in results.tables],
        sections=sections,
        settings={name: _text(value) for name, value in results.settings.items()},
        machine=_machine(),
        figures={plot.key: plotly_figure(plot.panel, most_points) for plot in page_plots},
        ways={_key(number): _way(of.drive, most_points) for number, of in enumerate(plots.drives)},
        plotly=Markup(get_plotlyjs()),
    )
    write_text(path, text)
    return path


def _sections(plots: RunPlots) -> list[PageSection]:
    """The sections that there is something for, in the order of the page."""
    addresses = _addresses(plots)
    sections = []
    if (plot := plots.spread) is not None:
        sections.append(PageSection("errors", "single frames", plot.title, plot.note, pair=_plots(plot, "low")))
    if (plot := plots.lengths) is not None:
        sections.append(PageSection("lengths", "path lengths", plot.title, plot.note, pair=_plots(plot)))
    sections += [_drive(_key(number), drive, addresses) for number, drive in enumerate(plots.drives)]
    if (plot := plots.curves) is not None:
        sections.append(PageSection("training", "training", plot.title, plot.note, below=_plots(plot)))
    if plots.films:
        first, below = plots.films[0], [panel for plot in plots.films for panel in _plots(plot, "low")]
        sections.append(PageSection("along", "trust along the way", first.title, first.note, below=below))
    if (plot := plots.trust) is not None:
        strips = {strip.title: _images(strip, addresses) for strip in plot.strips}
        trust = PageSection("trust", "trust", plot.title, plot.note, below=_plots(plot, "low"), strips=strips)
        sections.append(trust)
    return sections


def _drive(key: str, plots: DrivePlots, addresses: dict[ImageKey, str]) -> PageSection:
    """A drive from above, its errors along the way, and images of the places."""
    drive, trajectory = plots.drive, plots.trajectory
    pair = [PagePlot(f"{key}-map", trajectory.panels[0], "tall", "map")]
    along = plots.along.panels if plots.along is not None else []
    pair += [PagePlot(f"{key}-position", panel, "tall", "along") for panel in along[:1]]
    below = [PagePlot(f"{key}-relative", panel, "low", "along") for panel in along[1:]]
    pace = plots.pace.panels if plots.pace is not None else []
    below += [PagePlot(f"{key}-pace-{number}", panel, "low", "time") for number, panel in enumerate(pace)]
    note = trajectory.note if plots.pace is None else f"{trajectory.note} {plots.pace.note}"
    film = [PageImage(frame, addresses[key, frame], (_place(drive, frame),)) for frame in drive.images]
    return PageSection(key, f"drive {drive.name}", trajectory.title, note, pair, below, film, is_drive=True)


def _plots(plot: Plot, size: str = "") -> list[PagePlot]:
    return [PagePlot(f"{plot.name}-{number}", panel, size) for number, panel in enumerate(plot.panels)]


def _images(strip: ImageStrip, addresses: dict[ImageKey, str]) -> list[PageImage]:
    return [PageImage(n, addresses[strip.title, n], sample.caption) for n, sample in enumerate(strip.images)]


def _addresses(plots: RunPlots) -> dict[ImageKey, str]:
    """Every image of the page as a ``data:`` address, all of them within one budget."""
    images = {(_key(n), frame): image for n, of in enumerate(plots.drives) for frame, image in of.drive.images.items()}
    strips = plots.trust.strips if plots.trust is not None else ()
    images |= {(strip.title, n): sample.image for strip in strips for n, sample in enumerate(strip.images)}
    return data_uris(images, _IMAGES_BUDGET)


def _key(number: int) -> str:
    """Of a drive."""
    return f"drive{number}"


def _way(drive: DriveResult, most_points: int) -> dict[str, list[float]]:
    """Where the frames of a drive are: ``frame``, ``x``, ``z`` (m), ``metres`` driven and, where known, ``seconds``."""
    kept = evenly_spread(len(drive.way), most_points)
    places = {"x": drive.way[kept, 0], "z": drive.way[kept, 2], "metres": travelled(drive.way)[kept]}
    if drive.pace is not None:
        places["seconds"] = drive.pace.seconds[kept]
    return {"frame": kept.tolist()} | {name: np.round(values, 2).tolist() for name, values in places.items()}


def _place(drive: DriveResult, frame: int) -> str:
    """What stands below the image of a frame."""
    if drive.times is None:
        return f"frame {frame}"
    return f"frame {frame}, {drive.times[frame] - drive.times[0]:.1f} s"


def _table(table: ReportTable, palette: Palette) -> PageTable:
    rows = [PageRow(label(name.text), palette.colour(name.text), cells) for name, *cells in table.rows]
    return PageTable(table.headers, rows, table.note)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _machine() -> dict[str, str]:
    facts = environment.describe()
    versions = {"python": facts["python"], **facts["versions"]}
    cores = f"{facts['cores_usable']} of {facts['cores']}"
    return versions | {"system": facts["os"], "processor": facts["cpu"], "cores": cores}
