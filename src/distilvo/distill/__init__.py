"""Attentive imitation, attentive hints and what they are compared with, for any torch module that regresses.

Read in this order: ``regressor`` (the one call), ``imitation`` (losses on the output), ``trust``, ``error_prediction``
and ``trust_choice`` (eta and Phi), ``hints`` (losses on a hidden layer), ``task`` and ``stages``, ``sample_set`` and
``teachers`` (the teacher runs once over any samples), ``batches`` and ``teacher_pass``, ``trainer``.
"""

from distilvo.distill.batches import Batch, Batches, TeacherOutputs
from distilvo.distill.error_prediction import learned_trust, rank_correlation, trust_features
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
from distilvo.distill.regressor import distill_regressor
from distilvo.distill.result import DistilledRegressor
from distilvo.distill.sample_set import Indexed, SampleSet
from distilvo.distill.task import Distillation, HintLoss, ImitationLoss, Supervised
from distilvo.distill.teacher_pass import outputs_key, teacher_pass
from distilvo.distill.teachers import Teacher, run_over
from distilvo.distill.trainer import TrainingSettings, train
from distilvo.distill.trust import Trust
from distilvo.distill.trust_choice import measure_trust

__all__ = [
    "Batch",
    "Batches",
    "Distillation",
    "DistilledRegressor",
    "HintLoss",
    "ImitationLoss",
    "Indexed",
    "SampleSet",
    "Supervised",
    "Tap",
    "Teacher",
    "TeacherOutputs",
    "TrainingSettings",
    "Trust",
    "additional",
    "attentive_hint",
    "attentive_imitation",
    "distill_regressor",
    "gaussian",
    "ground_truth_only",
    "laplace",
    "learned_trust",
    "measure_trust",
    "minimum",
    "outputs_key",
    "plain_hint",
    "rank_correlation",
    "run_over",
    "squared_error",
    "teacher_only",
    "teacher_pass",
    "train",
    "trust_features",
    "upper_bound",
]
