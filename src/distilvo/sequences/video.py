"""A video file, decoded from the first frame to the last; frames are turned as the file says (phones do).

Intrinsics and ground truth are not known; times are the file's own, also where the frame rate varies. Raw streams have
none: there the rate that the decoder gives (its own 25 frames/s, where the stream names none) is assumed, with a note.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats
from distilvo.progress import progress

_CUT_SHORT = 0.95  # of the duration that a file claims
_RAW_SUFFIXES = frozenset({".264", ".265", ".h264", ".h265", ".hevc", ".m1v", ".m2v", ".mjpeg", ".mjpg"})
_LOOKED_AT = 5  # frames, of which one at least has a time of its own in a file with times
_USUAL_RATE_HZ = 25.0  # FFmpeg's for a stream without one


class VideoSequence:
    """The frames of a video file with their own timestamps. Intrinsics and ground truth are not known.

    ``frames`` decodes as it goes. ``times`` and ``len`` are exact, which takes one pass through the file the first
    time, unless all frames have been read before. Raises DistilvoError where no frame can be decoded; warns where the
    file ends much earlier than it claims.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.camera: Camera | None = None
        self.poses: Floats | None = None
        self.reference: Floats | None = None
        self.camera_height: float | None = None
        self._times: Floats | None = None
        self._warned = False
        with self._opened() as capture:
            if not capture.read()[0]:
                raise DistilvoError(f"{path}: no frame can be decoded, expected a video; try to play it, or convert it")
            self.assumed_times = self._has_no_times(capture)
            self._rate = _rate(capture)

    @property
    def times(self) -> Floats:
        """Time of each frame (N,) in seconds since the beginning of the video; warns where they are assumed."""
        if self.assumed_times and not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.path}: a stream without times; its frames are taken to be {self._rate:g} a second; give "
                "--times FILE, or put it into a container at its own rate: ffmpeg -r RATE -i IN -c copy OUT.mp4",
                stacklevel=2,
            )
        if self._times is None:
            with self._opened() as capture:
                claimed = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
                clock = _Clock(capture)
                with progress(f"{self.name}: times of the frames", claimed) as bar:
                    for _ in clock.grabbed():
                        bar.advance()
                return self._finish(clock, capture)
        return self._times

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first: (H, W, 3) uint8 RGB."""
        with self._opened() as capture:
            clock = _Clock(capture)
            for _ in clock.grabbed():
                yield cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            if self._times is None:
                self._finish(clock, capture)

    def fingerprint(self) -> bytes:
        """Hash of the first frame."""
        return hashlib.sha256(next(self.frames()).tobytes()).digest()

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        if not self.path.is_file():
            raise DistilvoError(f"{self.path}: no such file, expected a video")
        capture = cv2.VideoCapture(str(self.path))
        try:
            if not capture.isOpened():
                raise DistilvoError(
                    f"{self.path}: not a video that can be read; try to play it, or convert it: ffmpeg -i IN OUT.mp4"
                )
            yield capture
        finally:
            capture.release()

    def _has_no_times(self, capture: cv2.VideoCapture) -> bool:
        """Whether the next frames of a capture whose first one was read have no time, or one that is made up."""
        if self.path.suffix.lower() in _RAW_SUFFIXES and capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0:
            return True
        later = [capture.get(cv2.CAP_PROP_POS_MSEC) for _ in range(_LOOKED_AT) if capture.grab()]
        return bool(later) and not any(later)

    def _finish(self, clock: _Clock, capture: cv2.VideoCapture) -> Floats:
        """Keep and return the times of a whole pass; warn where they were mended, or end before the file's claim."""
        self._times = times = np.array(clock.times)
        mended = [index for index in clock.mended if index < len(times) - 1]  # the last one often has none
        if mended and not self.assumed_times:
            warnings.warn(
                f"{self.path}: the times of {len(mended)} of {len(times)} frames are missing or go back, first of "
                f"frame {mended[0]}; the frame rate fills in",
                stacklevel=4,
            )
        claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        # A count that the file has is right where the rate varies; else it is made of this duration.
        seconds = claimed / _rate(capture)
        steps = np.diff(times)
        reached = float(times[-1] - times[0] + max(steps[-1], np.median(steps)) if len(steps) else 0.0)
        if len(times) != claimed and reached < _CUT_SHORT * seconds:
            warnings.warn(
                f"{self.path}: {len(times)} frames could be decoded, {reached:.2f} s of {seconds:.2f} s that the file "
                "claims; it was cut short, or an edit list in it leaves the rest out",
                stacklevel=4,
            )
        return times


def _rate(capture: cv2.VideoCapture) -> float:
    """Frames per second by the file's header."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return float(rate) if 0 < rate < np.inf else _USUAL_RATE_HZ


class _Clock:
    """Times in seconds of the frames that were grabbed so far; those of the frames ``mended`` are not the file's own.

    Files without timestamps report zeros, some formats a zero for single frames: there the frame rate of the header
    fills in. Where times begin anew (files put one behind the other), they go on from there.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self.times: list[float] = []
        self.mended: list[int] = []

    def grabbed(self) -> Iterator[float]:
        """Grab frame after frame; the time of each."""
        period = 1.0 / _rate(self._capture)
        previous, reported = -period, np.inf
        while self._capture.grab():
            time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            if time > previous:
                previous = time
            else:
                previous += time - reported if time > reported else period
                if time <= reported:
                    self.mended.append(len(self.times))
            reported = time
            self.times.append(previous)
            yield previous
