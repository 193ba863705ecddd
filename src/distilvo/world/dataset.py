"""Many streets at once, a process for each core."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilvo.environment import usable_cores
from distilvo.errors import DistilvoError
from distilvo.progress import progress
from distilvo.world.adverse import is_adverse
from distilvo.world.street import make_street, make_street_along
from distilvo.world.street_writer import write_street


def render_streets(
    root: Path,
    seeds: Sequence[int],
    frames: int,
    size: tuple[int, int],
    workers: int | None = None,
    label: str = "render",
    adverse: float = 0.0,
) -> list[Path]:
    """Render one street for each seed into a KITTI odometry layout; existing ones are left as they are.

    Args:
        root: the data set's folder.
        seeds: one street each, named by its seed.
        frames: images in each street, at 10 Hz.
        size: (H, W), pixels.
        workers: processes; one for each core where not given.
        label: for the progress bar.
        adverse: share of the streets, 0 to 1, in adverse conditions; the seeds decide which ones.

    Returns:
        The sequences' folders.

    Raises:
        DistilvoError: the share is outside 0 to 1, a file cannot be written, or a process was killed.
    """
    if not 0.0 <= adverse <= 1.0:
        raise DistilvoError(f"{root}: a share of {adverse} in adverse conditions; expected 0 to 1, e.g. 0.5")
    folders = [root / "sequences" / street_name(seed) for seed in seeds]
    missing = [seed for seed, folder in zip(seeds, folders, strict=True) if not folder.exists()]
    workers = min(workers or usable_cores(), max(1, len(missing)))
    work = partial(_render, root=root, frames=frames, size=size, adverse=adverse)
    with progress(label, len(seeds), len(seeds) - len(missing)) as bar:
        if workers == 1:
            for seed in missing:
                work(seed)
                bar.advance()
            return folders
        # Fork would copy the locks of torch's threads.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            try:
                for future in as_completed([pool.submit(work, seed) for seed in missing]):
                    future.result()
                    bar.advance()
            except BrokenProcessPool:
                raise DistilvoError(
                    f"{root}: a rendering process was killed (out of memory?); run again, it goes on"
                ) from None
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return folders


def render_along(poses: NDArray[np.float64], seed: int, size: tuple[int, int], root: Path, name: str) -> Path:
    """Render a street along camera-to-world poses (N, 4, 4) at 10 Hz; an existing one is left as it is."""
    folder = root / "sequences" / name
    if not folder.exists():
        with progress("render", len(poses)) as bar:
            write_street(make_street_along(poses, seed, size), root, name, bar.advance)
    return folder


def street_name(seed: int) -> str:
    """Name of the sequence of a seed; the shortest ones look like KITTI's, e.g. ``07``."""
    return f"{seed:02d}"


def _render(seed: int, root: Path, frames: int, size: tuple[int, int], adverse: float) -> None:
    write_street(make_street(seed, frames, size, adverse=is_adverse(seed, adverse)), root, street_name(seed))
