"""Image files, and a sequence of them with the times, intrinsics and poses that a data set gives."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Several
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.distortion import Undistortion
from distilvo.geometry.se3 import Floats
from distilvo.paths import check_regular
from distilvo.sequences.brightness import SAMPLES, bits_of, check_type, eight_bits
from distilvo.sequences.frame_order import FrameOrder
from distilvo.sequences.name_numbers import named
from distilvo.settings import MOST_PIXELS
from distilvo.trajectory.segments import Indices

SUFFIXES = frozenset(
    {
        ".avif", ".bmp", ".dib", ".jp2", ".jpe", ".jpeg", ".jpg", ".pam", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
        ".ras", ".sr", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip

_JPEG = b"\xff\xd8"
_FILLING = 128  # grey level that a JPEG decoder puts where data are missing


class ImageSequence:
    """Image files of one size, read when they are needed; see ``sequences.sequence.Sequence`` for the attributes.

    Args:
        name: for tables and reports.
        files: in the order they were taken, one at least.
        times: (N,) s.
        camera: intrinsics after the distortion, if any, is taken out.
        poses: (N, 4, 4) camera-to-world.
        reference: (N, 3) positions where there are no poses.
        distortion: OpenCV's coefficients; taken out of every frame. Needs a camera.
        assumed_times: whether ``times`` are counted at an assumed rate, since there are none.
        order: how the files were ordered, where their names decided it.

    Attributes:
        camera_height: metres above the road; given by the data set's reader.
        assumed_camera: whether the camera is one that a name suggests; another one may be given.
        bits: that count in images of 16 bits; found from some of them where it is None.

    Raises:
        DistilvoError: files are missing, the first one is no image or not of the camera's size.
    """

    def __init__(
        self,
        name: str,
        files: Several[Path],
        times: Floats,
        camera: Camera | None = None,
        poses: Floats | None = None,
        reference: Floats | None = None,
        distortion: Several[float] = (),
        assumed_times: bool = False,
        order: FrameOrder | None = None,
    ) -> None:
        self.name, self.times, self.camera, self.poses, self.reference = name, times, camera, poses, reference
        self.assumed_times, self.order = assumed_times, order
        self.camera_height: float | None = None
        self.assumed_camera = False
        self.bits: int | None = None
        self._files = list(files)
        if missing := [file for file in self._files if not file.is_file()]:
            raise DistilvoError(
                f"{missing[0]}: no such image; {len(missing)} of {len(files)} are missing; unpack the images again"
            )
        first = read_image(self._files[0])
        self.shape, self._kind = first.shape, _describe(first)
        height, width = self.shape[:2]
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise DistilvoError(
                f"{self._files[0]}: the image is {width}x{height}, but its camera is calibrated for "
                f"{camera.width}x{camera.height}; use the images as they were published"
            )
        self._undistort = Undistortion(camera, distortion) if camera is not None and any(distortion) else None

    def calibrate(self, camera: Camera | None, undistortion: Undistortion | None) -> None:
        """Give it a camera of its images' size, or none, and what takes the distortion out of them."""
        self.camera, self._undistort = camera, undistortion

    def __len__(self) -> int:
        return len(self._files)

    def frame(self, index: int) -> Frame:
        """Frame ``index``: (H, W, 3) uint8 RGB, or (H, W) uint8 where the file is grey."""
        file = self._files[index]
        image = read_image(file)
        if _describe(image) != self._kind:
            raise DistilvoError(
                f"{file}: the image is {_describe(image)}, expected {self._kind} as the first of the folder; "
                "keep one size in a folder"
            )
        frame = eight_bits(image, self._found_bits(image), str(file))
        return frame if self._undistort is None else self._undistort(frame)

    def _found_bits(self, image: NDArray[Any]) -> int:
        if self.bits is None and image.dtype == np.uint16:
            sampled = np.unique(np.linspace(0, len(self) - 1, SAMPLES).astype(int))
            self.bits = bits_of((read_image(self._files[k]) for k in sampled), self.name)
        return 8 if self.bits is None else self.bits

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first."""
        return (self.frame(index) for index in range(len(self)))

    def fingerprint(self) -> bytes:
        """Hash of the first, the middle and the last file, and of the distortion that is taken out."""
        chosen = (self._files[0], self._files[len(self) // 2], self._files[-1])
        distortion = b"" if self._undistort is None else self._undistort.fingerprint()
        return hashlib.sha256(b"".join(read_bytes(file) for file in chosen) + distortion).digest()


def images_there(files: Several[Path], where: str) -> Indices:
    """Which of the files (N,) of a list are there, with a note that names the others; all of them where most are not.

    The images that are there keep their times and poses.
    """
    there = np.array([file.is_file() for file in files], dtype=bool)
    if there.all() or 2 * there.sum() < len(files):
        return np.arange(len(files))
    missing = [file.name for file, exists in zip(files, there, strict=True) if not exists]
    warnings.warn(f"{where}: of {len(files)} images {named(missing)}; the others keep their time", stacklevel=3)
    return np.flatnonzero(there)


def list_images(folder: Path) -> list[Path]:
    """The images in a folder, in no order."""
    return images_among(folder.iterdir())


def images_among(files: Iterable[Path]) -> list[Path]:
    """Those that are images by their suffix, and not hidden."""
    return [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image's file."""
    height, width = read_image(path).shape[:2]
    return width, height


def read_image(path: Path) -> NDArray[Any]:
    """An image as (H, W, 3) RGB, or (H, W) where it is grey, uint8 or uint16. DistilvoError if it is not whole."""
    return decode(read_bytes(path), str(path), "copy or unpack it again")


def decode(data: bytes, where: str, advice: str) -> NDArray[Any]:
    """A compressed image as (H, W, 3) RGB, or (H, W) where it is grey; uint8, or uint16 where it has more than 8 bits.

    Raises DistilvoError, with ``where`` and ``advice``, if it is none, or not whole.
    """
    if _cut_short(data):
        raise DistilvoError(f"{where}: the image ends too early ({len(data)} bytes); {advice}")
    if (
        data.startswith(b"\x89PNG")
        and (pixels := int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])) > MOST_PIXELS
    ):
        raise DistilvoError(f"{where}: the image has {pixels} pixels, expected at most {MOST_PIXELS}; scale it down")
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:  # a header that claims a billion pixels
        image = None
    if image is None:
        raise DistilvoError(f"{where}: cannot be decoded, expected an image; {advice}")
    if data.startswith(_JPEG) and (image[-8:] == _FILLING).all() and not (image[:8] == _FILLING).all():
        raise DistilvoError(f"{where}: the lower part of the image is missing, and would be grey; {advice}")
    check_type(image, where)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_bytes(path: Path) -> bytes:
    """The content of an image's file. Raises DistilvoError where it cannot be read."""
    check_regular(path, "an image")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DistilvoError(f"{path}: cannot be read ({error.strerror}); expected an image") from None


def _cut_short(data: bytes) -> bool:
    """Whether the end of the image is missing: decoders may fill it up without an error."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data
    if data.startswith(_JPEG):
        at = len(_JPEG)
        # Skip the headers: a thumbnail in them has an end of its own.
        while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        return b"\xff\xd9" not in data[at:]
    return not data


def _describe(image: NDArray[Any]) -> str:
    kind = "grey" if image.ndim == 2 else "colour"
    return f"{image.shape[1]}x{image.shape[0]} {kind}" + (" of 16 bits" if image.dtype == np.uint16 else "")
