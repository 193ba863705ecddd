"""Several steps timed side by side in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from distilvo.poses import Floats
from distilvo.progress import Bar

Step = Callable[[], object]


def take_turns(
    steps: Sequence[Step], rounds: int, warmup: int = 2, pause_s: float = 0.0, bar: Bar | None = None
) -> Floats:
    """Time several steps in one run, round robin, so that a busy moment of the machine hits all of them.

    A turn is two steps, and the second one is timed: the first brings back into the caches what the others have
    driven out, as in a stream of frames, where a model follows itself.

    Args:
        steps: what is timed, without arguments.
        rounds: turns of each that count.
        warmup: rounds before them that do not count.
        pause_s: seconds of rest before each turn; threads of the last one go on spinning for a while.
        bar: told of each turn.

    Returns:
        (rounds, len(steps)) seconds.
    """
    times = np.empty((warmup + rounds, len(steps)))
    for turn in range(warmup + rounds):
        for index, step in enumerate(steps):
            if pause_s:
                time.sleep(pause_s)
            step()
            begin = time.perf_counter()
            step()
            times[turn, index] = time.perf_counter() - begin
            if bar is not None:
                bar.advance()
    return times[warmup:]
