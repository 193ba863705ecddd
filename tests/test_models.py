"""Networks: sizes, streaming, correlation, students, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.correlation import Correlation
from distilvo.models.kinds import architecture_from, count_parameters, distillation_rate
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import check_rate, shaped_architecture, slim_architecture, student_architecture
from distilvo.models.teacher import DEMO, PAPER, teacher_architecture

SMALL = replace(
    DEMO, size=(16, 48), convolutions=((4, 3, 2), (6, 3, 2), (8, 3, 1)), grid=(1, 3), lstm=(5, 5), fc=(7,), branch=4
)


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_paper_teacher_has_the_papers_size() -> None:
    assert count_parameters(PAPER) == pytest.approx(33.6e6, rel=0.001)
    assert PAPER.size == (192, 640)
    assert len(PAPER.convolutions) == 9
    assert len(PAPER.lstm) == 2


def test_preprocessing_follows_from_the_architecture() -> None:
    assert PAPER.preprocessing == Preprocessing((192, 640), 3, centred=True)
    assert DEMO.preprocessing == Preprocessing((48, 160), 1, centred=True)
    assert architecture_from(DEMO.to_dict()) == DEMO  # nothing of it is saved


def test_paper_teacher_trains_a_step() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(PAPER).train()
    frames = torch.randint(0, 256, (1, 3, 3, 192, 640), dtype=torch.uint8)
    network(frames).square().sum().backward()
    norms = [p.grad.abs().max() for p in network.parameters() if p.grad is not None]
    assert len(norms) == len(list(network.parameters()))
    assert all(torch.isfinite(norm) and norm > 0 for norm in norms)


@torch.no_grad()
def test_paper_teacher_streams_with_carried_state() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(PAPER).eval()
    frames = torch.randint(0, 256, (4, 3, 192, 640), dtype=torch.uint8)
    assert_streams_alike(network, frames)


@pytest.mark.parametrize(
    "architecture",
    [
        SMALL,
        replace(SMALL, shared=0),
        replace(SMALL, lstm=()),
        replace(SMALL, channels=3),
        replace(SMALL, convolutions=SMALL.convolutions[: SMALL.shared], grid=(1, 1)),  # correlation comes last
    ],
)
@torch.no_grad()
def test_step_predict_and_forward_agree(architecture: Architecture) -> None:
    torch.manual_seed(0)
    network = PoseNetwork(architecture).eval()
    network.set_motion_scale(torch.arange(6.0), torch.full((6,), 2.0))
    frames = torch.randint(0, 256, (7, architecture.channels, *architecture.size), dtype=torch.uint8)
    assert_streams_alike(network, frames)


def assert_streams_alike(network: PoseNetwork, frames: torch.Tensor) -> None:
    whole = network(frames[None])[0]
    assert torch.allclose(network.predict(frames, chunk=2), whole, atol=1e-5)
    state, motions = network.start(frames[:1]), []
    for frame in frames[1:]:
        motion, state = network.step(frame[None], state)
        motions.append(motion[0])
    assert torch.allclose(torch.stack(motions), whole, atol=1e-5)


@torch.no_grad()
def test_lstm_state_matters() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(SMALL).eval()
    frames = torch.randint(0, 256, (3, 1, 16, 48), dtype=torch.uint8)
    _, carried = network.step(frames[1:2], network.start(frames[:1]))
    fresh = network.start(frames[1:2])
    assert not torch.allclose(network.step(frames[2:], carried)[0], network.step(frames[2:], fresh)[0], atol=1e-7)


def test_correlation_against_plain_loops() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    products = Correlation((1, 2))(a, b)
    assert products.shape == (2, 15, 4, 5)
    for displacement, (dy, dx) in enumerate((dy, dx) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)):
        for y in range(4):
            for x in range(5):
                inside = 0 <= y + dy < 4 and 0 <= x + dx < 5
                by_hand = (a[:, :, y, x] * b[:, :, y + dy, x + dx]).sum(1) / 3**0.5 if inside else torch.zeros(2)
                assert torch.allclose(products[:, displacement, y, x], by_hand, atol=1e-6)


def test_set_motion_scale_is_the_unit_of_the_output() -> None:
    network = PoseNetwork(SMALL).eval()
    frames = torch.randint(0, 256, (1, 2, 1, 16, 48), dtype=torch.uint8)
    plain = network(frames)
    network.set_motion_scale(torch.full((6,), 3.0), torch.full((6,), 2.0))
    assert torch.allclose(network(frames), 3 + 2 * plain, atol=1e-6)


@torch.no_grad()
def test_rescale_changes_nothing_that_comes_out() -> None:
    torch.manual_seed(0)
    network = PoseNetwork(SMALL).eval()
    network.set_motion_scale(torch.randn(6), torch.rand(6) + 0.1)
    frames = torch.randint(0, 256, (1, 3, 1, 16, 48), dtype=torch.uint8)
    before = network(frames)
    network.rescale(torch.randn(6), torch.rand(6) + 0.1)
    assert torch.allclose(network(frames), before, atol=1e-5)


@pytest.mark.parametrize("rate", [65.8, 72.88, 79.7, 86.0, 92.95, 95.0, 97.0])
def test_students_reach_their_rate(rate: float) -> None:
    architecture = student_architecture(rate, PAPER)
    assert rate <= distillation_rate(architecture, PAPER) < rate + 0.2
    assert len(architecture.convolutions) < 9
    assert architecture.lstm == ()
    assert len(architecture.fc) == (2 if rate < 75 else 3)  # guided: the second or the third FC layer
    assert architecture.fc[-1] == PAPER.fc[-1]  # hint and guided layer are of one width


@pytest.mark.parametrize("rate", [65.0, 92.95, 97.0])
@pytest.mark.parametrize("name", ["paper", "demo"])
def test_slim_students_keep_their_teachers_layers(rate: float, name: str) -> None:
    whole = teacher_architecture(name)
    slim = slim_architecture(rate, whole)
    assert rate <= distillation_rate(slim, whole) < rate + 2
    assert len(slim.convolutions) == len(whole.convolutions) and len(slim.lstm) == len(whole.lstm)
    assert slim.convolutions[: whole.shared] == whole.convolutions[: whole.shared] and slim.fc == whole.fc
    assert [c[1:] for c in slim.convolutions] == [c[1:] for c in whole.convolutions]


def test_demo_students_lose_their_convolutions_in_order() -> None:
    """Down to those in front of the correlation, which is what a frame pair is compared by."""
    rates = (80.0, 86.0, 92.95, 95.0, 97.0)
    assert [len(student_architecture(rate, DEMO).convolutions) for rate in rates] == [5, 4, 2, 2, 2]


def test_the_papers_students_keep_the_papers_convolutions() -> None:
    """Its tables name "6 - 2" at 72.88 % and "5 - 3" at 79.69 %: convolutions, and FC layers up to the guided one."""
    students = [student_architecture(rate, PAPER) for rate in (65.8, 72.88, 79.69, 92.95)]
    assert [(len(one.convolutions), len(one.fc)) for one in students] == [(7, 2), (6, 2), (5, 3), (3, 3)]
    assert all(one.grid == (3, 10) and min(one.fc) >= PAPER.fc[-1] // 2 for one in students)


def test_papers_smallest_student_has_about_2_4_million() -> None:
    assert count_parameters(student_architecture(92.95, PAPER)) == pytest.approx(2.4e6, rel=0.02)


def test_counting_agrees_with_the_network() -> None:
    assert parameters(PoseNetwork(small := student_architecture(92.95, DEMO))) == count_parameters(small)


def test_impossible_students() -> None:
    with pytest.raises(DistilvoError, match="its smallest student has"):
        student_architecture(99.9, DEMO)
    with pytest.raises(DistilvoError, match="is 100, expected at least 1 and less than 100"):
        student_architecture(100, DEMO)
    with pytest.raises(DistilvoError, match="expected one of paper, quarter, demo"):
        teacher_architecture("huge")


@pytest.mark.parametrize("make", [student_architecture, slim_architecture, partial(shaped_architecture, "slim")])
def test_a_rate_that_is_a_share_is_refused(make: Callable[[float, Architecture], Architecture]) -> None:
    with pytest.raises(DistilvoError, match=r"is 0\.9295, expected at least 1 .* per cent; did you mean 92\.95\?"):
        make(0.9295, DEMO)
    for rate in (0.0, 0.005, -5.0, 100.0, float("nan"), float("inf")):
        with pytest.raises(DistilvoError, match=r"rates are per cent$"):
            make(rate, DEMO)
    assert check_rate(1) == 1 and check_rate(99.9) == 99.9


def test_students_made_for_speed_take_no_rate() -> None:
    assert shaped_architecture("nano", 0.0, DEMO) == shaped_architecture("nano", 92.95, DEMO)


def test_model_files_round_trip(tmp_path: Path) -> None:
    network = PoseNetwork(SMALL).eval()
    save_model(network, tmp_path / "m", {"note": "x"})
    loaded, config = load_model(tmp_path / "m")
    frames = torch.randint(0, 256, (1, 3, 1, 16, 48), dtype=torch.uint8)
    assert torch.equal(loaded(frames), network(frames))
    assert config["note"] == "x"
    assert loaded.architecture == SMALL


@pytest.mark.parametrize("behind", [{}, {"convolutions": SMALL.convolutions[: SMALL.shared], "grid": (1, 1)}])
@pytest.mark.parametrize("lstm", [SMALL.lstm, ()])
@torch.no_grad()
def test_folders_of_format_1(behind: dict[str, Any], lstm: tuple[int, ...], tmp_path: Path) -> None:
    """Where the correlation was a mean over channels; ``test_correlation_against_plain_loops`` says what it is now."""
    network = PoseNetwork(replace(SMALL, lstm=lstm, **behind)).eval()
    frames = torch.randint(0, 256, (1, 3, 1, 16, 48), dtype=torch.uint8)
    folder = save_model(network, tmp_path / "m", {"format": 1})
    channels = SMALL.convolutions[SMALL.shared - 1][0]
    assert network.correlation is not None
    network.correlation.register_forward_hook(lambda _, __, out: out / channels**0.5)
    assert torch.allclose(load_model(folder)[0](frames), network(frames), atol=1e-6)


def test_folders_of_a_later_version(tmp_path: Path) -> None:
    for odd in (99, "new", None):
        folder = save_model(PoseNetwork(SMALL), tmp_path / str(odd), {"format": odd})
        with pytest.raises(DistilvoError, match="update distilvo"):
            load_model(folder)


def test_broken_model_folders(tmp_path: Path) -> None:
    with pytest.raises(DistilvoError, match="no such folder"):
        load_model(tmp_path / "none")
    folder = save_model(PoseNetwork(SMALL), tmp_path / "m", {})
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DistilvoError, match="does not fit"):
        load_model(folder)
    weights.write_bytes(whole)
    tensors = load_file(weights)
    tensors["mean"] = tensors["mean"] * float("nan")
    save_file(tensors, weights)
    with pytest.raises(DistilvoError, match="not finite"):
        load_model(folder)
    weights.unlink()
    with pytest.raises(DistilvoError, match="no such file"):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(DistilvoError, match="not JSON"):
        load_model(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", [48, 160.5], "whole numbers from 1 to 10000"),
        ("size", None, "no configuration of this version"),
        ("fc", [10**30], "whole numbers from 1 to 10000"),
        ("fc", [], "whole numbers from 1 to 10000"),
        ("convolutions", [[4, 3]], "3 for each convolution"),
        ("convolutions", [[4, 3, 0]], "whole numbers from 1 to 10000"),
        ("grid", [7, 11], "does not divide the feature map"),
        ("shared", 99, "shared is 99, expected 0 to"),
        ("reach", [1, -1], "reach is"),
        ("dropout", 1, "a dropout from 0 to less than 1"),
        ("batch_norm", "no", "batch_norm true or false"),
        ("fc", [9999, 9999], "does not fit config.json"),
    ],
)
def test_architectures_that_are_none(key: str, value: Any, message: str, tmp_path: Path) -> None:
    folder = save_model(PoseNetwork(SMALL), tmp_path, {})
    config = json.loads((folder / "config.json").read_text())
    config["architecture"][key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DistilvoError, match=message):
        load_model(folder)
    (folder / "config.json").write_text("[1]")
    with pytest.raises(DistilvoError, match="holds no object"):
        load_model(folder)
