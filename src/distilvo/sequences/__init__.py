"""Where frames come from: one small file for each source, and a guess by path."""

from __future__ import annotations

import warnings
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.sequences.base import Camera, Frame, Sequence

__all__ = ["Camera", "Frame", "Sequence", "choose", "open_dataset", "open_sequence"]

_VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})


def open_sequence(path: str | Path) -> Sequence:
    """Open a KITTI odometry sequence (``.../sequences/00``), a folder of pictures or a video file, guessed by path.

    Raises DistilvoError where there is nothing, or nothing that is understood.
    """
    path = Path(path)
    if path.is_file():
        return _open_video(path)
    if not path.is_dir():
        raise DistilvoError(f"{path}: no such path; expected a KITTI sequence, a folder of pictures or a video")
    # OpenCV takes a while to import: only those who open a sequence wait for it.
    from distilvo.sequences.folder import PictureFolder
    from distilvo.sequences.kitti import KittiSequence, picture_folder

    if picture_folder(path) is not None:
        return KittiSequence(path)
    if (path / "sequences").is_dir():
        raise DistilvoError(f"{path}: a whole KITTI dataset, expected one sequence; try {path / 'sequences' / '00'}")
    return PictureFolder(path)


def open_dataset(root: str | Path) -> list[Sequence]:
    """Every sequence of a KITTI odometry dataset, ``root/sequences/*``, by name.

    Sequence folders without pictures (the calibration archive makes all 22) are left out with a warning. Raises
    DistilvoError where none is left, or one of them is broken.
    """
    from distilvo.sequences.kitti import PICTURE_FOLDERS, KittiSequence, picture_folder

    parent = Path(root) / "sequences"
    if not parent.is_dir():
        raise DistilvoError(f"{root}: no folder 'sequences' in it, expected a KITTI dataset: root/sequences/00")
    folders = sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    found = [folder for folder in folders if picture_folder(folder) is not None]
    if not found:
        raise DistilvoError(f"{parent}: no sequence with pictures, expected 00/{PICTURE_FOLDERS[0]}/000000.png")
    if left_out := [folder.name for folder in folders if folder not in found]:
        warnings.warn(f"{parent}: no pictures in {', '.join(left_out)}; left out", stacklevel=2)
    return [KittiSequence(folder) for folder in found]


def choose(root: str | Path, names: tuple[str, ...]) -> list[Sequence]:
    """The named sequences of a KITTI odometry dataset, in that order; all of it where none is named.

    Raises DistilvoError where one is not there.
    """
    found = {sequence.name: sequence for sequence in open_dataset(root)}
    if missing := [name for name in names if name not in found]:
        raise DistilvoError(f"{root}: has no sequence {', '.join(missing)}; it has {', '.join(found)}")
    return [found[name] for name in names] if names else list(found.values())


def _open_video(path: Path) -> Sequence:
    if path.suffix.lower() not in _VIDEO_SUFFIXES:
        known = " ".join(sorted(_VIDEO_SUFFIXES))
        raise DistilvoError(f"{path}: a file with the suffix {path.suffix!r}, expected a folder or a video ({known})")
    from distilvo.sequences.video import VideoSequence

    return VideoSequence(path)
