"""A sequence of the EuRoC MAV data set, in ASL's own format.

V1_01_easy/mav0/cam0/data.csv                             '#timestamp [ns],filename'
V1_01_easy/mav0/cam0/data/1403715273262142976.png ...     752x480 grey
V1_01_easy/mav0/cam0/sensor.yaml                          T_BS (camera to body), intrinsics, distortion (radtan)
V1_01_easy/mav0/state_groundtruth_estimate0/data.csv      ns, position, quaternion w first, ... (optional: no poses)

The ground truth is the pose of the body; ours is that of the camera, ``T_world_body @ T_BS``: x right, y down, z
forward. The world is the file's own, z up; times are the data set's own, s. Distortion is taken out of the pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import FURTHEST_M, Floats
from distilvo.sequences.association import match
from distilvo.sequences.base import Camera
from distilvo.sequences.distortion import LARGEST_COEFFICIENT
from distilvo.sequences.pictures import PictureSequence
from distilvo.sequences.tables import (
    check_positions,
    check_times,
    nanoseconds,
    numbers,
    read_rows,
    read_table,
    read_text,
)

_RADTAN = ("radial-tangential", "radtan", "plumb_bob")
_CAMERAS = ("cam0", "cam1")


def open_euroc(path: Path) -> PictureSequence:
    """A sequence, seen by its left camera cam0, or by the one named: ``.../mav0/cam1``.

    Each picture has the nearest pose within 0.02 s; those without one (ground truth begins late) are left out with a
    warning. Raises DistilvoError where a file is missing or broken.
    """
    path = path.absolute()
    camera = path.name if path.name in _CAMERAS else _CAMERAS[0]
    inside = path.parent if path.name in _CAMERAS else path
    mav = inside if inside.name == "mav0" or not (inside / "mav0").is_dir() else inside / "mav0"
    rows = read_rows(mav / camera / "data.csv", "lines 'timestamp [ns],filename'", ",")
    for row in rows:
        if len(row.fields) != 2 or not row.fields[1]:
            raise DistilvoError(f"{row.where}: found {len(row.fields)} columns, expected 'timestamp [ns],filename'")
    times = np.array([nanoseconds(row.fields[0], row.where) for row in rows]) / 1e9
    check_times(times, rows)
    files = [mav / camera / "data" / row.fields[1] for row in rows]
    sensor = _Sensor(mav / camera / "sensor.yaml")
    name = mav.parent.name if mav.name == "mav0" else mav.name
    truth_file = mav / "state_groundtruth_estimate0" / "data.csv"
    poses = None
    if truth_file.exists():
        truth_times, bodies = _read_truth(truth_file)
        kept, nearest = match(name, times, truth_times)
        files, times, poses = [files[k] for k in kept], times[kept], bodies[nearest] @ sensor.body_from_camera
    return PictureSequence(name, files, times, sensor.camera, poses, distortion=sensor.distortion)


class _Sensor:
    """What sensor.yaml tells about a camera."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Some tools write OpenCV's header, which is no YAML.
        lines = [line for line in read_text(path, "the camera's sensor.yaml").splitlines() if line[:5] != "%YAML"]
        try:
            self._values = yaml.safe_load("\n".join(lines))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise DistilvoError(f"{path}: not YAML ({str(error).splitlines()[0]}); restore the file") from None
        if not isinstance(self._values, dict):
            raise DistilvoError(f"{path}: expected keys such as T_BS and intrinsics; restore the file")
        model = str(self._values.get("distortion_model", "radtan"))
        lens = str(self._values.get("camera_model", "pinhole"))
        if lens != "pinhole" or model not in _RADTAN:
            raise DistilvoError(
                f"{path}: camera model {lens} with distortion {model}, expected pinhole with {' or '.join(_RADTAN)}; "
                "undistort the pictures first"
            )
        self.distortion = (
            self._numbers("distortion_coefficients", 4, 5, 8) if "distortion_model" in self._values else []
        )
        if any(abs(coefficient) > LARGEST_COEFFICIENT for coefficient in self.distortion):
            raise DistilvoError(
                f"{path}: distortion_coefficients {self.distortion} are those of no lens; restore the file"
            )
        fx, fy, cx, cy = self._numbers("intrinsics", 4)
        width, height = self._numbers("resolution", 2)
        if fx <= 0 or fy <= 0:
            raise DistilvoError(f"{path}: intrinsics {fx} {fy}, expected positive focal lengths: fu fv cu cv")
        if not (width.is_integer() and height.is_integer()):
            raise DistilvoError(f"{path}: resolution {width} {height}, expected whole pixels")
        try:
            self.camera = Camera(fx, fy, cx, cy, int(width), int(height))
        except DistilvoError as error:
            raise DistilvoError(f"{path}: {error}") from None
        self.body_from_camera: Floats = np.array(self._numbers("T_BS", 16)).reshape(4, 4)
        rotation = self.body_from_camera[:3, :3]
        if (
            np.abs(rotation @ rotation.T - np.eye(3)).max() > 5e-3
            or np.linalg.det(rotation) < 0
            or np.abs(self.body_from_camera[:3, 3]).max() > FURTHEST_M
            or not np.array_equal(self.body_from_camera[3], [0, 0, 0, 1])
        ):
            raise DistilvoError(f"{path}: T_BS is not a rigid transform (4x4, row by row); restore the file")

    def _numbers(self, key: str, *counts: int) -> list[float]:
        value = self._values.get(key)
        value = value.get("data") if isinstance(value, dict) else value
        if not isinstance(value, list) or len(value) not in counts:
            wanted = " or ".join(map(str, counts))
            raise DistilvoError(f"{self._path}: {key} is {str(value)[:60]}, expected a list of {wanted} numbers")
        return numbers(map(str, value), f"{self._path}, {key}")


def _read_truth(path: Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of the body."""
    expected = "timestamp [ns], position x y z, quaternion w x y z, ..."
    table, rows = read_table(path, 8, expected, ",")
    times = np.array([nanoseconds(row.fields[0], row.where) for row in rows]) / 1e9
    check_times(times, rows)
    check_positions(table[:, 1:4], rows)
    with np.errstate(over="ignore"):  # numbers so large that their squares are not finite
        norms = np.linalg.norm(table[:, 4:], axis=1)
    for k in np.flatnonzero(np.abs(norms - 1.0) > 1e-2)[:1]:
        raise DistilvoError(f"{rows[k].where}: the quaternion has length {norms[k]:.4g}, expected 1: {expected}")
    poses = np.tile(np.eye(4), (len(table), 1, 1))
    poses[:, :3, :3] = _rotations(table[:, 4:] / norms[:, None])
    poses[:, :3, 3] = table[:, 1:4]
    return times, poses


def _rotations(quaternions: NDArray[Any]) -> Floats:
    """Unit quaternions (N, 4), w first -> rotations (N, 3, 3)."""
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
