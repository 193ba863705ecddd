"""Attentive imitation, attentive hints and what they are compared with, for any torch module that regresses a vector.

Read in this order: ``imitation`` (losses on the output), ``trust`` (eta and Phi), ``hints`` (losses on a hidden layer),
``task`` (stages), ``batches`` and ``teacher_pass`` (the teacher runs once), ``trainer``.
"""

from distilvo.distill.batches import Batch, Batches, TeacherOutputs
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
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, Supervised
from distilvo.distill.teacher_pass import outputs_key, teacher_pass
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.distill.trust import Trust

__all__ = [
    "Batch",
    "Batches",
    "Distillation",
    "HintLoss",
    "ImitationLoss",
    "Supervised",
    "Tap",
    "TeacherOutputs",
    "TrainingSettings",
    "Trust",
    "additional",
    "attentive_hint",
    "attentive_imitation",
    "gaussian",
    "ground_truth_only",
    "laplace",
    "minimum",
    "outputs_key",
    "plain_hint",
    "squared_error",
    "teacher_only",
    "teacher_pass",
    "train",
    "upper_bound",
]
