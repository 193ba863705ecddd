"""What a report is made of. Plain data: nothing here draws, and nothing needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.report.thinning import evenly_spread
from distilvo.settings import Scoring
from distilvo.trajectory.alignment import align
from distilvo.trajectory.metrics import Deviations, deviations
from distilvo.trajectory.segments import Indices

Image = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) RGB."""

Curves = dict[str, list[tuple[int, float]]]
"""(step, loss) along each training."""

_MOST_IMAGES, _MOST_OF_A_DRIVE, _FEWEST_OF_A_DRIVE = 160, 40, 6


@dataclass(frozen=True)
class ModelRow:
    """One row of the table, and one object of ``summary.json``.

    Attributes:
        name: which model.
        parameters: trainable values.
        reduction_percent: how many fewer than the teacher has; 0 for the teacher itself.
        latency_ms: median of one step; ``bench.TIMER`` says what the timer holds.
        rms_rpe_t_m: RMS relative pose error over consecutive frames, translation, m.
        rms_rpe_r_deg: the same, rotation, degrees.
        ate_m: RMS absolute trajectory error, m, each drive aligned by Sim(3).
    """

    name: str
    parameters: int
    reduction_percent: float
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float

    def to_dict(self) -> dict[str, Any]:
        """As ``summary.json`` has it."""
        return asdict(self)


