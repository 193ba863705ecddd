"""Students made for speed on one core: blocks of pixels become channels first (space-to-depth).

The paper's students keep their teacher's first convolutions at full size, and these take most of the time. Here blocks
of pixels become channels, two convolutions see each frame alone and once, a correlation compares it with the frame
before, and the layers behind it are narrow; two small LSTM layers remember earlier frames. Depthwise separable layers
instead of narrow ones had larger errors at the same latency (benchmarks/speed.md).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from distilvo.errors import DistilvoError
from distilvo.models.network import Architecture

_ROWS = 24  # of the image behind space-to-depth, whatever its size

# The first two layers have the widths of the demo teacher's, so that they can begin as those.
_BASE = Architecture(
    name="base",
    size=(192, 640),
    channels=1,
    convolutions=((16, 3, 1), (32, 3, 2), (48, 3, 2), (64, 3, 1), (64, 3, 2), (64, 3, 1)),
    grid=(1, 5),
    fc=(128,),
    branch=64,
    shared=2,
    reach=(3, 4),
    lstm=(64, 64),
    dropout=0.0,
    batch_norm=True,
    patch=8,
)


def _narrower(name: str, width: int, lstm: int) -> Architecture:
    pairs = tuple((width, kernel, stride) for _, kernel, stride in _BASE.convolutions[_BASE.shared :])
    return replace(
        _BASE, name=name, convolutions=_BASE.convolutions[: _BASE.shared] + pairs, lstm=(lstm,) * len(_BASE.lstm)
    )


FAMILY = {"nano": _narrower("nano", 16, 20), "small": _narrower("small", 32, 40), "base": _BASE}


def fast_architecture(name: str, size: tuple[int, int] = (192, 640), channels: int = 1) -> Architecture:
    """A student of the family, by name, for frames of ``size`` (H, W) pixels and so many channels.

    Raises:
        DistilvoError: no such student, or the size cannot become 24 rows by space-to-depth.
    """
    if name not in FAMILY:
        raise DistilvoError(f"student '{name}' is unknown; expected one of {', '.join(FAMILY)}")
    patch, rest = divmod(size[0], _ROWS)
    if rest or not patch or size[1] % (40 * patch):
        raise DistilvoError(
            f"student '{name}' cannot turn {size[0]} x {size[1]} pixels into 24 rows by space-to-depth; expected a "
            "multiple of 24 rows and as many times 40 columns or a multiple of that, as 48 x 160 or 192 x 640"
        )
    return replace(FAMILY[name], size=size, channels=channels, patch=patch)


def space_to_depth_kernel(weight: Tensor, stride: int, patch: int) -> Tensor:
    """The kernel behind space-to-depth on a large image that stands for a kernel on the same image made smaller.

    The small image is the large one averaged over blocks of ``patch / stride`` pixels squared.

    Args:
        weight: the kernel on the small image (O, C, k, k), with padding k // 2.
        stride: of that kernel.
        patch: side of the blocks of the large image that become channels, pixels.

    Returns:
        The kernel (O, C patch^2, 3, 3) with stride and padding 1; it gives the same features.
    """
    outputs, channels, size, _ = weight.shape
    block = patch // stride
    fine = weight.repeat_interleave(block, 2).repeat_interleave(block, 3) / block**2
    before = patch - size // 2 * block  # pixels of the 3 x 3 blocks that the kernel does not reach
    wide = torch.zeros(outputs, channels, 3 * patch, 3 * patch, dtype=weight.dtype, device=weight.device)
    reach = slice(before, before + size * block)
    wide[:, :, reach, reach] = fine
    blocks = wide.unflatten(3, (3, patch)).unflatten(2, (3, patch))  # O, C, 3, patch, 3, patch
    return blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
