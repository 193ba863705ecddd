"""Motion over frames that have none that can be trusted: at constant velocity, or a new segment."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from distilvo.runtime.frame_quality import Status
from distilvo.settings import Gaps

LONGEST_S = 3.0
"""For how long a velocity holds; a car can turn a corner in that time."""

_RECENT = 5  # motions that the velocity is the median of
_UNKNOWN = np.array([1.0, 0.5, 15.0, 0.1, 0.3, 0.1])  # m/s and rad/s that may be, where no velocity is known
_ACCELERATION = np.array([1.0, 0.5, 3.0, 0.2, 0.5, 0.2])  # m/s^2 and rad/s^2 by which the velocity may change
FASTEST_M_S, _FASTEST_RAD_S = 100.0, 2 * np.pi

Motion = NDArray[np.float32]


class Bridge:
    """Follows the motions of a drive and says what to put in place of those that are missing."""

    def __init__(self, gaps: Gaps) -> None:
        self._gaps = gaps
        self._velocities: deque[Motion] = deque(maxlen=_RECENT)
        self._bridged_s, self._lost, self._segment = 0.0, False, 0

    def step(self, status: Status, motion: Motion, seconds: float) -> tuple[Motion, int]:
        """The motion (6,) [m, rad] over ``seconds`` to use for a frame, and the segment that the frame belongs to."""
        if status in ("ok", "static image"):
            self._bridged_s = 0.0
            self._begin_segment()
            if status == "ok":
                self._velocities.append(motion / np.float32(seconds))
            return motion, self._segment
        self._bridged_s += seconds
        if self._gaps == "velocity" and self._bridged_s <= LONGEST_S:
            return self._velocity() * np.float32(seconds), self._segment
        self._lost = True
        if status == "gap":
            self._begin_segment()
        return np.zeros(6, np.float32), self._segment

    def deviation(self, seconds: float) -> Motion:
        """Standard deviation (6,) [m, rad] of the motion that ``step`` just put in place of one over ``seconds``.

        It is stated, not measured: the spread of the last velocities, or all that may be where none is known, and what
        an acceleration that cars reach adds to them. The squares of consecutive ones sum up to those of the whole gap,
        whose errors are alike. Where the pose stands still the whole velocity is an error.
        """
        spread = np.std(self._velocities, axis=0) if self._velocities else _UNKNOWN
        if self._lost:
            spread = np.hypot(spread, self._velocity())
        end = self._bridged_s
        begin = end - seconds
        squared = spread**2 * (end**2 - begin**2) + (_ACCELERATION / 2) ** 2 * (end**4 - begin**4)
        return np.sqrt(squared).astype(np.float32)

    def _begin_segment(self) -> None:
        """Begin a new segment where the last one ended without a known motion."""
        self._segment += self._lost
        self._lost = False

    def _velocity(self) -> Motion:
        """Metres and radians per second, the median of the last motions."""
        if not self._velocities:
            return np.zeros(6, np.float32)
        return np.median(np.stack(list(self._velocities)), axis=0).astype(np.float32)


def too_fast(motion: Motion, seconds: float) -> bool:
    """Whether no vehicle moves like that: more than 100 m/s, or a whole turn in a second."""
    x, y, z, *turns = motion.tolist()
    return math.hypot(x, y, z) > FASTEST_M_S * seconds or math.hypot(*turns) > _FASTEST_RAD_S * seconds
