"""Frames decoded and scaled in several threads: OpenCV does its work outside of Python's lock."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from distilvo.environment import usable_cores
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.progress import Bar
from distilvo.sequences import IndexedSequence, Sequence

_AT_ONCE = 16
"""Frames that a thread takes at a time."""


def decode(sequence: Sequence, preprocessing: Preprocessing, into: NDArray[np.uint8], bar: Bar) -> None:
    """All frames of a sequence as a network sees them, into (N, C, H, W).

    Images are opened one by one, in as many threads as there are cores; a stream is read from its beginning.

    Raises:
        DistilvoError: frames cannot be read, and the first of them is named; or there are not N frames.
    """
    if not isinstance(sequence, IndexedSequence):
        count = 0
        for count, frame in enumerate(sequence.frames(), start=1):
            if count <= len(into):
                into[count - 1] = preprocessing.apply(frame, sequence.camera)
            bar.advance()
        if count != len(into):
            raise DistilvoError(f"{sequence.name}: {count} frames could be read, expected {len(into)}")
        return

    def decode_some(first: int) -> int:
        last = min(first + _AT_ONCE, len(into))
        for index in range(first, last):
            into[index] = preprocessing.apply(sequence.frame(index), sequence.camera)
        return last - first

    with _threads() as pool:
        for count in pool.map(decode_some, range(0, len(into), _AT_ONCE)):
            bar.advance(count)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core that this process may use; at the first error tasks that have not begun are dropped."""
    pool = ThreadPoolExecutor(usable_cores(), "decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
