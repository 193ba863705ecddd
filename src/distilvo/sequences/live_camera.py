"""A camera at this computer, ``camera:0``: live, until it ends or Ctrl-C is pressed.

Intrinsics and ground truth are not known; times are when the images arrived, s from the first.
"""

from __future__ import annotations

import hashlib
import re
import signal
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats


class LiveCamera:
    """Frames as a camera delivers them. ``times`` and ``len`` are those of the frames taken so far.

    The first Ctrl-C ends the frames, so that what was tracked is kept; a second one ends the program. Raises
    DistilvoError where there is no such camera.
    """

    def __init__(self, name: str) -> None:
        match = re.fullmatch(r"camera:(\d{1,4})", name, re.ASCII)
        if match is None:
            raise DistilvoError(f"{name}: expected camera:0, camera:1, ...; the number is that of the device")
        self.name = name
        self.camera: Camera | None = None
        self.poses: Floats | None = None
        self.reference: Floats | None = None
        self.assumed_times = False
        self._index = int(match[1])
        self._times = array("d")
        with self._opened() as capture:
            grabbed, image = capture.read()
            if not grabbed:
                raise DistilvoError(f"{name}: the camera gives no image; check that no other program uses it")
            self._first = _rgb(image)

    @property
    def times(self) -> Floats:
        """When the frames so far arrived (n,), in seconds since the first."""
        return np.array(self._times)

    def __len__(self) -> int:
        return len(self._times)

    def frames(self) -> Iterator[Frame]:
        """Frames from now on, (H, W, 3) uint8 RGB."""
        self._times = array("d")
        with self._opened() as capture, _interruptible() as interrupted:
            begin = 0.0
            while not interrupted.is_set():
                grabbed, image = capture.read()
                if not grabbed:
                    return
                now = time.monotonic()
                begin = begin if self._times else now
                self._times.append(now - begin)
                yield _rgb(image)

    def fingerprint(self) -> bytes:
        """Hash of the first image that was taken."""
        return hashlib.sha256(self._first.tobytes()).digest()

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # our error is clearer than its warnings
        capture = cv2.VideoCapture(self._index)
        try:
            if not capture.isOpened():
                raise DistilvoError(
                    f"{self.name}: there is no such camera; check that it is plugged in, or try another number"
                )
            yield capture
        finally:
            capture.release()


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the next Ctrl-C sets; after it Ctrl-C works as before. In other threads it is never set."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    previous = signal.getsignal(signal.SIGINT)

    def note(_: int, __: FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)


def _rgb(image: Frame) -> Frame:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
