"""Where frames come from: one small file for each source, and a guess by path."""

from __future__ import annotations

import warnings
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.sequences.base import Camera, Frame, Sequence
from distilvo.sequences.guess import KITTI_PICTURES, guess, known_layout
from distilvo.settings import SourceKind

__all__ = ["Camera", "Frame", "Sequence", "choose", "open_dataset", "open_sequence"]


def open_sequence(path: str | Path, kind: SourceKind | None = None, topic: str | None = None) -> Sequence:
    """Open one source of frames; what it is is guessed from the path where ``kind`` is not given.

    path   a sequence of KITTI odometry (``.../sequences/00``), KITTI raw, Malaga Urban, TUM RGB-D or EuRoC MAV, a
           folder or a pattern of pictures, a video file, a bag, or ``camera:0``
    topic  of a bag, where it has pictures at several

    Raises DistilvoError where there is nothing, or nothing that is understood.
    """
    path = Path(path)
    if kind is None:
        kind = guess(path)
    if topic is not None and kind != "bag":
        raise DistilvoError(f"{path}: --topic {topic} is for bags, and this is taken for: {kind}")
    if kind == "folder":
        _refuse_several(path)
    elif kind not in ("video", "camera", "bag") and not path.is_dir():
        raise DistilvoError(f"{path}: no such folder, expected one of kind {kind}")
    return _open(path, kind, topic)


def open_dataset(root: str | Path) -> list[Sequence]:
    """Every sequence of a KITTI odometry dataset, ``root/sequences/*``, by name; or of a folder of other sequences.

    Where ``root`` has no folder ``sequences``, it may be a single sequence of any data set, or hold some. Sequence
    folders without pictures (KITTI's calibration archive makes all 22) are left out with a warning. Raises
    DistilvoError where none is left, or one of them is broken.
    """
    root = Path(root)
    parent = root / "sequences"
    if not parent.is_dir():
        return _other_dataset(root)
    # OpenCV takes a while to import: only those who open a sequence wait for it.
    from distilvo.sequences.kitti import KittiSequence, picture_folder

    folders = _subfolders(parent)
    found = [folder for folder in folders if picture_folder(folder) is not None]
    if not found:
        raise DistilvoError(f"{parent}: no sequence with pictures, expected 00/{KITTI_PICTURES[0]}/000000.png")
    if left_out := [folder.name for folder in folders if folder not in found]:
        warnings.warn(f"{parent}: no pictures in {', '.join(left_out)}; left out", stacklevel=2)
    return [KittiSequence(folder) for folder in found]


def choose(root: str | Path, names: tuple[str, ...]) -> list[Sequence]:
    """The named sequences of a dataset, in that order; all of it where none is named.

    Raises DistilvoError where one is not there.
    """
    found = {sequence.name: sequence for sequence in open_dataset(root)}
    if missing := [name for name in names if name not in found]:
        raise DistilvoError(f"{root}: has no sequence {', '.join(missing)}; it has {', '.join(found)}")
    return [found[name] for name in names] if names else list(found.values())


def _open(path: Path, kind: SourceKind, topic: str | None) -> Sequence:
    match kind:
        case "kitti":
            from distilvo.sequences.kitti import KittiSequence

            return KittiSequence(path)
        case "kitti-raw":
            from distilvo.sequences.kitti_raw import open_kitti_raw

            return open_kitti_raw(path)
        case "malaga":
            from distilvo.sequences.malaga import open_malaga

            return open_malaga(path)
        case "tum":
            from distilvo.sequences.tum import open_tum

            return open_tum(path)
        case "euroc":
            from distilvo.sequences.euroc import open_euroc

            return open_euroc(path)
        case "folder":
            from distilvo.sequences.folder import PictureFolder

            return PictureFolder(path)
        case "video":
            from distilvo.sequences.video import VideoSequence

            return VideoSequence(path)
        case "camera":
            from distilvo.sequences.device import LiveCamera

            return LiveCamera(str(path))
        case "bag":
            from distilvo.sequences.rosbag import BagSequence

            return BagSequence(path, topic)
    raise DistilvoError(f"{path}: there is no kind of source {kind!r}")


def _other_dataset(root: Path) -> list[Sequence]:
    """The sequences that ``root`` is or holds; folders and videos have no ground truth and are none."""
    if root.is_dir():
        for folders in ([root], _subfolders(root)):
            kinds = [(folder, known_layout(folder)) for folder in folders]
            if found := [_open(folder, kind, None) for folder, kind in kinds if kind is not None]:
                return found
    raise DistilvoError(
        f"{root}: no folder 'sequences' in it, expected a KITTI dataset: root/sequences/00; or a folder of sequences "
        "of KITTI raw, TUM RGB-D or EuRoC MAV"
    )


def _refuse_several(path: Path) -> None:
    """A folder of whole sequences is not a folder of pictures: name one to try."""
    from distilvo.sequences.pictures import list_pictures

    if not path.is_dir() or list_pictures(path):
        return
    if (path / "sequences").is_dir():
        raise DistilvoError(f"{path}: a whole KITTI dataset, expected one sequence; try {path / 'sequences' / '00'}")
    for folder in _subfolders(path):
        if kind := known_layout(folder):
            raise DistilvoError(f"{path}: a folder of sequences ({kind}), expected one of them; try {folder}")


def _subfolders(parent: Path) -> list[Path]:
    return sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))
