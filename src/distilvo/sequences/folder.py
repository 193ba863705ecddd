"""A folder of pictures, in the natural order of their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame

ASSUMED_RATE_HZ = 10.0

_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class PictureFolder:
    """Pictures of one size in a folder: frame2 before frame10, taken at 10 Hz. Lens and truth are not known.

    Raises DistilvoError where the folder is empty, a picture cannot be read or differs in size from the first.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = Path(path).absolute().name
        self.camera: Camera | None = None
        self.poses: Floats | None = None
        self._files = list_pictures(self.path)
        if not self._files:
            raise DistilvoError(f"{path}: no picture in the folder, expected files such as 000000.png or 000000.jpg")
        self.shape = read_picture(self._files[0]).shape
        self.times: Floats = np.arange(len(self)) / ASSUMED_RATE_HZ

    def __len__(self) -> int:
        return len(self._files)

    def frame(self, index: int) -> Frame:
        """Frame ``index``: (H, W, 3) uint8 RGB, or (H, W) uint8 where the file is grey."""
        picture = read_picture(self._files[index])
        if picture.shape != self.shape:
            raise DistilvoError(
                f"{self._files[index]}: the picture is {_describe(picture.shape)}, expected {_describe(self.shape)} "
                "as the first of the folder; keep one size in a folder"
            )
        return picture

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first."""
        return (self.frame(index) for index in range(len(self)))

    def fingerprint(self) -> bytes:
        """Hash of the first, the middle and the last file."""
        chosen = (self._files[0], self._files[len(self) // 2], self._files[-1])
        return hashlib.sha256(b"".join(_read(file) for file in chosen)).digest()


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder in natural order; hidden files are passed over."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
    return sorted(files, key=_natural)


def read_picture(path: Path) -> Frame:
    """A picture as (H, W, 3) uint8 RGB, or (H, W) uint8 where it is grey. Raises DistilvoError if it is not whole."""
    data = _read(path)
    if _cut_short(data):
        raise DistilvoError(f"{path}: the picture ends too early ({len(data)} bytes); copy or unpack it again")
    picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_ANYCOLOR)
    if picture is None:
        raise DistilvoError(f"{path}: cannot be decoded, expected a picture; copy or unpack it again")
    return (picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).astype(np.uint8, copy=False)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DistilvoError(f"{path}: cannot be read ({error.strerror}); expected a picture") from None


def _cut_short(data: bytes) -> bool:
    """Whether the end of the picture is missing: decoders may fill up what is missing and say nothing."""
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-4096:]
    return not data


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _describe(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} {'grey' if len(shape) == 2 else 'colour'}"
