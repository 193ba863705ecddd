"""The report of scored trajectories: those of ``distilvo evaluate`` and ``distilvo track``, as ``RunResults``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from distilvo.geometry.se3 import Floats, between
from distilvo.report.results import (
    DriveResult,
    Estimate,
    Image,
    ModelRow,
    ReportTable,
    RunResults,
    TableCell,
    frames_to_show,
)
from distilvo.report.score_table import full_rows, score_headers
from distilvo.report.style import label
from distilvo.report.thumbnails import narrowed
from distilvo.sequences import IndexedSequence, Sequence
from distilvo.trajectory.scores import Score, with_totals

_SAME_PLACE_M = 1e-2
_NOTE = (
    "RPE: relative pose error; ATE: absolute trajectory error, root mean square; t_rel, r_rel: as the KITTI benchmark "
    "has them, over 100 to 800 m. Each column says its unit and how the estimate was aligned. Smaller is better."
)
_NOT_ALIKE = (
    "Not every estimate is of every drive: compare them drive by drive, statistics of all drives are of other ones."
)


def score_report(
    title: str,
    scores: list[Score],
    settings: dict[str, Any],
    *,
    sequences: Mapping[str, Sequence] | None = None,
    tables: Iterable[ReportTable] = (),
    more: Iterable[ReportTable] = (),
    notes: Iterable[str] = (),
) -> RunResults:
    """Everything that a page shows of scores, at least one.

    Args:
        title: of the page.
        scores: of each estimate on each sequence, without totals.
        settings: that the scores were made with.
        sequences: where images of the drives come from, by name.
        tables, notes: more of them, to stand first.
        more: tables to stand last.
    """
    rows = with_totals(scores)
    table = ReportTable(
        score_headers(rows[0].how), [[TableCell(text) for text in row] for row in full_rows(rows)], _NOTE
    )
    alike = _of_the_same_drives(scores)
    return RunResults(
        title,
        tables=[*tables, table, *more],
        rows=_totals(rows) if alike else [],
        drives=_drives(scores, sequences or {}),
        settings=settings,
        notes=[
            *notes,
            *[_NOT_ALIKE] * (not alike),
            *(f"{row.name}, {row.sequence}: {note}." for row in rows if (note := row.note())),
        ],
        how=rows[0].how,
    )


def _of_the_same_drives(scores: list[Score]) -> bool:
    """Whether all names have scores of the same sequences."""
    sequences: dict[str, set[str]] = {}
    for score in scores:
        sequences.setdefault(score.name, set()).add(score.sequence)
    return all(each == sequences[scores[0].name] for each in sequences.values())


def _totals(rows: list[Score]) -> list[ModelRow]:
    """Of each name the row of all its sequences, which comes last, where it has all three measures."""
    last = {row.name: row.deviations.statistics() for row in rows}
    totals = []
    for name, measures in last.items():
        t, r, ate = (measures[key] for key in ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_m"))
        if t is not None and r is not None and ate is not None:
            totals.append(ModelRow(name, 0, 0.0, 0.0, t, r, ate))
    return totals


def _drives(scores: list[Score], sequences: Mapping[str, Sequence]) -> list[DriveResult]:
    """One for each sequence; estimates that were scored against other frames of it get one of their own.

    All in the axes of the true first camera, whatever world a file has, so that x and z are seen from above.
    """
    drives: dict[str, DriveResult] = {}
    count = len({score.sequence for score in scores})
    for score in scores:
        name, own = score.sequence, score.compared
        assert own is not None
        truth, poses = between(own.truth[:1], own.truth), between(own.truth[:1], own.estimate)
        if name in drives and _is_same(truth, drives[name].truth):
            drives[name].estimates[score.name] = Estimate(poses, own.frames, own.by_time)
            continue
        if name in drives:
            name = f"{name} ({label(score.name)})"
        images = _images(sequences.get(score.sequence), len(own.truth), count)
        estimates = {score.name: Estimate(poses, own.frames, own.by_time)}
        drives[name] = DriveResult(name, truth, estimates, images, own.times, numbers=own.numbers)
    return list(drives.values())


def _images(sequence: Sequence | None, frames: int, drives: int) -> dict[int, Image]:
    """A few along the way, of a sequence that is made of image files and has as many frames as the truth."""
    if not isinstance(sequence, IndexedSequence) or len(sequence) != frames:
        return {}
    return {k: narrowed(sequence.frame(k)) for k in frames_to_show(frames, drives).tolist()}


def _is_same(truth: Floats, other: Floats | None) -> bool:
    """Whether two truths (N, 4, 4), each in the axes of its first camera, are of the same frames of a drive."""
    if other is None or truth.shape != other.shape:
        return False
    return bool(np.linalg.norm(truth[:, :3, 3] - other[:, :3, 3], axis=1).max() < _SAME_PLACE_M)
