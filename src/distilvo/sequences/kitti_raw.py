"""One drive of the KITTI raw data, synchronised and rectified (``_sync``).

2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt     from 2011_09_26_calib.zip
2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png ...            also image_03, image_00, image_01
2011_09_26/2011_09_26_drive_0001_sync/image_02/timestamps.txt                     one date and time a line
2011_09_26/2011_09_26_drive_0001_sync/oxts/data/0000000000.txt ...                30 numbers (optional: no poses)

Poses are those of the camera whose pictures are read, and the first of them is the world, as in KITTI odometry; times
count from the first picture. The inertial unit's axes are x forward, y left, z up, and its world is east, north, up.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.poses import FURTHEST_M, Floats, between
from distilvo.sequences.base import Camera
from distilvo.sequences.guess import KITTI_RAW_PICTURES
from distilvo.sequences.pictures import PictureSequence, list_pictures, picture_size
from distilvo.sequences.tables import Row, check_pinhole, numbers, read_rows, read_table, read_text

_EARTH_RADIUS_M = 6378137.0
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}", re.ASCII)


def open_kitti_raw(path: Path) -> PictureSequence:
    """A drive, seen by its left colour camera, else the next one there; by the one named: ``..._sync/image_00``.

    Raises DistilvoError where a file is missing, broken or does not fit the pictures.
    """
    path = path.absolute()
    drive, camera = (path.parent, path.name) if path.name in KITTI_RAW_PICTURES else (path, camera_folder(path))
    if camera is None:
        folders = ", ".join(KITTI_RAW_PICTURES)
        raise DistilvoError(f"{path}: no pictures, expected 0000000000.png in the folder data of one of {folders}")
    if drive.name.endswith("_extract"):
        raise DistilvoError(
            f"{drive}: the unsynchronised, distorted version; expected the drive that ends with _sync, not _extract"
        )
    files = list_pictures(drive / camera / "data") if (drive / camera / "data").is_dir() else []
    if not files:
        raise DistilvoError(f"{drive / camera / 'data'}: no picture there, expected 0000000000.png; unpack it again")
    frames = _frame_numbers(files)
    calibration = _Calibration(drive, camera[-2:])
    return PictureSequence(
        drive.name,
        files,
        _read_times(drive / camera / "timestamps.txt", frames),
        calibration.camera(*picture_size(files[0])),
        _read_poses(drive / "oxts" / "data", files, calibration) if (drive / "oxts").is_dir() else None,
    )


def camera_folder(drive: Path) -> str | None:
    """The folder of the camera to read, colour before grey, left before right; None where there is none."""
    return next((name for name in KITTI_RAW_PICTURES if (drive / name / "data").is_dir()), None)


def poses_from_oxts(packets: NDArray[Any]) -> Floats:
    """The inertial unit's poses (N, 4, 4) in the world east, north, up, from the first six of oxts' numbers (N, 6).

    They are latitude and longitude (degrees), altitude (m), roll, pitch and yaw (rad; yaw 0 is east). As the devkit
    does: a Mercator projection, true to scale at the first latitude; R = Rz(yaw) @ Ry(pitch) @ Rx(roll).
    """
    latitude, longitude = np.radians(packets[:, 0]), np.radians(packets[:, 1])
    radius = _EARTH_RADIUS_M * np.cos(latitude[0])
    north = radius * np.log(np.tan(np.pi / 4 + latitude / 2))
    (sx, sy, sz), (cx, cy, cz) = np.sin(packets[:, 3:].T), np.cos(packets[:, 3:].T)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, radius * longitude],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, north],
        [-sy, cy * sx, cy * cx, packets[:, 2]],
    ]
    poses = np.tile(np.eye(4), (len(packets), 1, 1))
    poses[:, :3] = np.moveaxis(np.array(rows), -1, 0)
    return poses


class _Calibration:
    """Where the chosen camera sits, and its lens, after rectification."""

    def __init__(self, drive: Path, number: str) -> None:
        self._number = number
        # Some keep the calibration of the day inside of each drive.
        self._folder = drive if (drive / "calib_cam_to_cam.txt").exists() else drive.parent
        values = self._read("calib_cam_to_cam.txt")
        self._projection = self._of(values, f"P_rect_{number}", 12, "calib_cam_to_cam.txt").reshape(3, 4)
        self._where = values[f"P_rect_{number}"].where
        if self._projection[0, 0] <= 0 or self._projection[1, 1] <= 0:
            raise DistilvoError(f"{self._where}: P_rect_{number} has no positive focal lengths; restore the file")
        check_pinhole(self._projection, f"{self._where}: P_rect_{number}")
        self._rectify = np.eye(4)
        self._rectify[:3, :3] = self._of(values, "R_rect_00", 9, "calib_cam_to_cam.txt").reshape(3, 3)

    def camera(self, width: int, height: int) -> Camera:
        p = self._projection
        try:
            return Camera(float(p[0, 0]), float(p[1, 1]), float(p[0, 2]), float(p[1, 2]), width, height)
        except DistilvoError as error:
            raise DistilvoError(f"{self._where}: {error}") from None

    def imu_from_camera(self) -> Floats:
        """(4, 4): points of the rectified camera in the axes of the inertial unit."""
        shift = np.eye(4)  # of the camera against camera 0, whose rectified axes all four share
        shift[:3, 3] = np.linalg.solve(self._projection[:, :3], self._projection[:, 3])
        camera_from_velodyne = shift @ self._rectify @ self._rigid("calib_velo_to_cam.txt")
        return between(camera_from_velodyne @ self._rigid("calib_imu_to_velo.txt"), np.eye(4))

    def _rigid(self, name: str) -> Floats:
        values, pose = self._read(name), np.eye(4)
        pose[:3, :3] = self._of(values, "R", 9, name).reshape(3, 3)
        pose[:3, 3] = self._of(values, "T", 3, name)
        return pose

    def _read(self, name: str) -> dict[str, Row]:
        rows = read_rows(self._folder / name, "lines 'name: numbers'; KITTI ships it in DATE_calib.zip", ":")
        return {row.fields[0]: Row(row.where, row.fields[1].split()) for row in rows if len(row.fields) == 2}

    def _of(self, values: dict[str, Row], key: str, count: int, name: str) -> Floats:
        row = values.get(key, Row(str(self._folder / name), []))
        if len(row.fields) != count:
            raise DistilvoError(f"{row.where}: {key} has {len(row.fields)} numbers, expected '{key}: {count} numbers'")
        found = np.array(numbers(row.fields, row.where))
        if np.abs(found).max() > FURTHEST_M:
            raise DistilvoError(f"{row.where}: {key} has the number {np.abs(found).max():.3g}; restore the file")
        if count == 9:
            r = found.reshape(3, 3)
            if np.abs(r @ r.T - np.eye(3)).max() > 5e-3 or np.linalg.det(r) < 0:
                raise DistilvoError(f"{row.where}: {key} is not a rotation matrix; unpack DATE_calib.zip again")
        return found


def _frame_numbers(files: list[Path]) -> list[int]:
    """The pictures' names are the frames' numbers: timestamps.txt and oxts go by them."""
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit()):
            raise DistilvoError(f"{file}: expected pictures named by their number, such as 0000000000.png")
    return [int(file.stem) for file in files]


def _read_times(file: Path, frames: list[int]) -> Floats:
    moments = []
    expected = "one date and time a line, such as 2011-09-26 13:02:25.964389445"
    for number, line in enumerate(read_text(file, expected).splitlines(), start=1):
        if not _MOMENT.fullmatch(line.strip()):
            raise DistilvoError(f"{file}, line {number}: {line.strip()[:40]!r}, expected {expected}")
        try:
            moments.append(np.datetime64(line.strip().replace(" ", "T"), "ns"))
        except ValueError:
            raise DistilvoError(f"{file}, line {number}: {line.strip()} is no date and time") from None
    if max(frames) >= len(moments):
        raise DistilvoError(f"{file}: {len(moments)} times, but a picture has number {max(frames)}; unpack it again")
    if len(frames) < len(moments):
        warnings.warn(f"{file.parent}: {len(frames)} of {len(moments)} pictures are there; is it whole?", stacklevel=4)
    seconds: Floats = (np.array(moments)[frames] - moments[frames[0]]).astype(np.int64) / 1e9
    for k in np.flatnonzero(np.diff(seconds) < 0)[:1] + 1:
        raise DistilvoError(f"{file}, line {frames[k] + 1}: the time goes back; expected times in order")
    return seconds


def _read_poses(folder: Path, pictures: list[Path], calibration: _Calibration) -> Floats:
    packets = []
    for picture in pictures:
        file = folder / f"{picture.stem}.txt"
        table, _ = read_table(file, 30, "one row of 30 numbers, dataformat.txt names them")
        if len(table) != 1 or abs(table[0, 0]) >= 90 or abs(table[0, 1]) > 180:
            raise DistilvoError(f"{file}: expected one row that begins with latitude and longitude in degrees")
        if abs(table[0, 2]) > FURTHEST_M or np.abs(table[0, 3:6]).max() > 2 * np.pi:
            raise DistilvoError(
                f"{file}: expected altitude in metres, then roll, pitch and yaw in radians, after those"
            )
        packets.append(table[0, :6])
    poses = poses_from_oxts(np.array(packets)) @ calibration.imu_from_camera()
    return between(np.broadcast_to(poses[0], poses.shape), poses)
