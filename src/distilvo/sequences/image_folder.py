"""A folder of images, or a pattern such as ``drive/*_left.jpg``, in the natural order of the names.

Intrinsics and ground truth are not known, and the images are taken to be 0.1 s apart.
"""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.sequences.image_files import ImageSequence, in_order, list_images

ASSUMED_RATE_HZ = 10.0


class ImageFolder(ImageSequence):
    """Images of one size in a folder, or those that match a pattern: frame2 before frame10, taken at 10 Hz.

    Raises DistilvoError where there is none, an image cannot be read or differs in size from the first.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        files = list_images(self.path) if self.path.is_dir() else _matching(str(path))
        if not files:
            raise DistilvoError(f"{path}: no image in the folder, expected files such as 000000.png or 000000.jpg")
        folder = self.path if self.path.is_dir() else files[0].parent
        super().__init__(folder.absolute().name, files, np.arange(len(files)) / ASSUMED_RATE_HZ, assumed_times=True)


def _matching(pattern: str) -> list[Path]:
    matches = [Path(file) for file in glob.glob(pattern, recursive=True)]
    if not (files := in_order(matches)):
        raise DistilvoError(
            f"{pattern}: {len(matches)} files match this pattern, none of them an image; expected a pattern in "
            "quotes, such as 'drive/*.png'"
        )
    return files