@dataclass(frozen=True)
class TableCell:
    """What stands in one place of a table; ``best``: it stands out."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class ReportTable:
    """A table of a page; the first cell of each row is the name of a model, as the drives have it."""

    headers: tuple[str, ...]
    rows: list[list[TableCell]]
    note: str = ""


@dataclass(frozen=True)
class TrustSample:
    """One training sample and how far the teacher was off on it.

    Attributes:
        frame: (H, W) grey or (H, W, 3) RGB, uint8.
        phi: trust in the teacher; about 1 where it is right, about 0 where it errs most.
        error_m: the teacher's translation error, m.
        error_deg: its rotation error, degrees.
        label: sequence and frame.
    """

    frame: Image
    phi: float
    error_m: float
    error_deg: float
    label: str


@dataclass(frozen=True)
class Reliability:
    """Errors of a teacher on labelled samples, predicted and true, in units of the motions' spread.

    Attributes:
        name: of the part of a motion.
        predicted, true: (n,) root of the squared error of each sample.
        correlation: of their ranks.
    """

    name: str
    predicted: NDArray[Any]
    true: NDArray[Any]
    correlation: float


@dataclass(frozen=True)
class TrustResult:
    """Trust over a whole training set.

    Attributes:
        phi: of each sample, (N,).
        eta: the error at which trust ends, or is half; NaN where it does not follow from one number.
        least, most: the samples trusted least and most, worst and best first.
        kind: how it was made, as ``Trust.kind`` has it.
        note: what a person should know of it.
        reliability: of a trust by an error that is not known: what was predicted and what is true.
    """

    phi: NDArray[Any]
    eta: float
    least: list[TrustSample]
    most: list[TrustSample]
    kind: str = "paper"
    note: str = ""
    reliability: tuple[Reliability, ...] = ()


@dataclass(frozen=True)
class FilmTrust:
    """Trust in the teacher along one film.

    Attributes:
        name: of the film.
        frames: (n,) number of the second frame of each frame pair.
        phi: (n,) of each part of a motion.
        used: (n,) whether a pair is not left out.
        held_from: the first frame that is held back from training.
    """

    name: str
    frames: Indices
    phi: dict[str, NDArray[Any]]
    used: NDArray[np.bool_]
    held_from: int


@dataclass(frozen=True)
class Estimate:
    """What a model made of a drive.

    Attributes:
        poses: (M, 4, 4) camera-to-world, m, as predicted.
        frames: (M,) of the drive, which they are of; None for every one of them.
        by_time: whether they were matched by time: see ``association.Match``.
    """

    poses: NDArray[np.float64]
    frames: Indices | None = None
    by_time: bool = False

    @property
    def places(self) -> Indices:
        """``frames``, also where they are all."""
        return np.arange(len(self.poses)) if self.frames is None else self.frames


@dataclass(frozen=True)
class Pace:
    """How fast a tracked drive went, frame by frame; NaN where no motion is known: first frames of segments.

    Attributes:
        seconds: (N,) since the first frame.
        speed_km_h: (N,) along the camera's axis; negative in reverse.
        turn_deg_s: (N,) about the camera's vertical axis; positive to the right.
        statuses: of each frame.
        assumed_times: whether ``seconds`` are counted at an assumed rate.
        speed_deviation, turn_deviation: (N,) standard deviations of both; None where the model states none.
        covariances: (N, 6, 6) of the poses, as ``runtime.Pose`` has them; None likewise.
    """

    seconds: NDArray[np.float64]
    speed_km_h: NDArray[np.float64]
    turn_deg_s: NDArray[np.float64]
    statuses: tuple[str, ...]
    assumed_times: bool = False
    speed_deviation: NDArray[np.float64] | None = None
    turn_deviation: NDArray[np.float64] | None = None
    covariances: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class DriveResult:
    """One drive and what each model made of it.

    Attributes:
        name: of the drive.
        truth: (N, 4, 4) camera-to-world poses, m; x right, y down, z forward. None where it is not known.
        estimates: by model; the names are those of the table's rows.
        images: a few along the way, by frame.
        times: (N,) of the frames, s, where they are known.
        reference: what ``truth`` is, where it has positions alone, as a GPS does; None for true poses.
        doubted: (D,) the frames that the tracker could not trust.
        numbers: (N,) frame numbers of the truth; 0, 1, 2, ... where not given.
        pace: how fast it went, where it was tracked.
    """

    name: str
    truth: NDArray[np.float64] | None
    estimates: dict[str, Estimate]
    images: dict[int, Image] = field(default_factory=dict)
    times: NDArray[np.float64] | None = None
    reference: str | None = None
    doubted: Indices = field(default_factory=lambda: np.empty(0, np.intp))
    numbers: NDArray[np.int64] | None = None
    pace: Pace | None = None

    @property
    def has_poses(self) -> bool:
        """Whether relative errors can be measured: they need true poses."""
        return self.truth is not None and self.reference is None

    @property
    def way(self) -> NDArray[np.float64]:
        """Positions (N, 3) of the ground truth, or of the first estimate where there is none."""
        if self.truth is not None:
            return self.truth[:, :3, 3]
        return next(iter(self.estimates.values())).poses[:, :3, 3]

    def aligned(self, model: str, how: Scoring) -> NDArray[np.float64]:
        """Positions (M, 3) of an estimate, moved onto the truth as for the ATE."""
        estimate = self.estimates[model]
        if self.truth is None:
            return estimate.poses[:, :3, 3]
        moved: NDArray[np.float64] = align(estimate.poses, self.truth[estimate.places], how.ate_alignment)[:, :3, 3]
        return moved

    def deviations(self, model: str, how: Scoring) -> Deviations:
        """Every error of an estimate; there must be a truth."""
        assert self.truth is not None
        one = self.estimates[model]
        return deviations(one.poses, self.truth, how, one.frames, self.times, self.numbers, by_time=one.by_time)


@dataclass(frozen=True)
class RunResults:
    """All that the report of one run shows; what is empty is left out.

    Attributes:
        title: of the page.
        headline: what came out, in a sentence or two.
        tables: of numbers.
        rows: errors of each model over all drives, to draw.
        drives: that the models were run on.
        curves: along each training: teacher, supervised, and the stages hint, imitation and joint.
        trust: None where no teacher was run.
        films: trust along each film that a student was fitted to.
        settings: that the run was begun with, anything JSON can hold.
        notes: plain sentences about what the numbers mean: what the timer holds, which data, which alignment.
        how: the alignment and the pairs that errors are drawn with.
    """

    title: str
    headline: str = ""
    tables: list[ReportTable] = field(default_factory=list)
    rows: list[ModelRow] = field(default_factory=list)
    drives: list[DriveResult] = field(default_factory=list)
    curves: Curves = field(default_factory=dict)
    trust: TrustResult | None = None
    films: list[FilmTrust] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    how: Scoring = field(default_factory=Scoring)


def frames_to_show(frames: int, drives: int) -> Indices:
    """Which of a drive's frames a page of so many drives has images of: evenly spread, with both ends."""
    count = int(np.clip(_MOST_IMAGES // max(1, drives), _FEWEST_OF_A_DRIVE, _MOST_OF_A_DRIVE))
    return evenly_spread(frames, count)
