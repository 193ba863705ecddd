"""Distill any torch regressor: attentive imitation (AIL) of its output, attentive hints (AHT) of a hidden layer.

    python examples/distill_any_regressor.py

No camera, no data set: the target is a function of ten numbers, and the teacher errs on some samples.
"""

import torch
from torch import nn

from distilvo.distill import Tap, Trust, attentive_hint, attentive_imitation, ground_truth_only


def network(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 2))


def fit(model: nn.Module, loss_of, parameters, steps: int, rate: float = 3e-3) -> None:
    optimiser = torch.optim.Adam(parameters, rate)
    for step in range(steps):
        index = torch.randint(0, 2000, (64,), generator=torch.Generator().manual_seed(step))
        loss = loss_of(model, index)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


torch.manual_seed(0)
inputs = torch.rand(4000, 10)
targets = torch.stack([torch.sin(3 * inputs[:, 0] * inputs[:, 1]), inputs[:, 2:4].square().sum(1)], 1)

teacher = network(256)
fit(teacher, lambda m, i: ground_truth_only(m(inputs[i]), targets[i]).mean(), teacher.parameters(), 1500)

with torch.no_grad(), Tap(teacher, "3") as tap:  # the teacher runs once; any layer can be the hint, by its path
    outputs, hints = teacher(inputs), tap.value
trust = Trust.fit(outputs[:2000], targets[:2000], kind="quantile")  # phi: 1 where the teacher is right

student = network(8)
student_tap = Tap(student, "3")


def loss_of(model: nn.Module, i: torch.Tensor) -> torch.Tensor:
    imitation = attentive_imitation(model(inputs[i]), targets[i], outputs[i], trust.phi[i], alpha=0.5)
    hint = attentive_hint(student_tap.value, hints[i], trust.phi[i])
    return (imitation + 0.01 * hint).mean()


fit(student, loss_of, student.parameters(), 1500)
student_tap.close()

with torch.no_grad():
    for name, model in (("teacher", teacher), ("student", student)):
        count = sum(parameter.numel() for parameter in model.parameters())
        error = ground_truth_only(model(inputs[2000:]), targets[2000:]).mean().sqrt()
        print(f"{name}: {count} parameters, RMSE {error:.3f} on samples that it has not seen")
