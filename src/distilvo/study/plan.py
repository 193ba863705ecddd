"""What a study compares, and what it measures; ``plan_file`` reads plans from TOML files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from distilvo.errors import DistilvoError
from distilvo.models.student import check_rate
from distilvo.paths import checked_name
from distilvo.settings import Method, Recipe, Shape

Table = Literal["blends", "hints", "literature", "trust", "rates", "beyond", "speed", "scarce"]
Labels = Literal["all", "labelled", "film"]
"""What a row is trained on: everything with its labels; what has labels in the plan; that, and the rest as film."""
Names = Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Row:
    """One line of a table: a way to make a student, repeated for each seed.

    Attributes:
        name: unique, and a plain name, since folders are called so; cells and tables refer to it. ``aht-ail@73`` is
            ``aht-ail`` at another rate.
        label: for people.
        method: how it is distilled: the paper's method with the changes of the file.
        rate: the least distillation rate, per cent; the rate of students made for speed is fixed by their shape.
        shape: ``cut`` takes layers away, as the paper does; ``slim`` keeps the teacher's layers and makes them narrow;
            ``nano``, ``small`` and ``base`` are those made for speed.
        labels: which part of the training set it is trained on, and with which labels.
        oracle: trust by the true error, of film too: what no user has.
        folds: measure the teacher's error with so many teachers, each on drives that it was not trained on; 0 for the
            teacher's own error.
    """

    name: str
    label: str
    method: Method
    rate: float
    shape: Shape = "cut"
    folds: int = 0
    labels: Labels = "all"
    oracle: bool = False

    def __post_init__(self) -> None:
        checked_name(self.name, "row")
        check_rate(self.rate, f"row '{self.name}': rate")
        if self.folds == 1 or self.folds < 0:
            raise DistilvoError(f"row '{self.name}': folds is {self.folds}, expected 0, or 2 and more")


@dataclass(frozen=True)
class Streets:
    """Numbers of streets of the built-in world to train and to test on.

    ``frames`` is the length of each, ``adverse`` the share of streets in adverse conditions, ``labelled`` how many of
    those to train on have labels, where not all have.
    """

    train: Annotated[int, Field(ge=1)]
    test: Annotated[int, Field(ge=1)]
    frames: Annotated[int, Field(ge=2)]
    adverse: Annotated[float, Field(ge=0, le=1)] = 0.0
    labelled: Annotated[int, Field(ge=1)] | None = None

    def __post_init__(self) -> None:
        if self.labelled is not None and self.labelled >= self.train:
            raise DistilvoError(f"streets: {self.labelled} of {self.train} are labelled, expected fewer than all")


@dataclass(frozen=True)
class Split:
    """Names of the sequences of a data set to train and to test on."""

    train: Names
    test: Names

    def __post_init__(self) -> None:
        if shared := sorted(set(self.train) & set(self.test)):
            raise DistilvoError(f"sequences: {', '.join(shared)} is in train and in test; expected others to test on")


@dataclass(frozen=True)
class Plan:
    """A whole study.

    Attributes:
        title: for tables and report.
        data: the built-in world, or how to split a data set given on the command line.
        recipe: of every student; all stages together take its epochs.
        teacher: how the teacher is trained further on the training set before the study; None takes it as it is.
        fold_teacher: how each teacher of a cross-fitted trust is trained.
        seeds: each row is repeated with each of them.
        rows: by name.
        tables: names of the rows of each table, in order; the others are compared with the first one.
        dropout: of the students.
    """

    title: str
    data: Streets | Split
    recipe: Recipe
    teacher: Recipe | None
    fold_teacher: Recipe
    seeds: tuple[int, ...]
    rows: dict[str, Row]
    tables: dict[Table, tuple[str, ...]]
    dropout: float = 0.0


QUANTILES = (5, 25, 50, 75, 95, 99)
"""Per cent, of ``Cell.error_t_m`` and ``Cell.error_r_deg``."""


@dataclass(frozen=True)
class Cell:
    """One row with one seed: an object of ``study.json``.

    Attributes:
        row: name of the row.
        method, hint, schedule: as in ``distilvo.settings.Method`` (``method`` is its blend).
        rate: distillation rate of the student that was made, per cent.
        seed: of weights and order.
        parameters: of the student.
        latency_ms: one step in ONNX Runtime, batch 1, one thread; all shapes interleaved, a run for each seed.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: on the test set, as in ``distilvo.pipeline.evaluation``.
        train_s: wall time of all its stages.
        steps: optimiser steps of all its stages.
        hint_error: held-out reconstruction error of the hint, mean ``||Psi_T - Psi_S||^2`` as a share of the hint's
            variance; None without hints.
        error_t_m, error_r_deg: 5, 25, 50, 75, 95 and 99 % quantiles of the error of single frame pairs.
    """

    row: str
    method: str
    hint: str
    schedule: str
    rate: float
    seed: int
    parameters: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float
    train_s: float
    steps: int
    hint_error: float | None
    error_t_m: tuple[float, ...]
    error_r_deg: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """A line of a table without seeds: the teacher, or the mean motion; measures as in ``Cell``."""

    name: str
    parameters: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float
    error_t_m: tuple[float, ...]
    error_r_deg: tuple[float, ...]


def check_data(plan: Plan, data: Path | None) -> None:
    """Raise DistilvoError where a plan with streets of its own is given a data set, or one that needs it is not."""
    if isinstance(plan.data, Streets) == (data is not None):
        raise DistilvoError(
            f"{plan.title}: "
            + ("renders its own streets; leave --data out" if data else "names sequences; expected --data DATASET")
        )


def plan_key(plan: Plan) -> dict[str, Any]:
    """The settings that a study's folder is claimed with: without rows and seeds, which may be added later."""
    return {key: value for key, value in asdict(plan).items() if key not in ("rows", "tables", "title", "seeds")}
