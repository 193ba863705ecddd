"""Small JPEG copies of frames, to stand inside a page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

import cv2
import numpy as np

from distilvo.report.results import Picture

WIDEST = 480
"""Pixels: no picture on a page is wider."""
_SHRINK = 0.85
_NARROWEST = 48
_QUALITY = 80


def data_uris(pictures: Sequence[Picture], budget: int) -> list[str]:
    """Each picture as a ``data:`` address of a JPEG, all of one width, as wide as ``budget`` bytes together allow.

    Pictures are (H, W) grey or (H, W, 3) RGB, uint8; none is enlarged.
    """
    width = float(WIDEST)
    while True:
        uris = [_data_uri(narrowed(picture, round(width))) for picture in pictures]
        if sum(map(len, uris)) <= budget or width <= _NARROWEST:
            return uris
        # Bytes grow with the area: the guess is close, and a little lower so that it seldom misses.
        width = max(_NARROWEST, width * min(_SHRINK, 0.97 * math.sqrt(budget / sum(map(len, uris)))))


def narrowed(picture: Picture, width: int = WIDEST) -> Picture:
    """The picture at most so many pixels wide."""
    height, found = picture.shape[:2]
    if found <= width:
        return picture
    size = (width, max(1, round(height * width / found)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _data_uri(picture: Picture) -> str:
    # OpenCV takes colours in the order blue, green, red.
    stored = np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture)
    _, jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
