"""A sequence in the KITTI odometry layout.

root/sequences/00/image_2/000000.png ...   images: image_2, else image_3 (colour), image_0, image_1 (grey)
root/sequences/00/calib.txt                P0 ... P3, 12 numbers each: the projection matrices
root/sequences/00/times.txt                seconds, one a line (optional: 10 Hz)
root/poses/00.txt                          ground truth (optional)

Poses are those of the left grey camera, image_0, as the benchmark has them, whichever camera's images are read:
x right, y down, z forward; the first one is the world.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame, camera_from_projection
from distilvo.geometry.se3 import Floats
from distilvo.sequences.guess import KITTI_CAMERAS
from distilvo.sequences.image_folder import ASSUMED_RATE_HZ, ImageFolder
from distilvo.textfile import TextRow, check_times, numbers, read_rows, table_of
from distilvo.trajectory.formats import read_kitti


class KittiSequence:
    """One sequence of a KITTI odometry dataset, ``.../sequences/00``, or a camera of it, ``.../sequences/00/image_3``.

    Where no camera is named colour is preferred to grey, left to right.

    Raises DistilvoError where a file is missing, broken or does not fit the number of images.
    """

    def __init__(self, path: str | Path) -> None:
        # Absolute without following links: poses lie beside the folder that was named, not beside what it links to.
        self.path = Path(os.path.abspath(path))
        folder = images_of(self.path)
        if self.path.name in KITTI_CAMERAS:
            self.path, folder = self.path.parent, self.path
        self.name = self.path.name
        self.reference: Floats | None = None
        if folder is None:
            raise DistilvoError(f"{path}: no folder of images, expected one of {', '.join(KITTI_CAMERAS)}")
        self._images = ImageFolder(folder)
        height, width = self._images.shape[:2]
        self.camera: Camera | None = _read_camera(self.path / "calib.txt", f"P{folder.name[-1]}", width, height)
        self.assumed_times = not (self.path / "times.txt").exists()
        self.times: Floats = self._read_times()
        self.poses: Floats | None = self._read_poses()

    def __len__(self) -> int:
        return len(self._images)

    def frame(self, index: int) -> Frame:
        """Frame ``index``: (H, W, 3) uint8 RGB, or (H, W) uint8 where the file is grey."""
        return self._images.frame(index)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first."""
        return self._images.frames()

    def fingerprint(self) -> bytes:
        """Hash of the first, the middle and the last image's file."""
        return self._images.fingerprint()

    def _read_times(self) -> Floats:
        file = self.path / "times.txt"
        if self.assumed_times:
            warnings.warn(f"{file}: not found, {ASSUMED_RATE_HZ:g} Hz assumed", stacklevel=3)
            return self._images.times
        rows = read_rows(file, "seconds, one number a row")
        times = table_of(rows, 1, "seconds")[:, 0]
        self._check_count(file, len(rows), "times")
        check_times(times, rows)
        return times

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
                f"{file}: {count} {what}, but {len(self)} images in {self._images.path}; expected as many of each; "
                "unpack the images again, or cut the longer of the two"
            )


def images_of(sequence: Path) -> Path | None:
    """The folder of images of a KITTI sequence, colour before grey; None where there is none."""
    return next((sequence / name for name in KITTI_CAMERAS if (sequence / name).is_dir()), None)


def _read_camera(file: Path, name: str, width: int, height: int) -> Camera:
    expected = f"a line '{name}: 12 numbers'; KITTI ships it in data_odometry_calib.zip"
    for row in read_rows(file, expected):
        if row.fields[0] == f"{name}:":
            return camera_from_projection(_projection(row), width, height, row.where)
    raise DistilvoError(f"{file}: no line for the camera {name}, expected '{name}: 12 numbers' (a 3x4 projection)")


def _projection(row: TextRow) -> Floats:
    fields = row.fields[1:]
    try:
        values = numbers(fields, row.where)
    except DistilvoError:
        values = []
    if len(values) != 12:
        raise DistilvoError(
            f"{row.where}: found {len(fields)} columns, expected 12 finite numbers, a 3x4 projection matrix with "
            "positive focal lengths; restore the file from data_odometry_calib.zip"
        )
    return np.array(values).reshape(3, 4)
