"""A sequence in the KITTI odometry layout.

root/sequences/00/image_2/000000.png ...   images: image_2, else image_3 (colour), image_0, image_1 (grey)
root/sequences/00/calib.txt                P0 ... P3, 12 numbers each: the projection matrices
root/sequences/00/times.txt                seconds, one a line (optional: 10 Hz)
root/sequences/00/camera_height.txt        metres of the camera above the road (optional; KITTI has no such file)
root/sequences/00/flow, root/sequences/00/depth    of image_2 (optional, see ``sequences.flow_files``)
root/poses/00.txt                          ground truth (optional)

Poses are those of the left grey camera, image_0, as the benchmark has them, whichever camera's images are read:
x right, y down, z forward; the first one is the world. Rows of times and poses go by the numbers of the images.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import CAMERA_HEIGHTS, Camera, camera_from_projection
from distilvo.geometry.se3 import Floats
from distilvo.sequences.flow_files import FlowImages, has_flow
from distilvo.sequences.frame_order import FrameOrder
from distilvo.sequences.guess import KITTI_CAMERAS
from distilvo.sequences.image_files import ImageSequence, image_size
from distilvo.sequences.image_folder import ASSUMED_RATE_HZ, ordered_images
from distilvo.sequences.image_rows import rows_of_images, times_of_images
from distilvo.textfile import TextRow, numbers, read_rows, table_of
from distilvo.trajectory.formats import read_kitti


def open_kitti(path: str | Path) -> ImageSequence:
    """One sequence of a KITTI odometry dataset, ``.../sequences/00``, or a camera of it, ``.../sequences/00/image_3``.

    Where no camera is named colour is preferred to grey, left to right.

    Raises DistilvoError where a file is missing, broken or does not fit the images.
    """
    # Absolute without following links: poses lie beside the folder that was named, not beside what it links to.
    sequence = Path(os.path.abspath(path))
    folder = images_of(sequence)
    if sequence.name in KITTI_CAMERAS:
        sequence, folder = sequence.parent, sequence
    if folder is None:
        raise DistilvoError(f"{path}: no folder of images, expected one of {', '.join(KITTI_CAMERAS)}")
    order = ordered_images(folder)
    _tell(order, folder)
    camera = _read_camera(sequence / "calib.txt", f"P{folder.name[-1]}", *image_size(order.files[0]))
    times_file = sequence / "times.txt"
    assumed = not times_file.exists()
    if assumed:
        warnings.warn(f"{times_file}: not found, {ASSUMED_RATE_HZ:g} Hz assumed", stacklevel=2)
    with_flow = folder.name == KITTI_CAMERAS[0] and has_flow(folder)
    opened = (FlowImages if with_flow else ImageSequence)(
        sequence.name,
        order.files,
        order.numbering.places / ASSUMED_RATE_HZ if assumed else times_of_images(times_file, order),
        camera,
        _read_poses(sequence.parent.parent / "poses" / f"{sequence.name}.txt", order),
        assumed_times=assumed,
        order=order,
    )
    opened.camera_height = _read_camera_height(sequence / "camera_height.txt")
    return opened


def images_of(sequence: Path) -> Path | None:
    """The folder of images of a KITTI sequence, colour before grey; None where there is none."""
    return next((sequence / name for name in KITTI_CAMERAS if (sequence / name).is_dir()), None)


def _tell(order: FrameOrder, folder: Path) -> None:
    for note in order.notes:
        warnings.warn(f"{folder}: {note}", stacklevel=3)


def _read_poses(file: Path, order: FrameOrder) -> Floats | None:
    if not file.exists():
        return None
    poses = read_kitti(file)
    return poses[rows_of_images(order, len(poses), file, "poses")]


def _read_camera_height(file: Path) -> float | None:
    if not file.exists():
        return None
    expected = f"one number, metres of the camera above the road, {CAMERA_HEIGHTS[0]:g} to {CAMERA_HEIGHTS[1]:g}"
    rows = read_rows(file, expected)
    height = float(table_of(rows, 1, expected)[0, 0])
    if len(rows) != 1 or not CAMERA_HEIGHTS[0] <= height <= CAMERA_HEIGHTS[1]:
        raise DistilvoError(f"{file}: {len(rows)} rows, the first of them {height:g}; expected {expected}")
    return height


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
