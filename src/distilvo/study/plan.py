"""What a study compares, read from a small TOML file; see docs/study.md."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

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

    def __post_init__(self) -> None:
        if min(self.train, self.test) < 1 or self.frames < 2 or not 0 <= self.hard <= 1:
            raise DistilvoError(
                f"streets: train {self.train}, test {self.test}, frames {self.frames}, hard {self.hard}; expected at "
                "least 1 street each, 2 frames, and a share from 0 to 1"
            )


@dataclass(frozen=True)
class Split:
    """Names of the sequences of a data set to train and to test on."""

    train: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        if both := sorted(set(self.train) & set(self.test)):
            raise DistilvoError(f"sequences: {', '.join(both)} is in train and in test; expected others to test on")


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


Made = TypeVar("Made", Streets, Recipe, Method)

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
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        if "like" in values:
            if values["like"] not in [preset.stem for preset in PRESETS.glob("*.toml")]:
                raise DistilvoError(f"like = '{values['like']}' is no preset; expected builtin")
            other = tomllib.loads((PRESETS / f"{values['like']}.toml").read_text(encoding="utf-8"))
            values = {key: other[key] for key in SHARED if key in other} | values
        return _plan(values)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, DistilvoError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DistilvoError(f"{path}: {what}; see docs/study.md for what a study's file holds") from None


def _plan(values: dict[str, Any]) -> Plan:
    data: Streets | Split
    if "streets" in values:
        data = _made(Streets, values["streets"], "streets")
    else:
        sequences = _table(values["sequences"], "sequences")
        data = Split(*(_list(sequences[part], str, f"sequences: {part}") for part in ("train", "test")))
    rate = _rate(values["rate"], "rate")
    rows = {name: _row(name, _table(found, name), rate) for name, found in _table(values["rows"], "rows").items()}
    tables: dict[Any, tuple[str, ...]] = {
        table: _list(names, str, table) for table, names in _table(values["tables"], "tables").items()
    }
    for table, names in tables.items():
        if table not in get_args(Table):
            raise DistilvoError(f"table '{table}' is unknown; expected one of {', '.join(get_args(Table))}")
        if missing := [name for name in names if name not in rows]:
            raise DistilvoError(f"table '{table}' has rows that are nowhere described: {', '.join(missing)}")
    if "curve" in values:
        curve = _curve(rows, _table(values["curve"], "curve"))
        rows |= curve
        tables["rates"] = tuple(curve)
    seeds = _list(values["seeds"], int, "seeds")
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise DistilvoError(f"seeds: is {list(seeds)}, expected different numbers, 0 or more")
    if not 0 <= (dropout := _number(values.get("dropout", 0.0), "dropout")) < 1:
        raise DistilvoError(f"dropout: is {dropout}, expected 0 or more and less than 1")
    return Plan(
        str(values["title"]),
        data,
        _made(Recipe, values["recipe"], "recipe"),
        _made(Recipe, values["teacher"], "teacher") if "teacher" in values else None,
        _made(Recipe, values.get("fold_teacher", {}), "fold_teacher"),
        seeds,
        rows,
        tables,
        dropout,
    )


def _row(name: str, values: dict[str, Any], rate: float) -> Row:
    own = {key: values[key] for key in ("label", "rate", "shape") if key in values}
    unknown = values.keys() - own.keys() - {field.name for field in fields(Method)}
    if unknown:
        raise DistilvoError(f"row '{name}': {', '.join(sorted(unknown))} is unknown")
    if own.get("shape", "cut") not in get_args(Shape):
        raise DistilvoError(f"row '{name}': shape is {own['shape']}, expected {' or '.join(get_args(Shape))}")
    method = _made(Method, {key: value for key, value in values.items() if key not in own}, f"row '{name}'")
    own_rate = _rate(own.get("rate", rate), f"row '{name}': rate")
    return Row(name, str(own.get("label", name)), method, own_rate, own.get("shape", "cut"))


def _curve(rows: dict[str, Row], values: dict[str, Any]) -> dict[str, Row]:
    """A row at several rates; at its own rate it is the row itself, so that nothing is trained twice."""
    if values["row"] not in rows:
        raise DistilvoError(f"curve has a row that is nowhere described: {values['row']}")
    row = rows[values["row"]]
    rates = [_rate(rate, "curve: rates") for rate in _list(values["rates"], (int, float), "curve: rates")]
    others = {rate: replace(row, name=f"{row.name}@{rate:g}", rate=rate) for rate in rates if rate != row.rate}
    return {found.name: found for found in (others.get(rate, row) for rate in rates)}


def _made(kind: type[Made], values: Any, where: str) -> Made:
    """Settings from a table of the file; TOML has types, so that 3.0 is no whole number and "3" no number."""
    hints = get_type_hints(kind)
    for name, value in _table(values, where).items():
        expected = hints.get(name)
        if expected is None:
            raise DistilvoError(f"{where}: {name} is unknown")
        if expected is float:
            _number(value, f"{where}: {name}")
        elif expected in (int, bool) and type(value) is not expected:
            raise DistilvoError(f"{where}: {name} is {value!r}, expected {_WORDS[expected]}")
    return kind(**values)


_WORDS = {int: "a whole number", bool: "true or false", str: "a text"}


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DistilvoError(f"{where}: is {value!r}, expected a table")
    return value


def _list(value: Any, kind: type | tuple[type, ...], where: str) -> tuple[Any, ...]:
    """A list with something in it, all of one kind."""
    if not isinstance(value, list) or not value or not all(isinstance(v, kind) and v is not True for v in value):
        raise DistilvoError(f"{where}: is {value!r}, expected a list of {'names' if kind is str else 'numbers'}")
    return tuple(value)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DistilvoError(f"{where} is {value!r}, expected a number")
    return value


def _rate(value: Any, where: str) -> float:
    if not 0 < (rate := _number(value, where)) < 100:
        raise DistilvoError(f"{where} is {rate}, expected more than 0 and less than 100 per cent")
    return rate
