"""Measures against independent tools: evo, and the published KITTI scorer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilvo.geometry import se3
from distilvo.settings import Alignment, Scoring
from distilvo.trajectory.formats import read_kitti
from distilvo.trajectory.metrics import ate, deviations, rpe
from real_data import REAL, needs
from test_metrics import noisy_pair


@pytest.mark.parametrize("seed", range(3))
def test_evo_agrees(seed: int) -> None:
    evo_metrics = pytest.importorskip("evo.core.metrics", reason="evo is not installed")
    evo_trajectory = pytest.importorskip("evo.core.trajectory", reason="evo is not installed")
    estimate, truth = noisy_pair(seed)

    def scored(metric: object, align_with_scale: bool | None) -> np.ndarray:
        reference = evo_trajectory.PosePath3D(poses_se3=list(truth))
        other = evo_trajectory.PosePath3D(poses_se3=list(estimate))
        if align_with_scale is not None:
            other.align(reference, correct_scale=align_with_scale)
        metric.process_data((reference, other))  # type: ignore[attr-defined]
        return np.asarray(metric.error)  # type: ignore[attr-defined]

    part, frames = evo_metrics.PoseRelation.translation_part, evo_metrics.Unit.frames
    angle = evo_metrics.PoseRelation.rotation_angle_rad
    for delta in (1, 7):
        translation, rotation = rpe(estimate, truth, delta)
        expected_t = scored(evo_metrics.RPE(part, delta=delta, delta_unit=frames, all_pairs=True), None)
        expected_r = scored(evo_metrics.RPE(angle, delta=delta, delta_unit=frames, all_pairs=True), None)
        np.testing.assert_allclose(translation, expected_t, atol=1e-9)
        np.testing.assert_allclose(rotation, expected_r, atol=1e-7)
    np.testing.assert_allclose(ate(estimate, truth, "se3"), scored(evo_metrics.APE(part), False), atol=1e-8)
    np.testing.assert_allclose(ate(estimate, truth, "sim3"), scored(evo_metrics.APE(part), True), atol=1e-8)
    np.testing.assert_allclose(ate(estimate, truth, "none"), scored(evo_metrics.APE(part), None), atol=1e-9)


@needs("kitti_poses")
@pytest.mark.parametrize("sequence", ["00", "04", "10"])
def test_evo_agrees_on_whole_kitti_trajectories_with_noise(sequence: str) -> None:
    evo_metrics = pytest.importorskip("evo.core.metrics", reason="evo is not installed")
    evo_trajectory = pytest.importorskip("evo.core.trajectory", reason="evo is not installed")
    truth = read_kitti(REAL / "kitti_poses" / f"{sequence}.txt")
    steps = se3.motions(truth)
    noise = np.random.default_rng(int(sequence)).normal(0, [0.01, 0.01, 0.03, 0.001, 0.002, 0.001], steps.shape)
    rigid = se3.matrices_from_motions(np.array([50.0, -3.0, 20.0, 0.1, 1.2, -0.2]))
    estimate = rigid @ se3.trajectory(steps * [0.8, 0.8, 0.8, 1, 1, 1] + noise)
    relation, unit = evo_metrics.PoseRelation, evo_metrics.Unit

    def evo_aligned(mode: Alignment) -> Any:
        other = evo_trajectory.PosePath3D(poses_se3=list(estimate))
        if mode in ("se3", "sim3", "scale_of_sim3"):
            other.align(reference, correct_scale=mode == "sim3", correct_only_scale=mode == "scale_of_sim3")
        if mode in ("first", "scale_of_sim3"):
            other.align_origin(reference)
        return other

    def evo_errors(metric: Any, mode: Alignment) -> np.ndarray:
        metric.process_data((reference, evo_aligned(mode)))
        return np.asarray(metric.error)

    reference = evo_trajectory.PosePath3D(poses_se3=list(truth))
    for mode in ("none", "first", "se3", "sim3", "scale_of_sim3"):
        singles = deviations(estimate, truth, Scoring(align=mode))
        np.testing.assert_allclose(
            singles.ate_m, evo_errors(evo_metrics.APE(relation.translation_part), mode), atol=1e-9
        )
        expected = evo_errors(evo_metrics.RPE(relation.translation_part), mode)
        np.testing.assert_allclose(singles.rpe_t_m, expected, atol=1e-9)
    expected = evo_errors(evo_metrics.RPE(relation.rotation_angle_deg, 5, all_pairs=True), "none")
    np.testing.assert_allclose(np.rad2deg(rpe(estimate, truth, 5)[1]), expected, atol=1e-6)

    # evo goes on from where the last pair ended; ours begin at every frame, so its pairs are among ours.
    chained = evo_metrics.RPE(relation.translation_part, 50.0, unit.meters, pairs_from_reference=True)
    expected = evo_errors(chained, "none")
    begins = [0, *chained.delta_ids[:-1]]
    np.testing.assert_allclose(rpe(estimate, truth, 50.0, "m")[0][begins], expected, atol=1e-9)


MODES: dict[str, Alignment] = {"none": "first", "scale": "scale", "6dof": "se3", "7dof": "sim3"}


@needs("scorer_oracle", "kitti_poses")
@pytest.mark.parametrize("sequence", ["09", "10"])
@pytest.mark.parametrize("printed_mode", MODES)
def test_published_kitti_scorer_agrees_to_the_printed_digit(printed_mode: str, sequence: str) -> None:
    truth = read_kitti(REAL / "kitti_poses" / f"{sequence}.txt")
    estimate = read_kitti(REAL / "scorer_oracle" / f"{sequence}.txt")
    statistics = deviations(estimate, truth, Scoring(align=MODES[printed_mode])).statistics()
    names = ("t_rel_percent", "r_rel_deg_per_100m", "ate_m", "mean_rpe_t_m", "mean_rpe_r_deg")
    printed = _printed(REAL / "scorer_oracle" / f"expected_{printed_mode}.txt", sequence)
    assert [f"{statistics[name]:.3f}" for name in names] == printed


def _printed(file: Path, sequence: str) -> list[str]:
    """The five numbers that the scorer printed for a sequence: t_rel, r_rel, ATE, RPE m, RPE degrees."""
    block = file.read_text().split(f"Sequence: \t {int(sequence)} ")[1].split("Sequence:")[0]
    return re.findall(r"\):\s+([\d.]+)", block)
