"""Students made for speed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d, conv2d, pixel_unshuffle

from distilvo.errors import DistilvoError
from distilvo.models.fast_student import FAMILY, fast_architecture, space_to_depth_kernel
from distilvo.models.kinds import count_parameters
from distilvo.models.network import PoseNetwork
from distilvo.models.student import shaped_architecture
from distilvo.models.teacher import DEMO, PAPER


@pytest.mark.parametrize("patch", [2, 4, 8])
def test_a_convolution_behind_space_to_depth_sees_the_image_made_smaller(patch: int) -> None:
    torch.manual_seed(0)
    weight, image = torch.randn(3, 2, 5, 5), torch.randn(2, 2, 6 * patch, 10 * patch)
    expected = conv2d(avg_pool2d(image, patch // 2), weight, stride=2, padding=2)
    features = conv2d(pixel_unshuffle(image, patch), space_to_depth_kernel(weight, 2, patch), padding=1)
    assert torch.allclose(features, expected, atol=1e-4)


@pytest.mark.parametrize("patch", [1, 2, 8])
def test_space_to_depth_is_that_of_torch(patch: int) -> None:
    images = torch.rand(3, 2, 3 * patch, 5 * patch)
    shape = replace(fast_architecture("nano"), patch=patch)
    assert torch.equal(PoseNetwork(shape).space_to_depth(images), pixel_unshuffle(images, patch))


@pytest.mark.parametrize("name", FAMILY)
@torch.no_grad()
def test_one_network_for_every_image_size(name: str) -> None:
    """Only the first layer grows with the image."""
    small, large = (PoseNetwork(fast_architecture(name, size)).state_dict() for size in ((48, 160), (192, 640)))
    assert [k for k in small if small[k].shape != large[k].shape] == ["convolutions.0.0.weight"]


@pytest.mark.parametrize("name", FAMILY)
@torch.no_grad()
def test_step_predict_and_forward_agree(name: str) -> None:
    torch.manual_seed(0)
    network = PoseNetwork(fast_architecture(name, DEMO.size, DEMO.channels)).eval()
    frames = torch.randint(0, 256, (5, 1, 48, 160), dtype=torch.uint8)
    motions, step_motions = network.predict(frames), []
    state = network.start(frames[:1])
    for frame in frames[1:]:
        motion, state = network.step(frame[None], state)
        step_motions.append(motion)
    assert torch.allclose(network(frames[None])[0], motions, atol=1e-5)
    assert torch.allclose(torch.cat(step_motions), motions, atol=1e-5)


def test_sizes() -> None:
    sizes = {name: count_parameters(shaped_architecture(name, 0.0, DEMO)) for name in FAMILY}  # type: ignore[arg-type]
    assert sizes["nano"] < sizes["small"] < sizes["base"]
    assert sizes["nano"] <= 0.05 * count_parameters(DEMO)
    assert all(
        count_parameters(fast_architecture(name, (192, 640), 3)) <= 0.05 * count_parameters(PAPER) for name in FAMILY
    )


def test_frames_that_do_not_divide() -> None:
    for size in ((50, 160), (48, 150), (0, 160)):
        with pytest.raises(
            DistilvoError, match=f"cannot turn {size[0]} x {size[1]} pixels into 24 rows by space-to-depth"
        ):
            fast_architecture("nano", size)
    with pytest.raises(DistilvoError, match="expected one of nano, small, base"):
        fast_architecture("tiny")
