"""How good a model is on drives that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo import parallel
from distilvo.data import FrameCache
from distilvo.geometry import se3
from distilvo.models.motion_network import MotionNetwork
from distilvo.progress import progress
from distilvo.trajectory.formats import write_kitti, write_tum
from distilvo.trajectory.metrics import Deviations, Errors, deviations

Predict = Callable[[FrameCache, int], NDArray[np.float32]]
"""The motions (n - 1, 6) [m, rad] of one drive of a cache, metres as from the default camera height."""


@dataclass(frozen=True)
class Evaluation:
    """A model's trajectories on the drives of a cache, and their errors.

    Attributes:
        estimates: (N, 4, 4) camera-to-world poses by drive.
        times: (N,) of their frames by drive, s.
        deviations: every single error, by drive.
    """

    estimates: dict[str, NDArray[np.float64]]
    times: dict[str, NDArray[np.float64]]
    deviations: dict[str, Deviations]

    @property
    def errors(self) -> dict[str, Errors]:
        """Of each drive."""
        return {name: Errors.of(singles) for name, singles in self.deviations.items()}

    @property
    def pooled(self) -> Deviations:
        """Every single error of all drives: each pair, pose and segment counts as much as any other."""
        return Deviations.pooled(list(self.deviations.values()))

    @property
    def total(self) -> Errors:
        """Of all drives pooled."""
        return Errors.of(self.pooled)


def network_motions(network: MotionNetwork) -> Predict:
    """A network as a ``Predict``; it runs on the GPU where there is one."""

    def predict(cache: FrameCache, index: int) -> NDArray[np.float32]:
        with parallel.on_device(network) as device:
            chunk = 32 if device.type == "cpu" else 256  # a GPU takes about as long over more images
            motions: NDArray[np.float32] = network.predict(cache.drive_frames(index).to(device), chunk).cpu().numpy()
        return motions

    return predict


def constant_motion(motion: NDArray[np.float32]) -> Predict:
    """Always the same motion (6,): the row that a model must beat."""
    return lambda cache, index: np.tile(motion, (cache.drives[index].frames - 1, 1))


def truth(cache: FrameCache, index: int) -> NDArray[np.float64]:
    """The true poses of one drive, (N, 4, 4), beginning at the identity."""
    return se3.trajectory(cache.in_metres(index, cache.drive_motions(index)))


def evaluate(predict: Predict, cache: FrameCache, label: str = "evaluate") -> Evaluation:
    """Predict every drive of a cache and compare with the truth."""
    estimates, times, measured = {}, {}, {}
    with progress(label, len(cache.drives)) as bar:
        for index, drive in enumerate(cache.drives):
            estimates[drive.name] = se3.trajectory(cache.in_metres(index, predict(cache, index)))
            measured[drive.name] = deviations(estimates[drive.name], truth(cache, index))
            times[drive.name] = cache.drive_times(index)
            bar.advance()
    return Evaluation(estimates, times, measured)


def write_trajectories(evaluation: Evaluation, folder: Path, assumed: Collection[str] = ()) -> None:
    """Write each drive's estimate as ``NAME.kitti`` and ``NAME.tum``; times of drives ``assumed`` are not measured."""
    for name, estimate in evaluation.estimates.items():
        write_kitti(folder / f"{name}.kitti", estimate)
        write_tum(folder / f"{name}.tum", estimate, evaluation.times[name], assumed=name in assumed)
