"""One drive of the KITTI raw data, synchronised and rectified (``_sync``).

2011_09_26/calib_cam_to_cam.txt, calib_velo_to_cam.txt, calib_imu_to_velo.txt     from 2011_09_26_calib.zip
2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000000.png ...            also image_03, image_00, image_01
2011_09_26/2011_09_26_drive_0001_sync/image_02/timestamps.txt                     one date and time a line
2011_09_26/2011_09_26_drive_0001_sync/oxts/data/0000000000.txt ...                30 numbers (optional: no poses)

Poses are those of the camera whose images are read, and the first of them is the world, as in KITTI odometry; times
count from the first image. The inertial unit's axes are x forward, y left, z up, and its world is east, north, up.
"""

from __future__ import annotations

import re
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, camera_from_projection, check_projection
from distilvo.geometry.se3 import FURTHEST_M, Floats, between, is_rotation
from distilvo.sequences.guess import KITTI_RAW_CAMERAS
from distilvo.sequences.image_files import ImageSequence, image_size, list_images
from distilvo.sequences.name_numbers import named
from distilvo.textfile import TextRow, numbers, read_rows, read_table, read_text

_EARTH_RADIUS_M = 6378137.0
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}", re.ASCII)


def open_kitti_raw(path: Path) -> ImageSequence:
    """A drive, seen by its left colour camera, else the next one there; by the one named: ``..._sync/image_00``.

    Raises DistilvoError where a file is missing, broken or does not fit the images.
    """
    path = path.absolute()
    drive, camera = (path.parent, path.name) if path.name in KITTI_RAW_CAMERAS else (path, camera_folder(path))
    if camera is None:
        folders = ", ".join(KITTI_RAW_CAMERAS)
        raise DistilvoError(f"{path}: no images, expected 0000000000.png in the folder data of one of {folders}")
    if drive.name.endswith("_extract"):
        raise DistilvoError(
            f"{drive}: the unsynchronised, distorted version; expected the drive that ends with _sync, not _extract"
        )
    images = list_images(drive / camera / "data") if (drive / camera / "data").is_dir() else []
    if not images:
        raise DistilvoError(f"{drive / camera / 'data'}: no image there, expected 0000000000.png; unpack it again")
    files, frames = _numbered(images)
    calibration = _Calibration(drive, camera[-2:])
    return ImageSequence(
        drive.name,
        files,
        _read_times(drive / camera / "timestamps.txt", frames),
        calibration.camera(*image_size(files[0])),
        _read_poses(drive / "oxts" / "data", files, calibration) if (drive / "oxts").is_dir() else None,
    )


def camera_folder(drive: Path) -> str | None:
    """The folder of the camera to read, colour before grey, left before right; None where there is none."""
    return next((name for name in KITTI_RAW_CAMERAS if (drive / name / "data").is_dir()), None)


def poses_from_oxts(packets: Floats) -> Floats:
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
    """Where the chosen camera sits, and its intrinsics, after rectification."""

    def __init__(self, drive: Path, number: str) -> None:
        # Some keep the calibration of the day inside of each drive.
        self._folder = drive if (drive / "calib_cam_to_cam.txt").exists() else drive.parent
        values = self._read("calib_cam_to_cam.txt")
        self._projection = self._of(values, f"P_rect_{number}", 12, "calib_cam_to_cam.txt").reshape(3, 4)
        self._projection_at = f"{values[f'P_rect_{number}'].where}: P_rect_{number}"
        check_projection(self._projection, self._projection_at)
        self._rectify = np.eye(4)
        self._rectify[:3, :3] = self._of(values, "R_rect_00", 9, "calib_cam_to_cam.txt").reshape(3, 3)

    def camera(self, width: int, height: int) -> Camera:
        return camera_from_projection(self._projection, width, height, self._projection_at)

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

    def _read(self, name: str) -> dict[str, TextRow]:
        rows = read_rows(self._folder / name, "lines 'name: numbers'; KITTI ships it in DATE_calib.zip", ":")
        return {row.fields[0]: TextRow(row.where, row.fields[1].split()) for row in rows if len(row.fields) == 2}

    def _of(self, values: dict[str, TextRow], key: str, count: int, name: str) -> Floats:
        row = values.get(key, TextRow(str(self._folder / name), []))
        if len(row.fields) != count:
            raise DistilvoError(f"{row.where}: {key} has {len(row.fields)} numbers, expected '{key}: {count} numbers'")
        array = np.array(numbers(row.fields, row.where))
        if np.abs(array).max() > FURTHEST_M:
            raise DistilvoError(f"{row.where}: {key} has the number {np.abs(array).max():.3g}; restore the file")
        if count == 9 and not is_rotation(array.reshape(3, 3)):
            raise DistilvoError(f"{row.where}: {key} is not a rotation matrix; unpack DATE_calib.zip again")
        return array


def _numbered(images: list[Path]) -> tuple[list[Path], list[int]]:
    """The images in order, and their numbers, which are the frames': timestamps.txt and oxts go by them."""
    for image in images:
        if not (image.stem.isascii() and image.stem.isdigit()):
            raise DistilvoError(f"{image}: expected images named by their number, such as 0000000000.png")
    files = sorted(images, key=lambda image: (int(image.stem), image.name))
    for one, other in pairwise(files):
        if int(one.stem) == int(other.stem):
            raise DistilvoError(f"{other}: has the number of {one.name}; expected one image for each frame; remove one")
    return files, [int(file.stem) for file in files]


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
        raise DistilvoError(f"{file}: {len(moments)} times, but an image has number {max(frames)}; unpack it again")
    if len(frames) < len(moments):
        missing = [f"{number:010d}.png" for number in sorted(set(range(len(moments))) - set(frames))]
        warnings.warn(
            f"{file.parent}: {len(frames)} of {len(moments)} images are there, {named(missing)}; the others keep their "
            "time",
            stacklevel=4,
        )
    seconds: Floats = (np.array(moments)[frames] - moments[frames[0]]).astype(np.int64) / 1e9
    for k in np.flatnonzero(np.diff(seconds) < 0)[:1] + 1:
        raise DistilvoError(f"{file}, line {frames[k] + 1}: the time goes back; expected times in order")
    return seconds


def _read_poses(folder: Path, images: list[Path], calibration: _Calibration) -> Floats:
    packets = []
    for image in images:
        file = folder / f"{image.stem}.txt"
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
