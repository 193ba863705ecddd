"""Cells of a study that are made up: errors in the paper's order, a little noise, five seeds."""

from __future__ import annotations

from dataclasses import replace

from distilvo.settings import PAPER, Recipe
from distilvo.study.findings import Finding, study_findings
from distilvo.study.plan import Cell, Plan, Reference, Row, Streets
from distilvo.study.study_table import StudyTable
from distilvo.study.study_tables import study_tables

EVIL = '<script>alert("1")</script>&|$x$'
SEEDS = (0, 1, 2, 3, 4)
NOISE = (0.001, -0.001, 0.0005, -0.0005, 0.0)
SPREAD = (0.01, 0.03, 0.05, 0.08, 0.2, 0.4, 0.9)
TEACHER = Reference("teacher", 1_000_000, 21.2, 0.08, 0.14, 2.5, None, None, SPREAD, SPREAD, SPREAD, {})
MEAN = Reference("mean_motion", 0, 0.0, 0.3, 1.0, 30.0, None, None, SPREAD, SPREAD, SPREAD, {})
ABOUT = {"command": "distilvo study preset", "date": "2026-01-31", "numpy": "2.0"}

METHODS = {
    "gt": replace(PAPER, blend="ground-truth", hint="none"),
    "teacher": replace(PAPER, blend="teacher-only", hint="none"),
    "min": replace(PAPER, blend="minimum", hint="none"),
    "add": replace(PAPER, blend="additional", hint="none"),
    "bound": replace(PAPER, blend="upper-bound", hint="none"),
    "laplace": replace(PAPER, blend="laplace", hint="none"),
    "ail": replace(PAPER, hint="none"),
    "ht": replace(PAPER, hint="plain"),
    "aht": PAPER,
    "joint": replace(PAPER, schedule="joint"),
    "fitnets": replace(PAPER, blend="ground-truth", hint="plain"),
}
CURVE = {"aht@65.8": 65.8, "aht@73": 73.0, "aht@80": 80.0, "aht": 92.95, "aht@97": 97.0}
PAPER_ERRORS = {  # translation errors in the paper's order
    "gt": 0.110, "teacher": 0.120, "min": 0.108, "add": 0.115, "bound": 0.107, "laplace": 0.106, "ail": 0.104,
    "ht": 0.099, "aht": 0.09, "joint": 0.098, "fitnets": 0.105,
    "aht@65.8": 0.075, "aht@73": 0.082, "aht@80": 0.085, "aht@97": 0.2,
}  # fmt: skip


def plan(seeds: tuple[int, ...] = SEEDS, **others: Row) -> Plan:
    rows = {name: Row(name, name.upper(), method, 92.95) for name, method in METHODS.items()}
    rows |= {name: Row(name, name.upper(), PAPER, rate) for name, rate in CURVE.items()} | others
    tables = {
        "blends": ("gt", "teacher", "min", "add", "bound", "laplace", "ail"),
        "hints": ("ail", "ht", "aht", "joint"),
        "literature": ("aht", "gt", "fitnets", "bound"),
        "rates": tuple(CURVE),
    }
    return Plan("A study", Streets(2, 1, 10), Recipe(), None, Recipe(), seeds, rows, tables)  # type: ignore[arg-type]


def cell(row: str, seed: int, error: float, rate: float = 92.95, rotation: float | None = None) -> Cell:
    method = METHODS[row.partition("@")[0]]
    return Cell(
        row=row,
        method=method.blend,
        hint=method.hint,
        schedule=method.schedule,
        rate=rate,
        seed=seed,
        parameters=round(10_000 * (100 - rate)),
        latency_ms=8.0,
        learning_rate=1e-3,
        rms_rpe_t_m=error,
        rms_rpe_r_deg=1.6 * error if rotation is None else rotation,
        ate_m=30 * error,
        t_rel_percent=None,
        r_rel_deg_per_100m=None,
        validation_t_m=0.9 * error,
        validation_r_deg=error,
        validation_ate_m=20 * error,
        train_s=12.5,
        steps=100,
        hint_error=None if method.hint == "none" else 5 * error,
        error_t_m=tuple(error * value for value in SPREAD),
        error_r_deg=tuple(2 * error * value for value in SPREAD),
        error_ate_m=tuple(30 * error * value for value in SPREAD),
        drives={"09": {"ate_m": 30 * error}},
    )


def made_up(errors: dict[str, float] = PAPER_ERRORS, seeds: tuple[int, ...] = SEEDS) -> list[Cell]:
    """Cells whose noise differs a little from row to row, so that no difference is quite the same for each seed."""
    return [
        cell(row, seed, error + NOISE[seed] + 1e-4 * ((number * 7 + seed * 3) % 5), CURVE.get(row, 92.95))
        for number, (row, error) in enumerate(errors.items())
        for seed in seeds
    ]


def outcomes(cells: list[Cell], of: Plan | None = None) -> dict[int, str]:
    return {found.number: found.outcome for found in findings(cells, of)}


def findings(cells: list[Cell], of: Plan | None = None) -> list[Finding]:
    return study_findings(of or plan(), cells, [TEACHER, MEAN])


def table(name: str, cells: list[Cell], of: Plan | None = None) -> StudyTable:
    return next(found for found in study_tables(of or plan(), cells, [TEACHER, MEAN]) if found.name == name)
