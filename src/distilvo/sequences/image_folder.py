"""A folder of images, or a pattern such as ``drive/*_left.jpg``, in the order of the names.

Intrinsics and ground truth are not known. Times are those in the names where they are UNIX times; else the images are
taken to be 0.1 s apart, and images that are missing among numbered ones leave their time free.
"""

from __future__ import annotations

import glob
import os
import warnings
from itertools import islice
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.sequences.frame_order import FrameOrder, order_frames
from distilvo.sequences.image_files import ImageSequence, images_among, list_images

ASSUMED_RATE_HZ = 10.0
_MOST_SEARCHED = 1000  # folders


def open_images(path: str | Path) -> ImageSequence:
    """Images of one size in a folder, or those that match a pattern.

    Notes say what of their order could be meant in another way, and which images are missing. Raises DistilvoError
    where there is none, no order can be known, an image cannot be read or differs in size from the first.
    """
    folder = Path(path)
    order = ordered_images(folder) if folder.is_dir() else order_frames(_matching(str(path)), str(path))
    name = (folder if folder.is_dir() else order.files[0].parent).absolute().name
    for note in order.notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    stamps = order.numbering.stamps
    times = order.numbering.places / ASSUMED_RATE_HZ if stamps is None else stamps
    return ImageSequence(name, order.files, times, assumed_times=stamps is None, order=order)


def ordered_images(folder: Path) -> FrameOrder:
    """The images in a folder in order. Raises DistilvoError where there is none, or no order can be known."""
    if files := list_images(folder):
        return order_frames(files, str(folder))
    raise DistilvoError(f"{folder}: no image in the folder, expected files such as 000000.png{_elsewhere(folder)}")


def _elsewhere(folder: Path) -> str:
    """Where the images are instead: the first folder below this one that holds some, or folders of one image each."""
    for place, folders, _ in islice(os.walk(folder), _MOST_SEARCHED):
        folders.sort()
        if images := list_images(Path(place)):
            single = len(images) == 1 and Path(place).parent == folder
            return f"; try '{folder}/*/{images[0].name}' in quotes" if single else f"; try {place}"
    return ""


def _matching(pattern: str) -> list[Path]:
    """Images that match; brackets are those of a folder's name where such a folder is there."""
    literal = {Path(file) for file in glob.glob(pattern.replace("[", "[[]"), recursive=True)}
    matches = {Path(file) for file in glob.glob(pattern, recursive=True)}
    if literal - matches and matches - literal:
        raise DistilvoError(
            f"{pattern}: {min(literal - matches)} is called so, and {min(matches - literal)} matches the pattern; "
            "expected one of them; rename the folder"
        )
    if images := images_among(matches | literal):
        return images
    raise DistilvoError(
        f"{pattern}: {len(matches | literal)} files match this pattern, none of them an image; expected a pattern in "
        "quotes, such as 'drive/*.png'"
    )
