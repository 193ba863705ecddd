"""Streets on disk, in the layout of the KITTI odometry data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path
from distilvo.world.street import Street


def write_street(street: Street, root: Path, name: str, on_frame: Callable[[], None] | None = None) -> Path:
    """Render every image of ``street`` and write sequence ``name``.

    Writes ``root/sequences/NAME/image_2/000000.png`` ..., ``calib.txt`` (P0 to P3, all with ``street.intrinsics``),
    ``times.txt``, and ``root/poses/NAME.txt`` (12 numbers a row: the upper 3x4 of camera-to-world). The sequence grows
    in a hidden folder that takes its name last of all, so that a run cut short leaves no sequence.

    Args:
        street: the drive.
        root: the data set's folder, made if need be.
        name: the sequence's name, e.g. "00".
        on_frame: called after each image, for progress.

    Returns:
        The folder of the sequence.

    Raises:
        DistilvoError: if the sequence is already there, or cannot be written.
    """
    folder = root / "sequences" / name
    if not name or Path(name).name != name or name.startswith("."):
        raise DistilvoError(f"sequence name {name!r}: expected a plain folder name such as 00")
    if folder.exists():
        raise DistilvoError(f"{folder}: the sequence is already there; choose another name or remove it")
    draft = folder.with_name(f".{name}.unfinished")
    try:
        shutil.rmtree(draft, ignore_errors=True)  # of a run cut short
        (draft / "image_2").mkdir(parents=True)
        for index in range(len(street)):
            _write_image(draft / "image_2" / f"{index:06d}.png", street.render(index))
            if on_frame is not None:
                on_frame()
        (draft / "calib.txt").write_text(_calibration(street))
        np.savetxt(draft / "times.txt", street.times, fmt="%.9f")
        with atomic_path(root / "poses" / f"{name}.txt") as temporary:
            np.savetxt(temporary, street.poses[:, :3].reshape(-1, 12), fmt="%.12e")
        os.replace(draft, folder)
    except OSError as error:
        raise DistilvoError(f"{folder}: cannot write the sequence ({error}); check space and permissions") from error
    return folder


def _write_image(path: Path, rgb: np.ndarray) -> None:
    # Level 1: twice as fast as OpenCV's default and hardly larger on noisy images.
    encoded, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise DistilvoError(f"{path}: the image of shape {rgb.shape} could not be encoded as PNG")
    path.write_bytes(data.tobytes())


def _calibration(street: Street) -> str:
    numbers = np.concatenate([street.intrinsics, np.zeros((3, 1))], axis=1).ravel()
    return "".join(f"P{camera}: {' '.join(f'{x:.12e}' for x in numbers)}\n" for camera in range(4))
