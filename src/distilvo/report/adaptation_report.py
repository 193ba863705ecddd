"""The page of a student that was fitted to film: how near its teacher it came, and where the teacher was trusted."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from distilvo.pipeline.adaptation import Adapted, Distance, Film, by_part
from distilvo.pipeline.frame_statuses import doubted_runs
from distilvo.report.results import FilmTrust, ReportTable, RunResults, TableCell, TrustResult, TrustSample
from distilvo.runtime import Status

MEANING = "No labels: this says how near the student is to its teacher, not how near to the truth."
SAMPLES = 4
_APART = 10  # frames
PARTS = ("translation", "rotation")
_UNITS = {"translation_m": ("translation", "m"), "rotation_deg": ("rotation", "degrees")}
_MEASURES = _UNITS | {f"trusted_{key}": (f"{name}, weighed by trust", unit) for key, (name, unit) in _UNITS.items()}


def adaptation_page(title: str, made: Adapted, film: Film, settings: dict[str, Any]) -> RunResults:
    """All that the page shows.

    Args:
        title: of the page.
        made: the fitted student.
        film: that it was fitted to.
        settings: of the run.
    """
    scale = "The scale is the teacher's: where that is off on this camera, so is the student's."
    return RunResults(
        title,
        " ".join([headline(made), *warnings_of(made)]),
        tables=[distance_table(made, film), film_table(film)],
        curves=made.curves,
        trust=None if made.trust.kind == "none" else trust_of(made, film),
        films=film_trusts(made, film),
        settings=settings,
        notes=[scale],
    )


def headline(made: Adapted) -> str:
    """How near the student came, in a sentence."""
    before, after = made.before, made.after
    return (
        f"On film that was held back the student is {after.translation_m:.4f} m and {after.rotation_deg:.4f}° a frame "
        f"from its teacher, before {before.translation_m:.4f} m and {before.rotation_deg:.4f}°. {MEANING}"
    )


def warnings_of(made: Adapted) -> list[str]:
    """One line where the student is farther from its teacher than before; else none."""
    if not made.worse:
        return []
    grown = []
    for key in made.worse:
        name, unit = _MEASURES[key]
        grown.append(f"{name} {vars(made.before)[key]:.4f} -> {vars(made.after)[key]:.4f} {unit}")
    return [
        f"WARNING: on film that was held back the student is farther from its teacher than before ({'; '.join(grown)})"
        "; keep the model that it began with, or give more film, --trust none or another --learning-rate"
    ]


def distance_table(made: Adapted, film: Film) -> ReportTable:
    """Distance from the teacher before and after."""
    pairs = int((film.held_back & film.used).sum())
    note = (
        f"RMS distance of the student from its teacher, a frame, on {pairs} frame pairs that were held back. {MEANING}"
    )
    headers = ("student", *(f"{name} ({unit})" for name, unit in _MEASURES.values()))
    rows = [_row(name, one, made) for name, one in (("before", made.before), ("after", made.after))]
    return ReportTable(headers, rows, note)


def film_table(film: Film) -> ReportTable:
    """Of each film how many frame pairs were learned from, held back and left out, and which and why."""
    headers = ("film", "frame pairs learned from", "held back", "not used", "frames not used")
    rows, used, held = [], film.used, film.held_back
    for part in film.parts:
        counts = [int(chosen[part.pairs].sum()) for chosen in (used & ~held, used & held, ~used)]
        statuses: list[Status] = ["ok"] * int(part.frames[-1] + 1)
        for frame, reason in zip(part.frames, film.reasons[part.pairs], strict=True):
            statuses[frame] = reason
        rows.append([TableCell(text) for text in (part.name, *map(str, counts), doubted_runs(statuses) or "none")])
    reasons = Counter(reason for reason in film.reasons if reason != "ok")
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none"
    note = (
        f"Not used of all films: {counted}. A frame pair is not used where one of its frames comes late (gap), is the "
        "last one once more (static image), has no texture, or does not show what the last one showed (implausible)."
    )
    return ReportTable(headers, rows, note)


def film_trusts(made: Adapted, film: Film) -> list[FilmTrust]:
    """Trust along each film."""
    phi, used = by_part(made.trust.phi).numpy(), film.used
    return [
        FilmTrust(
            part.name,
            part.frames,
            {name: phi[part.pairs, number] for number, name in enumerate(PARTS)},
            used[part.pairs],
            part.held_from,
        )
        for part in film.parts
    ]


def trust_of(made: Adapted, film: Film) -> TrustResult:
    """Trust over the frame pairs that are used, and the frames trusted least and most."""
    phi, chosen = made.trust.of_sample.numpy(), np.flatnonzero(film.used)
    order = chosen[np.argsort(phi[chosen], kind="stable")]
    ends = (_apart(some.tolist()) for some in (order, order[::-1]))
    least, most = ([_sample(film, pair, float(phi[pair])) for pair in pairs] for pairs in ends)
    return TrustResult(phi[chosen], made.trust.eta, least, most, made.trust.kind, made.trust.note)


def _apart(order: list[int]) -> list[int]:
    """The first pairs of an order that are no neighbours: their images would be alike."""
    chosen: list[int] = []
    for pair in order:
        if all(abs(pair - other) >= _APART for other in chosen):
            chosen.append(pair)
        if len(chosen) == SAMPLES:
            break
    return chosen


def _sample(film: Film, pair: int, phi: float) -> TrustSample:
    """The second frame of a pair; how far the teacher is off there is not known."""
    number, part = next((n, part) for n, part in enumerate(film.parts) if pair < part.pairs.stop)
    frame = int(part.frames[pair - part.pairs.start])
    image = np.array(film.cache.frames[film.cache.drives[2 * number].first + frame])
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    return TrustSample(pixels, phi, math.nan, math.nan, f"{part.name} frame {frame}")


def _row(name: str, one: Distance, made: Adapted) -> list[TableCell]:
    """Of one student; the smaller one of two distances stands out."""
    cells = [TableCell(name)]
    for key, value in vars(one).items():
        least = min(vars(made.before)[key], vars(made.after)[key])
        cells.append(TableCell(f"{value:.4f}", value == least))
    return cells
