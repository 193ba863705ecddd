"""Any two rows of a study, paired by seed: the tables of a study compare each row with the first one only.

    cd benchmarks
    python compare_rows.py scarce.json learned all-labels
    python compare_rows.py study.json best@92.95 teacher --references study-references.json

With ``--references``, which a study writes as ``references.json``, the second name is one of its: teacher, mean_motion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.files import read_json
from distilvo.study.plan import Cell, Reference
from distilvo.study.statistics import (
    ERRORS,
    MEDIANS,
    RELATIVE,
    CellsOfRows,
    Interval,
    Measure,
    by_row,
    compared,
    mean_interval,
    ratio,
    share_of,
    values,
)
from distilvo.study.study_table import StudyTable, markdown_table


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="study.json, every cell of a study")
    parser.add_argument("row")
    parser.add_argument("other", help="another row; with --references one of those")
    parser.add_argument("--references", type=Path, help="references.json of the study")
    arguments = parser.parse_args()
    try:
        cells = by_row([Cell(**one) for one in read_json(arguments.study)])
        table = (
            beside_row(cells, arguments.row, arguments.other)
            if arguments.references is None
            else beside_reference(cells, arguments.row, read_reference(arguments.references, arguments.other))
        )
    except DistilvoError as error:
        parser.error(str(error))
    print(markdown_table(table))


def beside_row(cells: CellsOfRows, row: str, other: str) -> StudyTable:
    """Both rows, their difference and their ratio, of the seeds that both have."""
    one, second = named(cells, row), named(cells, other)
    seeds = sorted(one.keys() & second.keys())
    if not seeds:
        raise DistilvoError(f"'{row}' and '{other}': no seed in common; expected one at least")
    one, second = ({seed: of[seed] for seed in seeds} for of in (one, second))
    rows = []
    for measure in measures(one):
        difference = compared(one, second, measure).difference
        means = [show(mean_interval(values(of, measure).values()), measure) for of in (one, second)]
        rows.append(
            (measure.header, *means, show(difference, measure, signed=True), times(share_of(one, second, measure)))
        )
    headers = ("measure", row, other, "difference", "ratio")
    return StudyTable("rows", f"{row} beside {other}", headers, tuple(rows), notes(seeds))


def beside_reference(cells: CellsOfRows, row: str, reference: Reference) -> StudyTable:
    """A row and a reference, which has no seeds, and their ratio."""
    one = named(cells, row)
    rows = [
        (
            measure.header,
            show(mean_interval(values(one, measure).values()), measure),
            f"{measure.of(reference):.{measure.decimals}f}",
            times(ratio(one, reference, measure)),
        )
        for measure in measures(one)
    ]
    headers = ("measure", row, reference.name, "ratio")
    return StudyTable("rows", f"{row} beside {reference.name}", headers, tuple(rows), notes(sorted(one)))


def read_reference(path: Path, name: str) -> Reference:
    """The reference of that name in a file."""
    references = {one["name"]: Reference(**one) for one in read_json(path)}
    if name not in references:
        raise DistilvoError(f"{path}: no '{name}'; expected one of {', '.join(references)}")
    return references[name]


def named(cells: CellsOfRows, row: str) -> dict[int, Cell]:
    """The cells of a row."""
    if row not in cells:
        raise DistilvoError(f"no row '{row}' in the study; expected one of {', '.join(cells)}")
    return cells[row]


def measures(cells: dict[int, Cell]) -> list[Measure]:
    """Those that the cells have: none over hundreds of metres where no drive is so long."""
    return [measure for measure in (*ERRORS, *RELATIVE, *MEDIANS) if values(cells, measure)]


def show(interval: Interval | None, measure: Measure, *, signed: bool = False) -> str:
    """A mean and its interval; a dash where there is none."""
    return "–" if interval is None else interval.show(measure.decimals, signed=signed)


def times(interval: Interval | None) -> str:
    """A ratio and its interval; a dash where there is none."""
    return "–" if interval is None else f"{interval.show(3)} ×"


def notes(seeds: list[int]) -> tuple[str, ...]:
    """Below the table."""
    of = f"Seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}; "
    return (f"{of}mean ± half of the 95 % interval over seeds; differences and ratios are paired by seed.",)


if __name__ == "__main__":
    main()
