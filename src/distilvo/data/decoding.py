"""Frames decoded and scaled in several threads: OpenCV does its work outside of Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from distilvo.data.flow_cells import FlowCells
from distilvo.environment import usable_cores
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.progress import Bar
from distilvo.sequences import FlowSequence, IndexedSequence, Sequence

_AT_ONCE = 16
"""Frames that a thread takes at a time."""


def decode(sequence: Sequence, preprocessing: Preprocessing, into: NDArray[np.uint8], bar: Bar) -> None:
    """All frames of a sequence as a network sees them, into (N, C, H, W).

    Images are opened one by one, in as many threads as there are cores; a stream is read from its beginning.

    Raises:
        DistilvoError: frames cannot be read, and the first of them is named; or there are not N frames, or not two.
    """
    if len(into) < 2:
        raise DistilvoError(f"{sequence.name}: {len(into)} frame; expected at least 2, motion lies between frames")
    if not isinstance(sequence, IndexedSequence):
        count = 0
        for count, frame in enumerate(sequence.frames(), start=1):
            if count <= len(into):
                into[count - 1] = preprocessing.apply(frame, sequence.camera)
            bar.advance()
        if count != len(into):
            raise DistilvoError(f"{sequence.name}: {count} frames could be read, expected {len(into)}")
        return

    def decode_one(index: int) -> None:
        into[index] = preprocessing.apply(sequence.frame(index), sequence.camera)

    _each(decode_one, len(into), bar)


def decode_flow(
    sequence: FlowSequence,
    preprocessing: Preprocessing,
    flow: NDArray[np.float16],
    inverse_depth: NDArray[np.float16],
    bar: Bar,
) -> None:
    """Flow and inverse depth of all frames as ``FlowCells`` samples them, into (N, 2, H/8, W/8) and (N, H/8, W/8).

    Raises:
        DistilvoError: a file is missing, damaged or of another size, and the first of them is named.
    """
    height, width = sequence.depth(0).shape
    at_cells = FlowCells((height, width), sequence.camera, preprocessing)

    def decode_one(index: int) -> None:
        flow[index], inverse_depth[index] = at_cells.sample(sequence.flow(index), sequence.depth(index))

    _each(decode_one, len(flow), bar)


def _each(decode_one: Callable[[int], None], count: int, bar: Bar) -> None:
    """Call a function with 0 .. count - 1, some at a time, in threads."""

    def decode_some(first: int) -> int:
        last = min(first + _AT_ONCE, count)
        for index in range(first, last):
            decode_one(index)
        return last - first

    with _threads() as pool:
        for done in pool.map(decode_some, range(0, count, _AT_ONCE)):
            bar.advance(done)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """A thread for each core that this process may use; at the first error tasks that have not begun are dropped."""
    pool = ThreadPoolExecutor(usable_cores(), "decode")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
