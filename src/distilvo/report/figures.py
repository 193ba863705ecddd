"""The page's interactive plots, as what plotly.js reads: plain dicts of ``data`` and ``layout``.

Colours of text, axes and ground follow the page, light or dark, and are set there; a trace whose ``meta`` is "ink"
takes the colour of text. Long lines are thinned, so that a page of many drives stays small.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from distilvo.alignment import align
from distilvo.metrics import ate, rpe
from distilvo.report.results import DriveResult, TrustResult
from distilvo.report.style import MOST_TRUSTED, colour, dash, label

Spec = dict[str, Any]

_POINTS = 20_000
_FEWEST_POINTS, _MOST_POINTS = 50, 1500
_WHISKERS = (5, 25, 50, 75, 95)
_PHI_BINS = 40


def points_per_line(drives: list[DriveResult]) -> int:
    """How many points each line of the drives may have."""
    lines = sum(1 + len(drive.estimates) for drive in drives)
    return int(np.clip(_POINTS // max(1, lines), _FEWEST_POINTS, _MOST_POINTS))


def trajectories(drive: DriveResult, points: int) -> Spec:
    """The drive from above; x to the right, z up, one scale for both; estimates aligned by Sim(3)."""
    kept = _kept(len(drive.truth), points)
    truth = drive.truth[kept, :3, 3]
    data = [_line(truth[:, 0], truth[:, 2], "truth", width=3) | {"meta": "ink"}]
    for model, estimate in drive.estimates.items():
        at = align(estimate, drive.truth, "sim3")[kept, :3, 3]
        data.append(_model_line(at[:, 0], at[:, 2], model))
    data += [_mark(truth[0], "start", "circle-open"), _mark(truth[-1], "end", "square")]
    layout = _layout("x, right (m)", "z, forward (m)")
    layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
    return {"data": data, "layout": layout | {"dragmode": "pan", "hovermode": "closest"}}


def error_along(drive: DriveResult, points: int) -> Spec:
    """Distance between each estimate, aligned by Sim(3), and the truth, over the metres driven."""
    kept = _kept(len(drive.truth), points)
    steps = np.linalg.norm(np.diff(drive.truth[:, :3, 3], axis=0), axis=1)
    driven = np.concatenate([[0.0], np.cumsum(steps)])[kept]
    data = [
        _model_line(driven, ate(estimate, drive.truth, "sim3")[kept], model)
        for model, estimate in drive.estimates.items()
    ]
    layout = _layout("metres driven", "position error (m, Sim(3))")
    layout["yaxis"]["rangemode"] = "tozero"
    return {"data": data, "layout": layout | {"hovermode": "x unified"}}


def error_boxes(drives: list[DriveResult]) -> tuple[Spec, Spec]:
    """The relative error of each frame of all drives, a box for each model: translation (m), rotation (degrees)."""
    pooled: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for drive in drives:
        for model, estimate in drive.estimates.items():
            pooled.setdefault(model, []).append(rpe(estimate, drive.truth))
    translation = {model: np.concatenate([t for t, _ in parts]) for model, parts in pooled.items()}
    rotation = {model: np.rad2deg(np.concatenate([r for _, r in parts])) for model, parts in pooled.items()}
    return _boxes(translation, "translation error (m a frame)"), _boxes(rotation, "rotation error (degrees a frame)")


def training_curves(curves: dict[str, list[tuple[int, float]]]) -> Spec:
    """The loss along each training, on a logarithmic axis."""
    data = []
    for model, points in curves.items():
        kept = np.array(points, dtype=np.float64).reshape(-1, 2)[_kept(len(points), _MOST_POINTS)]
        data.append(_model_line(kept[:, 0], kept[:, 1], model))
    layout = _layout("training step", "training loss")
    layout["yaxis"] |= {"type": "log", "dtick": 1, "minor": {"showgrid": False, "ticks": "outside"}}
    return {"data": data, "layout": layout | {"hovermode": "x unified"}}


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


def _boxes(values: dict[str, NDArray[np.float64]], title: str) -> Spec:
    """Boxes from quartiles found here; the whiskers hold the middle 90 % of frames, the dashed line is the mean."""
    data = [_box(model, found) for model, found in values.items()]
    layout = _layout(title, "")
    layout["xaxis"]["rangemode"] = "tozero"
    layout["yaxis"] |= {"autorange": "reversed", "showgrid": False, "automargin": True}
    return {"data": data, "layout": layout | {"showlegend": False}}


def _box(model: str, values: NDArray[np.float64]) -> Spec:
    names = ("lowerfence", "q1", "median", "q3", "upperfence")
    quantiles = dict(zip(names, ([float(q)] for q in np.percentile(values, _WHISKERS)), strict=True))
    box = {"type": "box", "orientation": "h", "y": [label(model)], "name": label(model), "mean": [float(values.mean())]}
    return box | quantiles | {"boxmean": True, "line": {"color": colour(model)}}


def _model_line(x: ArrayLike, y: ArrayLike, model: str) -> Spec:
    line = _line(x, y, label(model), width=2)
    line["line"] |= {"color": colour(model), "dash": dash(model)}
    return line


def _line(x: ArrayLike, y: ArrayLike, name: str, width: float) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _array(x),
        "y": _array(y),
        "name": name,
        "line": {"width": width},
        "hovertemplate": "%{y:.4~g}",
    }


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


def _array(values: ArrayLike) -> Spec:
    """Numbers as plotly.js reads them most compactly: float32, base64."""
    return {"dtype": "f4", "bdata": base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")}
