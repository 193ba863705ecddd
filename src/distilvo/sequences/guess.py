"""Which kind of source a path is, by what lies there."""

from __future__ import annotations

from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.paths import near
from distilvo.sequences.address import as_address
from distilvo.settings import SourceKind

KITTI_CAMERAS = ("image_2", "image_3", "image_0", "image_1")
KITTI_RAW_CAMERAS = ("image_02", "image_03", "image_00", "image_01")
_VIDEO_SUFFIXES = frozenset(
    {
        ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264", ".h265", ".hevc",
        ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg",
        ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    }
)  # fmt: skip
_BAG_SUFFIXES = frozenset({".bag", ".mcap"})


def guess(source: str | Path) -> SourceKind:
    """The kind of source that a path or an address is. Raises DistilvoError where there is nothing that can be read."""
    if as_address(source) is not None:
        return "camera"
    path = Path(source)
    if path.is_dir():
        return data_set_of(path) or "folder"
    if path.is_file():
        return _kind_of_file(path)
    if str(path).startswith("camera:"):
        return "camera"
    if any(sign in str(path) for sign in "*?["):
        return "folder"
    raise DistilvoError(
        f"{path}: no such path; {near(path)}expected a data set's folder, a folder of images, a pattern in quotes, a "
        "video, a bag, camera:0 or an address, as rtsp://"
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
    if suffix == ".db3" or path.name == "metadata.yaml":
        raise DistilvoError(f"{path}: a part of a ROS 2 bag; expected its folder, with metadata.yaml: {path.parent}")
    if suffix in (".txt", ".csv", ".yaml") and (kind := data_set_of(path.parent)):
        raise DistilvoError(f"{path}: a file of a sequence ({kind}); expected its folder: {path.parent}")
    from distilvo.sequences.image_files import SUFFIXES  # OpenCV takes a while to import

    if suffix in SUFFIXES:
        raise DistilvoError(
            f"{path}: a single image; motion lies between images: expected their folder, {path.parent}, or a pattern "
            f"in quotes, '{path.parent / ('*' + path.suffix)}'"
        )
    bags, videos, images = (" ".join(sorted(suffixes)) for suffixes in (_BAG_SUFFIXES, _VIDEO_SUFFIXES, SUFFIXES))
    raise DistilvoError(
        f"{path}: a file with the suffix {path.suffix!r}, expected a folder, a bag ({bags}), a video ({videos}), or a "
        f"folder of images ({images})"
    )
