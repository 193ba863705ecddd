"""Some of the frames of a source: from a time to a time, every n-th one, or so many in a second."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats
from distilvo.sequences.sequence import IndexedSequence, Sequence
from distilvo.trajectory.segments import Indices


@dataclass(frozen=True)
class Choice:
    """Which frames of a source are taken.

    start, end  s since the first frame; both may be open (None)
    stride      one of so many of those
    fps         or those that come closest to so many in a second
    """

    start: float | None = None
    end: float | None = None
    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        start, end = self.start or 0.0, math.inf if self.end is None else self.end
        if not 0.0 <= start < end:
            raise DistilvoError(f"--start {start:g} --end {end:g}: expected seconds since the first frame, in order")
        if self.stride < 1:
            raise DistilvoError(f"--stride {self.stride}: expected 1 or more")
        if self.fps is not None and not 0.0 < self.fps < math.inf:
            raise DistilvoError(f"--fps {self.fps:g}: expected frames per second, more than 0")
        if self.fps is not None and self.stride > 1:
            raise DistilvoError("--fps and --stride exclude each other; give one of them")

    def taker(self) -> Callable[[float], bool]:
        """A function that is called with the time of each frame, s, in order, and says whether to take it."""
        begin, previous, last, count = math.nan, math.nan, -math.inf, 0
        inside, end = self.start or 0.0, math.inf if self.end is None else self.end

        def take(time: float) -> bool:
            nonlocal begin, previous, last, count
            begin = time if math.isnan(begin) else begin
            step = 0.0 if math.isnan(previous) else time - previous
            previous = time
            if not inside - 1e-9 <= time - begin <= end + 1e-9:
                return False
            count += 1
            if self.fps is None:
                return (count - 1) % self.stride == 0
            # The frame after this one would be a step later: take the one that is closest to a period after the last.
            if time - last < 1.0 / self.fps - step / 2 - 1e-9:
                return False
            last = time
            return True

        return take


class Selected:
    """The chosen frames of a source, with their times, poses and reference; see ``sequences.sequence.Sequence``."""

    def __init__(self, source: Sequence, choice: Choice, times: Floats | None = None) -> None:
        """Args ``times``: (N,) s, of the source's frames where its own do not hold.

        Raises DistilvoError where no frame is left.
        """
        self._source = source
        self.name, self.assumed_times = source.name, source.assumed_times and times is None
        self.camera: Camera | None = source.camera
        self.camera_height = source.camera_height
        times = source.times if times is None else times
        take = choice.taker()
        self._chosen: Indices = np.flatnonzero([take(float(time)) for time in times])
        if not len(self._chosen):
            seconds = float(times[-1] - times[0])
            raise DistilvoError(f"{source.name}: no frame is chosen, its {len(times)} frames last {seconds:.3f} s")
        self.times: Floats = times[self._chosen]
        self.poses = None if source.poses is None else source.poses[self._chosen]
        self.reference = None if source.reference is None else source.reference[self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def frames(self) -> Iterator[Frame]:
        """The chosen frames."""
        chosen = set(self._chosen.tolist())
        reached = islice(self._source.frames(), int(self._chosen[-1]) + 1)
        return (frame for index, frame in enumerate(reached) if index in chosen)

    def fingerprint(self) -> bytes:
        """That of the source, and of what is chosen."""
        return self._source.fingerprint() + self._chosen.tobytes()


class IndexedSelected(Selected):
    """The same of a source whose frames can be read in any order."""

    def __init__(self, source: IndexedSequence, choice: Choice, times: Floats | None = None) -> None:
        super().__init__(source, choice, times)
        self._indexed = source

    def frame(self, index: int) -> Frame:
        """Frame ``index`` of those that are chosen."""
        return self._indexed.frame(int(self._chosen[index]))

    def frames(self) -> Iterator[Frame]:
        """The chosen frames; the others are not read."""
        return (self.frame(index) for index in range(len(self)))


class LiveSelected:
    """The same of a live source, whose frames come one by one and never end by themselves."""

    def __init__(self, source: Sequence, choice: Choice) -> None:
        self._source, self._choice = source, choice
        self.name, self.assumed_times = source.name, source.assumed_times
        self.camera: Camera | None = source.camera
        self.camera_height = source.camera_height
        self.poses: Floats | None = None
        self.reference: Floats | None = None
        self._times = array("d")  # copied for every frame: of a list that takes milliseconds after hours

    @property
    def times(self) -> Floats:
        """Of the frames so far (n,), s."""
        return np.array(self._times)

    def __len__(self) -> int:
        return len(self._times)

    def frames(self) -> Iterator[Frame]:
        """The chosen frames from now on, up to the end."""
        self._times = array("d")
        take, first = self._choice.taker(), math.nan
        for frame in self._source.frames():
            time = float(self._source.times[-1])
            first = time if math.isnan(first) else first
            if self._choice.end is not None and time - first > self._choice.end:
                return
            if take(time):
                self._times.append(time)
                yield frame

    def fingerprint(self) -> bytes:
        """That of the source."""
        return self._source.fingerprint()


def select(source: Sequence, choice: Choice, times: Floats | None, *, live: bool) -> Sequence:
    """The chosen frames of a source; ``times`` (N,) s are those of its frames where its own do not hold.

    Raises DistilvoError where no frame is left, or a rate is chosen of a source without times; warns where the source
    has fewer frames per second than are chosen.
    """
    if choice == Choice() and times is None:
        return source
    if choice.fps is not None and source.assumed_times and times is None:
        raise DistilvoError(
            f"{source.name}: has no times, so --fps cannot choose by them; take --stride, or give --times FILE"
        )
    if live:
        return LiveSelected(source, choice)
    known = source.times if times is None else times
    if choice.fps is not None and len(known) > 1:
        rate = 1.0 / max(1e-9, float(np.median(np.diff(known))))
        if rate < 0.95 * choice.fps:
            warnings.warn(f"{source.name}: has {rate:.1f} frames/s, fewer than --fps {choice.fps:g}", stacklevel=2)
    if isinstance(source, IndexedSequence):
        return IndexedSelected(source, choice, times)
    return Selected(source, choice, times)
