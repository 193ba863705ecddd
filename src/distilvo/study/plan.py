"""What a study compares, read from a small TOML file; see docs/study.md."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from distilvo.errors import DistilvoError
from distilvo.settings import Method, Recipe, Shape

PRESETS = Path(__file__).parent / "presets"
Table = Literal["blends", "hints", "literature", "trust", "rates", "beyond", "speed"]


@dataclass(frozen=True)
class Row:
    """One line of a table: a way to make a student, repeated for each seed.

    Attributes:
        name: unique, as cells and tables refer to it; ``aht-ail@73`` is ``aht-ail`` at another rate.
        label: for people.
        method: how it is distilled.
        rate: distillation rate asked for, per cent; students made for speed have the one they have.
        shape: ``cut`` takes layers away, as the paper does; ``slim`` keeps the teacher's layers and makes them narrow;
            ``nano``, ``small`` and ``base`` are those made for speed.
    """

    name: str
    label: str
    method: Method
    rate: float
    shape: Shape = "cut"


@dataclass(frozen=True)
class Streets:
    """The built-in world as training and test set; ``hard`` is the share of streets in bad light and weather."""

    train: int
    test: int
    frames: int
    hard: float = 0.0


@dataclass(frozen=True)
class Split:
    """Names of the sequences of a data set to train and to test on."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A whole study.

    Attributes:
        title: for tables and report.
        data: the built-in world, or how to split a data set given on the command line.
        recipe: of every student; all stages together take its epochs.
        teacher: how the teacher is trained further on the training set first, or None to take it as it is.
        fold_teacher: how each teacher of a cross-fitted trust is trained.
        seeds: each row is repeated with each of them.
        rows: by name.
        tables: names of the rows of each table, in order; the first one is what the others are compared with.
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


@dataclass(frozen=True)
class Cell:
    """One row with one seed: an object of ``study.json``.

    Attributes:
        row: name of the row.
        method, hint, schedule: as in ``distilvo.settings.Method`` (``method`` is its blend).
        rate: that the student really has, per cent.
        seed: of weights and order.
        parameters: of the student.
        latency_ms: one step in ONNX Runtime, batch 1, one thread; all shapes in turns, a run for each seed.
        rms_rpe_t_m, rms_rpe_r_deg, ate_m: on the test set, as in ``distilvo.evaluation``.
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


SHARED = ("rate", "seeds", "rows", "curve", "tables")
"""What a plan takes over from the preset that it is ``like``."""
QUANTILES = (5, 25, 50, 75, 95, 99)


@dataclass(frozen=True)
class Reference:
    """A line that no seed changes: the teacher, or the mean motion; measures as in ``Cell``."""

    name: str
    parameters: int
    latency_ms: float
    rms_rpe_t_m: float
    rms_rpe_r_deg: float
    ate_m: float
    error_t_m: tuple[float, ...]
    error_r_deg: tuple[float, ...]


def read_plan(source: str) -> Plan:
    """Read a preset by its name or a file by its path.

    Raises:
        DistilvoError: there is no such preset or file, or it holds what a study does not know.
    """
    path = PRESETS / f"{source}.toml"
    if not path.exists():
        path = Path(source)
    if not path.is_file():
        names = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.toml")))
        raise DistilvoError(f"{source}: no such file; expected a TOML file or one of the presets {names}")
    try:
        values = tomllib.loads(path.read_text())
        if "like" in values:
            other = tomllib.loads((PRESETS / f"{values['like']}.toml").read_text())
            values = {key: other[key] for key in SHARED if key in other} | values
        return _plan(values)
    except FileNotFoundError:
        raise DistilvoError(f"{path}: like = '{values['like']}' is no preset; expected builtin") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, DistilvoError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DistilvoError(f"{path}: {what}; see docs/study.md for what a study's file holds") from None


def _plan(values: dict[str, Any]) -> Plan:
    data: Streets | Split
    if "streets" in values:
        data = Streets(**values["streets"])
    else:
        data = Split(*(tuple(values["sequences"][part]) for part in ("train", "test")))
    rows = {name: _row(name, found, values["rate"]) for name, found in values["rows"].items()}
    tables = {table: tuple(names) for table, names in values["tables"].items()}
    for table, names in tables.items():
        if table not in get_args(Table):
            raise DistilvoError(f"table '{table}' is unknown; expected one of {', '.join(get_args(Table))}")
        if missing := [name for name in names if name not in rows]:
            raise DistilvoError(f"table '{table}' has rows that are nowhere described: {', '.join(missing)}")
    if "curve" in values:
        curve = _curve(rows[values["curve"]["row"]], values["curve"]["rates"])
        rows |= curve
        tables["rates"] = tuple(curve)
    teacher = values.get("teacher")
    return Plan(
        values["title"],
        data,
        Recipe(**values["recipe"]),
        None if teacher is None else Recipe(**teacher),
        Recipe(**values["fold_teacher"]) if "fold_teacher" in values else Recipe(),
        tuple(values["seeds"]),
        rows,
        tables,
        values.get("dropout", 0.0),
    )


def _row(name: str, values: dict[str, Any], rate: float) -> Row:
    own = {key: values[key] for key in ("label", "rate", "shape") if key in values}
    unknown = values.keys() - own.keys() - {field.name for field in fields(Method)}
    if unknown:
        raise DistilvoError(f"row '{name}': {', '.join(sorted(unknown))} is unknown")
    if own.get("shape", "cut") not in get_args(Shape):
        raise DistilvoError(f"row '{name}': shape is {own['shape']}, expected {' or '.join(get_args(Shape))}")
    method = Method(**{key: value for key, value in values.items() if key not in own})
    return Row(name, own.get("label", name), method, own.get("rate", rate), own.get("shape", "cut"))


def _curve(row: Row, rates: list[float]) -> dict[str, Row]:
    """A row at several rates; at its own rate it is the row itself, so that nothing is trained twice."""
    others = {rate: replace(row, name=f"{row.name}@{rate:g}", rate=rate) for rate in rates if rate != row.rate}
    return {found.name: found for found in (others.get(rate, row) for rate in rates)}
