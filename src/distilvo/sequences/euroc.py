"""A sequence of the EuRoC MAV data set, in ASL's own format.

V1_01_easy/mav0/cam0/data.csv                             '#timestamp [ns],filename'
V1_01_easy/mav0/cam0/data/1403715273262142976.png ...     752x480 grey
V1_01_easy/mav0/cam0/sensor.yaml                          T_BS (camera to body), intrinsics, distortion
V1_01_easy/mav0/state_groundtruth_estimate0/data.csv      ns, position, quaternion w first, ... (optional: no poses)

The ground truth is the pose of the body; ours is that of the camera, ``T_world_body @ T_BS``: x right, y down, z
forward. The world is the file's own, z up; times are the data set's own, s. Distortion is taken out of the images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import FURTHEST_M, Floats, is_rotation
from distilvo.sequences.camera_file import calibration_of, read_numbers
from distilvo.sequences.image_files import ImageSequence, images_there
from distilvo.sequences.sequence import Sequence
from distilvo.sequences.undistorted import with_calibration
from distilvo.sequences.yaml_file import Values, read_yaml
from distilvo.textfile import check_times, nanoseconds, read_rows
from distilvo.trajectory.association import poses_of_images
from distilvo.trajectory.formats import read_euroc

_CAMERAS = ("cam0", "cam1")


def open_euroc(path: Path) -> Sequence:
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
    there = images_there(files, str(mav / camera / "data.csv"))
    files, times = [files[k] for k in there], times[there]
    sensor = mav / camera / "sensor.yaml"
    values = read_yaml(sensor, "the camera's sensor.yaml, with T_BS and intrinsics")
    calibration, body_from_camera = calibration_of(values, sensor), _body_from_camera(values, sensor)
    name = mav.parent.name if mav.name == "mav0" else mav.name
    truth_file = mav / "state_groundtruth_estimate0" / "data.csv"
    poses = None
    if truth_file.exists():
        truth_times, bodies = read_euroc(truth_file)
        kept, nearest = poses_of_images(name, times, truth_times)
        files, times, poses = [files[k] for k in kept], times[kept], bodies[nearest] @ body_from_camera
    return with_calibration(ImageSequence(name, files, times, poses=poses), calibration)


def _body_from_camera(values: Values, path: Path) -> Floats:
    """(4, 4): points of the camera in the axes of the body."""
    pose = np.reshape(read_numbers(values, "T_BS", path, 16), (4, 4))
    near = np.abs(pose[:3, 3]).max() <= FURTHEST_M
    if not (near and is_rotation(pose[:3, :3]) and np.array_equal(pose[3], [0, 0, 0, 1])):
        raise DistilvoError(f"{path}: T_BS is not a rigid transform (4x4, row by row); restore the file")
    return pose
