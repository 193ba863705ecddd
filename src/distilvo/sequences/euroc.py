"""A sequence of the EuRoC MAV data set, in ASL's own format.

V1_01_easy/mav0/cam0/data.csv                             '#timestamp [ns],filename'
V1_01_easy/mav0/cam0/data/1403715273262142976.png ...     752x480 grey
V1_01_easy/mav0/cam0/sensor.yaml                          T_BS (camera to body), intrinsics, distortion (radtan)
V1_01_easy/mav0/state_groundtruth_estimate0/data.csv      ns, position, quaternion w first, ... (optional: no poses)

The ground truth is the pose of the body; ours is that of the camera, ``T_world_body @ T_BS``: x right, y down, z
forward. The world is the file's own, z up; times are the data set's own, s. Distortion is taken out of the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.distortion import LARGEST_COEFFICIENT
from distilvo.geometry.quaternions import rotations_from_quaternions
from distilvo.geometry.se3 import FURTHEST_M, Floats, assemble, is_rotation
from distilvo.sequences.image_files import ImageSequence
from distilvo.textfile import (
    check_times,
    nanoseconds,
    numbers,
    read_rows,
    read_table,
    read_text,
)
from distilvo.trajectory.association import poses_of_images
from distilvo.trajectory.formats import check_positions, unit_quaternions

_RADTAN = ("radial-tangential", "radtan", "plumb_bob")
_CAMERAS = ("cam0", "cam1")


def open_euroc(path: Path) -> ImageSequence:
    """A sequence, seen by its left camera cam0, or by the one named: ``.../mav0/cam1``.

    Each image has the nearest pose within 0.02 s; those without one (ground truth begins late) are left out with a
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
        kept, nearest = poses_of_images(name, times, truth_times)
        files, times, poses = [files[k] for k in kept], times[kept], bodies[nearest] @ sensor.body_from_camera
    return ImageSequence(name, files, times, sensor.camera, poses, distortion=sensor.distortion)


class _Sensor:
    """The camera of a sensor.yaml: its intrinsics, its distortion, and where it sits on the body."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = _read_yaml(path)
        self.distortion = self._read_distortion()
        self.camera = self._read_camera()
        self.body_from_camera = self._read_body_from_camera()

    def _read_distortion(self) -> list[float]:
        """OpenCV's coefficients; none where the file names no model of distortion."""
        model = str(self._values.get("distortion_model", "radtan"))
        projection = str(self._values.get("camera_model", "pinhole"))
        if projection != "pinhole" or model not in _RADTAN:
            raise DistilvoError(
                f"{self._path}: camera model {projection} with distortion {model}, expected pinhole with "
                f"{' or '.join(_RADTAN)}; undistort the images first"
            )
        if "distortion_model" not in self._values:
            return []
        coefficients = self._numbers("distortion_coefficients", 4, 5, 8)
        if any(abs(coefficient) > LARGEST_COEFFICIENT for coefficient in coefficients):
            raise DistilvoError(
                f"{self._path}: distortion_coefficients {coefficients} are those of no camera; restore the file"
            )
        return coefficients

    def _read_camera(self) -> Camera:
        fx, fy, cx, cy = self._numbers("intrinsics", 4)
        width, height = self._numbers("resolution", 2)
        if fx <= 0 or fy <= 0:
            raise DistilvoError(f"{self._path}: intrinsics {fx} {fy}, expected positive focal lengths: fu fv cu cv")
        if not (width.is_integer() and height.is_integer()):
            raise DistilvoError(f"{self._path}: resolution {width} {height}, expected whole pixels")
        try:
            return Camera(fx, fy, cx, cy, int(width), int(height))
        except DistilvoError as error:
            raise DistilvoError(f"{self._path}: {error}") from None

    def _read_body_from_camera(self) -> Floats:
        """(4, 4): points of the camera in the axes of the body."""
        pose = np.array(self._numbers("T_BS", 16)).reshape(4, 4)
        near = np.abs(pose[:3, 3]).max() <= FURTHEST_M
        if not (near and is_rotation(pose[:3, :3]) and np.array_equal(pose[3], [0, 0, 0, 1])):
            raise DistilvoError(f"{self._path}: T_BS is not a rigid transform (4x4, row by row); restore the file")
        return pose

    def _numbers(self, key: str, *counts: int) -> list[float]:
        value = self._values.get(key)
        value = value.get("data") if isinstance(value, dict) else value
        if not isinstance(value, list) or len(value) not in counts:
            lengths = " or ".join(map(str, counts))
            raise DistilvoError(f"{self._path}: {key} is {str(value)[:60]}, expected a list of {lengths} numbers")
        return numbers(map(str, value), f"{self._path}, {key}")


def _read_yaml(path: Path) -> dict[str, Any]:
    # Some tools write OpenCV's header, which is no YAML.
    lines = [line for line in read_text(path, "the camera's sensor.yaml").splitlines() if line[:5] != "%YAML"]
    try:
        values = yaml.safe_load("\n".join(lines))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DistilvoError(f"{path}: not YAML ({str(error).splitlines()[0]}); restore the file") from None
    if not isinstance(values, dict):
        raise DistilvoError(f"{path}: expected keys such as T_BS and intrinsics; restore the file")
    return values


def _read_truth(path: Path) -> tuple[Floats, Floats]:
    """Times (N,) in seconds and poses (N, 4, 4) of the body."""
    expected = "timestamp [ns], position x y z, quaternion w x y z, ..."
    table, rows = read_table(path, 8, expected, ",")
    times = np.array([nanoseconds(row.fields[0], row.where) for row in rows]) / 1e9
    check_times(times, rows)
    check_positions(table[:, 1:4], rows)
    w_last = np.roll(unit_quaternions(table[:, 4:], rows, expected), -1, axis=1)
    return times, assemble(rotations_from_quaternions(w_last), table[:, 1:4])
