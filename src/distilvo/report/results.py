"""What a report is made of. Plain data: nothing here draws or measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # evaluation imports torch, which a report can do without
    from distilvo.evaluation import ModelRow

Picture = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) RGB."""


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

    frame: Picture
    phi: float
    error_m: float
    error_deg: float
    label: str


@dataclass(frozen=True)
class TrustResult:
    """Trust over a whole training set.

    Attributes:
        phi: of each sample, (N,).
        eta: the range of the teacher's loss, ``max - min``, by which Phi is normalised.
        least, most: the samples trusted least and most, worst and best first.
    """

    phi: NDArray[Any]
    eta: float
    least: list[TrustSample]
    most: list[TrustSample]


@dataclass(frozen=True)
class DriveResult:
    """One drive and what each model made of it.

    Attributes:
        name: of the drive.
        truth: (N, 4, 4) camera-to-world poses, m; x right, y down, z forward.
        estimates: (N, 4, 4) by model, as predicted, not aligned; the names are those of the table's rows.
        frames: a few pictures along the way, (H, W) grey or (H, W, 3) RGB, uint8.
    """

    name: str
    truth: NDArray[np.float64]
    estimates: dict[str, NDArray[np.float64]]
    frames: list[Picture]


@dataclass(frozen=True)
class RunResults:
    """All that the report of one run shows.

    Attributes:
        title: of the page.
        rows: of the table: mean_motion, teacher, student_supervised, student_distilled, or some of them.
        drives: that the models had not seen.
        curves: (step, loss) along each training: teacher, supervised, and the stages hint and imitation.
        trust: None where no teacher was asked.
        settings: that the run was begun with, anything JSON can hold.
        notes: plain sentences about what the numbers mean: what the timer holds, which data, which alignment.
    """

    title: str
    rows: list[ModelRow]
    drives: list[DriveResult]
    curves: dict[str, list[tuple[int, float]]]
    trust: TrustResult | None
    settings: dict[str, Any]
    notes: list[str]
