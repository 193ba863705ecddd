"""The table of scores, for a terminal, as CSV and as LaTeX; each column says its unit and its alignment."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from distilvo.settings import Alignment, Scoring
from distilvo.trajectory.alignment import scale_text
from distilvo.trajectory.scores import Score

_ALIGNED: dict[Alignment, str] = {"se3": "SE(3)", "sim3": "Sim(3)", "scale_of_sim3": "scale of Sim(3)"}
"""Alignments that people call otherwise than the flag does."""
_COUNTS = ("poses", "RPE pairs", "left out")

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
_LATEX |= {">": r"\textgreater{}"} | {character: f"\\{character}" for character in "&%$#_{}"}


@dataclass(frozen=True)
class _Column:
    """One measure: its name in the terms of the field, unit, alignment, name in ``Score.to_dict`` and digits."""

    name: str
    unit: str
    alignment: str
    measure: str
    digits: int

    def show(self, score: Score) -> str:
        """The number, or in a word or two why there is none."""
        value = score.deviations.statistics()[self.measure]
        if value is None:
            return score.missing_rpe if "rpe" in self.measure else score.missing_kitti
        return f"{value:.{self.digits}f}"


def score_table(scores: list[Score]) -> Table:
    """The table for a terminal or a log; at least one score."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("estimate", overflow="fold")
    table.add_column("sequence", overflow="fold", min_width=8)
    for column in _columns(scores[0].how):
        name, unit = column.name.replace(" ", "\n"), column.unit.replace("/", "\n/")
        alignment = column.alignment.replace(" of ", "\nof ")
        table.add_column(f"{name}\n{unit}\n{alignment}", justify="right", no_wrap=True)
    for row in score_rows(scores):
        table.add_row(*map(Text, row))
    return table


def count_table(scores: list[Score]) -> Table:
    """What the scores were made of, for a terminal: poses, pairs, what was left out, and the scale of the alignment."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("estimate", overflow="fold")
    table.add_column("sequence", overflow="fold", min_width=8)
    for header in (*_COUNTS, _scale_header(scores[0].how)):
        table.add_column(header, justify="right", no_wrap=True)
    for score in scores:
        table.add_row(*map(Text, (score.name, score.sequence, *_counts(score))))
    return table


def score_headers(how: Scoring) -> tuple[str, ...]:
    """Of the table on a page."""
    measures = (f"{column.name} ({column.unit}, {column.alignment})" for column in _columns(how))
    return ("estimate", "sequence", *measures, *_COUNTS, _scale_header(how))


def score_rows(scores: list[Score]) -> list[list[str]]:
    """Cells of the table of measures, as they are read."""
    return [[score.name, score.sequence, *(column.show(score) for column in _columns(score.how))] for score in scores]


def full_rows(scores: list[Score]) -> list[list[str]]:
    """Cells of the table on a page: measures, then counts and scale."""
    return [[*row, *_counts(score)] for row, score in zip(score_rows(scores), scores, strict=True)]


def csv_table(scores: list[Score]) -> str:
    """Every measure of every score, as ``Score.to_dict`` names them; an empty field where there is none."""
    text = io.StringIO()
    objects = [score.to_dict() for score in scores]
    writer = csv.DictWriter(text, list(objects[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(objects)
    return text.getvalue()


def latex_table(scores: list[Score]) -> str:
    """The table with the rules of ``booktabs``, to be put into a paper."""
    columns = _columns(scores[0].how)
    heads = [
        ["", "", *(column.name for column in columns), "scale"],
        ["", "", *(f"({column.unit})" for column in columns), ""],
        ["estimate", "sequence", *(column.alignment for column in columns), _aligned(scores[0].how.ate_alignment)],
    ]
    rows = [[*row, _counts(score)[-1]] for row, score in zip(score_rows(scores), scores, strict=True)]
    notes = [
        f"% {score.name}, {score.sequence}: {score.poses} poses, {score.rpe_pairs} RPE pairs"
        + (f"; {note}" if (note := score.note()) else "")
        for score in scores
    ]
    return "\n".join(
        [
            r"% \usepackage{booktabs}; the third line says how the estimate was aligned with the ground truth",
            rf"\begin{{tabular}}{{ll{'r' * len(heads[0][2:])}}}",
            r"\toprule",
            *map(_latex_row, heads),
            r"\midrule",
            *map(_latex_row, rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(note.replace("\n", " ") for note in notes),
            "",
        ]
    )


def _columns(how: Scoring) -> tuple[_Column, ...]:
    relative, ate = _aligned(how.relative_alignment), _aligned(how.ate_alignment)
    over = "frame" if how.over == "1 frame" else how.over
    return (
        _Column("RMS-RPE", f"m/{over}", relative, "rms_rpe_t_m", 4),
        _Column("RMS-RPE", f"deg/{over}", relative, "rms_rpe_r_deg", 4),
        _Column("mean RPE", f"m/{over}", relative, "mean_rpe_t_m", 4),
        _Column("mean RPE", f"deg/{over}", relative, "mean_rpe_r_deg", 4),
        _Column("ATE", "m", ate, "ate_m", 3),
        _Column("t_rel", "%", relative, "t_rel_percent", 3),
        _Column("r_rel", "deg/100m", relative, "r_rel_deg_per_100m", 3),
    )


def _scale_header(how: Scoring) -> str:
    return f"scale ({_aligned(how.ate_alignment)})"


def _aligned(alignment: Alignment) -> str:
    return _ALIGNED.get(alignment, alignment)


def _counts(score: Score) -> list[str]:
    """Poses, pairs, what was left out, and by what the alignment of the ATE scaled the estimate."""
    scale = score.deviations.ate_scale
    counts = [str(count) for count in (score.poses, score.rpe_pairs, score.left_out)]
    return [*counts, "-" if scale is None else scale_text(scale)]


def _latex_row(cells: list[str]) -> str:
    return " & ".join("".join(_LATEX.get(character, character) for character in cell) for cell in cells) + r" \\"
