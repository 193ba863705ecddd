"""Which ground truth belongs to which estimate: file by file, then pose by pose."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.pairs import Indices, nearest
from distilvo.poses import Floats
from distilvo.trajectories import Trajectory

SUFFIXES = (".txt", ".kitti", ".tum")
"""Of the trajectory files in a folder; where one sequence has several, the first of these counts."""

Truths = dict[str, Path | Trajectory]
"""Ground truth by the name of its sequence; a file is read when it is needed."""

Match = tuple[Floats, Floats | None, Indices, Indices]
"""True poses (N, 4, 4) and their times (N,) s; of the poses that are matched, the true frame and the own place (M,)."""


def match(estimate: Trajectory, truth: Trajectory, tolerance_s: float) -> Match:
    """Match by the frame numbers of the estimate; else by times, where both have them; else one by one.

    Raises:
        DistilvoError: they do not fit each other.
    """
    everything = np.arange(len(estimate.poses))
    numbers = np.arange(len(truth.poses)) if truth.frames is None else truth.frames
    for k in np.flatnonzero(np.diff(numbers) != 1)[:1]:
        raise DistilvoError(f"the ground truth skips the frame {numbers[k] + 1}; expected all of them")
    if estimate.frames is not None:
        return truth.poses, truth.times, _places(estimate.frames, numbers), everything
    if estimate.times is not None and truth.times is not None:
        return _by_time(estimate.times, truth, truth.times, tolerance_s)
    if len(estimate.poses) != len(truth.poses):
        advice = (
            "the ground truth has no times to match its own with; give it as a TUM file"
            if estimate.times is not None
            else "expected one for each frame; where it skips some, give the frame number as a first column"
        )
        raise DistilvoError(f"{len(estimate.poses)} poses, but {len(truth.poses)} in the ground truth; {advice}")
    return truth.poses, truth.times, everything, everything


def _places(frames: Indices, numbers: Indices) -> Indices:
    """Where in the truth, whose frames are called ``numbers`` (N,), the frames (M,) are."""
    for frame in frames[(frames < numbers[0]) | (frames > numbers[-1])][:1]:
        raise DistilvoError(
            f"holds the frame {frame}, but the ground truth has {numbers[0]} to {numbers[-1]}; "
            "check that both belong to one sequence and count frames from 0"
        )
    return (frames - numbers[0]).astype(np.intp)


def _by_time(times: Floats, truth: Trajectory, true_times: Floats, tolerance_s: float) -> Match:
    """Each pose goes with the true pose closest in time, if it is itself the closest to that one."""
    for k in np.flatnonzero(np.diff(times) == 0)[:1]:
        raise DistilvoError(f"two poses at {times[k]:.6f} s; expected each time once")
    closest = nearest(true_times, times)
    close = np.abs(true_times[closest] - times) <= tolerance_s
    kept = np.flatnonzero(close & (nearest(times, true_times[closest]) == np.arange(len(times))))
    if len(kept) < 2:
        raise DistilvoError(
            f"{len(kept)} of {len(times)} poses ({times[0]:.3f} to {times[-1]:.3f} s) lie within {tolerance_s:g} s of "
            f"a true one ({true_times[0]:.3f} to {true_times[-1]:.3f} s); check both clocks, or use --tolerance"
        )
    frames = closest[kept]
    if np.median(np.diff(frames)) >= 2:  # the truth has a higher rate: what a frame is, the estimate says
        return truth.poses[frames], true_times[frames], np.arange(len(frames)), kept
    return truth.poses, true_times, frames, kept


def is_trajectory(path: Path) -> bool:
    """Whether a path is a trajectory file or a folder of such, rather than a model folder."""
    if path.is_dir():
        return not (path / "config.json").exists() and bool(_files_in(path))
    return path.exists() or path.suffix in SUFFIXES


def open_truths(truth: tuple[Path, ...], data: Path | None, sequences: tuple[str, ...]) -> Truths:
    """Ground truth by sequence: files, folders of files, or the sequences of a data set.

    Raises:
        DistilvoError: there is none, a sequence is not there, or two files have one name.
    """
    if not truth and data is None:
        raise DistilvoError("evaluate: no ground truth; give --truth with a trajectory file, or --data")
    if not truth and data is not None:
        if (data / "sequences").is_dir() or not (data / "poses").is_dir():
            return _truths_of_data(data, sequences)
        truth = (data / "poses",)  # the poses alone, as KITTI offers them for download
    found: Truths = {}
    for path in truth:
        for name, file in (_files_in(path) if path.is_dir() else {path.stem: path}).items():
            if name in found:
                raise DistilvoError(f"{file}: a second ground truth called {name}; give each sequence once")
            found[name] = file
    if not found:
        raise DistilvoError(f"{truth[0]}: no trajectory file in it ({', '.join(SUFFIXES)}); expected e.g. 09.txt")
    if missing := [name for name in sequences if name not in found]:
        raise DistilvoError(f"{truth[0]}: has no sequence {', '.join(missing)}; it has {', '.join(found)}")
    return {name: found[name] for name in sequences} if sequences else found


def _truths_of_data(data: Path, sequences: tuple[str, ...]) -> Truths:
    from distilvo.sequences import choose

    opened = choose(data, sequences)
    known: Truths = {one.name: Trajectory(one.poses, times=one.times) for one in opened if one.poses is not None}
    if left_out := [one.name for one in opened if one.poses is None]:
        warnings.warn(f"{data}: no ground truth for {', '.join(left_out)}; left out", stacklevel=3)
    if not known:
        raise DistilvoError(f"{data}: no sequence has ground truth; expected {data / 'poses' / '00.txt'} or the like")
    return known


def _files_in(folder: Path) -> dict[str, Path]:
    """Trajectory files by name of sequence."""
    files = (file for file in folder.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    ranked = sorted(files, key=lambda file: (file.stem, -SUFFIXES.index(file.suffix)))
    return {file.stem: file for file in ranked}


def pair_up(path: Path, truths: Truths) -> list[tuple[str, str, Path]]:
    """Name, sequence and file of the estimates that a trajectory file, or a folder of them, holds.

    With one truth each file is an estimate of it; otherwise a file ``09.txt`` is one of the sequence 09.
    """
    if path.is_dir():
        files = _files_in(path)
        if common := [name for name in truths if name in files]:
            return [(path.name or str(path), name, files[name]) for name in common]
        raise DistilvoError(f"{path}: no estimate of {_listed(truths)}; expected files named like the ground truth")
    if len(truths) > 1 and path.stem not in truths:
        raise DistilvoError(
            f"{path}: named like none of the sequences {_listed(truths)}; name it like one, or give one --truth"
        )
    sequence = path.stem if path.stem in truths else next(iter(truths))
    return [(path.parent.name if path.stem == sequence and path.parent.name else path.stem, sequence, path)]


def _listed(truths: Truths) -> str:
    return ", ".join(list(truths)[:12]) + (", ..." if len(truths) > 12 else "")
