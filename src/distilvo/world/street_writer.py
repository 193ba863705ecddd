"""Streets on disk, in the layout of the KITTI odometry data set."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, check_claim, draft_folder
from distilvo.paths import checked_name
from distilvo.world.street import Street

IMAGES = "image_2"
_OWN = re.compile(rf"calib\.txt|times\.txt|{IMAGES}(/\d{{6,}}\.png)?")
"""What ``write_street`` writes into a sequence's folder."""


def write_street(street: Street, root: Path, name: str, on_frame: Callable[[], None] | None = None) -> Path:
    """Render every image of ``street`` and write sequence ``name``.

    Writes ``root/sequences/NAME/image_2/000000.png`` ..., ``calib.txt`` (P0 to P3, all with ``street.intrinsics``),
    ``times.txt``, and ``root/poses/NAME.txt`` (12 numbers a row: the upper 3x4 of camera-to-world). The sequence grows
    in a hidden folder of this process that takes its name last of all, so that a run cut short leaves no sequence, nor
    does a full disk.

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
    folder = root / "sequences" / checked_name(name, "sequence")
    if folder.exists():
        raise DistilvoError(f"{folder}: the sequence is already there; choose another name or remove it")
    try:
        with draft_folder(folder) as draft:
            (draft / IMAGES).mkdir()
            for index in range(len(street)):
                _write_image(draft / IMAGES / f"{index:06d}.png", street.render(index))
                if on_frame is not None:
                    on_frame()
            (draft / "calib.txt").write_text(_calibration(street))
            np.savetxt(draft / "times.txt", street.times, fmt="%.9f")
            with atomic_path(root / "poses" / f"{name}.txt") as temporary:
                np.savetxt(temporary, street.poses[:, :3].reshape(-1, 12), fmt="%.12e")
    except OSError as error:
        check_claim(folder)
        raise DistilvoError(f"{folder}: cannot write the sequence ({error}); check space and permissions") from error
    return folder


def is_whole(root: Path, name: str, frames: int) -> bool:
    """Whether sequence ``name`` is there with all its images, times and poses; else it is removed, with a note.

    Only what ``write_street`` makes is removed.

    Raises:
        DistilvoError: the sequence has other content, or another length.
    """
    folder = root / "sequences" / checked_name(name, "sequence")
    if not folder.exists():
        return False
    counts = {
        "images": sum(file.stat().st_size > 0 for file in (folder / IMAGES).glob("[0-9]*.png")),
        "times": _rows(folder / "times.txt"),
        "poses": _rows(root / "poses" / f"{name}.txt"),
    }
    if set(counts.values()) == {frames}:
        return True
    content = ", ".join(f"{count} {what}" for what, count in counts.items())
    foreign = [path for path in folder.rglob("*") if not _OWN.fullmatch(path.relative_to(folder).as_posix())]
    if foreign or len(set(counts.values())) == 1 or folder.is_symlink():
        raise DistilvoError(
            f"{folder}: holds {content}, expected {frames} of each, as distilvo wrote them; move the folder away"
        )
    warnings.warn(f"{folder}: holds {content}, expected {frames} of each; it is made anew", stacklevel=3)
    shutil.rmtree(folder)
    return False


def _rows(path: Path) -> int:
    """Lines of a file, 0 where it is missing."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _write_image(path: Path, rgb: np.ndarray) -> None:
    # Level 1: twice as fast as OpenCV's default and hardly larger on noisy images.
    encoded, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise DistilvoError(f"{path}: the image of shape {rgb.shape} could not be encoded as PNG")
    path.write_bytes(data.tobytes())


def _calibration(street: Street) -> str:
    numbers = np.concatenate([street.intrinsics, np.zeros((3, 1))], axis=1).ravel()
    return "".join(f"P{camera}: {' '.join(f'{x:.12e}' for x in numbers)}\n" for camera in range(4))
