"""How each model looks and is called, the same in every picture."""

from __future__ import annotations

from typing import Literal

Dash = Literal["solid", "dash", "dot", "dashdot"]

# Okabe and Ito's colours, told apart by people of every colour vision; the dashes tell them apart in grey.
_COLOURS = {
    "mean_motion": "#8a8a8a",
    "teacher": "#0072b2",
    "student_supervised": "#e69f00",
    "student_distilled": "#009e73",
}
_DASHES: dict[str, Dash] = {"mean_motion": "dot", "teacher": "dashdot", "student_supervised": "dash", "hint": "dot"}
# What is trained, and the model that it is a part of.
_TRAININGS = {"supervised": "student_supervised", **dict.fromkeys(("hint", "imitation", "joint"), "student_distilled")}
_OTHERS = ("#cc79a7", "#56b4e9", "#d55e00")

LEAST_TRUSTED = "#d55e00"
MOST_TRUSTED = "#0072b2"


def label(model: str) -> str:
    """What people read for the name of a model, or of a training."""
    if model in ("hint", "imitation", "joint"):
        return f"student distilled, {model} stage"
    return _TRAININGS.get(model, model).replace("_", " ")


def colour(model: str) -> str:
    """The model's colour, #rrggbb; a name unknown here gets the same one every time."""
    return _COLOURS.get(_TRAININGS.get(model, model), _OTHERS[sum(model.encode()) % len(_OTHERS)])


def dash(model: str) -> Dash:
    """The kind of line of a model or a training."""
    return _DASHES.get(model) or _DASHES.get(_TRAININGS.get(model, model), "solid")
