"""Several models on the drives of one data set: trajectories, scores and latencies."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import check_camera_height
from distilvo.models.kinds import rate_of
from distilvo.models.model_folder import load_model
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.onnx_export import export_onnx
from distilvo.pipeline.evaluation import Evaluation, constant_motion, evaluate, network_motions, truth
from distilvo.pipeline.model_rate import warn_of_rate
from distilvo.pipeline.tracking import height_not_known
from distilvo.sequences import Sequence, choose
from distilvo.settings import Scoring
from distilvo.trajectory.formats import Trajectory
from distilvo.trajectory.scores import Score, score

Models = dict[str, tuple[MotionNetwork, dict[str, Any]]]
"""Networks and their configurations, by the name that tables have."""

BASELINE = "mean_motion"
"""The row that a model must beat."""

_NAMED = 5  # sequences in one note


@dataclass(frozen=True)
class ModelScores:
    """What models come to on a data set; ``mean_motion``, that of the data, comes first.

    Attributes:
        evaluations: trajectories and errors, by model.
        scores: of each model on each drive.
        exported: ONNX file of each model, where they were wanted.
    """

    evaluations: dict[str, Evaluation]
    scores: list[Score]
    exported: dict[str, Path]


def open_models(folders: tuple[Path, ...]) -> Models:
    """Load model folders; they go by their folder's name where no two have the same, else by their path.

    Raises:
        DistilvoError: a folder is no model folder, or is given twice, or has the baseline's name.
    """
    names = [Path(os.path.abspath(folder)).name for folder in folders]
    if len(set(names)) < len(folders):
        names = [str(folder) for folder in folders]
    for number, name in enumerate(names):
        if name in (*names[:number], BASELINE):
            raise DistilvoError(
                f"{folders[number]}: there is a row '{name}' already; give each model once, or rename it"
            )
    return dict(zip(names, (load_model(folder) for folder in folders), strict=True))


def open_drives(data: Path, names: tuple[str, ...], how: Scoring, camera_height: float | None = None) -> list[Sequence]:
    """The named sequences of a data set, or all of them; ``camera_height``, m, holds instead of their own.

    Raises DistilvoError where one has no ground truth, or no measured times although errors are taken over seconds, or
    no vehicle has a camera at that height; warns where no height is known.
    """
    if camera_height is not None:
        check_camera_height(camera_height, "--camera-height")
    sequences = choose(data, names)
    if missing := [one.name for one in sequences if one.poses is None]:
        raise DistilvoError(
            f"{data}: no ground truth for {', '.join(missing)} (poses/NN.txt); models are compared with it: choose "
            "others with --sequences"
        )
    if how.unit == "s" and (untimed := assumed_times(sequences)):
        raise DistilvoError(
            f"{data}: no measured times for {', '.join(sorted(untimed))}; add times.txt, or take another --unit than s"
        )
    for one in sequences:
        one.camera_height = one.camera_height if camera_height is None else camera_height
    if unknown := [one.name for one in sequences if one.camera_height is None]:
        warnings.warn(f"{data}: {', '.join(unknown[:_NAMED])}: {height_not_known()}", stacklevel=2)
    return sequences


def score_models(
    models: Models, sequences: list[Sequence], how: Scoring, scratch: Path, *, export: bool
) -> ModelScores:
    """Run every model on every drive; ``scratch`` takes decoded frames and ONNX files."""
    evaluations: dict[str, Evaluation] = {}
    scores: list[Score] = []
    exported: dict[str, Path] = {}
    for number, (name, (network, config)) in enumerate(models.items()):
        warn_of_rate(sequences, rate_of(network.architecture, config), name)
        preprocessing = network.architecture.preprocessing
        cache = open_cache(sequences, preprocessing, scratch / "cache")
        if not evaluations:
            mean = constant_motion(motion_scale(cache)[0].numpy())
            evaluations[BASELINE] = evaluate(mean, cache, "mean motion")
            scores += _scores(BASELINE, evaluations[BASELINE], cache, how)
        evaluations[name] = evaluate(network_motions(network), cache, name)
        scores += _scores(name, evaluations[name], cache, how)
        if export:
            exported[name] = scratch / f"{number}.onnx"
            export_onnx(network, config, exported[name], cache.drive_frames(0)[:10])
    return ModelScores(evaluations, scores, exported)


def assumed_times(sequences: list[Sequence]) -> set[str]:
    """Names of the drives whose times were not measured."""
    return {one.name for one in sequences if one.assumed_times}


def _scores(name: str, evaluation: Evaluation, cache: FrameCache, how: Scoring) -> list[Score]:
    """Of each drive of a cache."""
    return [
        score(
            name,
            drive.name,
            Trajectory.of_frames(evaluation.estimates[drive.name]),
            Trajectory.of_frames(truth(cache, index), evaluation.times[drive.name]),
            how,
        )
        for index, drive in enumerate(cache.drives)
    ]
