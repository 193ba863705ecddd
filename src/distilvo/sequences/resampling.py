"""Any camera's frame as a model's picture, by numpy alone: what the runtime uses.

The whole way from the frame to the picture (averaging by area, interpolating, repeating the edge, colour to luminance)
is linear, and rows and columns are treated alike. So it is worked out once as weights for the rows and weights for the
columns, and each frame is two products with matrices. Those have few values beside their diagonal: they are cut along
it into small dense blocks, which a BLAS is quick at. So small that OpenBLAS keeps to one thread: its threads wait for
each other actively, and on a busy robot a frame would take ten times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame
from distilvo.sequences.camera import canonical_intrinsics, shrinking, source_of

Pictures = NDArray[np.float32]

# Rows and columns of the picture in one block: more are less overhead for each product, but more zeros in it.
_ROWS, _COLUMNS = 16, 32
_ONE_THREAD = 65_536 * 4  # multiplications of a product, up to which OpenBLAS does not share it out

# From the channels of the frame to those of the picture; the luminance is that of ITU-R BT.601, as in OpenCV.
_CHANNELS = {
    (1, 1): np.ones((1, 1)),
    (1, 3): np.ones((1, 3)),
    (3, 1): np.array([[0.299], [0.587], [0.114]]),
    (3, 3): np.eye(3),
}


@dataclass(frozen=True)
class _Block:
    """Pixels ``target`` of a row or column of the picture are made of the pixels ``source`` of the frame."""

    target: slice
    source: slice
    weights: Pictures


class Resampler:
    """Brings frames of one shape and camera to a model's size and lens, as ``FrameFormat.apply`` does.

    OpenCV rounds after every stage, this once: the two differ by about one grey level at most.
    """

    def __init__(
        self, frame: tuple[int, int], colours: int, camera: Camera | None, size: tuple[int, int], channels: int
    ) -> None:
        """Plan for frames (h, w) = ``frame`` of 1 or 3 ``colours``, and pictures of ``size`` (H, W), 1 or 3 channels.

        Raises:
            DistilvoError: the camera is of another size than the frames.
        """
        scale, offset = source_of(frame, camera, size, canonical_intrinsics(size))
        halvings, smaller = shrinking(frame, scale)
        rows = _weights(frame[0], size[0], scale[1], offset[1], halvings, smaller[0])
        columns = _weights(frame[1], size[1], scale[0], offset[0], halvings, smaller[1])
        self._rows = _blocks(*rows, _ROWS)
        self._columns = [
            [_with_colours(block, mix) for block in _blocks(*columns, _COLUMNS)]
            for mix in _CHANNELS[colours, channels].T
        ]
        self._flat = frame[0], frame[1] * colours
        source_rows = max(block.weights.shape[1] for block in self._rows)
        self._wide = max(1, _ONE_THREAD // (_ROWS * source_rows))  # columns of the frame in one product
        padded = -(-self._flat[1] // self._wide) * self._wide
        self._part = np.zeros((source_rows, padded), np.float32)
        self._fewer_rows = np.zeros((size[0], padded), np.float32)
        self._high = _divisor(size[0], _ONE_THREAD // max(block.weights.size for b in self._columns for block in b))
        self._shape = channels, *size

    def __call__(self, frame: Frame) -> Pictures:
        """(h, w[, 3]) uint8 -> (C, H, W) float32 of whole numbers 0..255."""
        flat = frame.reshape(self._flat)
        for block in self._rows:  # block by block, so that what is converted stays in the cache
            part = self._part[: block.weights.shape[1]]
            np.copyto(part[:, : flat.shape[1]], flat[block.source])
            np.matmul(block.weights, self._apart(part), out=self._apart(self._fewer_rows[block.target]))
        picture = np.empty(self._shape, np.float32)
        stacked = self._fewer_rows.reshape(-1, self._high, self._fewer_rows.shape[1])
        for channel, blocks in zip(picture, self._columns, strict=True):
            out = channel.reshape(len(stacked), self._high, -1)
            for block in blocks:
                np.matmul(stacked[:, :, block.source], block.weights, out=out[:, :, block.target])
        return np.rint(picture, out=picture)

    def _apart(self, wide: Pictures) -> Pictures:
        """A view of (n, k * self._wide) as (k, n, self._wide)."""
        return wide.reshape(len(wide), -1, self._wide).transpose(1, 0, 2)


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most so large; at least 1."""
    return next(d for d in range(max(1, min(number, most)), 0, -1) if number % d == 0)


def _weights(
    source: int, target: int, scale: float, offset: float, halvings: int, smaller: int
) -> tuple[NDArray[np.intp], Floats]:
    """Of one axis: the frame's pixels that each of the picture's is made of, and their weights, both (target, n).

    Pixels beyond the frame have the weight 0.
    """
    halved = source >> halvings
    boxes = 2.0**halvings  # frame's pixels in one of the halved picture's
    ratio = halved / smaller  # halved picture's pixels in one of the shrunk picture's
    place = ((scale * np.arange(target) + offset + 0.5) / boxes / ratio - 0.5).clip(0, smaller - 1)
    lower = np.minimum(np.floor(place), max(smaller - 2, 0))
    begin = np.floor(lower * ratio).astype(np.intp)
    pixels = begin[:, None] + np.arange(int(np.ceil(2 * ratio)) + 1)
    share = place - lower  # of the upper of the two pixels that are interpolated between
    weights = np.zeros(pixels.shape)
    for box, weight in ((lower, 1 - share), (lower + 1, share)):
        first, last = box[:, None] * ratio, (box[:, None] + 1) * ratio
        covered = np.minimum(pixels + 1, last) - np.maximum(pixels, first)
        weights += weight[:, None] * np.maximum(covered, 0) / ratio
    many = 1 << halvings
    pixels = (pixels[:, :, None] * many + np.arange(many)).reshape(target, -1)
    return pixels, np.repeat(weights, many, axis=1) / many * (pixels < source)


def _blocks(pixels: NDArray[np.intp], weights: Floats, length: int) -> list[_Block]:
    """Dense matrices (target, source) for ``length`` of the picture's pixels at a time."""
    blocks = []
    for start in range(0, len(pixels), length):
        target = slice(start, min(start + length, len(pixels)))
        used = weights[target] > 0
        near, weight = pixels[target][used], weights[target][used]
        first = int(near.min())
        dense = np.zeros((target.stop - target.start, int(near.max()) + 1 - first), np.float32)
        dense[np.nonzero(used)[0], near - first] = weight
        blocks.append(_Block(target, slice(first, first + dense.shape[1]), dense))
    return blocks


def _with_colours(block: _Block, mix: NDArray[Any]) -> _Block:
    """For columns whose pixels have ``len(mix)`` values side by side: weights (source * colours, target)."""
    source = slice(block.source.start * len(mix), block.source.stop * len(mix))
    return _Block(block.target, source, np.kron(block.weights.T, mix[:, None]).astype(np.float32))
