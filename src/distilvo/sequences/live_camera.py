"""A camera at this computer, ``camera:0``, or at an address, ``rtsp://host/stream``: live, until it ends or Ctrl-C.

Intrinsics and ground truth are not known; times are when the images arrived, s from the first.
"""

from __future__ import annotations

import hashlib
import re
import signal
import threading
import time
import warnings
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats
from distilvo.sequences.address import as_address, shown

WAIT_S = 10
"""How long a stream may take to open, and each of its images to arrive."""

_DOWNLOADS = ("http://", "https://")


class LiveCamera:
    """Frames as a camera delivers them. ``times`` and ``len`` are those of the frames taken so far.

    The first Ctrl-C ends the frames, so that what was tracked is kept; a second one ends the program. Where no more
    images come a warning says so. ``name`` is without the password of an address. Raises DistilvoError where there is
    no such camera, or no stream within ten seconds.
    """

    def __init__(self, name: str) -> None:
        self._address = as_address(name)
        match = re.fullmatch(r"camera:(\d{1,4})", name, re.ASCII)
        if match is None and self._address is None:
            raise DistilvoError(
                f"{name}: expected camera:0, camera:1, ... (the number is that of the device), or an address, as rtsp://"
            )
        self.name = shown(name)
        self.camera: Camera | None = None
        self.poses: Floats | None = None
        self.reference: Floats | None = None
        self.camera_height: float | None = None
        self.assumed_times = False
        self._index = int(match[1]) if match is not None else -1
        self._times = array("d")
        with self._opened() as capture:
            self._refuse_file(capture)
            grabbed, image = capture.read()
            if not grabbed:
                advice = f"within {WAIT_S} s" if self._address else "check that no other program uses it"
                raise DistilvoError(f"{self.name}: the camera gives no image; {advice}")
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
                    warnings.warn(f"{self.name}: no more images after {len(self)}; the drive ends here", stacklevel=2)
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
        if self._address is None:
            capture = cv2.VideoCapture(self._index)
            problem = "there is no such camera; check that it is plugged in, or try another number"
        else:
            waits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, WAIT_S * 1000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, WAIT_S * 1000]
            capture = cv2.VideoCapture(self._address, cv2.CAP_FFMPEG, waits)
            problem = (
                f"no stream of images there within {WAIT_S} s; check the address, user and password, and that a player "
                "shows it"
            )
        try:
            if not capture.isOpened():
                raise DistilvoError(f"{self.name}: {problem}")
            yield capture
        finally:
            capture.release()

    def _refuse_file(self, capture: cv2.VideoCapture) -> None:
        """A file at an address comes faster than it was taken: the times of arrival would be those of the download."""
        if self._address is None or not self._address.lower().startswith(_DOWNLOADS):
            return
        if (count := capture.get(cv2.CAP_PROP_FRAME_COUNT)) > 0:
            raise DistilvoError(
                f"{self.name}: a file of {count:.0f} frames, expected a live stream; download it, and track the file"
            )


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
    wakeup = signal.set_wakeup_fd(-1)  # this Ctrl-C does not end the program, however long it then writes
    try:
        yield interrupted
    finally:
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, previous)


def _rgb(image: Frame) -> Frame:
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
