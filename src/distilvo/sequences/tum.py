"""A sequence of the TUM RGB-D benchmark; its depth images are not used.

rgbd_dataset_freiburg2_desk/rgb.txt           'timestamp filename' a line, s
rgbd_dataset_freiburg2_desk/rgb/....png       640x480 colour
rgbd_dataset_freiburg2_desk/groundtruth.txt   'timestamp tx ty tz qx qy qz qw' (optional: no poses)

Ground truth is the pose of the colour camera's optical centre, x right, y down, z forward: as ours. The world is the
file's own, z up; times are the data set's own, s.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences.image_files import ImageSequence, images_there
from distilvo.textfile import check_times, numbers, read_rows
from distilvo.trajectory.association import poses_of_images
from distilvo.trajectory.formats import read_tum

_SIZE = (640, 480)
_PUBLISHED = "rgbd_dataset_freiburg"
# Of the colour cameras, as the benchmark publishes them: fx fy cx cy, and k1 k2 p1 p2 k3.
_INTRINSICS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}
_DISTORTION = {
    "1": (0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "2": (0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "3": (0.0, 0.0, 0.0, 0.0, 0.0),
}


def open_tum(path: Path) -> ImageSequence:
    """A sequence; intrinsics and distortion go by the folder's name, each image has the nearest pose within 0.02 s.

    Images without one are left out with a warning. Raises DistilvoError where a file is missing or broken.
    """
    path = path.absolute()
    rows = read_rows(path / "rgb.txt", "lines 'timestamp filename'")
    for row in rows:
        if len(row.fields) != 2:
            raise DistilvoError(f"{row.where}: found {len(row.fields)} columns, expected 'timestamp filename'")
    times = np.array([numbers(row.fields[:1], row.where, "column")[0] for row in rows])
    check_times(times, rows)
    files = [path / row.fields[1] for row in rows]
    there = images_there(files, str(path / "rgb.txt"))
    files, times = [files[k] for k in there], times[there]
    poses = None
    if (path / "groundtruth.txt").exists():
        truth_times, truth = read_tum(path / "groundtruth.txt")
        kept, nearest = poses_of_images(path.name, times, truth_times)
        files, times, poses = [files[k] for k in kept], times[kept], truth[nearest]
    number = _camera_number(path)
    if number is None:
        return ImageSequence(path.name, files, times, poses=poses)
    camera = Camera(*_INTRINSICS[number], *_SIZE)
    sequence = ImageSequence(path.name, files, times, camera, poses, distortion=_DISTORTION[number])
    sequence.assumed_camera = not path.name.startswith(_PUBLISHED)
    return sequence


def _camera_number(path: Path) -> str | None:
    """Which of the benchmark's three cameras took a folder's images, by its name."""
    if match := re.search(r"(?:freiburg|fr)([123])(?!\d)", path.name):
        if not path.name.startswith(_PUBLISHED):
            fx, fy, cx, cy = _INTRINSICS[match[1]]
            warnings.warn(
                f"{path}: '{match[0]}' in the folder's name: taken for the benchmark's camera freiburg{match[1]}, {fx} "
                f"{fy} {cx} {cy} and its distortion; --intrinsics or --camera gives another one",
                stacklevel=3,
            )
        return match[1]
    warnings.warn(
        f"{path}: the folder's name does not name the camera that took it; name it as published, with freiburg1, "
        "freiburg2 or freiburg3 in it, or give --intrinsics",
        stacklevel=3,
    )
    return None
