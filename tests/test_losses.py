"""Losses against values worked out by hand, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from distilvo.distill import imitation
from distilvo.distill.hints import attentive_hint, plain_hint
from distilvo.distill.imitation import attentive_imitation, ground_truth_only, squared_error
from distilvo.distill.shapes import per_sample
from distilvo.distill.trust_choice import measure_trust
from distilvo.errors import DistilvoError

TRUTH = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
TEACHER = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])  # squared errors 1, 0, 4
STUDENT = torch.tensor([[1.0, 0.0], [1.0, 3.0], [0.0, 0.0]])


def test_squared_error_has_units() -> None:
    # (1/0.5)^2 + (2/4)^2 = 4.25
    found = squared_error(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2), torch.tensor([0.5, 4.0]))
    assert found.tolist() == pytest.approx([4.25])


def test_ground_truth_only() -> None:
    assert ground_truth_only(STUDENT, TRUTH).tolist() == [1.0, 9.0, 4.0]


def test_attentive_imitation_by_hand() -> None:
    phi = measure_trust("paper", TEACHER, TRUTH).phi
    # student to teacher: (1 + 1), (0 + 9), (4 + 4)
    # 0.25 * [1, 9, 4] + 0.75 * [0.75 * 2, 1 * 9, 0 * 8]
    found = attentive_imitation(STUDENT, TRUTH, TEACHER, phi, alpha=0.25)
    assert found.tolist() == pytest.approx([0.25 + 1.125, 2.25 + 6.75, 1.0])


def test_attentive_imitation_gradient() -> None:
    student = STUDENT.double().requires_grad_()
    phi = measure_trust("paper", TEACHER.double(), TRUTH.double()).phi
    attentive_imitation(student, TRUTH.double(), TEACHER.double(), phi, alpha=0.25).sum().backward()
    # d/dp = 2 a (p - gt) + 2 (1 - a) Phi (p - t); first sample: 0.5 * [1, 0] + 1.125 * [1, -1]
    assert student.grad is not None
    assert student.grad[0].tolist() == pytest.approx([1.625, -1.125])
    assert student.grad[2].tolist() == pytest.approx([0.0, -1.0])  # no trust: ground truth alone


# squared errors: student to truth 1, 9, 4; student to teacher 2, 9, 8; teacher to truth 1, 0, 4
BLENDS = {
    "teacher_only": ((TEACHER,), {}, [2.0, 9.0, 8.0]),
    "minimum": ((TRUTH, TEACHER), {}, [1.0, 9.0, 4.0]),
    "additional": ((TRUTH, TEACHER), {"alpha": 0.25}, [0.25 + 1.5, 9.0, 1.0 + 6.0]),
    # the first and the last student are no worse than their teacher: no imitation
    "upper_bound": ((TRUTH, TEACHER), {"alpha": 0.25}, [0.25, 2.25 + 6.75, 1.0]),
    # log sigma = log 2: sqrt(2) / 2 + log 2, 3 / 2 + log 2, sqrt(8) / 2 + log 2
    "laplace": (
        (TRUTH, TEACHER, torch.full((3,), math.log(2))),
        {"alpha": 0.25},
        [0.25 + 0.75 * (0.70711 + 0.69315), 2.25 + 0.75 * (1.5 + 0.69315), 1.0 + 0.75 * (1.41421 + 0.69315)],
    ),
    # 2 / 8 + log 2, 9 / 8 + log 2, 8 / 8 + log 2
    "gaussian": (
        (TRUTH, TEACHER, torch.full((3,), math.log(2))),
        {"alpha": 0.25},
        [0.25 + 0.75 * (0.25 + 0.69315), 2.25 + 0.75 * (1.125 + 0.69315), 1.0 + 0.75 * (1.0 + 0.69315)],
    ),
}


@pytest.mark.parametrize("name", BLENDS)
def test_blends_by_hand(name: str) -> None:
    arguments, more, expected = BLENDS[name]
    assert getattr(imitation, name)(STUDENT, *arguments, **more).tolist() == pytest.approx(expected, abs=1e-4)


def test_minimum_takes_the_teacher_where_it_is_nearer() -> None:
    student, truth, teacher = torch.tensor([[3.0]]), torch.tensor([[0.0]]), torch.tensor([[2.0]])
    assert imitation.minimum(student, truth, teacher).tolist() == [1.0]  # min(9, 1)


def test_where_nothing_else_is_said_truth_and_teacher_weigh_half_in_units_of_one() -> None:
    zeros = torch.zeros(3)  # log sigma: sigma is 1
    assert squared_error(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])).tolist() == [25]
    halves = {
        "additional": (imitation.additional(STUDENT, TRUTH, TEACHER), [0.5 + 1.0, 9.0, 2.0 + 4.0]),
        "upper_bound": (imitation.upper_bound(STUDENT, TRUTH, TEACHER), [0.5, 9.0, 2.0]),
        "laplace": (imitation.laplace(STUDENT, TRUTH, TEACHER, zeros), [0.5 + 0.70711, 4.5 + 1.5, 2.0 + 1.41421]),
        "gaussian": (imitation.gaussian(STUDENT, TRUTH, TEACHER, zeros), [0.5 + 0.5, 4.5 + 2.25, 2.0 + 2.0]),
        "attentive": (attentive_imitation(STUDENT, TRUTH, TEACHER, torch.ones(3)), [0.5 + 1.0, 9.0, 2.0 + 4.0]),
    }
    for name, (losses, expected) in halves.items():
        assert losses.tolist() == pytest.approx(expected, abs=1e-4), name


def test_upper_bound_leaves_a_student_alone_that_is_better_than_its_teacher() -> None:
    student, truth, teacher = torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[3.0]])
    assert imitation.upper_bound(student, truth, teacher, alpha=0.25).tolist() == [0.25]  # 0.25 * 1; 1 < 9


def test_laplace_measures_distances_below_one() -> None:
    close = imitation.laplace(torch.tensor([[0.5]]), torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1), alpha=0.0)
    assert close.tolist() == [0.5]


BATCH, TIME = 2, 3
TRUSTED = torch.rand(BATCH, TIME, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
CASES = {
    "ground_truth_only": lambda s, gt, t, unit=2.0: imitation.ground_truth_only(s, gt, unit),
    "teacher_only": lambda s, gt, t, unit=2.0: imitation.teacher_only(s, t, unit),
    "minimum": lambda s, gt, t, unit=2.0: imitation.minimum(s, gt, t, unit),
    "additional": lambda s, gt, t, unit=2.0: imitation.additional(s, gt, t, 0.3, unit),
    "upper_bound": lambda s, gt, t, unit=2.0: imitation.upper_bound(s, gt, t, 0.3, unit),
    # log sigma depends on the student
    "laplace": lambda s, gt, t, unit=2.0: imitation.laplace(s, gt, t, s[..., 0] / unit, 0.3, unit),
    "gaussian": lambda s, gt, t, unit=2.0: imitation.gaussian(s, gt, t, s[..., 0] / unit, 0.3, unit),
    "attentive": lambda s, gt, t, unit=2.0: imitation.attentive_imitation(s, gt, t, TRUSTED, 0.3, unit),
    "attentive by component": lambda s, gt, t, unit=2.0: imitation.attentive_imitation(
        s, gt, t, TRUSTED[..., None].expand(-1, -1, 6), 0.3, unit
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_blends_of_clips_have_right_gradients(name: str) -> None:
    torch.manual_seed(0)
    student, truth, teacher = (torch.randn(BATCH, TIME, 6, dtype=torch.float64) for _ in range(3))
    student.requires_grad_()
    assert CASES[name](student, truth, teacher).shape == (BATCH, TIME)
    assert torch.autograd.gradcheck(lambda s: CASES[name](s, truth, teacher), (student,))
    if name != "ground_truth_only":
        assert not torch.equal(CASES[name](student, truth, teacher), CASES[name](student, truth, teacher + 10))


@pytest.mark.parametrize("name", CASES)
def test_blends_do_not_depend_on_the_unit(name: str) -> None:
    """Twice the numbers in units of 2 are the numbers in units of 1."""
    torch.manual_seed(0)
    student, truth, teacher = (torch.randn(BATCH, TIME, 6, dtype=torch.float64) for _ in range(3))
    doubled = CASES[name](2 * student, 2 * truth, 2 * teacher, 2.0)
    torch.testing.assert_close(doubled, CASES[name](student, truth, teacher, 1.0))


def test_laplace_has_a_gradient_where_student_and_teacher_agree() -> None:
    student = torch.zeros(1, 6, requires_grad=True)
    imitation.laplace(student, torch.ones(1, 6), torch.zeros(1, 6), torch.zeros(1)).sum().backward()
    assert student.grad is not None
    assert student.grad.tolist() == [pytest.approx([-1.0] * 6)]  # that of the ground truth alone: 2 * 0.5 * (0 - 1)


def test_trust_by_component_weighs_each_by_its_own() -> None:
    trust = torch.tensor([[1.0, 0.0], [0.5, 1.0], [0.0, 0.25]])
    # squares to the teacher by component: (1, 1), (0, 9), (4, 4); weighed 1, 9, 1
    found = attentive_imitation(STUDENT, TRUTH, TEACHER, trust, alpha=0.0)
    assert found.tolist() == [1.0, 9.0, 1.0]


def test_plain_hint_is_attentive_hint_with_full_trust() -> None:
    student, teacher = torch.randn(2, 4, 7), torch.randn(2, 4, 7)
    assert torch.equal(plain_hint(student, teacher), attentive_hint(student, teacher, torch.ones(2, 4)))
    one, other = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    assert plain_hint(one, other).tolist() == [2.5]
    assert plain_hint(one, other, "sum").tolist() == [5.0]


def test_any_layers_output_becomes_one_vector_for_each_sample() -> None:
    value = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(2, 3, 4)
    assert torch.equal(per_sample(value, (2, 3)), value)
    assert torch.equal(per_sample(value.reshape(6, 2, 2), (2, 3)), value)  # time folded into the batch
    assert torch.equal(per_sample(value.reshape(6, 4), (2, 2)), value[:, 1:])  # of frames: a pair's second one
    frames = torch.arange(8.0)[:, None]  # two clips of four frames
    assert per_sample(frames, (2, 3)).tolist() == [[[1], [2], [3]], [[5], [6], [7]]]
    assert per_sample(torch.ones(5), (5,)).shape == (5, 1)
    for rows in (1, 4, 7, 9):
        message = rf"gives \({rows}, 4\), expected one vector for each of \(2, 3\) samples"
        with pytest.raises(DistilvoError, match=message):
            per_sample(torch.ones(rows, 4), (2, 3))
    with pytest.raises(DistilvoError, match=r"gives \(7, 4\), expected one vector for each of \(5,\) samples"):
        per_sample(torch.ones(7, 4), (5,))


def test_attentive_hint_by_hand() -> None:
    found = attentive_hint(
        torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]]),
        torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]),
        torch.tensor([0.5, 0.1, -2.0]),
        "sum",
    )
    assert found.tolist() == pytest.approx([2.5, 2.5, 0.0])  # no trust below 0: a hint is never driven away


TRIPLES = st.lists(st.floats(-100, 100, width=32) | st.just(math.nan), min_size=8, max_size=8)


@given(TRIPLES, TRIPLES, st.floats(0, 1), st.floats(0, 1))
def test_no_blend_but_the_probabilistic_ones_is_below_0(
    truth: list[float], teacher: list[float], trust: float, alpha: float
) -> None:
    student = torch.linspace(-50, 50, 8).reshape(4, 2)
    y, t = torch.tensor(truth).reshape(4, 2), torch.tensor(teacher).reshape(4, 2)
    losses = [
        ground_truth_only(student, y),
        imitation.teacher_only(student, t),
        imitation.minimum(student, y, t),
        imitation.additional(student, y, t, alpha),
        imitation.upper_bound(student, y, t, alpha),
        attentive_imitation(student, y, t, torch.full((4,), trust), alpha),
    ]
    for loss in losses:
        assert loss.shape == (4,) and bool((loss >= 0).all())


NAN = math.nan
# Two components. Student (3, 4); truth (1, ?), teacher (5, 7). squares to truth 4, ?; to teacher 4, 9.
# The second sample has no truth at all, the third no teacher, the fourth neither.
UNKNOWN = {
    "student": torch.tensor([[3.0, 4.0]] * 4),
    "truth": torch.tensor([[1.0, NAN], [NAN, NAN], [1.0, 2.0], [NAN, NAN]]),
    "teacher": torch.tensor([[5.0, 7.0], [5.0, 7.0], [NAN, NAN], [NAN, NAN]]),
}
SIGMA_2 = math.log(2)
WITH_UNKNOWN = {  # alpha 0.25, Phi 0.5, sigma 2
    "minimum": [4.0 + 9, 13.0, 8.0, 0.0],
    "additional": [0.25 * 4 + 0.75 * 4 + 9, 13.0, 8.0, 0.0],
    # known of both: own 4 is not above the teacher's 16, so it is not imitated there
    "upper_bound": [0.25 * 4 + 9, 13.0, 8.0, 0.0],
    "attentive_imitation": [0.25 * 4 + 0.75 * 0.5 * 4 + 0.5 * 9, 0.5 * 13, 8.0, 0.0],
    "laplace": [0.25 * 4 + 0.75 * (13**0.5 / 2 + SIGMA_2), 13**0.5 / 2 + SIGMA_2, 8.0, 0.0],
    "gaussian": [0.25 * 4 + 0.75 * (13 / 8 + SIGMA_2), 13 / 8 + SIGMA_2, 8.0, 0.0],
}


@pytest.mark.parametrize("name", WITH_UNKNOWN)
def test_unknown_truth_leaves_imitation_and_an_unknown_teacher_the_truth(name: str) -> None:
    student = UNKNOWN["student"].clone().requires_grad_()
    more = {"attentive_imitation": [torch.full((4,), 0.5)]}.get(name, [])
    more = [torch.full((4,), SIGMA_2)] if name in ("laplace", "gaussian") else more
    alpha = {} if name == "minimum" else {"alpha": 0.25}
    losses = getattr(imitation, name)(student, UNKNOWN["truth"], UNKNOWN["teacher"], *more, **alpha)
    assert losses.tolist() == pytest.approx(WITH_UNKNOWN[name])
    losses.sum().backward()
    assert student.grad is not None and bool(student.grad.isfinite().all())
    assert student.grad[3].tolist() == [0, 0]
    assert student.grad[2].tolist() == [4, 4]  # 2 (3 - 1), 2 (4 - 2)


@pytest.mark.parametrize("name", ["ground_truth_only", "teacher_only"])
def test_alone_what_is_unknown_counts_nothing(name: str) -> None:
    student = UNKNOWN["student"].clone().requires_grad_()
    losses = getattr(imitation, name)(student, UNKNOWN["truth"])
    assert losses.tolist() == [4, 0, 8, 0]
    losses.sum().backward()
    assert student.grad is not None and student.grad.tolist() == [[4, 0], [0, 0], [4, 4], [0, 0]]


def test_a_student_worse_than_its_teacher_imitates_it_where_a_component_is_unknown_too() -> None:
    student, truth, teacher = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, NAN]]), torch.tensor([[1.0, 6.0]])
    # own 9 is above the teacher's 1: 0.25 * 9 + 0.75 * 4, and the unlabelled component 4
    assert imitation.upper_bound(student, truth, teacher, 0.25).tolist() == [0.25 * 9 + 0.75 * 4 + 4]


def test_a_hint_that_is_not_there_counts_nothing() -> None:
    student = torch.ones(2, 3, requires_grad=True)
    losses = attentive_hint(student, torch.tensor([[3.0] * 3, [NAN] * 3]), torch.ones(2))
    assert losses.tolist() == [4, 0]
    losses.sum().backward()
    assert student.grad is not None and bool(student.grad.isfinite().all())


def test_ten_lines_for_any_regressor() -> None:
    """What the README promises: a student that learns from a teacher, with no pose in sight."""
    torch.manual_seed(0)
    x = torch.rand(256, 1) * 6
    y = torch.cat([x.sin(), x.cos()], 1)
    teacher = lambda x: torch.cat([x.sin(), x.cos()], 1) + (x > 5) * 3.0  # noqa: E731  wrong where x > 5
    student = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2))
    trust = measure_trust("quantile", teacher(x), y)
    assert trust.phi[x[:, 0] > 5].max() < 0.01 < 0.99 < trust.phi[x[:, 0] <= 5].min()
    optimiser = torch.optim.Adam(student.parameters(), 1e-2)
    losses = []
    for _ in range(200):
        loss = attentive_imitation(student(x), y, teacher(x), trust.phi).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_gaussian_has_a_lower_bound_where_student_and_teacher_agree() -> None:
    """However small sigma gets: at a distance of 1e-6 at least, so about log(1e-6)."""
    same = torch.zeros(3, 1)
    log_sigma = torch.tensor([-5.0, -13.8, -50.0])
    losses = imitation.gaussian(same, same, same, log_sigma, alpha=0.0)
    assert losses.min() > -14
