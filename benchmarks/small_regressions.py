"""Two small regressions with nothing of VO, for ``any_regressor.py``: data, and untrained teacher and student of each.

Teachers have labelled samples of their own; no sample is in two of teacher's training, student's training and test.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_digits, make_friedman1
from torch import Tensor, nn
from torch.nn import functional

SAMPLES = 2000
"""Of the student's training set, and of the test set."""
TEACHER_SAMPLES = 20_000
"""Labelled samples that the teacher is trained on; no other set shares one."""
Random = np.random.Generator


@dataclass(frozen=True)
class Samples:
    """Inputs (N, D) and targets (N, 1); of images that were rotated, which image each is of, (N,)."""

    inputs: Tensor
    targets: Tensor
    images: np.ndarray | None = None


class Digits:
    """The angle (deg) by which a digit of 8 x 8 pixels was rotated; 1,797 images of scikit-learn, divided by image."""

    name, unit, rate, hint = "rotated digits", "deg", 3e-3, ("3", "3")
    most = 60.0

    def teacher_samples(self) -> Samples:
        """Rotations of a third of the images; the others are for students and tests."""
        return self._rotated(self._images()[:600], TEACHER_SAMPLES, np.random.default_rng(2026))

    def samples(self, rng: Random) -> tuple[Samples, Samples]:
        """The student's training set and the test set, of 600 and 597 images."""
        images = rng.permutation(self._images()[600:])
        return self._rotated(images[:600], SAMPLES, rng), self._rotated(images[600:], SAMPLES, rng)

    def degrade(self, inputs: Tensor, severity: int, rng: Random) -> Tensor:
        """Each sample in one of three ways: a grey block of 4 x 4 (6 x 6) pixels, noise, or a weak contrast on grey."""
        side = 2 + 2 * severity
        images = inputs.clone().reshape(-1, 8, 8)
        for image, way in zip(images, rng.integers(3, size=len(images)), strict=True):
            if way == 0:
                row, column = rng.integers(9 - side, size=2)
                image[row : row + side, column : column + side] = rng.uniform()
            elif way == 1:
                image += torch.from_numpy(rng.normal(0, 0.35 * severity, (8, 8))).float()
            else:
                image.mul_(rng.uniform(0.1, 0.4) / severity).add_(rng.uniform(0, 0.5))
        return images.flatten(1)

    def teacher(self) -> nn.Sequential:
        """An untrained teacher, 23,059 parameters."""
        return perceptron(64, 122, 122)

    def student(self) -> nn.Sequential:
        """An untrained student, 1,521 parameters."""
        return perceptron(64, 20, 10)

    def _images(self) -> np.ndarray:
        return np.random.default_rng(99).permutation(len(load_digits().images))

    def _rotated(self, images: np.ndarray, count: int, rng: Random) -> Samples:
        chosen, angles = rng.choice(images, count), torch.from_numpy(rng.uniform(-self.most, self.most, count)).float()
        pixels = torch.from_numpy(load_digits().images[chosen] / 16).float()[:, None]
        cos, sin, zero = angles.deg2rad().cos(), angles.deg2rad().sin(), torch.zeros(count)
        matrices = torch.stack([cos, -sin, zero, sin, cos, zero], 1).reshape(-1, 2, 3)
        grid = functional.affine_grid(matrices, list(pixels.shape), align_corners=False)
        return Samples(functional.grid_sample(pixels, grid, align_corners=False).flatten(1), angles[:, None], chosen)


class Friedman:
    """Friedman's first function of ten numbers, of which five count (Friedman 1991); labels have noise, tests none."""

    name, unit, rate, hint = "Friedman's function", "units of the function", 1e-2, ("3", "1")
    noise = 1.0
    spread = 3.5
    mean = 14.4  # of the function; targets are what lies above it, since a small network takes long to find an offset

    def teacher_samples(self) -> Samples:
        """Labels as noisy as the student's."""
        return self._drawn(TEACHER_SAMPLES, np.random.default_rng(2026), self.noise)

    def samples(self, rng: Random) -> tuple[Samples, Samples]:
        """The student's training set and the test set."""
        return self._drawn(SAMPLES, rng, self.noise), self._drawn(SAMPLES, rng, 0.0)

    def degrade(self, inputs: Tensor, severity: int, rng: Random) -> Tensor:
        """Three of the ten numbers of each sample become noise of 3.5 (7) times their spread; the target stays."""
        degraded = inputs.clone()
        places = torch.from_numpy(rng.permuted(np.tile(np.arange(10), (len(inputs), 1)), axis=1)[:, :3])
        noise = torch.from_numpy(rng.normal(0, self.spread * severity, places.shape)).float()
        return degraded.scatter_(1, places, noise)

    def teacher(self) -> nn.Sequential:
        """An untrained teacher, 39,361 parameters."""
        return perceptron(10, 192, 192)

    def student(self) -> nn.Sequential:
        """An untrained student, 169 parameters."""
        return perceptron(10, 14)

    def _drawn(self, count: int, rng: Random, noise: float) -> Samples:
        inputs, targets = make_friedman1(count, noise=noise, random_state=int(rng.integers(2**31)))
        centred = torch.from_numpy(targets - self.mean).float()[:, None]
        return Samples(torch.from_numpy((inputs - 0.5) * 12**0.5).float(), centred)


Problem = Digits | Friedman


def perceptron(*widths: int) -> nn.Sequential:
    """A perceptron from ``widths[0]`` numbers to one, with a ReLU behind each hidden layer."""
    layers = [layer for inputs, outputs in pairwise(widths) for layer in (nn.Linear(inputs, outputs), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1))
