"""A sequence in the KITTI odometry layout.

root/sequences/00/image_2/000000.png ...   pictures: image_2, else image_3 (colour), image_0, image_1 (grey)
root/sequences/00/calib.txt                P0 ... P3, 12 numbers each: the projection matrices
root/sequences/00/times.txt                seconds, one a line (optional: 10 Hz)
root/poses/00.txt                          ground truth (optional)

Poses are those of the left grey camera, image_0, as the benchmark has them, whichever camera's pictures are read:
x right, y down, z forward; the first one is the world.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.poses import Floats
from distilvo.sequences.base import Camera, Frame
from distilvo.sequences.folder import ASSUMED_RATE_HZ, PictureFolder
from distilvo.sequences.guess import KITTI_PICTURES
from distilvo.sequences.tables import check_pinhole, numbers
from distilvo.trajectories import check_ordered, read_kitti, read_numbers


class KittiSequence:
    """One sequence of a KITTI odometry dataset, ``.../sequences/00``, or a camera of it, ``.../sequences/00/image_3``.

    Where no camera is named colour is preferred to grey, left to right.

    Raises DistilvoError where a file is missing, broken or does not fit the number of pictures.
    """

    def __init__(self, path: str | Path) -> None:
        # Absolute without following links: poses lie beside the folder that was named, not beside what it links to.
        self.path = Path(os.path.abspath(path))
        folder = picture_folder(self.path)
        if self.path.name in KITTI_PICTURES:
            self.path, folder = self.path.parent, self.path
        self.name = self.path.name
        self.reference: Floats | None = None
        if folder is None:
            raise DistilvoError(f"{path}: no folder of pictures, expected one of {', '.join(KITTI_PICTURES)}")
        self._pictures = PictureFolder(folder)
        height, width = self._pictures.shape[:2]
        self.camera: Camera | None = _read_camera(self.path / "calib.txt", f"P{folder.name[-1]}", width, height)
        self.times: Floats = self._read_times()
        self.poses: Floats | None = self._read_poses()

    def __len__(self) -> int:
        return len(self._pictures)

    def frame(self, index: int) -> Frame:
        """Frame ``index``: (H, W, 3) uint8 RGB, or (H, W) uint8 where the file is grey."""
        return self._pictures.frame(index)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first."""
        return self._pictures.frames()

    def fingerprint(self) -> bytes:
        """Hash of the first, the middle and the last picture's file."""
        return self._pictures.fingerprint()

    def _read_times(self) -> Floats:
        file = self.path / "times.txt"
        if not file.exists():
            warnings.warn(f"{file}: not found, {ASSUMED_RATE_HZ:g} Hz assumed", stacklevel=3)
            return self._pictures.times
        rows, lines = read_numbers(file, columns=1, row="seconds")
        self._check_count(file, len(rows), "times")
        check_ordered(rows[:, 0], file, lines)
        return rows[:, 0].copy()

    def _read_poses(self) -> Floats | None:
        file = self.path.parent.parent / "poses" / f"{self.name}.txt"
        if not file.exists():
            return None
        poses = read_kitti(file)
        self._check_count(file, len(poses), "poses")
        return poses

    def _check_count(self, file: Path, count: int, what: str) -> None:
        if count != len(self):
            raise DistilvoError(
                f"{file}: {count} {what}, but {len(self)} pictures in {self._pictures.path}; expected as many of each; "
                "unpack the pictures again, or cut the longer of the two"
            )


def picture_folder(sequence: Path) -> Path | None:
    """The folder of pictures of a KITTI sequence, colour before grey; None where there is none."""
    return next((sequence / name for name in KITTI_PICTURES if (sequence / name).is_dir()), None)


def _read_camera(file: Path, name: str, width: int, height: int) -> Camera:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise DistilvoError(
            f"{file}: cannot be read ({reason}); expected a line '{name}: 12 numbers'; "
            "KITTI ships it in data_odometry_calib.zip"
        ) from None
    for number, line in enumerate(lines, start=1):
        if line.startswith(f"{name}:"):
            where = f"{file}, line {number}"
            p = _projection(line.split()[1:], where)
            try:
                return Camera(fx=p[0], fy=p[5], cx=p[2], cy=p[6], width=width, height=height)
            except DistilvoError as error:
                raise DistilvoError(f"{where}: {error}") from None
    raise DistilvoError(f"{file}: no line for the camera {name}, expected '{name}: 12 numbers' (a 3x4 projection)")


def _projection(fields: list[str], where: str) -> list[float]:
    try:
        found = numbers(fields, where)
    except DistilvoError:
        found = []
    if len(found) != 12 or found[0] <= 0 or found[5] <= 0:
        raise DistilvoError(
            f"{where}: found {len(fields)} columns, expected 12 finite numbers, a 3x4 projection matrix with positive "
            "focal lengths; restore the file from data_odometry_calib.zip"
        )
    check_pinhole(np.array(found).reshape(3, 4), where)
    return found
