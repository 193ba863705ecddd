"""Intervals over seeds and paired verdicts, against hand and scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distilvo.errors import DistilvoError
from distilvo.study.statistics import Interval, mean_interval, paired, t95


@pytest.mark.parametrize("freedom", [*range(1, 41), 60, 100, 1000])
def test_t_table_is_scipys(freedom: int) -> None:
    assert t95(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=2e-5)


def test_interval_by_hand() -> None:
    # Mean 3, squares of deviations 4 + 1 + 0 + 1 + 4 = 10, variance 2.5, standard error sqrt(2.5 / 5), times 2.776445.
    found = mean_interval([1, 2, 3, 4, 5])
    assert found.mean == 3 and found.half == pytest.approx(2.776445 * math.sqrt(0.5)) and found.count == 5
    assert found.show(2) == "3.00 ± 1.96" and mean_interval([-1e-9, -1e-9]).show(2, signed=True) == "+0.00 ± 0.00"


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
def test_interval_is_scipys(values: list[float]) -> None:
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, len(values) - 1, sum(values) / len(values), max(stats.sem(values), 1e-300))
    assert found.half is not None
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-4, abs=1e-4)


def test_one_seed_has_no_interval() -> None:
    found = mean_interval([0.25])
    assert found == Interval(0.25, None, 1) and found.side() == 0 and found.show(2) == "0.25 ± –"
    assert paired({7: 0.1}, {7: 0.9}).verdict == "no difference shown"


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_interval_of_nothing_or_nan(values: list[float]) -> None:
    with pytest.raises(DistilvoError, match="expected finite numbers"):
        mean_interval(values)


def test_only_the_paired_interval_decides() -> None:
    # Seeds differ far more than the rows do: their intervals overlap widely, that of the differences does not.
    reference = {0: 1.0, 1: 2.0, 2: 3.0}
    lower = {0: 0.90, 1: 1.91, 2: 2.89}  # differences -0.10, -0.09, -0.11: standard error 0.01 / sqrt(3)
    found = paired(lower, reference)
    assert found.verdict == "better" and paired(reference, lower).verdict == "worse"
    assert found.difference is not None and found.difference.half == pytest.approx(4.302653 * 0.01 / math.sqrt(3))
    assert mean_interval(lower.values()).side(2.0) == 0
    assert paired({0: 0.9, 1: 2.1, 2: 2.8}, reference).verdict == "no difference shown"


def test_seeds_of_one_row_are_left_out() -> None:
    found = paired({0: 1.0, 1: 2.0, 3: 99.0}, {0: 1.5, 1: 2.5, 4: -99.0})
    assert found.difference is not None and found.difference.mean == -0.5 and found.left_out == (3, 4)
    assert paired({0: 1.0}, {1: 1.0}) == replace(found, difference=None, left_out=(0, 1))
