"""Small JPEG copies of frames, to stand inside a page."""

from __future__ import annotations

import base64
import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import cv2
import numpy as np

from distilvo.report.results import Image

WIDEST = 480
"""Pixels: no image on a page is wider."""
_SHRINK = 0.85
_NARROWEST = 48
_QUALITY = 80

_Key = TypeVar("_Key", bound=Hashable)


def data_uris(images: Mapping[_Key, Image], budget: int) -> dict[_Key, str]:
    """Each image as a ``data:`` address of a JPEG, all of one width, as wide as ``budget`` bytes together allow.

    Images are (H, W) grey or (H, W, 3) RGB, uint8; none is enlarged. The addresses have the keys of the images.
    """
    width = float(WIDEST)
    while True:
        uris = {key: _data_uri(narrowed(image, round(width))) for key, image in images.items()}
        size = sum(map(len, uris.values()))
        if size <= budget or width <= _NARROWEST:
            return uris
        # Bytes grow with the area: the guess is close, and a little lower so that it seldom misses.
        width = max(_NARROWEST, width * min(_SHRINK, 0.97 * math.sqrt(budget / size)))


def narrowed(image: Image, width: int = WIDEST) -> Image:
    """The image at most so many pixels wide."""
    height, full_width = image.shape[:2]
    if full_width <= width:
        return image
    size = (width, max(1, round(height * width / full_width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _data_uri(image: Image) -> str:
    # OpenCV takes colours in the order blue, green, red.
    stored = np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else image)
    _, jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
