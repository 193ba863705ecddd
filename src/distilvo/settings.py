"""Settings of a run, as plain data: the command line shows its help without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from distilvo.errors import DistilvoError

MOST_PIXELS = 2**27
"""Of an image that is decoded: 134 megapixels. A small file can claim a thousand times as many."""

Precision = Literal["no", "bf16"]

Blend = Literal[
    "ground-truth", "teacher-only", "minimum", "additional", "upper-bound", "laplace", "gaussian", "attentive"
]
Hint = Literal["none", "plain", "attentive"]
HintForm = Literal["mean", "sum", "maps"]
"""Of a hint's distance: mean over the layer's width, of standardised hints; the paper's sum; or of two layers that hold
the same maps, such as optical flow, the mean absolute difference."""
Schedule = Literal["two-stage", "joint"]
Trusting = Literal["learned", "consistency", "quantile", "rank", "ratio", "paper", "none"]
FilmTrusting = Literal["consistency", "none"]
"""The kinds that need neither labels nor a part of the film that has some."""
NEEDS_EVERY_LABEL: tuple[Trusting, ...] = ("quantile", "rank", "ratio", "paper")
"""The kinds of trust by the true error of every sample."""
Shape = Literal["cut", "slim", "nano", "small", "base"]
"""Of a student: its teacher with layers taken away, with narrow layers, or one of those made for speed."""

SourceKind = Literal["kitti", "kitti-raw", "malaga", "tum", "euroc", "folder", "video", "camera", "bag"]
Alignment = Literal["none", "first", "scale", "se3", "sim3", "scale_of_sim3"]
Aligning = Literal["paper", "none", "first", "scale", "se3", "sim3", "scale_of_sim3"]
TrajectoryScale = Literal["metric", "truth"]
"""Unit of a trajectory's positions: metres (metric), or one that is fitted to the poses of the sequence (truth)."""
RpeUnit = Literal["frames", "m", "s", "truth-frames"]
Gaps = Literal["velocity", "segment"]
"""What bridges frames without a motion that can be trusted: the last velocity, or nothing: a new segment begins."""


