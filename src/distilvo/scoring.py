"""Scores of trajectories. Imports no torch, so that files are scored at once."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distilvo.errors import DistilvoError
from distilvo.files import claim_folder
from distilvo.matching import match, open_truths, pair_up
from distilvo.metrics import Deviations, deviations
from distilvo.pairs import KITTI_LENGTHS_M, Indices
from distilvo.poses import Floats
from distilvo.settings import Scoring
from distilvo.trajectories import Trajectory, read_trajectory


@dataclass(frozen=True)
class Compared:
    """The poses that a score was made of.

    Attributes:
        estimate: (M, 4, 4) camera-to-world, as estimated.
        truth: (N, 4, 4).
        frames: (M,) which of the truth each pose of the estimate goes with.
        times: (N,) of the truth, s, where they are known.
    """

    estimate: Floats
    truth: Floats
    frames: Indices
    times: Floats | None


@dataclass(frozen=True)
class Score:
    """What one estimate of one sequence, or of several together, is worth.

    Attributes:
        name: whose estimate.
        sequence: of which drive.
        deviations: every single error.
        how: alignment, and what the relative error is taken over.
        compared: the poses; None for several drives together.
    """

    name: str
    sequence: str
    deviations: Deviations
    how: Scoring
    compared: Compared | None = None

    @property
    def missing_kitti(self) -> str:
        """Why there is no t_rel and no r_rel, in a word or two; empty where there are."""
        if len(self.deviations.kitti_percent):
            return ""
        return "short" if self.deviations.short else "no pair"

    @property
    def missing_rpe(self) -> str:
        """The same for the relative pose error."""
        return "" if len(self.deviations.rpe_t_m) else "no pair"

    def note(self) -> str | None:
        """Why figures are missing, in a sentence; None where none is."""
        said = []
        if self.missing_kitti:
            paths = self.deviations.paths_m
            which = "path" if len(paths) == 1 else "longest path"
            length = f"the {which} is {max(paths):.1f} m long, not more than {KITTI_LENGTHS_M[0]} m"
            gaps = f"no stretch of {KITTI_LENGTHS_M[0]} m or more has an estimate at both ends"
            said.append(f"no t_rel and r_rel: {length if self.deviations.short else gaps}")
        if self.missing_rpe:
            said.append(f"no RPE: no two estimated poses lie {self.how.over} apart")
        return "; ".join(said) or None

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` and ``scores.json`` have it; None for a figure that there is none of."""
        return {
            "estimate": self.name,
            "sequence": self.sequence,
            **self.deviations.figures(),
            "alignment": self.how.align,
            "relative_alignment": self.how.relative_alignment,
            "ate_alignment": self.how.ate_alignment,
            "rpe_delta": self.how.delta,
            "rpe_unit": self.how.unit,
            "poses": len(self.deviations.ate_m),
            "path_m": sum(self.deviations.paths_m),
            "note": self.note(),
        }


@dataclass(frozen=True)
class Request:
    """What the verb ``evaluate`` is asked for.

    Attributes:
        models: model folders, which are run on ``data``.
        files: trajectory files and folders of them.
        truth: files and folders of ground truth for them; where there are none it is that of ``data``.
        data: folder of a data set.
        sequences: names of those to score; all where there are none.
        out: where to write.
        how: to score.
        as_json: print JSON and nothing else.
    """

    models: tuple[Path, ...]
    files: tuple[Path, ...]
    truth: tuple[Path, ...]
    data: Path | None
    sequences: tuple[str, ...]
    out: Path | None
    how: Scoring
    as_json: bool

    def claim(self) -> None:
        """Claim the output folder; what is as ever is not named, so that folders of older versions still fit."""
        settings: dict[str, Any] = {"models": [str(path) for path in self.models], "data": str(self.data)}
        if self.files:
            settings |= {name: [str(path) for path in getattr(self, name)] for name in ("files", "truth", "sequences")}
        if self.how != Scoring():
            settings["scoring"] = asdict(self.how)
        if self.out is not None:
            claim_folder(self.out, "evaluate", settings)


def score(name: str, sequence: str, estimate: Trajectory, truth: Trajectory, how: Scoring, source: str = "") -> Score:
    """Score one estimate; ``source`` says in an error what is being scored.

    Raises:
        DistilvoError: estimate and truth do not fit each other.
    """
    source = source or f"{name}, {sequence}"
    try:
        true, times, frames, kept = match(estimate, truth, how.tolerance)
        if len(kept) < len(estimate.poses):
            warnings.warn(
                f"{source}: {len(kept)} of {len(estimate.poses)} poses lie within {how.tolerance:g} s of a true pose "
                "of their own and are scored",
                stacklevel=2,
            )
        found = deviations(estimate.poses[kept], true, how, frames, times)
    except DistilvoError as error:
        raise DistilvoError(f"{source}: {error}") from None
    return Score(name, sequence, found, how, Compared(estimate.poses[kept], true, frames, times))


def score_files(request: Request, taken: Collection[str] = ()) -> list[Score]:
    """Score the trajectory files and the folders of them; one whose name is ``taken`` goes by its path."""
    truths = open_truths(request.truth, request.data, request.sequences) if request.files else {}
    rows = [row for path in request.files for row in pair_up(path, truths)]
    scores = []
    for name, (_, sequence, path) in zip(_names(rows, taken), rows, strict=True):
        estimate, truth = read_trajectory(path), truths[sequence]
        if isinstance(truth, Path):
            truth = truths[sequence] = read_trajectory(truth)
        scores.append(score(name, sequence, estimate, truth, request.how, str(path)))
    return scores


def with_totals(scores: list[Score]) -> list[Score]:
    """The scores by name, each with several sequences followed by one of all of them together."""
    rows = []
    for name in dict.fromkeys(score.name for score in scores):
        own = [score for score in scores if score.name == name]
        rows += own
        if len(own) > 1:
            pooled = Deviations.pooled([score.deviations for score in own])
            rows.append(Score(name, f"all {len(own)}", pooled, own[0].how))
    return rows


def _names(rows: list[tuple[str, str, Path]], taken: Collection[str]) -> list[str]:
    """A name for each estimate: the short one where nobody else has it, else that of its folder, else its path."""
    folders = [str(path.parent if path.stem == sequence else path) for _, sequence, path in rows]
    owners: dict[str, set[str]] = {}
    for (name, _, _), folder in zip(rows, folders, strict=True):
        owners.setdefault(name, set()).add(folder)
    names = []
    for (name, sequence, path), folder in zip(rows, folders, strict=True):
        # A folder may hold one sequence in two formats.
        same = [f for f, (_, s, _) in zip(folders, rows, strict=True) if (f, s) == (folder, sequence)]
        short = len(owners[name]) == 1 and name not in taken
        names.append(str(path) if len(same) > 1 else name if short else folder)
    return names
