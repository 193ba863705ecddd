"""Shapes: what torch would broadcast in silence is refused, and a layer is tapped without a trace."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distilvo.distill import imitation
from distilvo.distill.hints import Tap, attentive_hint, plain_hint
from distilvo.distill.shapes import components_last, like_target, per_sample
from distilvo.distill.trust import squared_errors
from distilvo.distill.trust_choice import measure_trust
from distilvo.errors import DistilvoError

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
PER_SAMPLE = torch.zeros(8)
PUBLIC: dict[str, Loss] = {
    "squared_error": lambda s, y, t: imitation.squared_error(s, t),
    "ground_truth_only": lambda s, y, t: imitation.ground_truth_only(s, y),
    "teacher_only": lambda s, y, t: imitation.teacher_only(s, t),
    "minimum": lambda s, y, t: imitation.minimum(s, y, t),
    "additional": lambda s, y, t: imitation.additional(s, y, t),
    "upper_bound": lambda s, y, t: imitation.upper_bound(s, y, t),
    "laplace": lambda s, y, t: imitation.laplace(s, y, t, PER_SAMPLE),
    "gaussian": lambda s, y, t: imitation.gaussian(s, y, t, PER_SAMPLE),
    "attentive_imitation": lambda s, y, t: imitation.attentive_imitation(s, y, t, PER_SAMPLE),
    "plain_hint": lambda s, y, t: plain_hint(s, t),
    "attentive_hint": lambda s, y, t: attentive_hint(s, t, PER_SAMPLE),
    "measure_trust": lambda s, y, t: measure_trust("quantile", t, s).phi,
    "squared_errors": lambda s, y, t: squared_errors(t, s),
}
NEEDS_TRUTH = [name for name in PUBLIC if name in imitation.__dict__ and name not in ("squared_error", "teacher_only")]


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("column_first", [True, False])
def test_a_column_against_a_row_is_refused_with_both_shapes(name: str, column_first: bool) -> None:
    """(8, 1) - (8,) would be (8, 8)."""
    column, row = torch.randn(8, 1), torch.randn(8)
    student, other = (column, row) if column_first else (row, column)
    with pytest.raises(DistilvoError) as caught:
        PUBLIC[name](student, other, other)
    assert "(8, 1)" in str(caught.value) and "(8,)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NEEDS_TRUTH)
def test_the_ground_truth_alone_may_be_the_wrong_one(name: str) -> None:
    with pytest.raises(DistilvoError, match=r"(truth|target): has the shape \(8, 1\), (student|prediction) has \(8,\)"):
        PUBLIC[name](torch.randn(8), torch.randn(8, 1), torch.randn(8))


@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in ("plain_hint", "attentive_hint", "squared_errors")])
def test_of_one_dimension_each_number_is_a_sample(name: str) -> None:
    torch.manual_seed(0)
    student, truth, teacher = torch.randn(8), torch.randn(8), torch.randn(8)
    flat = PUBLIC[name](student, truth, teacher)
    assert flat.shape == (8,)
    torch.testing.assert_close(flat, PUBLIC[name](student[:, None], truth[:, None], teacher[:, None]))


def test_a_single_number_is_refused() -> None:
    with pytest.raises(DistilvoError, match=r"prediction: is a single number, expected \(N,\)"):
        imitation.squared_error(torch.tensor(1.0), torch.tensor(2.0))


@pytest.mark.parametrize("name", ["laplace", "gaussian", "attentive_imitation", "attentive_hint"])
def test_numbers_of_each_sample_must_be_as_many(name: str) -> None:
    """A sigma or trust (8, 1) for outputs (8, 3) would broadcast, too."""
    student, teacher = torch.randn(8, 3), torch.randn(8, 3)
    function = attentive_hint if name == "attentive_hint" else getattr(imitation, name)
    arguments = (student, teacher) if name == "attentive_hint" else (student, teacher, teacher)
    with pytest.raises(DistilvoError, match=r"\(8, 1\), expected \(8,\)"):
        function(*arguments, torch.ones(8, 1))


@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 3), (8,), (0,)])
def test_a_scale_must_be_one_number_or_one_for_each_component(shape: tuple[int, ...]) -> None:
    one, other = torch.ones(8, 3), torch.zeros(8, 3)
    with pytest.raises(DistilvoError, match=r"scale: .* expected one number, or \(3,\)"):
        imitation.squared_error(one, other, torch.ones(shape))
    with pytest.raises(DistilvoError, match="scale"):
        measure_trust("quantile", one, other, torch.ones(shape))
    for right in (2.0, torch.tensor(2.0), torch.tensor([2.0]), torch.full((3,), 2.0)):
        assert imitation.squared_error(one, other, right).tolist() == [0.75] * 8


def test_convolutional_hints_are_refused_where_batch_and_height_agree() -> None:
    """Trust (4,) beside distances (4, 2, 4) of (B, C, H, W) = (4, 2, 4, 5) would weigh rows of the image."""
    student, teacher = torch.randn(4, 2, 4, 5), torch.randn(4, 2, 4, 5)
    with pytest.raises(DistilvoError, match=r"trust: has the shape \(4,\), expected \(4, 2, 4\)"):
        attentive_hint(student, teacher, torch.ones(4))
    trust = torch.tensor([0.0, 0.25, 0.5, 1.0])
    found = attentive_hint(per_sample(student, (4,)), per_sample(teacher, (4,)), trust, "sum")
    torch.testing.assert_close(found, trust * (student - teacher).square().sum((1, 2, 3)))


def test_of_images_a_layer_gives_one_vector_for_each_pixel() -> None:
    """Also where channels, height and width are alike, so that the shape does not tell which is which."""
    layer = torch.randn(2, 4, 4, 4)
    assert torch.equal(per_sample(layer, (2, 4, 4)), layer.movedim(1, -1))
    assert per_sample(torch.randn(2, 7, 4, 5), (2, 4, 5)).shape == (2, 4, 5, 7)
    with pytest.raises(DistilvoError, match="expected one vector for each of"):
        per_sample(torch.randn(2, 7, 2, 2), (2, 4, 5))


def test_components_go_last() -> None:
    assert components_last(torch.zeros(5)).shape == (5, 1)
    assert components_last(torch.zeros(5, 3)).shape == (5, 3)
    assert components_last(torch.zeros(5, 7, 3)).shape == (5, 7, 3)
    dense = torch.randn(5, 3, 8, 9)
    assert torch.equal(components_last(dense)[..., 2], dense[:, 2])


def test_outputs_take_the_targets_shape_only_by_dimensions_of_one() -> None:
    values = torch.arange(6.0)
    assert like_target(values[:, None], (), "student").tolist() == values.tolist()
    assert like_target(values, (1,), "student").shape == (6, 1)
    assert like_target(values.reshape(2, 3), (3, 1), "student").shape == (2, 3, 1)
    for shape, target in (((2, 3), (2,)), ((6,), (6,)), ((2, 3, 2), (2, 3)), ((3, 2), (3,)), ((), (2,))):
        with pytest.raises(DistilvoError, match="student: gives the shape"):
            like_target(torch.zeros(shape), target, "student")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))


def test_a_tap_reads_all_batches_and_leaves_no_trace() -> None:
    net = network()
    first, second = torch.randn(4, 2), torch.randn(2, 2)
    expected = net[0](torch.cat([first, second]))
    with Tap(net, "0") as tap:
        net(first)
        net(second)
        assert torch.equal(tap.take(), expected)  # the in-place ReLU behind it changes nothing
        assert bool((expected < 0).any())
        with pytest.raises(DistilvoError, match="'0': did not run since it was last read"):
            tap.take()
        net(second)
        assert len(tap.take()) == 2
    assert not any(module._forward_hooks for module in net.modules())
    net(first)
    with pytest.raises(DistilvoError, match="did not run"):
        tap.take()


def test_a_tap_is_let_go_where_the_network_fails() -> None:
    net = network()
    with pytest.raises(RuntimeError), Tap(net, "2"):
        net(torch.ones(1, 7))
    assert not any(module._forward_hooks for module in net.modules())


def test_a_tap_on_what_is_not_there_is_refused() -> None:
    with pytest.raises(DistilvoError, match="layer '7' is not in Sequential; it has 0, 1, 2"):
        Tap(network(), "7")


def test_batches_that_do_not_fit_together_are_refused() -> None:
    layer = nn.Sequential(nn.Identity())
    with Tap(layer, "0") as tap:
        layer(torch.ones(2, 3))
        layer(torch.ones(2, 4))
        with pytest.raises(DistilvoError, match=r"'0': ran several times and gave \(2, 3\), \(2, 4\)"):
            tap.take()


def test_gradients_flow_through_what_is_read() -> None:
    net = network()
    with Tap(net, "0") as tap:
        net(torch.randn(4, 2))
        tap.take().sum().backward()
    assert net[0].bias.grad is not None and net[0].bias.grad.tolist() == [4, 4, 4]


def test_a_tapped_network_can_be_saved_and_copied_and_the_copy_is_not_tapped() -> None:
    net, x = network(), torch.randn(4, 2)
    with Tap(net, "1") as tap:
        net(x)
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        copies = [copy.deepcopy(net), torch.load(file, weights_only=False)]
        for one in copies:
            assert torch.equal(one(x + 1), net(x + 1))
            tap.take()  # of the network's own run
            one(x)
            with pytest.raises(DistilvoError, match="did not run"):
                tap.take()
            net(x)


class Named(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return {"features": x}


class Whole(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return x


class Constant(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("inner", "kind"),
    [(Named(), "dict"), (Constant(()), "tuple"), (Constant(None), "NoneType"), (Constant([1]), "list")],
)
def test_a_layer_that_gives_no_tensor_is_refused_by_name(inner: nn.Module, kind: str) -> None:
    whole = Whole(inner)
    with Tap(whole, "inner"), pytest.raises(DistilvoError, match=f"layer 'inner': gives {kind}, expected a tensor"):
        whole(torch.ones(2, 3))
