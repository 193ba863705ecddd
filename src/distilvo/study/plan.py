"""What a study compares, and what it measures; ``plan_file`` reads plans from TOML files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from distilvo.errors import DistilvoError
from distilvo.models.student import check_rate
from distilvo.paths import checked_name
from distilvo.settings import Method, Recipe, Shape

Table = Literal["blends", "hints", "literature", "trust", "rates", "schedules", "budgets", "beyond", "speed", "scarce"]
Labels = Literal["all", "labelled", "film"]
"""What a row is trained on: everything with its labels; what has labels in the plan; that, and the rest as film."""
Names = Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Published:
    """The paper's numbers for a row of a table, by the fields of ``Cell``; on KITTI's own images."""

    rms_rpe_t_m: float | None = None
    rms_rpe_r_deg: float | None = None
    ate_m: float | None = None
    hint_error: float | None = None


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
        budget: epochs, as a share of the plan's.
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
    budget: float = 1.0

    def __post_init__(self) -> None:
        checked_name(self.name, "row")
        check_rate(self.rate, f"row '{self.name}': rate")
        if self.folds == 1 or self.folds < 0:
            raise DistilvoError(f"row '{self.name}': folds is {self.folds}, expected 0, or 2 and more")
        if not 0 < self.budget <= 100:
            raise DistilvoError(f"row '{self.name}': budget is {self.budget:g}, expected more than 0, at most 100")

    @property
    def training(self) -> Row:
        """The same for all rows that differ in their budget alone."""
        return replace(self, name="any", label="", budget=1.0)


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

    @property
    def has_film(self) -> bool:
        """Whether some of the streets to train on have no labels."""
        return self.labelled is not None


@dataclass(frozen=True)
class Split:
    """Names of the sequences of a data set to train, to choose settings and to test on."""

    train: Names
    test: Names
    validation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_once(self.train, self.validation, self.test)
        _check_apart(self.train, self.test, "train and in test; expected others to test on")
        _check_apart(
            self.validation, (*self.train, *self.test), "validation and elsewhere; expected a drive of its own"
        )


@dataclass(frozen=True)
class Routes:
    """Drives of the built-in world along the poses of a data set: its motions, among rendered scenery.

    Attributes:
        train, validation, test: names of pose files. Drives to choose settings on go along poses that may be trained
            on, too, but always among scenery of their own.
        sceneries: so many of each drive to train on.
        test_sceneries: and of each to test on.
        adverse: share of the parts of each drive, 10 s long, that have a segment in adverse conditions.
        labelled: names of those to train on that have labels, where not all have.
        labelled_sceneries: so many sceneries of each of them have labels, where not all have.
    """

    train: Names
    test: Names
    validation: tuple[str, ...] = ()
    sceneries: Annotated[int, Field(ge=1)] = 1
    test_sceneries: Annotated[int, Field(ge=1)] = 1
    adverse: Annotated[float, Field(ge=0, le=1)] = 0.0
    labelled: tuple[str, ...] = ()
    labelled_sceneries: Annotated[int, Field(ge=1)] | None = None

    def __post_init__(self) -> None:
        _check_once(self.train, self.validation, self.test, self.labelled)
        _check_apart((*self.train, *self.validation), self.test, "train or validation and in test; expected others")
        if missing := sorted(set(self.labelled) - set(self.train)):
            raise DistilvoError(f"routes: {', '.join(missing)} is labelled, but not in train")
        if set(self.labelled) == set(self.train) and self.labelled_sceneries is None:
            raise DistilvoError(f"routes: all of {', '.join(self.train)} are labelled, expected fewer than all")
        if self.labelled_sceneries is not None and self.labelled_sceneries >= self.sceneries:
            raise DistilvoError(
                f"routes: {self.labelled_sceneries} of {self.sceneries} sceneries are labelled, expected fewer than all"
            )

    @property
    def has_film(self) -> bool:
        """Whether some of the drives to train on have no labels."""
        return bool(self.labelled) or self.labelled_sceneries is not None


def _check_once(*parts: tuple[str, ...]) -> None:
    for names in parts:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise DistilvoError(f"sequences: {', '.join(twice)} is named twice in one list; name each once")


def _check_apart(one: tuple[str, ...], other: tuple[str, ...], where: str) -> None:
    if shared := sorted(set(one) & set(other)):
        raise DistilvoError(f"sequences: {', '.join(shared)} is in {where}")


@dataclass(frozen=True)
class RateChoice:
    """Each row is trained once with each learning rate; it gets the one with the smallest errors in validation.

    Rows that differ in their budget alone share these trials.

    Attributes:
        learning_rates: to choose from.
        budget: epochs of such a training, as a share of the plan's.
    """

    learning_rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=2)]
    budget: Annotated[float, Field(gt=0, le=1)] = 1.0


@dataclass(frozen=True)
class Plan:
    """A whole study.

    Attributes:
        title: for tables and report.
        data: the built-in world, with streets of its own or along given poses; or how to split a given data set.
        recipe: of every student; all stages together take its epochs.
        teacher: how the teacher is trained further on the training set before the study; None takes it as it is.
        fold_teacher: how each teacher of a cross-fitted trust is trained.
        seeds: each row is repeated with each of them.
        rows: by name.
        tables: names of the rows of each table, in order; the others are compared with the first one.
        dropout: of the students.
        choice: how each row's learning rate is chosen; all have the recipe's where not given.
        published: the paper's numbers, by table and row.
    """

    title: str
    data: Streets | Routes | Split
    recipe: Recipe
    teacher: Recipe | None
    fold_teacher: Recipe
    seeds: tuple[int, ...]
    rows: dict[str, Row]
    tables: dict[Table, tuple[str, ...]]
    dropout: float = 0.0
    choice: RateChoice | None = None
    published: dict[Table, dict[str, Published]] = field(default_factory=dict)


QUANTILES = (5, 25, 50, 75, 95, 99, 100)
"""Per cent, of ``Cell.error_t_m``, ``error_r_deg`` and ``error_ate_m``; the last one is the largest error."""


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
        learning_rate: the highest one of its training.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: on the test set, as in ``distilvo.pipeline.evaluation``.
        t_rel_percent, r_rel_deg_per_100m: likewise; None where no drive is longer than 100 m.
        validation_t_m, validation_r_deg, validation_ate_m: RMS-RPE and ATE on the drives for validation, if there are.
        train_s: wall time of all its stages.
        steps: optimiser steps of all its stages.
        hint_error: held-out reconstruction error of the hint, mean ``||Psi_T - Psi_S||^2`` as a share of the hint's
            variance; None where the layers differ in size, or the student learned the hint through a projection.
        error_t_m, error_r_deg: ``QUANTILES`` of the error of single frame pairs.
        error_ate_m: likewise of single poses, aligned by Sim(3).
        drives: ``rms_rpe_t_m``, ``rms_rpe_r_deg``, ``ate_m``, ``t_rel_percent`` and ``r_rel_deg_per_100m`` of each
            drive of the test set.
    """

    row: str
    method: str
    hint: str
    schedule: str
    rate: float
    seed: int
    parameters: int
    latency_ms: float
    learning_rate: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float
    t_rel_percent: float | None
    r_rel_deg_per_100m: float | None
    validation_t_m: float | None
    validation_r_deg: float | None
    validation_ate_m: float | None
    train_s: float
    steps: int
    hint_error: float | None
    error_t_m: tuple[float, ...]
    error_r_deg: tuple[float, ...]
    error_ate_m: tuple[float, ...]
    drives: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Reference:
    """A line of a table without seeds: the teacher, or the mean motion; measures as in ``Cell``."""

    name: str
    parameters: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float
    t_rel_percent: float | None
    r_rel_deg_per_100m: float | None
    error_t_m: tuple[float, ...]
    error_r_deg: tuple[float, ...]
    error_ate_m: tuple[float, ...]
    drives: dict[str, dict[str, float | None]]


def check_data(plan: Plan, data: Path | None) -> None:
    """Raise DistilvoError where a plan with streets of its own is given a data set, or one that needs it is not."""
    if isinstance(plan.data, Streets) == (data is not None):
        raise DistilvoError(
            f"{plan.title}: "
            + ("renders its own streets; leave --data out" if data else "names sequences; expected --data with them")
        )


_OF_TABLES = ("rows", "tables", "title", "seeds", "published")


def plan_key(plan: Plan) -> dict[str, Any]:
    """The settings that a study's folder is claimed with: without rows and seeds, which may be added later."""
    return {key: value for key, value in asdict(plan).items() if key not in _OF_TABLES}
