"""The report of scored trajectories: what ``distilvo evaluate`` and ``distilvo track`` found, as ``RunResults``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from distilvo.poses import Floats, between
from distilvo.report.pictures import narrowed
from distilvo.report.results import (
    Cell,
    DriveResult,
    Estimate,
    ModelRow,
    Picture,
    ReportTable,
    RunResults,
    frames_to_show,
)
from distilvo.report.scores import score_headers, score_rows
from distilvo.report.style import label
from distilvo.scoring import Score, with_totals
from distilvo.sequences import Sequence

_SAME_PLACE_M = 1e-2
_NOTE = (
    "RPE: relative pose error; ATE: absolute trajectory error, root mean square; t_rel, r_rel: as the KITTI benchmark "
    "has them, over 100 to 800 m. Each column says its unit and how the estimate was aligned. Smaller is better."
)


def comparison(
    title: str,
    scores: list[Score],
    settings: dict[str, Any],
    sequences: Mapping[str, Sequence] | None = None,
    tables: Iterable[ReportTable] = (),
    notes: Iterable[str] = (),
) -> RunResults:
    """Everything that a page shows of scores, at least one.

    Args:
        title: of the page.
        scores: of each estimate on each sequence, without totals.
        settings: that the scores were made with.
        sequences: where pictures of the drives come from, by name.
        tables, notes: more of them, to stand first.
    """
    rows = with_totals(scores)
    table = ReportTable(score_headers(rows[0].how), [[Cell(text) for text in row] for row in score_rows(rows)], _NOTE)
    return RunResults(
        title,
        tables=[*tables, table],
        rows=_totals(rows),
        drives=_drives(scores, sequences or {}),
        settings=settings,
        notes=[*notes, *(f"{row.name}, {row.sequence}: {note}." for row in rows if (note := row.note()))],
        how=rows[0].how,
    )


def _totals(rows: list[Score]) -> list[ModelRow]:
    """Of each name the row of all its sequences, which comes last, where it has all three figures."""
    last = {row.name: row.deviations.figures() for row in rows}
    found = []
    for name, figures in last.items():
        t, r, ate = (figures[key] for key in ("rms_rpe_t_m", "rms_rpe_r_deg", "ate_rms_m"))
        if t is not None and r is not None and ate is not None:
            found.append(ModelRow(name, 0, 0.0, 0.0, t, r, ate))
    return found


def _drives(scores: list[Score], sequences: Mapping[str, Sequence]) -> list[DriveResult]:
    """One for each sequence; estimates that were scored against other frames of it get one of their own."""
    found: dict[str, DriveResult] = {}
    count = len({score.sequence for score in scores})
    for score in scores:
        name, own = score.sequence, score.compared
        assert own is not None
        if name in found and (move := _onto(own.truth, found[name].truth)) is not None:
            found[name].estimates[score.name] = Estimate(move @ own.estimate, own.frames)
            continue
        if name in found:
            name = f"{name} ({label(score.name)})"
        pictures = _pictures(sequences.get(score.sequence), len(own.truth), count)
        found[name] = DriveResult(
            name, own.truth, {score.name: Estimate(own.estimate, own.frames)}, pictures, own.times
        )
    return list(found.values())


def _pictures(sequence: Sequence | None, frames: int, drives: int) -> dict[int, Picture]:
    """A few along the way, of a sequence that is made of picture files and has as many frames as the truth."""
    frame_at = getattr(sequence, "frame", None)
    if sequence is None or frame_at is None or len(sequence) != frames:
        return {}
    return {k: narrowed(frame_at(k)) for k in frames_to_show(frames, drives).tolist()}


def _onto(truth: Floats, other: Floats | None) -> Floats | None:
    """The rigid move (4, 4) that brings one truth onto another of the same drive; None where they are not the same."""
    if other is None or truth.shape != other.shape:
        return None
    move: Floats = other[0] @ between(truth[0], np.eye(4))
    off = np.linalg.norm((move @ truth)[:, :3, 3] - other[:, :3, 3], axis=1).max()
    return move if off < _SAME_PLACE_M else None
