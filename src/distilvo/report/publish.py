"""Scores printed and written: table, JSON, CSV, LaTeX, page and pictures. Imports no torch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from distilvo.errors import DistilvoError
from distilvo.files import write_json, write_text
from distilvo.progress import console
from distilvo.report.comparison import comparison
from distilvo.report.results import ReportTable
from distilvo.report.scores import csv_table, latex_table, score_table
from distilvo.report.write import write_report
from distilvo.scoring import Request, Score, score_files, with_totals
from distilvo.sequences import Sequence as Frames
from distilvo.sequences import choose


def evaluate_files(request: Request) -> None:
    """Score trajectory files alone: the verb where no model is named."""
    scores = score_files(request)
    request.claim()
    publish(request, scores)
    report(request, scores)


def publish(request: Request, scores: list[Score], table: bool = True) -> None:
    """Print the scores, as a table or as JSON, and write them as JSON, CSV and LaTeX where a folder is given."""
    rows = with_totals(scores)
    objects = [row.to_dict() for row in rows]
    if request.out is not None:
        write_json(request.out / "scores.json", {"scores": objects})
        write_text(request.out / "scores.csv", csv_table(rows))
        write_text(request.out / "scores.tex", latex_table(rows))
    if request.as_json:
        print(json.dumps(objects[0] if len(objects) == 1 else {"scores": objects}, indent=2, allow_nan=False))
    elif table:
        console.print(score_table(rows))
        for row in rows:
            if note := row.note():
                console.print(f"{row.name}, {row.sequence}: {note}", markup=False, highlight=False, soft_wrap=True)


def report(
    request: Request, scores: list[Score], tables: Sequence[ReportTable] = (), notes: Sequence[str] = ()
) -> None:
    """Write page and pictures where a folder is given; ``tables`` and ``notes`` stand first."""
    if request.out is None:
        return
    settings = {name: str(value) for name, value in asdict(request).items() if name not in ("how", "as_json")}
    settings["scoring"] = json.dumps(asdict(request.how))
    found = comparison(
        "distilvo evaluate", scores, settings, {one.name: one for one in _sequences(request)}, tables, notes
    )
    if write_report(request.out, found) and not request.as_json:
        console.print(f"Report: {request.out / 'report.html'}   pictures: {request.out / 'plots'}")


def _sequences(request: Request) -> Sequence[Frames]:
    """Where pictures come from: the data set, unless it holds poses alone, as KITTI offers them for download."""
    if request.data is None:
        return []
    with warnings.catch_warnings(), suppress(DistilvoError):
        warnings.simplefilter("ignore")  # said when it was opened to be scored
        return choose(request.data, request.sequences)
    return []
