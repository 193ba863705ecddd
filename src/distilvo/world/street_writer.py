"""Streets on disk, in the layout of the KITTI odometry data set."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.files import atomic_path, check_claim, draft_folder
from distilvo.paths import checked_name
from distilvo.world.street import Street

_HIDDEN = 2**16 - 1
IMAGES, FLOW, DEPTH, HEIGHT = "image_2", "flow", "depth", "camera_height.txt"
_OWN = re.compile(rf"calib\.txt|times\.txt|camera_height\.txt|({IMAGES}|{FLOW}|{DEPTH})(/\d{{6,}}\.png)?")
"""What ``write_street`` writes into a sequence's folder."""


def write_street(
    street: Street, root: Path, name: str, on_frame: Callable[[], None] | None = None, *, flow: bool = False
) -> Path:
    """Render every image of ``street`` and write sequence ``name``.

    Writes ``root/sequences/NAME/image_2/000000.png`` ..., ``calib.txt`` (P0 to P3, all with ``street.intrinsics``),
    ``times.txt``, ``camera_height.txt`` (metres above the road), and ``root/poses/NAME.txt`` (12 numbers a row: the
    upper 3x4 of camera-to-world). The sequence grows in a hidden folder of this process that takes its name last of
    all, so that a run cut short leaves no sequence, nor does a full disk.

    With ``flow`` also what is true of each pixel, in KITTI's formats of 16-bit PNG:

    - ``flow/000000.png`` ... N - 1 files, from each image to the next, as in KITTI's flow benchmark of 2015: red is
      64 u + 2^15, green 64 v + 2^15, with u to the right and v down in pixels; blue is 1 where the flow is valid, else
      all three are 0. Flow of 512 pixels and more is not valid.
    - ``depth/000000.png`` ... N files, as in KITTI's depth benchmark: grey, 256 times the metres along the optical
      axis; 0 for the sky and what is 256 m away or more, 65535 where the own car hides the road.

    Args:
        street: the drive.
        root: the data set's folder, made if need be.
        name: the sequence's name, e.g. "00".
        on_frame: called after each image, for progress.
        flow: write flow and depth too.

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
            for kind in (IMAGES, FLOW, DEPTH) if flow else (IMAGES,):
                (draft / kind).mkdir()
            for index in range(len(street)):
                rgb = street.render(index)
                _write_png(draft / IMAGES / f"{index:06d}.png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
                if flow:
                    _write_truth(street, index, draft)
                if on_frame is not None:
                    on_frame()
            (draft / "calib.txt").write_text(_calibration(street))
            (draft / HEIGHT).write_text(f"{street.camera_height:.6f}\n")
            np.savetxt(draft / "times.txt", street.times, fmt="%.9f")
            with atomic_path(root / "poses" / f"{name}.txt") as temporary:
                np.savetxt(temporary, street.poses[:, :3].reshape(-1, 12), fmt="%.12e")
    except OSError as error:
        check_claim(folder)
        raise DistilvoError(f"{folder}: cannot write the sequence ({error}); check space and permissions") from error
    return folder


def is_whole(root: Path, name: str, frames: int, *, flow: bool = False) -> bool:
    """Whether sequence ``name`` is there with all its images, times and poses; else it is removed, with a note.

    With ``flow``, or where some of it is there, all flow and depth must be there too. Only what ``write_street`` makes
    is removed.

    Raises:
        DistilvoError: the sequence has other content, or another length.
    """
    folder = root / "sequences" / checked_name(name, "sequence")
    if not folder.exists():
        return False
    counts = {
        "images": _files(folder / IMAGES),
        "times": _rows(folder / "times.txt"),
        "poses": _rows(root / "poses" / f"{name}.txt"),
    }
    missing = _missing(folder, frames, flow)
    if set(counts.values()) == {frames} and not missing:
        return True
    content = ", ".join(f"{count} {what}" for what, count in counts.items())
    foreign = [path for path in folder.rglob("*") if not _OWN.fullmatch(path.relative_to(folder).as_posix())]
    expected = f"holds {content}, expected {frames} of each{missing}"
    other_length = len(set(counts.values())) == 1 and set(counts.values()) != {frames}
    if foreign or other_length or folder.is_symlink():
        raise DistilvoError(f"{folder}: {expected}, as distilvo wrote them; move the folder away")
    warnings.warn(f"{folder}: {expected}; it is made anew", stacklevel=3)
    shutil.rmtree(folder)
    return False


def _missing(folder: Path, frames: int, flow: bool) -> str:
    """What a sequence of so many frames lacks besides images, times and poses, in words; empty where nothing."""
    wanted = {HEIGHT: (1, int((folder / HEIGHT).is_file()))}
    if flow or (folder / FLOW).exists() or (folder / DEPTH).exists():
        wanted |= {FLOW: (frames - 1, _files(folder / FLOW)), DEPTH: (frames, _files(folder / DEPTH))}
    lacks = [f"{kind}: {found} of {count}" for kind, (count, found) in wanted.items() if found != count]
    return f"; {', '.join(lacks)}" if lacks else ""


def _files(folder: Path) -> int:
    """Numbered PNG files that are not empty."""
    return sum(file.stat().st_size > 0 for file in folder.glob("[0-9]*.png"))


def _rows(path: Path) -> int:
    """Lines of a file, 0 where it is missing."""
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _write_truth(street: Street, index: int, folder: Path) -> None:
    """Write the depth of the image that was just rendered, and the flow to it from the one before."""
    _write_png(folder / DEPTH / f"{index:06d}.png", _depth_png(street.depth, street.own_car))
    if index:
        _write_png(folder / FLOW / f"{index - 1:06d}.png", _flow_png(*street.flow(index - 1)))


def _depth_png(depth: NDArray[np.float32], own_car: NDArray[np.bool_]) -> NDArray[np.uint16]:
    steps = np.rint(256.0 * depth)
    return np.where(own_car, _HIDDEN, np.where(steps < _HIDDEN, steps, 0)).astype(np.uint16)


def _flow_png(flow: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
    steps = np.rint(64.0 * flow) + 2**15
    kept = valid & ((steps >= 0) & (steps < 2**16)).all(axis=-1)
    blue_green_red = np.dstack([np.ones(kept.shape), steps[..., 1], steps[..., 0]])
    return np.where(kept[..., None], blue_green_red, 0).astype(np.uint16)


def _write_png(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    # Level 1: twice as fast as OpenCV's default and hardly larger on noisy images.
    encoded, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not encoded:
        raise DistilvoError(f"{path}: the image of shape {image.shape} could not be encoded as PNG")
    path.write_bytes(data.tobytes())


def _calibration(street: Street) -> str:
    numbers = np.concatenate([street.intrinsics, np.zeros((3, 1))], axis=1).ravel()
    return "".join(f"P{camera}: {' '.join(f'{x:.12e}' for x in numbers)}\n" for camera in range(4))
