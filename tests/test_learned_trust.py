"""Trust where labels are missing: the teacher's error is predicted, or the teacher is trusted alike and it is said."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from distilvo.distill.error_prediction import learned_trust, rank_correlation, trust_features
from distilvo.distill.trust_choice import measure_trust
from distilvo.errors import DistilvoError


def visible(count: int = 300, labelled: int = 150, noise: float = 0.3) -> tuple[Tensor, Tensor, Tensor]:
    """Features (N, 3), of which the first tells the error; all errors, and those that are known."""
    random = torch.Generator().manual_seed(0)
    features = torch.rand(count, 3, generator=random)
    errors = (4 * features[:, 0] + noise * torch.randn(count, generator=random)).exp()
    known = errors.clone()
    known[torch.randperm(count, generator=random)[labelled:]] = math.nan
    return features, errors, known


def test_trust_is_lower_where_the_teacher_errs_visibly() -> None:
    features, errors, known = visible()
    trust = learned_trust(features, known)
    assert trust.kind == "learned" and trust.note == ""
    assert trust.worth[0] > 0.8
    assert bool(((trust.phi > 0) & (trust.phi < 1)).all())
    hidden = known.isnan()
    assert rank_correlation(trust.phi[hidden], -errors[hidden]) > 0.8
    assert torch.equal(trust.errors.nan_to_num(-1), known.nan_to_num(-1))


def test_trees_of_much_film_are_grown_on_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn import ensemble

    grown = []

    class Watched(ensemble.RandomForestRegressor):
        def fit(self, *arguments: Any, **more: Any) -> Any:
            super().fit(*arguments, **more)
            grown.extend(len(sample) for sample in self.estimators_samples_)
            return self

    monkeypatch.setattr(ensemble, "RandomForestRegressor", Watched)
    monkeypatch.setattr("distilvo.distill.error_prediction.MOST_IN_TREE", 60)
    features, _, known = visible()
    assert learned_trust(features, known).worth[0] > 0.75
    assert max(grown) == 60 and min(grown) == 48  # those of the five folds know four fifths of the labels


def test_phi_is_half_where_the_predicted_error_is_the_median() -> None:
    features, _, known = visible()
    trust = learned_trust(features, known)
    median = float(known[~known.isnan()].median())
    assert trust.predicted is not None
    torch.testing.assert_close(trust.phi, median / (median + trust.predicted))
    assert trust.etas == (median,)


def test_a_labelled_sample_is_predicted_by_what_has_not_seen_it() -> None:
    """One labelled error is made enormous: its own prediction stays what its neighbours say."""
    features, _, known = visible(noise=0.0)
    index = int((~known.isnan()).nonzero()[0])
    before = learned_trust(features, known).predicted
    changed = known.clone()
    changed[index] = 1e6
    after = learned_trust(features, changed).predicted
    assert before is not None and after is not None
    assert after[index] == pytest.approx(float(before[index]), rel=1e-4)
    others = known.isnan()
    assert not torch.equal(before[others], after[others])


def test_the_same_seed_gives_the_same_trust() -> None:
    features, _, known = visible()
    one, again, other = (learned_trust(features, known, seed=seed).phi for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_samples_of_one_group_do_not_judge_each_other() -> None:
    """Each group has its own number as feature and its own error: known from its members alone."""
    groups = torch.arange(30).repeat_interleave(10)
    of_group = torch.randn(30, generator=torch.Generator().manual_seed(3)).exp()
    features = torch.rand(30, 2, generator=torch.Generator().manual_seed(4))[groups]
    errors = of_group[groups] * (1 + 0.01 * torch.randn(300, generator=torch.Generator().manual_seed(5))).abs()
    among_their_own = learned_trust(features, errors)
    apart = learned_trust(features, errors, groups)
    assert among_their_own.worth[0] > 0.9
    assert apart.worth[0] < 0.3
    assert apart.kind == "none" and "worth nothing" in apart.note


@pytest.mark.parametrize("labelled", [0, 1, 19])
def test_with_too_few_labels_all_are_trusted_alike(labelled: int) -> None:
    features, _, known = visible(labelled=labelled)
    trust = learned_trust(features, known)
    assert trust.kind == "none" and trust.phi.tolist() == [1.0] * 300
    assert f"{labelled} labelled samples, expected at least 20" in trust.note
    assert "trusted alike" in trust.note


def test_twenty_labels_are_enough() -> None:
    features, _, known = visible(labelled=20, noise=0.0)
    assert learned_trust(features, known).worth != ()


def test_an_error_that_cannot_be_predicted_is_worth_nothing() -> None:
    _, _, known = visible()
    noise = torch.rand(300, 3, generator=torch.Generator().manual_seed(9))
    trust = learned_trust(noise, known)
    assert trust.kind == "none" and trust.phi.tolist() == [1.0] * 300
    assert trust.note.startswith("learned trust is worth nothing: its rank correlation with the true error is")
    assert abs(trust.worth[0]) < 0.17


def test_shuffled_errors_are_worth_nothing() -> None:
    features, _, known = visible()
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    assert learned_trust(features, known[order]).kind == "none"


@pytest.mark.parametrize(
    ("known", "groups", "note"),
    [
        (torch.zeros(40), None, "half of the teacher's errors on labelled samples are 0"),
        (torch.rand(40), torch.zeros(40), "all labelled samples are of one group"),
    ],
)
def test_what_cannot_be_fitted_is_noted(known: Tensor, groups: Any, note: str) -> None:
    trust = learned_trust(torch.rand(40, 2), known, groups)
    assert trust.kind == "none" and note in trust.note


def test_wrong_shapes_and_numbers_are_refused() -> None:
    with pytest.raises(DistilvoError, match=r"errors have the shape \(4, 1\), features \(4, 2\); expected"):
        learned_trust(torch.zeros(4, 2), torch.zeros(4, 1))
    with pytest.raises(DistilvoError, match="1 of 4 samples have features that are not finite"):
        learned_trust(torch.tensor([[1.0], [math.inf], [0.0], [1.0]]), torch.zeros(4))


def test_features_are_outputs_hints_their_norms_and_what_is_given_besides() -> None:
    outputs, hint, more = (
        torch.tensor([3.0, -4.0]),
        torch.tensor([[3.0, 4.0], [0.0, math.nan]]),
        torch.tensor([[7], [8]]),
    )
    rms = (25 / 2) ** 0.5
    expected = [[3.0, 3.0, 3.0, 4.0, rms, 7.0], [-4.0, 4.0, 0.0, 0.0, 0.0, 8.0]]
    for row, found in zip(expected, trust_features(outputs, [hint], more).tolist(), strict=True):
        assert found == pytest.approx(row)


def test_of_a_wide_layer_the_leading_components_are_taken() -> None:
    """200 copies of two numbers: two components hold them all, and their distances."""
    few = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    wide = few.repeat(1, 100)
    features = trust_features(torch.zeros(50), [wide])
    assert features.shape[1] <= 1 + 1 + 64 + 1
    leading = features[:, 2:-1]
    assert leading[:, 2:].abs().max() < 1e-3
    torch.testing.assert_close(torch.cdist(leading, leading), torch.cdist(wide, wide), rtol=1e-3, atol=0.05)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 2, 3, 4], [2, 1, 4, 3], 0.6),  # 1 - 6 (1 + 1 + 1 + 1) / (4 (16 - 1))
        ([1, 1, 1], [1, 2, 3], 0.0),
    ],
)
def test_rank_correlation_by_hand(first: list[float], second: list[float], expected: float) -> None:
    assert rank_correlation(torch.tensor(first), torch.tensor(second)) == pytest.approx(expected)


def test_trust_is_learned_only_where_labels_are_missing() -> None:
    torch.manual_seed(0)
    outputs, truth = torch.randn(60, 2), torch.randn(60, 2)
    assert measure_trust(None, outputs, truth).kind == "quantile"
    truth[0] = math.nan
    found = measure_trust(None, outputs, truth)
    assert found.note.startswith("learned trust")  # the errors are noise
    for kind in ("quantile", "rank", "ratio", "paper"):
        with pytest.raises(DistilvoError, match=f"trust: {kind} needs the label of every sample, 1 of 60 have none"):
            measure_trust(kind, outputs, truth)  # type: ignore[arg-type]
    assert measure_trust("none", outputs, truth).phi.tolist() == [1.0] * 60
    with pytest.raises(DistilvoError, match="trust: is consistency, expected learned, quantile"):
        measure_trust("consistency", outputs, truth)


@pytest.mark.parametrize("shape", [(), (2,), (4, 2), (2, 3, 3)])
@pytest.mark.parametrize("kind", ["quantile", "none", "learned"])
def test_what_the_teacher_did_not_give_is_not_trusted(kind: Any, shape: tuple[int, ...]) -> None:
    """Without a label it is no reason to learn the trust of the others, either."""
    torch.manual_seed(0)
    truth = torch.randn(60, *shape)
    outputs = truth + torch.randn(60, *shape)
    outputs[7] = truth[7] = math.nan
    trust = measure_trust(kind, outputs, truth)
    assert trust.of_sample[7] == 0 and bool(trust.phi.isfinite().all())
    rest = [index for index in range(60) if index != 7]
    if kind == "quantile":
        assert measure_trust(None, outputs, truth).kind == "quantile"
        assert torch.equal(trust.phi[rest], measure_trust("quantile", outputs[rest], truth[rest]).phi)
    else:
        assert bool((trust.of_sample[rest] > 0).all())


def test_parts_are_trusted_by_their_own_error() -> None:
    """The first component errs where x is large, the second where it is small; a third of the labels is missing."""
    random = torch.Generator().manual_seed(0)
    x = torch.rand(300, 1, generator=random)
    truth = torch.zeros(300, 3)
    outputs = torch.cat([4 * x, -4 * x, torch.zeros(300, 1)], 1).exp() * torch.randn(300, 3, generator=random).sign()
    truth[::3] = math.nan
    trust = measure_trust(None, outputs, truth, more=x, parts=((0,), (1,)))
    assert trust.kind == "learned" and len(trust.worth) == 2 and trust.errors.shape == (300, 2)
    large = x[:, 0] > 0.5
    assert trust.phi[large, 0].mean() < trust.phi[~large, 0].mean() - 0.3
    assert trust.phi[large, 1].mean() > trust.phi[~large, 1].mean() + 0.3
    assert trust.phi[:, 2].tolist() == [1.0] * 300  # of no part
