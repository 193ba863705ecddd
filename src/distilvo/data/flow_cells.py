"""True flow and inverse depth of the network's image, one value for each cell of 8x8 pixels.

A cell's value is that at its centre. Where the four pixels of the source around it show one surface it is interpolated
between them: inverse depth is linear on a plane, and so is the flow of a small piece. At an edge, where they do not, it
is that of the nearest pixel: the mean of two surfaces would be the depth and flow of neither.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Camera, source_of
from distilvo.geometry.preprocessing import Preprocessing

CELL = 8
"""Pixels along a side."""

_SAME_SURFACE = 1.1
"""Ratio of inverse depths up to which neighbouring pixels show one surface ..."""
_SAME_FLOW = 0.25, 0.1
"""... and pixels, or share of the flow, by which their flow may differ then: another body may be as far away."""


def cells(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the cells of an image (H, W): whole ones alone."""
    return size[0] // CELL, size[1] // CELL


class FlowCells:
    """Samples flow and depth of frames (h, w) of one camera at the cells of the image that a network sees.

    Raises DistilvoError where the frames are not of the camera's size.
    """

    def __init__(self, frame: tuple[int, int], camera: Camera | None, preprocessing: Preprocessing) -> None:
        size = preprocessing.size
        self._scale, offset = source_of(frame, camera, size, preprocessing.intrinsics)
        centres = [CELL * np.arange(count) + (CELL - 1) / 2 for count in cells(size)]
        rows, columns = (self._scale[k] * centres[1 - k] + offset[k] for k in (1, 0))
        self._rows, self._row_weights, row_seen = _neighbours(rows, frame[0])
        self._columns, self._column_weights, column_seen = _neighbours(columns, frame[1])
        self._unseen = ~(row_seen[:, None] & column_seen)
        self._weights = np.stack([y[:, None] * x for y in self._row_weights for x in self._column_weights])
        self._nearest = self._weights.argmax(axis=0)[None]

    def sample(
        self, flow: NDArray[np.float32], depth: NDArray[np.float32]
    ) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        """Flow (2, H/8, W/8) in pixels of the network's image and inverse depth (H/8, W/8) in 1/m.

        The inverse depth is 0 in the sky; both are NaN where they are unknown or the frame does not reach.

        Args:
            flow: (h, w, 2) in pixels of the frame, NaN where unknown.
            depth: (h, w) metres, 0 in the sky, NaN where unknown.
        """
        distance = self._gather(depth)
        near = np.divide(1, distance, out=np.zeros_like(distance), where=distance != 0)
        one_surface = (near.min(axis=0) > 0) & (near.max(axis=0) <= _SAME_SURFACE * near.min(axis=0))
        inverse_depth = self._value(near, one_surface)
        inverse_depth[self._unseen] = np.nan
        sampled = np.empty((2, *inverse_depth.shape))
        parts = [self._gather(flow[..., axis]) for axis in (0, 1)]
        spread = np.max([part.max(axis=0) - part.min(axis=0) for part in parts], axis=0)
        reach = np.max([np.abs(part).max(axis=0) for part in parts], axis=0)
        one_flow = one_surface & (spread <= np.maximum(_SAME_FLOW[0], _SAME_FLOW[1] * reach))  # False where NaN
        for axis, part in enumerate(parts):
            sampled[axis] = self._value(part, one_flow) / self._scale[axis]
        sampled[:, self._unseen] = np.nan
        return sampled.astype(np.float16), inverse_depth.astype(np.float16)

    def _gather(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The four pixels around each cell's centre, (4, H/8, W/8)."""
        return np.stack([image[y][:, x] for y in self._rows for x in self._columns])

    def _value(self, corners: NDArray[np.float32], smooth: NDArray[np.bool_]) -> NDArray[np.float64]:
        nearest = np.take_along_axis(corners, self._nearest, axis=0)[0]
        return np.where(smooth, (self._weights * corners).sum(axis=0), nearest)


def _neighbours(
    places: NDArray[np.float64], length: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.bool_]]:
    """Of places (n,) along an axis: pixels before and after (2, n), their weights (2, n), whether they are inside."""
    before = np.floor(places).astype(np.intp)
    share = places - before
    pixels = np.clip([before, before + 1], 0, length - 1)
    return pixels, np.stack([1 - share, share]), (places >= -0.5) & (places < length - 0.5)
