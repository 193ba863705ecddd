"""Trajectories from one format to another: KITTI's poses and times beside them, and TUM."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.files import write_text
from distilvo.geometry.se3 import Floats
from distilvo.textfile import check_times, read_rows, table_of
from distilvo.trajectory.formats import Trajectory, write_kitti
from distilvo.trajectory.pose_rows import is_nanoseconds, seconds

_LATEST_S = 1e11
"""UNIX seconds of the year 5138: greater numbers are in another unit."""
_DECIMALS = 15
"""As many as a position in UTM coordinates needs to come back from a TUM file with each of its digits."""


def read_times(path: Path) -> Floats:
    """Times (N,) s, the first number of each row, as in KITTI's ``times.txt``; whole nanoseconds are made seconds.

    Raises DistilvoError, naming the row, where one is no number, times go back, or they are in another unit.
    """
    expected = "seconds, one number a row, as KITTI's times.txt"
    rows = read_rows(path, expected)
    nanoseconds = is_nanoseconds(rows[0].fields[0])
    if nanoseconds:
        warnings.warn(f"{path}: the times look like nanoseconds, and are multiplied by 1e-9", stacklevel=2)
    times = seconds(rows) if nanoseconds else table_of(rows, 1, expected)[:, 0]
    check_times(times, rows)
    if times[-1] > _LATEST_S:
        raise DistilvoError(f"{rows[-1].where}: {times[-1]:.6g}, expected seconds, or whole nanoseconds since 1970")
    return times


def with_times(trajectory: Trajectory, times: Floats, name: str) -> Trajectory:
    """The trajectory with the times (N,), of its rows or of the frames that its frame numbers count.

    ``name`` is that of the times, for errors. Raises DistilvoError where there are too few or too many.
    """
    poses, frames = len(trajectory.poses), trajectory.frames
    rows = trajectory.frame_count or poses
    if frames is not None and len(times) > frames[-1] and trajectory.frame_count in (None, len(times)):
        return replace(trajectory, times=times[frames])
    if len(times) == rows == poses:
        return replace(trajectory, times=times)
    has = f"{rows} poses" if frames is None else f"poses of the frames {frames[0]} to {frames[-1]}"
    raise DistilvoError(f"{name}: {len(times)} times, but {trajectory.source} has {has}; expected one for each frame")


def write_kitti_with_times(trajectory: Trajectory, path: Path, times_path: Path) -> None:
    """Write poses as KITTI has them, and times, where there are such, beside them: one number a row.

    Poses whose frame numbers skip some keep them as a first column, with a warning.
    """
    frames = trajectory.frames
    if frames is not None and np.array_equal(frames, np.arange(len(frames))):
        frames = None
    if frames is not None:
        warnings.warn(
            f"{path}: frames are missing, so that each row begins with its frame number (13 columns); not every "
            "program reads that",
            stacklevel=2,
        )
    if trajectory.times is not None:
        write_text(times_path, "".join(f"{time:.9f}\n" for time in trajectory.times))
    write_kitti(path, trajectory.poses, frames, _DECIMALS)
