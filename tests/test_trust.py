"""Trust against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from distilvo.distill.imitation import attentive_imitation
from distilvo.distill.trust import ErrorTrust, Trust, check_bounded, sample_errors, squared_errors
from distilvo.distill.trust_choice import measure_trust
from distilvo.errors import DistilvoError
from distilvo.pipeline.frame_trust import ROTATION, TRANSLATION

TRUTH = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
TEACHER = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])  # squared errors 1, 0, 4


def fit(teacher: Tensor, truth: Tensor, scale: Any = 1.0, kind: Any = "quantile", parts: Any = None) -> Trust:
    return measure_trust(kind, teacher, truth, scale, parts=parts)


def test_trust_is_that_of_the_paper() -> None:
    trust = fit(TEACHER, TRUTH, kind="paper")
    assert trust.errors.tolist() == [1.0, 0.0, 4.0]
    assert trust.eta == 4.0  # max - min = 4 - 0
    assert trust.phi.tolist() == trust.of_sample.tolist() == [0.75, 1.0, 0.0]


def test_trust_is_measured_in_units() -> None:
    teacher, scale = torch.tensor([[2.0, 0.0], [0.0, 6.0], [2.0, 3.0]]), torch.tensor([2.0, 3.0])
    assert fit(teacher, torch.zeros(3, 2), scale).errors.tolist() == [1, 4, 2]
    assert fit(teacher, torch.zeros(3, 2), scale, kind="paper", parts=((0,), (1,))).etas == (1, 4)


def test_trust_of_the_worst_sample_can_fall_below_zero() -> None:
    trust = fit(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3, 1), kind="paper")
    assert trust.eta == 8.0  # 9 - 1
    assert trust.phi.tolist() == [0.875, 0.5, -0.125]


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=20, unique_by=abs))
def test_trust_orders_samples_by_the_teachers_error(errors: list[int]) -> None:
    teacher = torch.tensor(errors, dtype=torch.float64)[:, None]
    trust = fit(teacher, torch.zeros_like(teacher), kind="paper")
    assert trust.phi.max() <= 1
    assert trust.phi.max() - trust.phi.min() == pytest.approx(1)
    assert torch.equal(torch.argsort(trust.phi), torch.argsort(trust.errors, descending=True))


@pytest.mark.parametrize("teacher", [[[1.0], [1.0]], [[float("nan")], [1.0]], [[float("inf")], [1.0]]])
def test_trust_refuses_errors_that_say_nothing(teacher: list[list[float]]) -> None:
    with pytest.raises(DistilvoError, match="errors are"):
        fit(torch.tensor(teacher), torch.zeros(2, 1))


@pytest.mark.parametrize("errors", [[2.0] * 5, []])
def test_the_quantile_needs_a_spread_of_errors(errors: list[float]) -> None:
    """All alike; none at all."""
    with pytest.raises(DistilvoError, match=f"all {len(errors)} errors are the same"):
        fit(torch.tensor(errors).reshape(-1, 1), torch.zeros(len(errors), 1), kind="quantile")


@pytest.mark.parametrize("kind", ["quantile", "ratio", None])
def test_a_teacher_that_hardly_ever_errs_is_not_trusted_where_it_does(kind: Any) -> None:
    """Errors 0 and, of the last two, 1 and 4: the 95 % quantile is 0, and so is the median; 4 - 0 stands for them."""
    teacher = torch.zeros(98, 1)
    teacher[96], teacher[97] = 1.0, 2.0
    trust = fit(teacher, torch.zeros(98, 1), kind=kind)
    assert trust.eta == 4 and trust.phi[:96].tolist() == [1.0] * 96
    assert trust.phi[96:].tolist() == pytest.approx([0.8, 0.5] if kind == "ratio" else [0.75, 0.0])


@pytest.mark.parametrize("unit", [1.0, 1e-7])
def test_an_error_of_rounding_is_none_beside_a_true_one_in_any_unit(unit: float) -> None:
    torch.manual_seed(0)
    truth = unit * torch.randn(2000, 3)
    wrong = truth * 3.3 / 3.3
    wrong[:40] += unit
    trust = fit(wrong, truth)
    assert trust.phi[:40].max() < 0.01 and trust.phi[40:].min() > 0.999


def test_trust_by_rank_ends_at_the_largest_error() -> None:
    assert fit(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3, 1), kind="rank").eta == 9


def test_the_papers_trust_below_zero_needs_whole_labels() -> None:
    """Below 0 it would push the student away where no label holds it."""
    truth = torch.tensor([[0.0, 0.0], [0.0, math.nan], [0.0, 0.0]])
    with pytest.raises(DistilvoError, match=r"Phi falls to -0\.\d+, and parts of labels are missing"):
        fit(torch.tensor([[3.0, 3.0], [4.0, 4.0], [5.0, 5.0]]), truth, kind="paper")
    assert fit(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), truth, kind="paper").phi.tolist() == [1, 0.75, 0]


def test_samples_with_errors_that_are_not_finite_are_counted() -> None:
    teacher = torch.tensor([[1.0, float("nan")], [2.0, 3.0], [4.0, float("inf")]])
    with pytest.raises(DistilvoError, match="1 of 3 errors are not finite"):  # NaN: that component is not known
        fit(teacher, torch.zeros(3, 2))


def test_robust_trust_by_hand() -> None:
    teacher = torch.tensor([[0.0], [1.0], [1.0], [2.0], [10.0]])  # errors 0, 1, 1, 4, 100
    truth = torch.zeros_like(teacher)
    assert fit(teacher, truth, kind="paper").phi.tolist() == pytest.approx([1, 0.99, 0.99, 0.96, 0])
    # the 95 % quantile lies 0.8 of the way from 4 to 100: 80.8
    quantile = fit(teacher, truth, kind="quantile")
    assert quantile.eta == pytest.approx(80.8)
    assert quantile.phi.tolist() == pytest.approx([1, 1 - 1 / 80.8, 1 - 1 / 80.8, 1 - 4 / 80.8, 0])
    assert fit(teacher, truth, kind="rank").phi.tolist() == [1.0, 0.625, 0.625, 0.25, 0.0]
    with pytest.raises(DistilvoError, match="trust: is clipped, expected learned, quantile, rank, ratio, paper, none"):
        fit(teacher, truth, kind="clipped")


def test_trust_of_translation_and_rotation_apart() -> None:
    teacher = torch.zeros(3, 6)
    teacher[1, 2], teacher[2, 4] = 2.0, 0.5  # the second errs in translation, the third in rotation
    trust = fit(teacher, torch.zeros(3, 6), kind="paper", parts=(TRANSLATION, ROTATION))
    assert trust.etas == (4.0, 0.25)
    assert trust.errors.tolist() == [[0, 0], [4, 0], [0, 0.25]]
    assert trust.phi.tolist() == [[1] * 6, [0] * 3 + [1] * 3, [1] * 3 + [0] * 3]
    assert trust.of_sample.tolist() == [1.0, 0.5, 0.5]


def test_trust_by_ratio_by_hand() -> None:
    """m / (m + e), m is the median of the errors 0, 1, 1, 4, 100."""
    teacher = torch.tensor([[0.0], [1.0], [1.0], [2.0], [10.0]])
    trust = fit(teacher, torch.zeros_like(teacher), kind="ratio")
    assert trust.eta == 1.0
    assert trust.phi.tolist() == pytest.approx([1, 0.5, 0.5, 0.2, 1 / 101])
    assert fit(teacher, teacher, kind="none").phi.tolist() == [1.0] * 5


def test_quantile_is_what_is_taken_where_nothing_is_said() -> None:
    teacher = torch.tensor([[1.0], [2.0], [3.0]])  # errors 1, 4, 9; paper: 1 - 9 / 8 < 0
    trust = measure_trust(None, teacher, torch.zeros(3, 1))
    assert trust.kind == "quantile" and trust.phi.min() == 0
    assert torch.equal(trust.phi, fit(teacher, torch.zeros(3, 1)).phi)


@pytest.mark.parametrize("kind", ["quantile", "rank", "ratio", "paper"])
def test_each_position_of_a_sequence_has_its_own_trust(kind: ErrorTrust) -> None:
    """(N, T, D): as if the N T positions were samples."""
    torch.manual_seed(0)
    teacher, truth = torch.randn(5, 4, 3), torch.randn(5, 4, 3)
    trust = fit(teacher, truth, kind=kind)
    assert trust.phi.shape == trust.errors.shape == (5, 4)
    flat = fit(teacher.flatten(0, 1), truth.flatten(0, 1), kind=kind)
    assert torch.equal(trust.phi.flatten(), flat.phi)
    assert trust.phi.max() <= 1 and (kind == "paper" or trust.phi.min() >= 0)
    assert trust.of_sample.tolist() == pytest.approx(trust.phi.mean(1).tolist())


def test_an_image_is_one_sample_with_the_mean_error_of_its_pixels() -> None:
    teacher = torch.zeros(3, 2, 2, 2)
    teacher[1, :, 0, 0], teacher[2] = 2.0, 1.0  # 4 + 4 at one of four pixels; 1 + 1 at each
    trust = fit(teacher, torch.zeros_like(teacher), kind="rank")
    assert trust.errors.tolist() == [0.0, 2.0, 2.0]
    assert trust.phi.tolist() == [1.0, 0.25, 0.25]
    assert fit(teacher, torch.zeros_like(teacher), torch.tensor([2.0, 1.0])).errors.tolist() == [0, 1.25, 1.25]


def test_where_a_component_is_not_known_the_others_stand_for_it() -> None:
    truth = torch.tensor([[0.0, 0.0, math.nan, 0.0], [math.nan] * 4])
    errors = sample_errors(squared_errors(torch.tensor([[1.0, 2.0, 9.0, 2.0], [1.0, 1.0, 1.0, 1.0]]), truth))
    assert errors[0] == (1 + 4 + 4) * 4 / 3
    assert errors[1].isnan()


def test_more_errors_than_torch_takes_quantiles_of() -> None:
    """0, 1, ..., n - 1 in another order: the 95 % quantile is 0.95 (n - 1)."""
    count = 2**24 + 10
    errors = torch.arange(count, dtype=torch.float32).flip(0)
    trust = Trust.of(errors)
    assert trust.eta == pytest.approx(0.95 * (count - 1), rel=1e-6)
    assert trust.phi[-1] == 1 and trust.phi[0] == 0


def test_quantile_is_linear_between_two_errors() -> None:
    errors = torch.tensor([7.0, 3.0, 0.0, 1.0, 12.0, 2.5])
    assert Trust.of(errors).eta == pytest.approx(float(torch.quantile(errors.double(), 0.95)))


@pytest.mark.parametrize("kind", ["best", "learned", "", None])
def test_a_kind_of_trust_that_is_not_there_is_refused(kind: Any) -> None:
    with pytest.raises(DistilvoError, match=r"trust: is .*, expected quantile or rank"):
        Trust.of(torch.tensor([0.0, 1.0, 2.0]), kind)


@pytest.mark.parametrize(("least", "alpha", "bounded"), [(-0.2, 0.5, True), (-30.0, 0.5, False), (-0.2, 0.1, False)])
def test_a_loss_without_a_lower_bound_is_refused(least: float, alpha: float, bounded: bool) -> None:
    """a + (1 - a) Phi: 0.4, -14.5 and -0.08."""
    phi = torch.tensor([1.0, least])
    student = torch.tensor([[1e6], [1e6]])
    losses = attentive_imitation(student, torch.zeros(2, 1), torch.zeros(2, 1), phi, alpha)
    assert bool((losses >= 0).all()) is bounded
    if bounded:
        check_bounded(phi, alpha)
    else:
        with pytest.raises(DistilvoError, match=f"Phi falls to {least:g}, so the loss has no lower bound with alpha"):
            check_bounded(phi, alpha)


ERRORS = st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=30)


@given(ERRORS, st.sampled_from(["quantile", "rank", "ratio"]))
def test_trust_lies_between_0_and_1_and_falls_with_the_error(errors: list[float], kind: ErrorTrust) -> None:
    try:
        trust = Trust.of(torch.tensor(errors), kind)
    except DistilvoError as refused:
        assert "errors are the same" in str(refused)
        return
    assert bool(((trust.phi >= 0) & (trust.phi <= 1)).all()), trust.phi
    assert bool((trust.phi[trust.errors.argsort()].diff() <= 0).all())
