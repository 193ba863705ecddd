"""An extract of the Malaga Stereo and Laser Urban data set: the rectified images of the left camera, and the GPS.

malaga-urban-dataset-extract-01/malaga-urban-dataset-extract-01_rectified_800x600_Images/img_CAMERA1_TIME_left.jpg ...
malaga-urban-dataset-extract-01/malaga-urban-dataset-extract-01_all-sensors_GPS.txt         (optional: no reference)
malaga-urban-dataset-extract-01/malaga-urban-dataset-extract-01_all-sensors_IMAGES.txt      (optional: all names)

There are no poses. ``reference`` holds the GPS antenna's position at each image: east, north, up, m, from the first
fix; a metre or so off, without orientation. Times are the data set's own, UNIX s, in the images' names.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.se3 import Floats
from distilvo.sequences.image_files import ImageSequence, image_size, list_images
from distilvo.sequences.name_numbers import named
from distilvo.textfile import check_times, read_rows, read_table
from distilvo.trajectory.pose_rows import check_positions

PERIOD_S = 0.1
_NAME = re.compile(r"img_CAMERA1_(\d{1,12}\.\d{1,9})_(left|right)", re.ASCII)
_LONGEST_GPS_GAP_S = 5.0
# fx fy cx cy of the rectified left camera.
_INTRINSICS = {
    (800, 600): (621.18428, 621.18428, 404.0076, 309.05989),
    (1024, 768): (795.11588, 795.11588, 517.12973, 395.59665),
}


def open_malaga(path: Path) -> ImageSequence:
    """An extract, or one of its rectified folders of images, at 10 Hz as KITTI; 800x600 where there is a choice.

    Raises DistilvoError where images are missing, only raw, or a text file is broken; warns where images of the
    list are missing or lie outside the GPS track.
    """
    path = path.absolute()
    folder = path if "rectified" in path.name and not rectified_folders(path) else _rectified(path)
    extract = folder.parent
    lefts = {
        match[1]: file for file in list_images(folder) if (match := _NAME.fullmatch(file.stem)) and match[2] == "left"
    }
    if not lefts:
        raise DistilvoError(f"{folder}: no image of the left camera, expected img_CAMERA1_1261228749.918590_left.jpg")
    _compare_with_list(extract, set(lefts))
    stamps = sorted(lefts, key=float)
    kept = at_rate(np.array([float(stamp) for stamp in stamps]), PERIOD_S)
    times = np.array([float(stamps[k]) for k in kept])
    files = [lefts[stamps[k]] for k in kept]
    size = image_size(files[0])
    if size not in _INTRINSICS:
        raise DistilvoError(f"{files[0]}: the image is {size[0]}x{size[1]}, expected rectified 800x600 or 1024x768")
    if "malaga" not in extract.name.lower():
        warnings.warn(
            f"{extract}: by the names of its images taken for an extract of Malaga Urban, with that data set's camera; "
            "--kind folder takes them as images alone",
            stacklevel=3,
        )
    gps = next(iter(sorted(extract.glob("*_all-sensors_GPS.txt"))), None)
    reference = None if gps is None else _positions(gps, times)
    return ImageSequence(extract.name, files, times, Camera(*_INTRINSICS[size], *size), reference=reference)


def rectified_folders(extract: Path) -> list[Path]:
    """The folders of rectified images in an extract, the smallest images first."""
    folders = [folder for folder in extract.glob("*rectified*_Images") if folder.is_dir()]
    return sorted(folders, key=lambda folder: ("800x600" not in folder.name, folder.name))


def at_rate(times: Floats, period: float) -> list[int]:
    """Of frames at times (N,), ascending: the first, then always the one closest to ``period`` seconds later.

    By time and not by index: a camera that stutters or skips keeps its rate. Where frames are missing for longer, the
    gap stays and the next frame after it is taken.
    """
    kept = [0]
    while True:
        now = times[kept[-1]]
        first = int(np.searchsorted(times, now + 0.75 * period))  # a doubled frame is no step
        if first == len(times):
            return kept
        after = min(max(first, int(np.searchsorted(times, now + period))), len(times) - 1)
        before = max(first, after - 1)
        kept.append(before if now + period - times[before] <= times[after] - now - period else after)


def _rectified(extract: Path) -> Path:
    if folders := rectified_folders(extract):
        return folders[0]
    raw = "; the raw images in Images are distorted" if (extract / "Images").is_dir() else ""
    raise DistilvoError(f"{extract}: no folder of rectified images, expected NAME_rectified_800x600_Images{raw}")


def _compare_with_list(extract: Path, stamps: set[str]) -> None:
    """Warn of images in the extract's list that are missing: half an unpacked archive looks like a whole one."""
    for file in sorted(extract.glob("*_all-sensors_IMAGES.txt"))[:1]:
        rows = read_rows(file, "an image's name a line")
        names = [match for row in rows if (match := _NAME.fullmatch(Path(row.fields[0]).stem))]
        listed = {match[1] for match in names if match[2] == "left"}
        if missing := listed - stamps:
            warnings.warn(
                f"{file}: of {len(listed)} left images that it lists "
                f"{named([f'img_CAMERA1_{stamp}_left.jpg' for stamp in sorted(missing)])}; unpack them again",
                stacklevel=4,
            )


def _positions(file: Path, times: Floats) -> Floats:
    """East, north, up (N, 3) in metres at ``times``, straight between fixes, standing outside them."""
    table, rows = read_table(file, 11, "GPS rows of 25 numbers: time, ..., Local X Y Z")
    check_times(table[:, 0], rows)
    check_positions(table[:, 8:11], rows)
    fixed = table[table[:, 4] > 0]
    if not len(fixed):
        raise DistilvoError(f"{file}: none of {len(table)} rows has a fix (column 5); expected some above 0")
    seconds = fixed[:, 0]
    outside = int(((times < seconds[0]) | (times > seconds[-1])).sum())
    if outside == len(times):
        raise DistilvoError(
            f"{file}: its time {seconds[0]:.1f} to {seconds[-1]:.1f} s and that of the images, {times[0]:.1f} to "
            f"{times[-1]:.1f} s, do not meet; expected the GPS of the same extract"
        )
    notes = (
        [f"{outside} of {len(times)} images lie outside its time and take its first or last position"]
        if outside
        else []
    )
    if len(fixed) < len(table):
        notes.append(f"{len(table) - len(fixed)} of {len(table)} rows have no fix and are left out")
    if len(fixed) > 1 and (gap := float(np.diff(seconds).max())) > _LONGEST_GPS_GAP_S:
        notes.append(f"the longest gap is {gap:.0f} s and is filled by a straight line")
    if notes:
        warnings.warn(f"{file}: {'; '.join(notes)}", stacklevel=4)
    return np.stack([np.interp(times, seconds, fixed[:, 8 + axis]) for axis in range(3)], axis=1)
