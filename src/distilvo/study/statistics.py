"""Means over seeds, differences paired by seed, and what follows from them. Pure numpy.

Intervals hold 95 % and rest on Student's t: seeds are few. They are of one comparison each, not of all together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.report.model_table import NOTHING
from distilvo.study.plan import QUANTILES, Cell, Reference

Verdict = Literal["better", "worse", "no difference shown"]
CellsOfRows = dict[str, dict[int, Cell]]
"""The cells of a study by the name of their row, then by seed."""

# The 97.5 % quantiles of Student's t for 1 to 20 degrees of freedom.
_T = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139),
    *(2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963),
)
_NORMAL = 1.959963984540054


@dataclass(frozen=True)
class Measure:
    """What is measured of a cell or of a reference; smaller is better.

    Attributes:
        field: of ``Cell``.
        name: in a sentence.
        header: over a column, with unit and alignment.
        unit: behind a number.
        decimals: shown.
        quantile: where the field holds ``QUANTILES``, the one that is meant, per cent.
    """

    field: str
    name: str
    header: str
    unit: str
    decimals: int
    quantile: int | None = None

    def of(self, result: Cell | Reference) -> float | None:
        """The measure of a result; None where it does not have it."""
        value = getattr(result, self.field, None)
        return value if self.quantile is None or value is None else value[QUANTILES.index(self.quantile)]


TRANSLATION = Measure("rms_rpe_t_m", "translation", "RMS-RPE trans (m)", "m", 4)
ROTATION = Measure("rms_rpe_r_deg", "rotation", "RMS-RPE rot (deg)", "deg", 4)
ATE = Measure("ate_m", "ATE", "ATE (m, Sim(3))", "m, Sim(3)", 3)
ERRORS = (TRANSLATION, ROTATION, ATE)
RELATIVE = (
    Measure("t_rel_percent", "relative translation", "t_rel (%)", "%", 3),
    Measure("r_rel_deg_per_100m", "relative rotation", "r_rel (deg/100 m)", "deg/100 m", 3),
)
"""Over sub-sequences of 100 to 800 m, as KITTI's own; no cell has them where no drive is long enough."""
MEDIANS = (
    Measure("error_t_m", "median translation", "median pair: trans (m)", "m", 4, quantile=50),
    Measure("error_r_deg", "median rotation", "median pair: rot (deg)", "deg", 4, quantile=50),
)
"""Over all frame pairs: a few bad frames rule a root mean square, and leave a median alone."""
VALIDATION = (
    Measure("validation_t_m", "translation", "validation: RMS-RPE trans (m)", "m", 4),
    Measure("validation_r_deg", "rotation", "validation: RMS-RPE rot (deg)", "deg", 4),
    Measure("validation_ate_m", "ATE", "validation: ATE (m, Sim(3))", "m, Sim(3)", 3),
)
HINT_ERROR = Measure("hint_error", "hint", "hint error (share of variance)", "of the hint's variance", 4)


@dataclass(frozen=True)
class Interval:
    """A mean and half the width of its 95 % interval; one value has no interval, its ``half`` is None."""

    mean: float
    half: float | None
    count: int

    def side(self, threshold: float = 0.0) -> int:
        """1 where the whole interval is above the threshold, -1 where it is below, 0 where it is neither."""
        if self.half is None:
            return 0
        return int(self.mean - self.half > threshold) - int(self.mean + self.half < threshold)

    def show(self, decimals: int, signed: bool = False) -> str:
        """The mean, ± and the half width; a dash for a half width that there is none of."""
        mean = f"{self.mean:{'+' if signed else ''}z.{decimals}f}"
        return f"{mean} ± {NOTHING if self.half is None else f'{self.half:.{decimals}f}'}"


@dataclass(frozen=True)
class Paired:
    """The difference of two rows, seed by seed.

    Attributes:
        difference: the row less the one that it is compared with; None where they share no seed.
        left_out: the seeds that only one of them has.
    """

    difference: Interval | None
    left_out: tuple[int, ...]

    @property
    def verdict(self) -> Verdict:
        """What the interval of the difference shows of an error."""
        side = self.difference.side() if self.difference else 0
        return "worse" if side > 0 else "better" if side < 0 else "no difference shown"


def t95(freedom: int) -> float:
    """How many standard errors the 95 % interval reaches to each side, for the degrees of freedom (1 or more)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    # Cornish and Fisher's expansion about the normal distribution: right to 1e-5 from here on.
    z = _NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def mean_interval(values: Iterable[float]) -> Interval:
    """The mean of one value or more, with its 95 % t interval.

    Raises:
        DistilvoError: there is no value, or one is not finite.
    """
    numbers = np.array(list(values), dtype=np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        raise DistilvoError(f"values over seeds: found {numbers.tolist()}, expected finite numbers; run the cell again")
    count = len(numbers)
    half = t95(count - 1) * float(numbers.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    return Interval(float(numbers.mean()), half, count)


def paired(values: Mapping[int, float], reference: Mapping[int, float]) -> Paired:
    """Compare two rows given by seed; only seeds that both have count."""
    shared = sorted(values.keys() & reference.keys())
    left_out = tuple(sorted(values.keys() ^ reference.keys()))
    difference = mean_interval(values[seed] - reference[seed] for seed in shared) if shared else None
    return Paired(difference, left_out)


def by_row(cells: Sequence[Cell]) -> CellsOfRows:
    """Sort the cells of a study.

    Raises:
        DistilvoError: one row has two cells of one seed.
    """
    twice = [key for key, count in Counter((cell.row, cell.seed) for cell in cells).items() if count > 1]
    if twice:
        row, seed = twice[0]
        raise DistilvoError(f"row '{row}': has two cells of seed {seed}, expected one; remove one of them")
    of_rows: CellsOfRows = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        of_rows.setdefault(cell.row, {})[cell.seed] = cell
    return of_rows


def values(cells: Mapping[int, Cell], measure: Measure) -> dict[int, float]:
    """A measure of one row by seed, without the seeds that do not have it."""
    by_seed = {seed: measure.of(cell) for seed, cell in cells.items()}
    return {seed: float(value) for seed, value in by_seed.items() if value is not None}


def compared(cells: Mapping[int, Cell], reference: Mapping[int, Cell], measure: Measure) -> Paired:
    """Compare two rows by one measure."""
    return paired(values(cells, measure), values(reference, measure))


def share_of(cells: Mapping[int, Cell], reference: Mapping[int, Cell], measure: Measure) -> Interval | None:
    """A row's measure over another's, seed by seed; None where they share no seed that has it."""
    own, others = values(cells, measure), values(reference, measure)
    shares = [own[seed] / others[seed] for seed in sorted(own.keys() & others.keys()) if others[seed]]
    return mean_interval(shares) if shares else None


def ratio(cells: Mapping[int, Cell], teacher: Reference, measure: Measure) -> Interval:
    """A row's measure over the teacher's; the teacher is the same for each seed."""
    teachers = measure.of(teacher) or math.nan
    return mean_interval(value / teachers for value in values(cells, measure).values())