def _expect(right: bool, name: str, value: object, expected: str) -> None:
    if not right:
        raise DistilvoError(f"{name.replace('_', '-')}: is {value}, expected {expected}")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults suit the demo's size.

    Attributes:
        epochs: passes over the training set, all stages together.
        clip_length: motions in a clip.
        batch_size: clips in a batch, those of all processes together.
        learning_rate: of Adam, at its highest.
        precision: ``no`` for 32-bit floats, ``bf16`` for mixed precision where the processor has it, else as ``no``.
        seed: of weights, order of clips and dropout.
        mirror: flip half of the clips left to right; a teacher is run on the flipped frames too. Only of networks whose
            frames have their optical axis in the middle column.
        exposure_gain: clips get another brightness, by a normal factor of this standard deviation about 1.
        exposure_offset: and are shifted by a normal number of grey levels of this standard deviation.
    """

    epochs: int = 3
    clip_length: int = 8
    batch_size: int = 8
    learning_rate: float = 2e-3
    precision: Precision = "no"
    seed: int = 0
    mirror: bool = False
    exposure_gain: float = 0.2
    exposure_offset: float = 15.0

    def __post_init__(self) -> None:
        for name in ("exposure_gain", "exposure_offset"):
            _expect(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")
        for name in ("epochs", "clip_length", "batch_size"):
            _expect(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _expect(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "a positive number")
        _expect(self.precision in get_args(Precision), "precision", self.precision, " or ".join(get_args(Precision)))
        _expect(0 <= self.seed < 2**63, "seed", self.seed, "0 or more, and less than 2^63")


@dataclass(frozen=True)
class FlowRecipe:
    """How a network that sees flow first is trained on streets with true flow.

    Attributes:
        steps: optimiser steps.
        batch_size: frame pairs in a batch, those of all processes together.
        learning_rate: of Adam, at its highest.
        precision: ``no`` for 32-bit floats, ``bf16`` for mixed precision where the processor has it, else as ``no``.
        seed: of weights and order of pairs.
        two_apart: share of pairs that are two frames apart.
        reversed: share of pairs that run backwards in time.
        exposure_gain: pairs get another brightness, by a log-normal factor of this standard deviation; and another
            gamma, by one 1.2 times as wide; the second frame's brightness differs by one 0.16 times as wide.
        exposure_offset: and are shifted by a normal number of grey levels of this standard deviation.
        noise: and get noise of up to so many grey levels.
    """

    steps: int = 20000
    batch_size: int = 16
    learning_rate: float = 1e-3
    precision: Precision = "bf16"
    seed: int = 0
    two_apart: float = 0.2
    reversed: float = 0.2
    exposure_gain: float = 0.25
    exposure_offset: float = 20.0
    noise: float = 4.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            _expect(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("two_apart", "reversed"):
            _expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        for name in ("exposure_gain", "exposure_offset", "noise"):
            _expect(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more")
        _expect(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "a positive number")
        _expect(self.precision in get_args(Precision), "precision", self.precision, " or ".join(get_args(Precision)))
        _expect(0 <= self.seed < 2**63, "seed", self.seed, "0 or more, and less than 2^63")


@dataclass(frozen=True)
class Method:
    """How a student is distilled; the defaults are this project's own, ``PAPER`` is the paper's method.

    Attributes:
        blend: how ground truth and imitation of the output are blended (Section 3.2).
        hint: imitation of a hidden layer: none, plain (HT) or attentive (AHT, Section 3.3).
        schedule: both at once (joint); or first the hints, then the output with what the hints trained frozen.
        trust: how far the teacher is trusted: by its error where that is known, as in the paper, with a robust eta
            (quantile), by rank or by ratio; by an error that is predicted (learned), or by whether its motions agree
            with each other (consistency), which needs no label; or wholly (none). Where not given: learned where labels
            are missing, quantile otherwise.
        separate: trust translation and rotation each by its own error.
        alpha: weight of the ground truth, the rest is imitation.
        freeze: leave what the hints trained as it is when the output is trained after them (two-stage).
        hint_weight: weight of the hints, where both are trained at once.
        hint_form: of a hint's distance: the mean over the width of standardised hints, through a learned projection of
            the guided layer; the paper's sum, with a projection only where the sizes differ; or, where both layers hold
            the same maps, the mean absolute difference (maps). Where not given: maps for networks that see flow first,
            mean for others.
        hint_layer: the teacher's, by module path; its last FC layer in front of the branches where not given.
        guided_layer: the student's, by module path; its last FC layer in front of the branches where not given.
        inherit: start the layers that the student shares with its teacher from its weights (not in the paper).
    """

    blend: Blend = "attentive"
    hint: Hint = "attentive"
    schedule: Schedule = "joint"
    trust: Trusting | None = None
    separate: bool = True
    alpha: float = 0.5
    freeze: bool = True
    hint_weight: float = 0.1
    hint_form: HintForm | None = None
    hint_layer: str | None = None
    guided_layer: str | None = None
    inherit: bool = True

    def __post_init__(self) -> None:
        kinds = (("blend", Blend), ("hint", Hint), ("schedule", Schedule), ("hint_form", HintForm))
        for name, kind in (*kinds, ("trust", Trusting)):
            value = getattr(self, name)
            absent = name in ("trust", "hint_form") and value is None
            _expect(absent or value in get_args(kind), name, value, "one of " + ", ".join(get_args(kind)))
        _expect(0 <= self.alpha <= 1, "alpha", self.alpha, "0 to 1")
        _expect(self.hint_weight > 0, "hint_weight", self.hint_weight, "more than 0")


PAPER = Method(schedule="two-stage", trust="paper", separate=False, hint_form="sum", inherit=False)
"""The paper's own: attentive hints, then attentive imitation with what the hints trained frozen (Section 3.3)."""


