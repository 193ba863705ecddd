"""How a trust is drawn: its spread over the training set, and how reliable a predicted error is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.report.plot_specs import Axis, CaptionedImage, HistogramMark, ImageStrip, LineMark, Mark, Panel, Plot
from distilvo.report.results import Reliability, TrustResult, TrustSample
from distilvo.report.style import LEAST_TRUSTED, MOST_TRUSTED, Dash

_PHI_BINS = 40
_ERROR_BINS = 10
_FORMULAS = {
    "paper": "Φ = 1 − e/η, η is the range of the errors e over the training set",
    "quantile": "Φ = 1 − e/η, η is the 95 % quantile of the errors e, not below 0",
    "rank": "Φ falls from 1 for the smallest error to 0 for the largest, by rank",
    "ratio": "Φ = η/(η + e), η is the median of the errors e",
    "learned": "Φ = η/(η + ê), ê is the error that was predicted, η the median error where it is known",
    "consistency": "Φ = η/(η + c), c is how far the teacher contradicts itself for its motion, η its median",
    "none": "Φ = 1: all samples are trusted alike",
    "given": "Φ was given",
}


def trust_plot(trust: TrustResult) -> Plot:
    """How Phi is spread over the training set, how reliable it is, and the frames trusted least and most."""
    counts, edges = np.histogram(trust.phi, bins=_PHI_BINS)
    bars = HistogramMark(MOST_TRUSTED, counts, edges)
    panels = [Panel("", Axis("Φ, trust in the teacher"), Axis("training samples"), [bars])]
    panels += [_reliability_panel(one, trust.kind) for one in trust.reliability]
    kinds = "; ".join(_FORMULAS[kind] for kind in trust.kind.split(", "))
    eta = "" if math.isnan(trust.eta) else f", η = {trust.eta:.4g}"
    note = f"{kinds}. {len(trust.phi):,} samples{eta}, median Φ {np.median(trust.phi):.3f}."
    note += f" {trust.note[:1].upper()}{trust.note[1:]}." * bool(trust.note)
    ends = ("Least trusted", LEAST_TRUSTED, trust.least), ("Most trusted", MOST_TRUSTED, trust.most)
    strips = tuple(
        ImageStrip(title, colour, list(map(_captioned, samples))) for title, colour, samples in ends if samples
    )
    return Plot("trust", "Trust in the teacher", note, panels, (12, 3.8), strips=strips)


def _reliability_panel(one: Reliability, kind: str) -> Panel:
    """True error against what predicts it: samples in ten groups of equal size by the latter."""
    order = np.argsort(one.predicted)
    groups = [group for group in np.array_split(order, _ERROR_BINS) if len(group)]
    x = np.array([np.median(one.predicted[group]) for group in groups])
    dashes: tuple[tuple[int, Dash], ...] = ((50, "solid"), (25, "dot"), (75, "dot"))
    lines: list[Mark] = [
        LineMark(
            f"{share} % of the true errors", x, _quantiles(one, groups, share), MOST_TRUSTED, dash, dots=share == 50
        )
        for share, dash in dashes
    ]
    title = f"{one.name}: rank correlation {one.correlation:.2f}"
    return Panel(
        title,
        Axis("contradiction" if kind == "consistency" else "predicted error (unit: spread)", from_zero=True),
        Axis("true error (unit: spread)", from_zero=True),
        lines,
    )


def _quantiles(one: Reliability, groups: list[NDArray[np.intp]], share: int) -> NDArray[Any]:
    return np.array([np.percentile(one.true[group], share) for group in groups])


def _captioned(sample: TrustSample) -> CaptionedImage:
    known = not math.isnan(sample.error_m)
    error = f"the teacher is off by {sample.error_m:.3f} m, {sample.error_deg:.2f}°" if known else "no label"
    return CaptionedImage(sample.frame, (f"Φ {sample.phi:.3f}", error, sample.label))
