"""How each model looks and is called, the same in every plot of a run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, product
from typing import Literal

from distilvo.settings import Alignment, Scoring

Dash = Literal["solid", "dash", "dot", "dashdot"]
Look = tuple[str, Dash]

# Okabe and Ito's colours, which people of every colour vision can tell apart; in grey the dashes differ.
_LOOKS: dict[str, Look] = {
    "mean_motion": ("#8a8a8a", "dot"),
    "teacher": ("#0072b2", "dashdot"),
    "student_supervised": ("#e69f00", "dash"),
    "student_distilled": ("#009e73", "solid"),
    "student_paper": ("#cc79a7", "dashdot"),
    "shipped_student": ("#56b4e9", "dot"),
}
_FREE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES: tuple[Dash, ...] = ("solid", "dash", "dashdot", "dot")
_STAGES = ("hint", "imitation", "joint")

LEAST_TRUSTED = "#d55e00"
MOST_TRUSTED = "#0072b2"

ALIGNMENTS: dict[Alignment, str] = {
    "none": "not aligned",
    "first": "first pose aligned",
    "scale": "first pose and scale aligned",
    "se3": "SE(3)",
    "sim3": "Sim(3)",
    "scale_of_sim3": "first pose and scale of Sim(3) aligned",
}


class Palette:
    """Colour and line of each model of a run; those without a look of their own take what is free, in order."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(dict.fromkeys(names))
        taken = {_LOOKS[_part_of(name)][0] for name in names if _part_of(name) in _LOOKS}
        free = cycle((colour, dash) for dash, colour in product(_DASHES, [c for c in _FREE if c not in taken]))
        self._looks = {name: _LOOKS.get(_part_of(name)) or next(free) for name in names}

    def colour(self, name: str) -> str:
        """#rrggbb of a model, or of a training of it."""
        return self._looks[name][0]

    def dash(self, name: str) -> Dash:
        """The kind of its line; a first stage is dotted, so that its second one stands out."""
        return "dot" if name == "hint" else self._looks[name][1]


def label(model: str) -> str:
    """What people read for the name of a model, or of a training."""
    if model in _STAGES:
        return f"student distilled, {model} stage"
    part = _part_of(model)
    return part.replace("_", " ") if part in _LOOKS else model


def over(how: Scoring) -> str:
    """What a relative error is taken over, and how the estimate was aligned, to follow its unit."""
    pair = " a frame" if how.over == "1 frame" else f" over {how.over}"
    return f"{pair}, {ALIGNMENTS[how.relative_alignment]}"


def _part_of(name: str) -> str:
    """The model that a training makes."""
    return "student_distilled" if name in _STAGES else "student_supervised" if name == "supervised" else name
