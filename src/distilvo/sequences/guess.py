"""Which kind of source a path is, by what lies there."""

from __future__ import annotations

from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.settings import SourceKind

KITTI_CAMERAS = ("image_2", "image_3", "image_0", "image_1")
KITTI_RAW_CAMERAS = ("image_02", "image_03", "image_00", "image_01")
_VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"})
_BAG_SUFFIXES = frozenset({".bag", ".mcap"})


def guess(path: Path) -> SourceKind:
    """The kind of source that ``path`` is. Raises DistilvoError where there is nothing that can be read."""
    if path.is_dir():
        return data_set_of(path) or "folder"
    if path.is_file():
        return _kind_of_file(path)
    if str(path).startswith("camera:"):
        return "camera"
    if any(sign in str(path) for sign in "*?["):
        return "folder"
    raise DistilvoError(
        f"{path}: no such path; expected a data set's folder, a folder of images, a pattern in quotes, a video, a "
        "bag or camera:0"
    )


def data_set_of(folder: Path) -> SourceKind | None:
    """The data set whose sequence a folder is, or whose camera inside of a sequence; None where it is none of them."""
    inside = folder.parent
    if any((folder / name).is_dir() for name in KITTI_CAMERAS):
        return "kitti"
    if folder.name in KITTI_CAMERAS and (inside / "calib.txt").is_file():
        return "kitti"
    if (folder / "oxts").is_dir() or any((folder / name / "data").is_dir() for name in KITTI_RAW_CAMERAS):
        return "kitti-raw"
    if folder.name in KITTI_RAW_CAMERAS and (folder / "timestamps.txt").is_file():
        return "kitti-raw"
    if (folder / "mav0").is_dir() or (folder / "cam0" / "data.csv").is_file() or (folder / "sensor.yaml").is_file():
        return "euroc"
    if (folder / "rgb.txt").is_file() or ((folder / "rgb").is_dir() and (folder / "groundtruth.txt").is_file()):
        return "tum"
    if any(folder.glob("*rectified*_Images")) or any(folder.glob("*_all-sensors_*.txt")):
        return "malaga"
    if "rectified" in folder.name and any(folder.glob("img_CAMERA1_*_left.jpg")):
        return "malaga"
    return "bag" if (folder / "metadata.yaml").is_file() else None


def _kind_of_file(path: Path) -> SourceKind:
    suffix = path.suffix.lower()
    if suffix in _VIDEO_SUFFIXES:
        return "video"
    if suffix in _BAG_SUFFIXES:
        return "bag"
    if suffix == ".db3":
        raise DistilvoError(f"{path}: a part of a ROS 2 bag; expected its folder, with metadata.yaml: {path.parent}")
    suffixes = " ".join(sorted(_VIDEO_SUFFIXES))
    raise DistilvoError(
        f"{path}: a file with the suffix {path.suffix!r}, expected a folder, a bag (.bag .mcap) or a video ({suffixes})"
    )
