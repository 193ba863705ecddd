"""How good a model is on drives that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo import parallel, poses
from distilvo.clips import FrameStore
from distilvo.metrics import Errors, errors
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import count_parameters, distillation_rate
from distilvo.progress import progress
from distilvo.report.results import ModelRow
from distilvo.trajectories import write_kitti, write_tum

Predict = Callable[[FrameStore, int], NDArray[np.float32]]
"""The motions (n - 1, 6) of one drive of a store."""


@dataclass(frozen=True)
class Evaluation:
    """A model's trajectories on the drives of a store, and their errors.

    Attributes:
        estimates: (N, 4, 4) camera-to-world poses by drive.
        times: (N,) of their frames by drive, s.
        errors: of each drive.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: root mean squares over all frames of all drives.
    """

    estimates: dict[str, NDArray[np.float64]]
    times: dict[str, NDArray[np.float64]]
    errors: dict[str, Errors]
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float


def model_row(
    name: str, found: Evaluation, network: Architecture | None, teacher: Architecture, latency_ms: float = 0.0
) -> ModelRow:
    """A row of the table; with no network, as for the mean motion, there are no parameters and is no time."""
    errors = found.rms_rpe_t_m, found.rms_rpe_r_deg, found.ate_m
    if network is None:
        return ModelRow(name, 0, 100.0, 0.0, *errors)
    return ModelRow(name, count_parameters(network), distillation_rate(network, teacher), latency_ms, *errors)


def network_motions(network: PoseNetwork) -> Predict:
    """A network as ``evaluate`` wants it; it runs on the GPU where there is one."""

    def predict(store: FrameStore, index: int) -> NDArray[np.float32]:
        with parallel.on_device(network) as device:
            motions: NDArray[np.float32] = network.predict(store.drive_frames(index).to(device)).cpu().numpy()
        return motions

    return predict


def constant_motion(motion: NDArray[np.float32]) -> Predict:
    """Always the same motion (6,): the row that a model must beat."""
    return lambda store, index: np.tile(motion, (store.drives[index].frames - 1, 1))


def truth(store: FrameStore, index: int) -> NDArray[np.float64]:
    """The true poses of one drive, (N, 4, 4), beginning at the identity."""
    return poses.trajectory(store.drive_motions(index))


def evaluate(predict: Predict, store: FrameStore, label: str = "evaluate") -> Evaluation:
    """Predict every drive of a store and compare with the truth."""
    estimates, times, measured, frames = {}, {}, {}, []
    with progress(label, len(store.drives)) as bar:
        for index, drive in enumerate(store.drives):
            estimates[drive.name] = poses.trajectory(predict(store, index))
            measured[drive.name] = errors(estimates[drive.name], truth(store, index))
            times[drive.name] = store.drive_times(index)
            frames.append(drive.frames)
            bar.advance()
    together = [
        _together([getattr(e, name) for e in measured.values()], frames)
        for name in ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m")
    ]
    return Evaluation(estimates, times, measured, *together)


def write_trajectories(evaluation: Evaluation, folder: Path) -> None:
    """Write each drive's estimate as ``NAME.kitti`` and ``NAME.tum``."""
    for name, estimate in evaluation.estimates.items():
        write_kitti(folder / f"{name}.kitti", estimate)
        write_tum(folder / f"{name}.tum", estimate, evaluation.times[name])


def _together(values: list[float], frames: list[int]) -> float:
    """Root mean square over all frames, from that of each drive."""
    return math.sqrt(sum(n * value**2 for n, value in zip(frames, values, strict=True)) / sum(frames))
