"""Students made for speed on one core: a picture is folded into channels first, and convolved where it is small.

The paper's students keep their teacher's first convolutions at full size, which is where the time goes. Here blocks of
pixels become channels (space to depth), two convolutions see each frame alone and once, a correlation compares it with
the last one, and what follows is narrow; two small LSTM layers carry what was seen before. Depthwise separable layers
instead of narrow ones had larger errors at the same latency (benchmarks/README.md).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from distilvo.errors import DistilvoError
from distilvo.models.network import Architecture

_ROWS = 24  # of the picture once it is folded, whatever its size

# The first two layers have the widths of the demo teacher's, so that they can begin as those; see ``folded``.
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
        DistilvoError: no such student, or the size cannot be folded to 24 rows.
    """
    if name not in FAMILY:
        raise DistilvoError(f"student '{name}' is unknown; expected one of {', '.join(FAMILY)}")
    patch, rest = divmod(size[0], _ROWS)
    if rest or not patch or size[1] % (40 * patch):
        raise DistilvoError(
            f"student '{name}' cannot fold {size[0]} x {size[1]} pixels; expected a multiple of 24 rows and as many "
            "times 40 columns or a multiple of that, as 48 x 160 or 192 x 640"
        )
    return replace(FAMILY[name], size=size, channels=channels, patch=patch)


def folded(weight: Tensor, stride: int, patch: int) -> Tensor:
    """A convolution of a picture as one of the same picture, enlarged and folded.

    The kernel (O, C, k, k), stride ``stride``, padding k // 2, sees the averages of ``patch / stride`` pixels squared.

    Returns:
        The kernel (O, C patch^2, 3, 3), stride and padding 1, that gives the same on folded blocks of ``patch`` pixels.
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
