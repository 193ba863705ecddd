"""Distill any regressor: few samples have a label, and the teacher fails on inputs that it never saw.

    python examples/distill_any_regressor.py

100 of 2,000 samples have a label; in a third of them three of ten inputs are broken. The teacher is a model of
scikit-learn that was fitted elsewhere; a torch module, a function or a table of predictions would do as well.
"""

import numpy as np
import torch
from sklearn.datasets import make_friedman1
from sklearn.neural_network import MLPRegressor
from torch import nn

from distilvo import TrainingSettings, distill_regressor

rng = np.random.default_rng(0)
inputs, targets = make_friedman1(10_000, noise=0.5, random_state=0)
targets = (targets - targets.mean()) / targets.std()
teacher = MLPRegressor(hidden_layer_sizes=(64, 64), random_state=0).fit(inputs[:4000], targets[:4000])

broken = rng.random(len(inputs)) < 0.35
inputs[broken, 5:8] = rng.normal(0, 5, (broken.sum(), 3))  # the teacher never saw such values
train, test = slice(4000, 6000), slice(6000, 10_000)
labels = targets[train].copy()
labels[100:] = np.nan  # no label: the student learns from the teacher alone
for trust in ("none", "learned"):
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Linear(24, 1))
    result = distill_regressor(
        teacher,
        student,
        (inputs[train], labels),
        test=(inputs[test], targets[test]),
        trust=trust,
        baseline=True,
        training=TrainingSettings(steps=2000, learning_rate=5e-3),
    )
    print(result, end="\n\n")
