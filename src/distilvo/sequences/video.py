"""A video file, decoded from the first frame to the last; frames are turned as the file says (phones do).

Intrinsics and ground truth are not known; times are the file's own, also where the frame rate varies.
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

# The count in the file is an estimate; with less than this share of it the file was cut short.
_CUT_SHORT = 0.95


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
        self.assumed_times = False
        self._times: Floats | None = None
        with self._opened() as capture:
            if not capture.read()[0]:
                raise DistilvoError(f"{path}: no frame can be decoded, expected a video; try to play it, or convert it")

    @property
    def times(self) -> Floats:
        """Time of each frame (N,) in seconds since the beginning of the video."""
        if self._times is None:
            with self._opened() as capture:
                claimed = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
                times = []
                with progress(f"{self.name}: times of the frames", claimed) as bar:
                    for time in _grabbed(capture):
                        times.append(time)
                        bar.advance()
                self._times = np.array(times)
                self._warn_if_cut_short(capture)
        return self._times

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first: (H, W, 3) uint8 RGB."""
        times = []
        with self._opened() as capture:
            for time in _grabbed(capture):
                times.append(time)
                yield cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            if self._times is None:
                self._times = np.array(times)
                self._warn_if_cut_short(capture)

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

    def _warn_if_cut_short(self, capture: cv2.VideoCapture) -> None:
        claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if len(self.times) < _CUT_SHORT * claimed:
            message = f"{self.path}: {len(self.times)} frames could be decoded of {claimed:.0f} that the file claims"
            warnings.warn(message, stacklevel=3)


def _grabbed(capture: cv2.VideoCapture) -> Iterator[float]:
    """Grab frame after frame; the time of each in seconds.

    Files without timestamps report zeros (or steps back): there the frame rate of the header fills in.
    """
    period = 1.0 / (capture.get(cv2.CAP_PROP_FPS) or 25.0)
    previous = -period
    while capture.grab():
        time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
        previous = time if time > previous else previous + period
        yield previous
