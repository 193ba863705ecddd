"""A trajectory file as teacher of a sequence: the poses of another program (SLAM, structure from motion, GPS and IMU).

Its motions are in the axes of the camera only where its poses are those of the camera: x right, y down, z forward.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import at_default_height
from distilvo.geometry.se3 import Floats
from distilvo.paths import near
from distilvo.sequences import Sequence
from distilvo.settings import TrajectoryScale
from distilvo.trajectory.association import Match, associate
from distilvo.trajectory.estimates import SUFFIXES
from distilvo.trajectory.formats import Trajectory

_OPPOSED = 0.5  # cosine between motions below which the axes cannot be the camera's
_NAMED = 8  # files or sequences in a message
_PLACED = "give one pose for each frame, or the frame number, from 0, as first column (13 columns)"


def trajectory_motions(
    sequence: Sequence, trajectory: Trajectory, scale: TrajectoryScale, tolerance: float
) -> NDArray[np.float32]:
    """What a trajectory says of the motions of a sequence of n frames: (n - 1, 6) [m, rad], NaN where it says nothing.

    Poses belong to the frames of their times, where both have measured ones; else to those of their frame numbers,
    counted from 0 in the sequence as it is given; else row k is frame k, and there must be n rows. A motion is known
    where both of its frames have a pose.

    The file does not say in which unit its positions are. One camera alone cannot see metres: what monocular SLAM or
    structure from motion writes has a scale of its own, which looks like any other. So the caller must choose.

    Args:
        sequence: its times, its length and, for the scale ``truth``, its poses are used; no frame is read.
        trajectory: poses of its camera, see ``trajectory.formats.read_trajectory``.
        scale: ``metric``: positions are in metres (stereo, IMU, GPS, or scaled before), and are taken as they are;
            ``truth``: they are multiplied by the factor that brings the translations of all known motions closest to
            the true ones, by least squares. Of motions rather than positions: drift does not enter.
        tolerance: s by which the times of a frame and of its pose may differ. A car at 20 m/s goes 0.2 m in 0.01 s.

    Raises:
        DistilvoError: the trajectory does not fit the sequence, no two frames in a row have a pose, or the scale cannot
            be fitted: there are no poses, the trajectory stands still or goes another way.
    """
    if scale == "truth" and sequence.poses is None:
        raise DistilvoError(
            f"{sequence.name}: has no ground-truth poses to fit the scale of {_source(trajectory)} on; scale the file "
            "to metres and take it as metric"
        )
    place = _associated(sequence, trajectory, tolerance)
    known = np.flatnonzero((place[:-1] >= 0) & (place[1:] >= 0))
    if not len(known):
        raise DistilvoError(
            f"{_source(trajectory)}: has poses of {int((place >= 0).sum())} of {len(place)} frames of {sequence.name}, "
            "but never of two in a row; give the poses of all frames, not of keyframes alone, with times in seconds, "
            "or take fewer frames (--stride, --fps)"
        )
    if len(known) < len(place) - 1:
        warnings.warn(
            f"{_source(trajectory)}: knows {len(known)} of {len(place) - 1} motions of {sequence.name}", stacklevel=2
        )
    poses = trajectory.poses
    motions = se3.motions_from_matrices(se3.between(poses[place[known]], poses[place[known + 1]]))
    if scale == "truth" and sequence.poses is not None:
        true = se3.motions(sequence.poses)[known]
        motions[:, :3] *= _factor(motions[:, :3], true[:, :3], _source(trajectory), sequence.name)
    everywhere = np.full((len(sequence) - 1, 6), np.nan, np.float32)
    everywhere[known] = at_default_height(motions, sequence.camera_height)
    return everywhere


def find_trajectories(path: Path, names: list[str]) -> dict[str, Path]:
    """The trajectory file of each sequence, by name.

    Args:
        path: one file, for exactly one sequence of any name; or a folder with a file ``NAME.txt``, ``.kitti``,
            ``.tum`` or ``.csv`` for each. Other files in it are passed over.
        names: of the sequences.

    Raises:
        DistilvoError: there is no such path, a sequence has no file or several, or one file is given for several.
    """
    if path.is_file():
        if len(names) != 1:
            raise DistilvoError(
                f"{path}: one trajectory for {len(names)} sequences ({_listed(names)}); expected a folder with a file "
                f"for each, such as {names[0] if names else '00'}.tum"
            )
        return {names[0]: path}
    if not path.is_dir():
        raise DistilvoError(f"{path}: no such path; {near(path)}expected a trajectory file, or a folder of such")
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    files_by_name = {name: [file for file in files if file.stem == name] for name in names}
    if missing := [name for name in names if not files_by_name[name]]:
        there = f"it has {_listed([file.name for file in files])}" if files else "it has no trajectory file"
        raise DistilvoError(
            f"{path}: no trajectory of {_listed(missing)}; {there}; expected {missing[0]}.tum ({', '.join(SUFFIXES)})"
        )
    for name, several in files_by_name.items():
        if len(several) > 1:
            raise DistilvoError(
                f"{path}: {len(several)} files for the sequence {name} ({_listed([file.name for file in several])}); "
                "expected one; move the others away"
            )
    return {name: several[0] for name, several in files_by_name.items()}


def _associated(sequence: Sequence, trajectory: Trajectory, tolerance: float) -> NDArray[np.intp]:
    """Which pose of a trajectory each frame has, (n,); -1 where it has none."""
    place = np.full(len(sequence), -1, np.intp)
    if trajectory.frames is not None:
        place[_numbered(sequence, trajectory, trajectory.frames)] = np.arange(len(trajectory.poses))
    elif trajectory.times is not None and not sequence.assumed_times:
        match = _by_time(sequence, trajectory, trajectory.times, tolerance)
        place[match.frames] = match.kept
    else:
        _refuse_other_length(sequence, trajectory, len(trajectory.poses) + trajectory.left_out)
        if trajectory.left_out:
            raise DistilvoError(
                f"{_source(trajectory)}: {trajectory.left_out} rows are left out, and nothing tells to which frames of "
                f"{sequence.name} the others belong; {_PLACED}"
            )
        place[:] = np.arange(len(place))
    return place


def _numbered(sequence: Sequence, trajectory: Trajectory, frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """The frame numbers (M,) of a trajectory, where they can be those of a sequence."""
    if trajectory.frame_count is not None:
        _refuse_other_length(sequence, trajectory, trajectory.frame_count)
    if frames[0] < 0 or frames[-1] >= len(sequence):
        raise DistilvoError(
            f"{_source(trajectory)}: has poses of the frames {frames[0]} to {frames[-1]}, but {sequence.name} has 0 to "
            f"{len(sequence) - 1}; count the frames that are taken, from 0"
        )
    return frames


def _by_time(sequence: Sequence, trajectory: Trajectory, times: Floats, tolerance: float) -> Match:
    unplaced = np.tile(np.eye(4), (len(sequence), 1, 1))  # the times decide alone
    try:
        return associate(trajectory, Trajectory(unplaced, times=sequence.times), tolerance)
    except DistilvoError:
        spans = [f"{span[0]:.3f} to {span[-1]:.3f} s" for span in (times, sequence.times)]
        raise DistilvoError(
            f"{_source(trajectory)}: too few of its {len(times)} poses lie within {tolerance:g} s of a frame of "
            f"{sequence.name}: poses {spans[0]}, frames {spans[1]}; expected seconds of one clock; or {_PLACED}"
        ) from None


def _refuse_other_length(sequence: Sequence, trajectory: Trajectory, rows: int) -> None:
    if rows != len(sequence):
        lacks = trajectory.times is not None and sequence.assumed_times
        reason = ", which has no measured times to find them by (--times FILE)" if lacks else ""
        raise DistilvoError(
            f"{_source(trajectory)}: {rows} poses for {len(sequence)} frames of {sequence.name}{reason}; {_PLACED}"
        )


def _factor(own: Floats, true: Floats, source: str, name: str) -> float:
    """By what translations (K, 3) come closest to the true ones (K, 3)."""
    energy, true_energy, common = (float((a * b).sum()) for a, b in ((own, own), (true, true), (own, true)))
    if not energy > 0 or not true_energy > 0:
        which = source if not energy > 0 else "the ground truth"
        raise DistilvoError(f"{name}: {which} stands still in all motions, so that no scale can be fitted")
    if (cosine := common / np.sqrt(energy * true_energy)) < _OPPOSED:
        raise DistilvoError(
            f"{source}: goes another way than the ground truth of {name} (cosine {cosine:.2f} between their motions), "
            "so that no scale can be fitted; expected camera-to-world poses, x right, y down, z forward, of this drive"
        )
    return common / energy


def _source(trajectory: Trajectory) -> str:
    return trajectory.source or "the trajectory"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
