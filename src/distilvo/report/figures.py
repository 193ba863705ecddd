"""The page's interactive plots, as what plotly.js reads: plain dicts of ``data`` and ``layout``.

Colours of text, axes and ground follow the page, light or dark, and are set there; a trace whose ``meta`` is "ink"
takes the colour of text. ``customdata`` of a line holds frames, by which the page finds the picture of a place. Long
lines are thinned, so that a page of many drives stays small.
"""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distilvo.pairs import travelled
from distilvo.report.measures import Spread, by_length, length_grid, spread
from distilvo.report.results import Curves, DriveResult, TrustResult
from distilvo.report.style import ALIGNMENTS, MOST_TRUSTED, Palette, label, over
from distilvo.settings import Scoring

Spec = dict[str, Any]

_POINTS = 30_000
_FEWEST_POINTS, _MOST_POINTS = 50, 1500
_LINES_A_MODEL = 3
_WHISKERS = (5, 25, 50, 75, 95)
_PHI_BINS = 40


class Figures:
    """The plots of a run's drives; each has its lines thinned to ``points``."""

    def __init__(self, drives: list[DriveResult], how: Scoring, palette: Palette) -> None:
        self.drives, self.how, self.palette = drives, how, palette
        lines = sum(2 + _LINES_A_MODEL * len(drive.estimates) for drive in drives)
        self.points = int(np.clip(_POINTS // max(1, lines), _FEWEST_POINTS, _MOST_POINTS))

    def way(self, drive: DriveResult) -> dict[str, list[float]]:
        """Where the frames of a drive are: ``frame``, ``x``, ``z`` (m) and ``metres`` driven."""
        kept = _kept(len(drive.way), self.points)
        places = {"x": drive.way[kept, 0], "z": drive.way[kept, 2], "metres": travelled(drive.way)[kept]}
        return {"frame": kept.tolist()} | {name: np.round(values, 2).tolist() for name, values in places.items()}

    def trajectories(self, drive: DriveResult) -> Spec:
        """The drive from above; x to the right, z up, one scale for both; estimates aligned as for the ATE."""
        data = []
        if drive.truth is not None:
            kept = _kept(len(drive.way), self.points)
            line = _line(drive.way[kept, 0], drive.way[kept, 2], drive.reference or "truth", 3, kept)
            data.append(line | {"meta": "ink"})
        for model, estimate in drive.estimates.items():
            kept = _kept(len(estimate.poses), self.points)
            at = drive.aligned(model, self.how)[kept]
            data.append(self._model_line(at[:, 0], at[:, 2], model, estimate.places[kept]))
        data += [_mark(drive.way[0], "start", "circle-open"), _mark(drive.way[-1], "end", "square")]
        layout = _layout("x, right (m)", "z, forward (m)")
        layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
        return {"data": data, "layout": layout | {"dragmode": "pan", "hovermode": "closest"}}

    def position_error(self, drive: DriveResult) -> Spec:
        """Distance between each estimate, aligned as for the ATE, and the truth, over the metres driven."""
        driven = travelled(drive.way)
        data = []
        for model, estimate in drive.estimates.items():
            kept = _kept(len(estimate.poses), self.points)
            frames = estimate.places[kept]
            off = np.linalg.norm(drive.aligned(model, self.how) - drive.way[estimate.places], axis=1)
            data.append(self._model_line(driven[frames], off[kept], model, frames))
        return _along(data, f"position error (m, {ALIGNMENTS[self.how.ate_alignment]})")

    def relative_error(self, drive: DriveResult) -> Spec:
        """Relative translation error of each pair of frames over the metres driven; of thinned ones the largest."""
        driven = travelled(drive.way)
        data = []
        for model in drive.estimates:
            found = drive.deviations(model, self.how)
            if len(found.rpe_t_m):
                frames, values = _peaks(found.rpe_ends, found.rpe_t_m, self.points)
                data.append(self._model_line(driven[frames], values, model, frames))
        spec = _along(data, "m")  # the plot is too low for all of it beside the axis
        title = f"translation error of each pair of frames (m{over(self.how)})"
        spec["layout"]["title"] = {"text": title, "x": 0, "xref": "paper", "font": {"size": 12}}
        return spec

    def error_boxes(self) -> tuple[Spec, Spec]:
        """Relative errors of all pairs of frames, a box for each model: translation (m), rotation (degrees)."""
        translation, rotation = spread(self.drives, self.how)
        return (
            self._boxes(translation, f"translation error (m{over(self.how)})"),
            self._boxes(rotation, f"rotation error (degrees{over(self.how)})"),
        )

    def error_by_length(self) -> list[Spec]:
        """KITTI's errors against the length of the stretch: translation (%), rotation (degrees/100 m); none without."""
        found = by_length(self.drives, self.how, length_grid(self.drives))
        specs = []
        for part, title in enumerate(("translation error (%)", "rotation error (degrees/100 m)"), 1):
            data = [
                self._model_line(lines[0], lines[part], model) | {"mode": "lines+markers"}
                for model, lines in found.items()
            ]
            layout = _layout("length of the stretch (m)", title)
            layout["yaxis"]["rangemode"] = "tozero"
            specs.append({"data": data, "layout": layout | {"hovermode": "x unified"}})
        return specs if found else []

    def training_curves(self, curves: Curves) -> Spec:
        """The loss along each training, on a logarithmic axis."""
        data = []
        for model, points in curves.items():
            kept = np.array(points, dtype=np.float64).reshape(-1, 2)[_kept(len(points), _MOST_POINTS)]
            data.append(self._model_line(kept[:, 0], kept[:, 1], model))
        layout = _layout("training step", "training loss")
        layout["yaxis"] |= {"type": "log", "dtick": 1, "minor": {"showgrid": False, "ticks": "outside"}}
        return {"data": data, "layout": layout | {"hovermode": "x unified"}}

    def _boxes(self, values: Spread, title: str) -> Spec:
        """Boxes from quartiles found here; the whiskers hold the middle 90 % of frames, the dashed line is the mean."""
        data = [_box(label(model), self.palette.colour(model), found) for model, found in values.items()]
        layout = _layout(title, "")
        layout["xaxis"]["rangemode"] = "tozero"
        layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "automargin": True}
        return {"data": data, "layout": layout | {"showlegend": False}}

    def _model_line(self, x: ArrayLike, y: ArrayLike, model: str, frames: ArrayLike | None = None) -> Spec:
        line = _line(x, y, label(model), 2, frames)
        line["line"] |= {"color": self.palette.colour(model), "dash": self.palette.dash(model)}
        return line


def trust_histogram(trust: TrustResult) -> Spec:
    """How Phi is spread over the training set."""
    counts, edges = np.histogram(trust.phi, bins=_PHI_BINS)
    bars = {
        "type": "bar",
        "x": _array((edges[:-1] + edges[1:]) / 2),
        "y": _array(counts),
        "width": float(edges[1] - edges[0]),
        "marker": {"color": MOST_TRUSTED},
        "hovertemplate": "Φ about %{x:.3f}: %{y} samples<extra></extra>",
    }
    layout = _layout("Φ, trust in the teacher", "training samples")
    return {"data": [bars], "layout": layout | {"bargap": 0.05, "showlegend": False}}


def _along(data: list[Spec], title: str) -> Spec:
    layout = _layout("metres driven", title)
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": layout | {"hovermode": "x unified"}}


def _box(name: str, colour: str, values: NDArray[np.float64]) -> Spec:
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    quantiles = dict(zip(names, ([float(q)] for q in np.percentile(values, _WHISKERS)), strict=True))
    box = {"type": "box", "orientation": "h", "y": [name], "name": name, "mean": [float(values.mean())]}
    return box | quantiles | {"boxmean": True, "line": {"color": colour}}


def _line(x: ArrayLike, y: ArrayLike, name: str, width: float, frames: ArrayLike | None = None) -> Spec:
    line: Spec = {"type": "scatter", "mode": "lines", "x": _array(x), "y": _array(y), "name": name}
    line |= {"line": {"width": width}, "hovertemplate": "%{y:.4~g}"}
    return line if frames is None else line | {"customdata": _array(frames, "<i4")}


def _mark(position: NDArray[np.float64], name: str, symbol: str) -> Spec:
    at: Spec = {"type": "scatter", "mode": "markers+text", "x": [float(position[0])], "y": [float(position[2])]}
    said = {"name": name, "text": [name], "textposition": "bottom center", "showlegend": False, "hoverinfo": "name"}
    return at | said | {"meta": "ink", "marker": {"symbol": symbol, "size": 11, "line": {"width": 2}}}


def _layout(x_title: str, y_title: str) -> Spec:
    return {
        "margin": {"l": 56, "r": 12, "t": 34, "b": 48},
        "xaxis": {"title": {"text": x_title, "standoff": 6}},
        "yaxis": {"title": {"text": y_title}},
        "legend": {"orientation": "h", "y": -0.24, "yanchor": "top", "x": 0},
    }


def _kept(count: int, points: int) -> NDArray[np.intp]:
    """Which of ``count`` points to draw: at most ``points``, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, points)).round().astype(np.intp))


def _peaks(frames: NDArray[np.intp], values: NDArray[np.float64], points: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """At most ``points`` of the values (P,) and their frames: of each run of equal length the largest."""
    if len(values) <= points:
        return frames, values
    edges = np.linspace(0, len(values), points + 1).round().astype(np.intp)
    largest = np.array([first + int(np.argmax(values[first:last])) for first, last in pairwise(edges)])
    return frames[largest], values[largest]


def _array(values: ArrayLike, dtype: str = "<f4") -> Spec:
    """Numbers as plotly.js reads them most compactly: base64 of float32, or of int32."""
    raw = np.asarray(values, dtype=dtype).tobytes()
    return {"dtype": dtype[1:], "bdata": base64.b64encode(raw).decode("ascii")}
