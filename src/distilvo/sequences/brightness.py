"""Brightness of images: more than 8 bits brought to 8, the same way for a whole drive; and what of the range is used.

Cameras of 10, 12 or 14 bits write files and messages of 16 bits, most of them without saying how many bits count.
The brightest of some sampled images decides: the fewest of 8, 10, 12, 14 and 16 bits that hold it. All images of the
drive are then shifted by the same number of bits, so that brightness does not change from image to image.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Frame

_BITS = (8, 10, 12, 14, 16)
SAMPLES = 16
"""Number of images, evenly spread over a drive, that the bits are found from."""

_SMALL_RANGE = 64  # of 256 grey levels
_IGNORED = 0.001  # share of the darkest and of the brightest pixels
_SPARSE = 8  # each eighth row and column is counted


def check_type(image: NDArray[Any], where: str) -> None:
    """Raise DistilvoError unless an image is of whole numbers of 8 or 16 bits."""
    if image.dtype not in (np.uint8, np.uint16):
        raise DistilvoError(f"{where}: the image is of type {image.dtype}, expected 8 or 16 bits; convert it")


def bits_of(samples: Iterable[NDArray[np.uint16]], name: str) -> int:
    """How many bits images of 16 bits use, with a note that says so where it is not all of them."""
    brightest = max(int(image.max()) for image in samples)
    bits = next(bits for bits in _BITS if brightest < 1 << bits)
    if bits < _BITS[-1]:
        warnings.warn(
            f"{name}: images of 16 bits with values up to {brightest} are taken for images of {bits} bits "
            f"(0 to {(1 << bits) - 1}); --bits gives another number",
            stacklevel=2,
        )
    return bits


def eight_bits(image: NDArray[Any], bits: int, where: str) -> Frame:
    """An image of ``bits`` bits as uint8. Raises DistilvoError where it is brighter than they allow."""
    if image.dtype == np.uint8:
        return image
    if (brightest := int(image.max())) >= 1 << bits:
        more = next(more for more in _BITS if brightest < 1 << more)
        raise DistilvoError(
            f"{where}: its brightest value is {brightest}, more than {bits} bits hold; try --bits {more}"
        )
    return (image >> (bits - _BITS[0])).astype(np.uint8)


class GreyLevels:
    """Which grey levels the frames of a drive use; frames are added one by one."""

    def __init__(self) -> None:
        self._counts = np.zeros(256, dtype=np.int64)

    def add(self, frame: Frame) -> None:
        """Count a frame's grey levels, on a sparse grid."""
        self._counts += np.bincount(frame[::_SPARSE, ::_SPARSE].ravel(), minlength=256)

    def note(self) -> str | None:
        """A sentence where the frames use a small part of the range; None where they do not."""
        if (total := int(self._counts.sum())) == 0:
            return None
        share = np.cumsum(self._counts) / total
        darkest, brightest = (int(np.searchsorted(share, limit)) for limit in (_IGNORED, 1 - _IGNORED))
        if brightest - darkest >= _SMALL_RANGE:
            return None
        return (
            f"the images use grey levels {darkest} to {brightest} of 0 to 255, and models saw the whole range; "
            "check exposure and bits"
        )
