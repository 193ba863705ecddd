"""The report of scored trajectories: those of ``distilvo evaluate`` and ``distilvo track``, as ``RunResults``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from distilvo.geometry.se3 import Floats, assemble, between
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

    Each is drawn from where it begins, x to the right and z forward: see ``_seen_from_above``.
    """
    drives: dict[str, DriveResult] = {}
    count = len({score.sequence for score in scores})
    for score in scores:
        name, own = score.sequence, score.compared
        assert own is not None
        if name in drives and (move := _onto(own.truth, drives[name].truth)) is not None:
            drives[name].estimates[score.name] = Estimate(move @ own.estimate, own.frames, own.by_time)
            continue
        if name in drives:
            name = f"{name} ({label(score.name)})"
        images = _images(sequences.get(score.sequence), len(own.truth), count)
        base = _seen_from_above(own.truth[0])
        estimates = {score.name: Estimate(between(base, own.estimate), own.frames, own.by_time)}
        truth = between(base, own.truth)
        drives[name] = DriveResult(name, truth, estimates, images, own.times, numbers=own.numbers)
    return list(drives.values())


def _images(sequence: Sequence | None, frames: int, drives: int) -> dict[int, Image]:
    """A few along the way, of a sequence that is made of image files and has as many frames as the truth."""
    if not isinstance(sequence, IndexedSequence) or len(sequence) != frames:
        return {}
    return {k: narrowed(sequence.frame(k)) for k in frames_to_show(frames, drives).tolist()}


def _seen_from_above(first: Floats) -> Floats:
    """Where the map of a drive begins: at its first pose (4, 4), with the axes of its world in the camera's order.

    A world may have its third axis up, as those of TUM and EuRoC; y is that which points most nearly down in the first
    image, z the one that points most nearly into it. So a level world stays level, however the camera is tilted.
    """
    down = int(np.argmax(np.abs(first[:3, 1])))
    forward = int(np.argmax(np.where(np.arange(3) == down, 0.0, np.abs(first[:3, 2]))))
    y, z = (np.eye(3)[axis] * np.sign(first[axis, column]) for axis, column in ((down, 1), (forward, 2)))
    return assemble(np.stack([np.cross(y, z), y, z], axis=1), first[:3, 3])


def _onto(truth: Floats, other: Floats | None) -> Floats | None:
    """The rigid move (4, 4) that brings one truth onto another of the same drive; None where they are not the same."""
    if other is None or truth.shape != other.shape:
        return None
    move: Floats = other[0] @ between(truth[0], np.eye(4))
    off = np.linalg.norm((move @ truth)[:, :3, 3] - other[:, :3, 3], axis=1).max()
    return move if off < _SAME_PLACE_M else None
