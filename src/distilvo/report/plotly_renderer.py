"""A panel as what plotly.js reads: plain dicts of ``data`` and ``layout``. Needs no plotly.

Colours of text, axes and ground follow the page, light or dark, and are set there; a trace whose ``meta`` is "ink"
takes the colour of text. ``customdata`` of a line holds frames, by which the page finds the image of a place. Long
lines are thinned, so that a page of many drives stays small.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distilvo.report.plot_specs import INK, BarMark, BoxMark, DotsMark, HistogramMark, LineMark, Mark, Panel, PointMark
from distilvo.report.thinning import evenly_spread, peaks, with_gaps

Figure = dict[str, Any]

_POINTS_A_PAGE = 30_000
_FEWEST_POINTS, _MOST_POINTS = 50, 1500
_SYMBOLS = {"open circle": "circle-open", "square": "square"}
_QUANTILE_NAMES = ("lowerfence", "q1", "median", "q3", "upperfence")


def points_of_a_line(lines: int) -> int:
    """How many points each line has at most, on a page of so many lines."""
    return int(np.clip(_POINTS_A_PAGE // max(1, lines), _FEWEST_POINTS, _MOST_POINTS))


def plotly_figure(panel: Panel, most_points: int) -> Figure:
    """The panel, each line thinned to ``most_points``."""
    return {"data": [_trace(mark, panel, most_points) for mark in panel.marks], "layout": _layout(panel)}


def _trace(mark: Mark, panel: Panel, most_points: int) -> Figure:
    match mark:
        case LineMark():
            return _line(mark, most_points)
        case PointMark():
            return _point(mark)
        case DotsMark():
            return _dots(mark)
        case BoxMark():
            return _box(mark)
        case BarMark():
            bar = {"type": "bar", "orientation": "h", "x": [mark.value], "y": [mark.name], "text": [mark.text]}
            return bar | {"marker": {"color": mark.colour}, "hoverinfo": "none"}
        case HistogramMark():
            return _histogram(mark, panel)


def _line(mark: LineMark, most_points: int) -> Figure:
    kept = peaks(mark.y, most_points) if mark.spiky else evenly_spread(len(mark.y), most_points)
    kept = np.arange(len(mark.y)) if mark.dots else with_gaps(kept, mark.y)
    mode = "lines+markers" if mark.dots else "lines"
    line: Figure = {"type": "scatter", "mode": mode, "name": mark.name, "hovertemplate": "%{y:.4~g}"}
    line |= {"x": _array(mark.x[kept]), "y": _array(mark.y[kept]), "line": {"width": mark.width, "dash": mark.dash}}
    if mark.frames is not None:
        line["customdata"] = _array(mark.frames[kept], "<i4")
    if mark.colour == INK:
        return line | {"meta": INK}
    line["line"]["color"] = mark.colour
    return line


def _point(mark: PointMark) -> Figure:
    point: Figure = {"type": "scatter", "mode": "markers+text", "x": [float(mark.x)], "y": [float(mark.y)]}
    name = {"name": mark.name, "text": [mark.name], "textposition": "bottom center", "hoverinfo": "name"}
    marker = {"symbol": _SYMBOLS[mark.symbol], "size": 11, "line": {"width": 2}}
    return point | name | {"showlegend": False, "meta": INK, "marker": marker}


def _dots(mark: DotsMark) -> Figure:
    places = {"x": _array(mark.x), "y": _array(mark.y), "customdata": _array(mark.frames, "<i4")}
    marker = {"symbol": "x", "size": 8, "color": mark.colour}
    return {"type": "scatter", "mode": "markers", "name": mark.name, "marker": marker, "hoverinfo": "name"} | places


def _box(mark: BoxMark) -> Figure:
    quantiles = {name: [value] for name, value in zip(_QUANTILE_NAMES, mark.quantiles, strict=True)}
    box = {"type": "box", "orientation": "h", "y": [mark.name], "name": mark.name, "mean": [mark.mean]}
    return box | quantiles | {"boxmean": True, "line": {"color": mark.colour}}


def _histogram(mark: HistogramMark, panel: Panel) -> Figure:
    return {
        "type": "bar",
        "x": _array((mark.edges[:-1] + mark.edges[1:]) / 2),
        "y": _array(mark.counts),
        "width": float(mark.edges[1] - mark.edges[0]),
        "marker": {"color": mark.colour},
        "hovertemplate": f"{panel.x.label}, about %{{x:.3f}}: %{{y}} {panel.y.label}<extra></extra>",
    }


def _layout(panel: Panel) -> Figure:
    x: Figure = {"title": {"text": panel.x.label, "standoff": 6}}
    y: Figure = {"title": {"text": panel.y.label}}
    layout: Figure = {"margin": {"l": 56, "r": 12, "t": 34, "b": 48 if panel.x.label else 28}, "xaxis": x, "yaxis": y}
    layout["legend"] = {"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0}
    for axis, spec in ((panel.x, x), (panel.y, y)):
        if axis.from_zero:
            spec["rangemode"] = "tozero"
        if axis.log:
            spec |= {"type": "log", "dtick": 1, "minor": {"showgrid": False, "ticks": "outside"}}
    if panel.title:
        # From the left edge, not from the axis: the buttons at the right need room.
        layout["title"] = {"text": panel.title, "x": 0, "pad": {"l": 8}, "font": {"size": 12}}
    if panel.rows:
        y |= {"autorange": "reversed", "showgrid": False, "automargin": True}
    if panel.equal:
        y |= {"scaleanchor": "x", "scaleratio": 1}
        layout["dragmode"] = "pan"
    if not panel.lines:
        return layout | {"showlegend": False}
    return layout | {"hovermode": "closest" if panel.equal else "x unified"}


def _array(values: ArrayLike, dtype: str = "<f4") -> Figure:
    """Numbers as plotly.js reads them most compactly: base64 of float32, or of int32."""
    raw = np.asarray(values, dtype=dtype).tobytes()
    return {"dtype": dtype[1:], "bdata": base64.b64encode(raw).decode("ascii")}
