"""Trust in the teacher along each film that a student was fitted to."""

from __future__ import annotations

from urllib.parse import quote

import numpy as np

from distilvo.report.plot_specs import INK, Axis, DotsMark, LineMark, Mark, Panel, Plot
from distilvo.report.results import FilmTrust
from distilvo.report.style import LEAST_TRUSTED

_MOST = 24  # films: each is an image, and a plot of the page
_COLOURS = ("#0072b2", "#e69f00")
_TOP = 1.04  # of the line over what is held back, so that Phi of 1 is not covered
_NOTE = (
    "Φ of each frame pair, at the number of its second frame. Frames that were not used are at 0; what is held back "
    "from training is below the thick line."
)


def film_plots(films: list[FilmTrust]) -> list[Plot]:
    """A plot for each of the first 24 films: Phi of each part of a motion over the frame number."""
    note = _NOTE + f" The first {_MOST} of {len(films)} films." * (len(films) > _MOST)
    return [_film_plot(film, note) for film in films[:_MOST]]


def _film_plot(film: FilmTrust, note: str) -> Plot:
    left_out = film.frames[~film.used]
    marks: list[Mark] = []
    for (part, phi), colour in zip(film.phi.items(), _COLOURS, strict=True):
        shown = np.where(film.used, phi, np.nan)
        marks.append(LineMark(f"Φ of {part}", film.frames, shown, colour, width=1.5))
    held = np.array([film.held_from, film.frames[-1]])
    marks.append(LineMark("held back", held, np.full(2, _TOP), INK, width=6.0))
    if len(left_out):
        marks.append(DotsMark("not used", left_out, np.zeros(len(left_out)), LEAST_TRUSTED, left_out))
    panel = Panel(film.name, Axis("frame"), Axis("Φ, trust in the teacher", from_zero=True), marks)
    name = quote(film.name, safe=" ", errors="surrogateescape")  # different names stay different
    return Plot(f"trust_{name}", "Trust along the way", note, [panel], (12, 4))
