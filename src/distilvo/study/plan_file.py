"""Reads the plan of a study from a small TOML file; docs/study.md says what it holds."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from distilvo.errors import DistilvoError
from distilvo.files import read_utf8
from distilvo.models.student import check_rate
from distilvo.paths import check_distinct, check_regular, near
from distilvo.settings import NEEDS_EVERY_LABEL, PAPER, Recipe
from distilvo.study.plan import Names, Plan, Published, RateChoice, Routes, Row, Split, Streets, Table

PRESETS = Path(__file__).parent / "presets"
Rate = Annotated[float, AfterValidator(check_rate)]


class _Curve(BaseModel, strict=True, extra="forbid", allow_inf_nan=False):
    """One row at several rates."""

    row: str
    rates: Annotated[list[Rate], Field(min_length=1)]


class _PlanFile(BaseModel, strict=True, extra="forbid", allow_inf_nan=False):
    """The content of a plan's file."""

    title: str
    like: str | None = None
    rate: Rate
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    streets: Streets | None = None
    routes: Routes | None = None
    sequences: Split | None = None
    recipe: Recipe
    teacher: Recipe | None = None
    fold_teacher: Recipe = Recipe()
    choice: RateChoice | None = None
    rows: dict[str, Row]
    curve: _Curve | None = None
    tables: dict[Table, Names]
    published: dict[Table, dict[str, Published]] = {}


_ROW_KEYS = ("label", "rate", "shape", "folds", "labels", "oracle", "budget")
_LARGEST = 2**20  # bytes
_SHARED = ("rate", "seeds", "curve", "tables", "published")
"""What a plan takes from the preset that it is ``like``, besides rows."""


def read_plan(source: str) -> Plan:
    """Read a preset by its name or a file by its path.

    Raises:
        DistilvoError: there is no such preset or file, or it holds what a study does not have.
    """
    path = PRESETS / f"{source}.toml"
    if not path.exists():
        path = Path(source)
    presets = sorted(preset.stem for preset in PRESETS.glob("*.toml"))
    if path.is_dir():
        raise DistilvoError(f"{source}: a folder; expected a study's TOML file")
    if not path.is_file():
        names = ", ".join(presets)
        close = get_close_matches(source, presets, n=1)
        instead = f"did you mean {close[0]}? " if close else near(path)
        raise DistilvoError(f"{source}: no such file; {instead}expected a TOML file or one of the presets {names}")
    check_regular(path, "a study's TOML file", _LARGEST)
    try:
        values = _with_preset(tomllib.loads(read_utf8(path)), presets)
        if isinstance(rows := values.get("rows"), dict):
            values["rows"] = {name: _completed(name, row, values.get("rate")) for name, row in rows.items()}
        # Strict types take tuples and dataclasses from JSON only.
        return _plan(_PlanFile.model_validate_json(json.dumps(values, default=str)))
    except ValidationError as error:
        reason = _first_error(error)
    except (ValueError, RecursionError, DistilvoError) as error:  # of tomllib and json
        reason = str(error)
    raise DistilvoError(f"{path}: {reason}; see docs/study.md for what a study's file holds")


def _with_preset(values: dict[str, Any], presets: list[str]) -> dict[str, Any]:
    """A file's values on top of those that it takes from the preset that it is ``like``, if it is like one."""
    if "like" not in values:
        return values | {"rows": _spelled_out(values["rows"])} if isinstance(values.get("rows"), dict) else values
    if values["like"] not in presets:
        raise DistilvoError(f"like = '{values['like']}' is no preset; expected one of {', '.join(presets)}")
    text = (PRESETS / f"{values['like']}.toml").read_text(encoding="utf-8")
    preset = _with_preset(tomllib.loads(text), presets)
    own_tables = isinstance(values.get("tables"), dict)
    shared = {key: preset[key] for key in _SHARED if key in preset and not (key == "curve" and own_tables)}
    merged = shared | values
    rows = values.get("rows", {})
    if isinstance(rows, dict):
        merged["rows"] = _spelled_out(preset["rows"] | rows)
    if own_tables and isinstance(merged["rows"], dict):
        _leave_out(merged, preset)
        if "published" not in values:
            merged["published"] = _published_of(merged["tables"], preset.get("published", {}))
    return merged


def _spelled_out(rows: dict[str, Any]) -> dict[str, Any]:
    """Rows with what they take from the row that they are ``like``: all but its label."""

    def whole(name: str, above: tuple[str, ...] = ()) -> Any:
        row = rows[name]
        if not isinstance(row, dict) or "like" not in row:
            return row
        other = row["like"]
        if not isinstance(other, str) or other in (*above, name) or not isinstance(rows.get(other), dict):
            raise DistilvoError(f"row '{name}': like is {other!r}, expected the name of another row of this plan")
        taken = whole(other, (*above, name))
        return {key: value for key, value in (taken | row).items() if key != "like" and (key != "label" or key in row)}

    return {name: whole(name) for name in rows}


