"""Attentive imitation and attentive hints, for any torch module that regresses a vector."""

from distilvo.distill.hints import Tap, attentive_hint
from distilvo.distill.imitation import attentive_imitation, ground_truth_only, squared_error
from distilvo.distill.trust import Trust

__all__ = ["Tap", "Trust", "attentive_hint", "attentive_imitation", "ground_truth_only", "squared_error"]
