"""A sequence whose frames get the distortion of its camera taken out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.distortion import Undistortion
from distilvo.geometry.se3 import Floats
from distilvo.sequences.camera_file import Calibration
from distilvo.sequences.image_files import ImageSequence
from distilvo.sequences.sequence import Sequence


def with_calibration(sequence: Sequence, calibration: Calibration) -> Sequence:
    """``sequence`` with the camera of a calibration, and its frames without distortion; images stay indexed.

    Raises DistilvoError where the calibration is one for frames of another size.
    """
    height, width = next(iter(sequence.frames())).shape[:2]
    camera = calibration.camera(width, height)
    undistortion = calibration.undistortion(camera)
    if isinstance(sequence, ImageSequence):
        sequence.calibrate(camera, undistortion)
        return sequence
    if undistortion is None:
        sequence.camera = camera
        return sequence
    return Undistorted(sequence, camera, undistortion)


class Undistorted:
    """A sequence of no image files, each frame undistorted; for the attributes see ``sequences.sequence.Sequence``."""

    def __init__(self, sequence: Sequence, camera: Camera, undistort: Undistortion) -> None:
        self.name, self.poses, self.reference = sequence.name, sequence.poses, sequence.reference
        self.camera: Camera | None = camera
        self.camera_height, self.assumed_times = sequence.camera_height, sequence.assumed_times
        self._sequence, self._undistort = sequence, undistort

    @property
    def times(self) -> Floats:
        """Those of the other sequence; of a live camera, of the frames taken so far."""
        return self._sequence.times

    def __len__(self) -> int:
        return len(self._sequence)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first, undistorted."""
        return (self._right(frame) for frame in self._sequence.frames())

    def fingerprint(self) -> bytes:
        """Hash of that of the other sequence, and of the distortion."""
        return hashlib.sha256(self._sequence.fingerprint() + self._undistort.fingerprint()).digest()

    def _right(self, frame: Frame) -> Frame:
        camera = self.camera
        if camera is not None and frame.shape[:2] != (camera.height, camera.width):
            raise DistilvoError(
                f"{self.name}: a frame is {frame.shape[1]}x{frame.shape[0]}, but its camera is calibrated for "
                f"{camera.width}x{camera.height}; keep one size"
            )
        return self._undistort(frame)