def _leave_out(merged: dict[str, Any], preset: dict[str, Any]) -> None:
    """Take from a preset only the rows that a file's own tables, or its curve, name."""
    named = {str(row) for rows in merged["tables"].values() if isinstance(rows, list) for row in rows}
    if isinstance(curve := merged.get("curve"), dict):
        named.add(str(curve.get("row")))
    own = {name for name, row in merged["rows"].items() if row != preset["rows"].get(name)}
    merged["rows"] = {name: row for name, row in merged["rows"].items() if name in named | own}


def _published_of(tables: dict[str, Any], numbers: dict[str, Any]) -> dict[str, Any]:
    """The paper's numbers of a preset for those rows that stand in tables of the same name."""
    shared = [name for name, rows in tables.items() if isinstance(rows, list) and name in numbers]
    return {table: {row: of for row, of in numbers[table].items() if row in tables[table]} for table in shared}


def _completed(name: str, row: Any, rate: Any) -> Any:
    """A row as the file has it, with what it leaves out: name, label, the rate of the plan, the paper's method."""
    if not isinstance(row, dict):
        return row
    own = {key: row[key] for key in _ROW_KEYS if key in row}
    method = asdict(PAPER) | {key: value for key, value in row.items() if key not in own}
    return {"name": name, "label": name, "rate": rate, "method": method} | own


def _plan(file: _PlanFile) -> Plan:
    """The plan of a file, after the checks that need several of its parts."""
    data = file.streets or file.routes or file.sequences
    if data is None or sum(part is not None for part in (file.streets, file.routes, file.sequences)) > 1:
        raise DistilvoError("expected one of [streets], [routes] and [sequences]")
    if file.choice and not (isinstance(data, (Routes, Split)) and data.validation):
        raise DistilvoError("choice: learning rates are chosen on drives for validation; expected validation = [...]")
    if not 0 <= min(file.seeds) <= max(file.seeds) < 2**63 or len(set(file.seeds)) < len(file.seeds):
        raise DistilvoError(f"seeds: is {list(file.seeds)}, expected different numbers, 0 or more, less than 2^63")
    if file.recipe.seed:
        raise DistilvoError(
            f"recipe: seed is {file.recipe.seed}, but students are trained with seeds; expected none here"
        )
    rows, tables = dict(file.rows), dict(file.tables)
    has_film = not isinstance(data, Split) and data.has_film
    if parted := [name for name, row in rows.items() if row.labels != "all" and not has_film]:
        raise DistilvoError(
            f"row '{parted[0]}': labels is {rows[parted[0]].labels}, expected streets or routes with labelled = ..."
        )
    if blind := [name for name, row in rows.items() if row.oracle and row.labels == "labelled"]:
        raise DistilvoError(f'row \'{blind[0]}\': oracle is trust in film, too; expected labels = "film" or "all"')
    for name, row in rows.items():
        if row.labels == "film" and not row.oracle and row.method.trust in NEEDS_EVERY_LABEL:
            raise DistilvoError(
                f"row '{name}': trust is {row.method.trust}, which needs a label of every frame pair; with labels = "
                '"film" expected learned, consistency or none'
            )
    if file.curve:
        if "rates" in tables:
            raise DistilvoError("table 'rates' is that of [curve]; leave one of the two out")
        curve = _curve(rows, file.curve)
        rows |= curve
        tables["rates"] = tuple(curve)
    check_distinct(rows, "rows")
    for table, names in tables.items():
        if missing := [name for name in names if name not in rows]:
            raise DistilvoError(f"table '{table}' has rows that are nowhere described: {', '.join(missing)}")
    for table, numbers in file.published.items():
        if missing := [name for name in numbers if name not in tables.get(table, ())]:
            raise DistilvoError(f"published: table '{table}' has no row {', '.join(missing)}")
    return Plan(
        title=file.title,
        data=data,
        recipe=file.recipe,
        teacher=file.teacher,
        fold_teacher=file.fold_teacher,
        seeds=file.seeds,
        rows=rows,
        tables=tables,
        dropout=file.dropout,
        choice=file.choice,
        published=file.published,
    )


def _curve(rows: dict[str, Row], curve: _Curve) -> dict[str, Row]:
    """A row at several rates; at its own rate, and where the file has such a row, it is that one: trained once."""
    if curve.row not in rows:
        raise DistilvoError(f"curve has a row that is nowhere described: {curve.row}")
    row = rows[curve.row]
    names = {row.name if rate == row.rate else f"{row.name}@{rate:g}": rate for rate in curve.rates}
    return {
        name: rows.get(name) or replace(row, name=name, rate=rate, label=f"{rate:g} %: {row.label}")
        for name, rate in names.items()
    }


def _first_error(error: ValidationError) -> str:
    """Where the first error of a file is, what is there, and what was expected."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return first["msg"]
    *where, name = (str(part) for part in first["loc"] if part not in ("method", "[key]"))
    place = "".join(f"{part}: " for part in where)
    if first["type"] == "missing":
        return f"{place}'{name}' is missing"
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place}{name} is unknown"
    expected = first["msg"].partition(" should ")[2].partition(" after validation")[0]
    for json_word, toml_word in (("an object", "a table"), ("a valid array", "a list")):
        expected = expected.replace(json_word, toml_word)
    return f"{place}{name} is {first['input']!r}, expected to {expected}"
