"""Which rows of a text file, one for each frame, belong to which images: by the numbers in the names, or in order."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import Floats
from distilvo.sequences.frame_order import FrameOrder
from distilvo.trajectory.conversion import read_times
from distilvo.trajectory.segments import Indices


def rows_of_images(order: FrameOrder, count: int, file: Path, what: str) -> Indices:
    """Of each image (N,) the row, from 0 to ``count`` - 1, of ``file``, which holds ``what``.

    Images that are numbered within the rows go by their numbers: where some are missing, the others keep theirs.
    As many images as rows that are numbered otherwise go one by one, with a note. Raises DistilvoError where neither
    fits.
    """
    images, numbers = len(order.files), order.numbering.numbers
    first, last = order.files[0].name, order.files[-1].name
    if numbers is not None and numbers[-1] < count:
        if images + len(order.numbering.missing) < count:  # the others are named already
            absent = np.setdiff1d(np.arange(count), numbers)
            listed = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
            warnings.warn(
                f"{file}: {count} {what} for {images} images: the numbers in their names say which; without an image: "
                f"{listed}",
                stacklevel=2,
            )
        return numbers.astype(np.intp)
    if images == count:
        if numbers is not None:
            warnings.warn(
                f"{file}: {count} {what} for as many images, numbered {numbers[0]} to {numbers[-1]}: taken one by one",
                stacklevel=2,
            )
        return np.arange(images)
    named = f"{first} to {last}" if images > 1 else first
    reach = "" if numbers is None else f", expected at least {numbers[-1] + 1}, counted from 0"
    raise DistilvoError(
        f"{file}: {count} {what}, but {images} images ({named}) in {order.files[0].parent}{reach}; restore the file, "
        "or the images that are missing"
    )


def times_of_images(file: Path, order: FrameOrder) -> Floats:
    """Times (N,) in seconds of images, from a file with one number a row; see :func:`rows_of_images`."""
    times = read_times(file)
    return times[rows_of_images(order, len(times), file, "times")]
