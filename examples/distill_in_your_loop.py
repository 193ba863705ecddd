"""The parts of ``distill_regressor`` in a loop of your own: plain PyTorch, and likewise Lightning or another trainer.

python examples/distill_in_your_loop.py
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from distilvo.distill import (
    Distillation,
    HintLoss,
    ImitationLoss,
    Indexed,
    SampleSet,
    TeacherOutputs,
    measure_trust,
    run_over,
)

torch.manual_seed(0)
inputs = torch.rand(1000, 3)
truth = torch.stack([torch.sin(3 * inputs[:, 0]), inputs[:, 1] * inputs[:, 2]], 1)
targets = truth.clone()
targets[200:] = torch.nan  # no label
teacher = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 2))
optimiser = torch.optim.Adam(teacher.parameters(), 1e-2)
for _ in range(500):
    loss = (teacher(inputs) - truth).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

samples = SampleSet((inputs, targets)).checked()
with tempfile.TemporaryDirectory() as folder:  # the teacher runs once; its outputs can be kept in a folder
    outputs, hints = run_over(teacher, ["1"], samples, Path(folder))
scale = torch.tensor([0.3, 0.2])
trust = measure_trust("learned", outputs, targets, scale, hints=hints, more=samples.facts.statistics)
teacher_outputs = TeacherOutputs(outputs, trust.phi, hints)

student = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
hint, imitation = HintLoss("1", True, 16, hints[0]), ImitationLoss("attentive", scale, 0.5)
task = Distillation(student, [hint], imitation, hint_weight=0.1)
optimiser = torch.optim.Adam(task.parameters(), 1e-2)  # of the task: projections are trained too, and not saved
print(f"before: RMSE {(student(inputs) - truth).square().mean().sqrt():.3f}")
for _ in range(10):
    for x, y, index in DataLoader(Indexed(TensorDataset(inputs, targets)), batch_size=50, shuffle=True):
        losses = task(teacher_outputs.batch(x, y, index))  # hint (B,), imitation (B,), total
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
print(f"after: RMSE {(student(inputs) - truth).square().mean().sqrt():.3f}")