@dataclass(frozen=True)
class Scoring:
    """How trajectories are scored; the defaults are the paper's measures.

    Attributes:
        align: how the estimate is moved onto the truth before anything is measured; paper: not at all for RPE, t_rel
            and r_rel, and by sim3 for the ATE.
        delta: over how much the relative pose error (RPE) is taken.
        unit: of delta: poses that are scored (frames), metres along the true path, seconds; or frames of the truth, of
            which both must be estimated.
        tolerance: seconds by which the times of an estimate and of the truth may differ.
        offset: seconds that are added to the times of the estimates.
    """

    align: Aligning = "paper"
    delta: float = 1.0
    unit: RpeUnit = "frames"
    tolerance: float = 0.01
    offset: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in (("align", Aligning), ("unit", RpeUnit)):
            value = getattr(self, name)
            _expect(value in get_args(kind), name, value, "one of " + ", ".join(get_args(kind)))
        whole = self.unit in ("m", "s") or float(self.delta).is_integer()
        _expect(0 < self.delta < math.inf and whole, "delta", self.delta, "more than 0, and whole where it is frames")
        _expect(0 <= self.tolerance < math.inf, "tolerance", self.tolerance, "0 or more")
        _expect(math.isfinite(self.offset), "offset", self.offset, "seconds")

    @property
    def relative_alignment(self) -> Alignment:
        """That of the relative measures: RPE, t_rel and r_rel."""
        return "none" if self.align == "paper" else self.align

    @property
    def ate_alignment(self) -> Alignment:
        """That of the ATE."""
        return "sim3" if self.align == "paper" else self.align

    @property
    def over(self) -> str:
        """What the relative pose error is taken over, as people read it."""
        if self.delta == 1 and "frames" in self.unit:
            return "1 frame" if self.unit == "frames" else "1 frame of the truth"
        return f"{self.delta:g} {'frames of the truth' if self.unit == 'truth-frames' else self.unit}"


@dataclass(frozen=True)
class SourceOptions:
    """How a source of frames is opened: flags that every command which takes a source has.

    Attributes:
        kind: what the source is, where a guess by its path would be wrong.
        topic: topic of a bag with the images; needed where there are several.
        intrinsics: fx fy cx cy of the camera, pixels, where the source has none of its own.
        camera: calibration of the camera as OpenCV, Kalibr or ROS writes it (YAML), instead of --intrinsics.
        fov: degrees that the camera sees across the image's width, where nothing better is known of it.
        camera_height: metres of the camera above the road, instead of the source's own; all lengths grow with it.
        times: file of the frames' times, seconds, one number a row; by the numbers in the images' names.
        start: leave out what comes before so many seconds after the first frame.
        end: leave out what comes after so many seconds.
        stride: take one frame in so many.
        fps: take the frames that come closest to so many in a second.
        bits: how many bits count in images of 16 bits; found from the images where not given.
    """

    kind: SourceKind | None = None
    topic: str | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    camera: Path | None = None
    fov: float | None = None
    camera_height: float | None = None
    times: Path | None = None
    start: float | None = None
    end: float | None = None
    stride: int = 1
    fps: float | None = None
    bits: Literal[8, 10, 12, 14, 16] | None = None


@dataclass(frozen=True)
class DemoSettings:
    """What the demo does; the defaults take about ten minutes on two cores.

    Attributes:
        labelled_streets: streets with poses to learn from.
        unlabelled_streets: streets without, film that only a teacher can say something of.
        train_frames: frames in each of them.
        test_streets: held-out streets.
        test_frames: frames in each of them.
        student: how the distilled student is trained; the others are trained for as many steps.
        method: how it is distilled.
    """

    labelled_streets: int = 12
    unlabelled_streets: int = 48
    train_frames: int = 40
    test_streets: int = 10
    test_frames: int = 60
    student: Recipe = field(default_factory=lambda: Recipe(epochs=8))
    method: Method = field(default_factory=Method)

    def __post_init__(self) -> None:
        for name in ("labelled_streets", "test_streets"):
            _expect(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _expect(self.unlabelled_streets >= 0, "unlabelled_streets", self.unlabelled_streets, "at least 0")
        for name in ("train_frames", "test_frames"):
            _expect(getattr(self, name) >= 2, name, getattr(self, name), "at least 2")
