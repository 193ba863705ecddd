"""Attentive imitation, attentive hints and their rivals, for any torch module that regresses a vector."""

from distilvo.distill.hints import Tap, attentive_hint, plain_hint
from distilvo.distill.imitation import (
    additional,
    attentive_imitation,
    gaussian,
    ground_truth_only,
    laplace,
    minimum,
    squared_error,
    teacher_only,
    upper_bound,
)
from distilvo.distill.trust import Trust

__all__ = [
    "Tap",
    "Trust",
    "additional",
    "attentive_hint",
    "attentive_imitation",
    "gaussian",
    "ground_truth_only",
    "laplace",
    "minimum",
    "plain_hint",
    "squared_error",
    "teacher_only",
    "upper_bound",
]
