"""What a driver would look for in a tracked drive: speed, turn rate, doubted frames, and how well places are known."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.se3 import Floats
from distilvo.report.plot_specs import Axis, DotsMark, LineMark, Mark, Panel, Plot
from distilvo.report.results import Pace
from distilvo.report.style import LEAST_TRUSTED
from distilvo.report.thinning import evenly_spread

DEVIATIONS = 2.0
"""Standard deviations on either side that bands and ellipses show."""

_COLOUR, _BAND = "#0072b2", "#999999"
_STATUS_COLOURS = {"gap": "#e69f00", "static image": "#999999", "no texture": "#009e73", "implausible": LEAST_TRUSTED}
_ELLIPSES, _CORNERS = 24, 33
BAND = f"± {DEVIATIONS:g} standard deviations"


def pace_plot(name: str, pace: Pace) -> Plot:
    """Speed and turn rate of a drive over time, one below the other, with the frames that cannot be trusted."""
    x = Axis("time, assumed (s)" if pace.assumed_times else "time (s)")
    panels = [
        Panel(title, x, Axis(), _marks(values, deviation, pace))
        for title, values, deviation in (
            ("speed, forward (km/h)", pace.speed_km_h, pace.speed_deviation),
            ("turn rate, to the right (degrees/s)", pace.turn_deg_s, pace.turn_deviation),
        )
    ]
    note = "By the model's motions."
    if pace.speed_deviation is not None:
        note += f" Grey: {BAND}, which the model states of each motion."
    if pace.assumed_times:
        note += " The times are assumed, and so is the unit of both axes: shapes can be compared, numbers cannot."
    file = quote(name, safe=" ", errors="surrogateescape")  # different names stay different
    return Plot(f"pace_{file}", f"Drive {name}", note, panels, (9, 6.8), stacked=True)


def ellipses(positions: Floats, covariances: Floats) -> LineMark:
    """Where a drive may be, seen from above: ellipses of ``DEVIATIONS`` at 24 of its places (N, 3), as one line.

    ``covariances`` (N, 6, 6) are those of ``runtime.Pose``. The line is interrupted by NaN.
    """
    chosen = evenly_spread(len(positions), _ELLIPSES)
    angles = np.linspace(0, 2 * np.pi, _CORNERS)
    circle = np.append(np.stack([np.cos(angles), np.sin(angles)]), [[np.nan], [np.nan]], axis=1)
    flat = covariances[chosen][:, [[0], [2]], [0, 2]]
    squares, axes = np.linalg.eigh(flat)
    half_axes = axes * np.sqrt(squares.clip(min=0))[:, None, :]
    x, z = np.moveaxis(positions[chosen][:, [0, 2], None] + DEVIATIONS * half_axes @ circle, 1, 0)
    return LineMark(BAND, x.ravel(), z.ravel(), _BAND, width=1.0)


def _marks(values: Floats, deviation: Floats | None, pace: Pace) -> list[Mark]:
    frames = np.arange(len(values))
    marks: list[Mark] = [LineMark("the model", pace.seconds, values, _COLOUR, frames=frames)]
    if deviation is not None:
        x, edges = (
            _twice(pace.seconds, pace.seconds),
            _twice(values + DEVIATIONS * deviation, values - DEVIATIONS * deviation),
        )
        marks.append(LineMark(BAND, x, edges, _BAND, "dot", width=1.0))
    for status, colour in _STATUS_COLOURS.items():
        places = np.flatnonzero(
            [one == status and known for one, known in zip(pace.statuses, ~np.isnan(values), strict=True)]
        )
        if len(places):
            marks.append(DotsMark(status, pace.seconds[places], values[places], colour, places))
    return marks


def _twice(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> Floats:
    """Two lines as one, with a gap between them."""
    return np.concatenate([upper, [np.nan], lower])
