"""Many streets at once, a process for each core."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from distilvo.children import in_processes
from distilvo.environment import usable_cores
from distilvo.errors import DistilvoError
from distilvo.files import check_claim, claimed_folders, remove_drafts, share_claims
from distilvo.progress import progress
from distilvo.world.adverse import is_adverse
from distilvo.world.street import make_street
from distilvo.world.street_writer import is_whole, write_street

_MOST_STREETS, _MOST_FRAMES, _MOST_PIXELS = 100_000, 1_000_000, 2**24


def render_streets(
    root: Path,
    seeds: Sequence[int],
    frames: int,
    size: tuple[int, int],
    workers: int | None = None,
    label: str = "render",
    adverse: float = 0.0,
    *,
    flow: bool = False,
) -> list[Path]:
    """Render one street for each seed into a KITTI odometry layout; whole ones are left as they are.

    Args:
        root: the data set's folder.
        seeds: one street each, named by its seed.
        frames: images in each street, at 10 Hz.
        size: (H, W), pixels.
        workers: processes; one for each core where not given.
        label: for the progress bar.
        adverse: share of the streets, 0 to 1, in adverse conditions; the seeds decide which ones.
        flow: write true flow and depth too; see ``write_street``.

    Returns:
        The sequences' folders.

    Raises:
        DistilvoError: the share is outside 0 to 1, a file cannot be written, a street is not whole and holds files of
            others, or a process was killed.
    """
    check_share(root, adverse)
    check_extent(root, frames, size, seeds)
    names = [street_name(seed) for seed in seeds]
    remove_drafts(root / "sequences")
    missing = [seed for seed, name in zip(seeds, names, strict=True) if not is_whole(root, name, frames, flow=flow)]
    workers = min(workers or usable_cores(), max(1, len(missing)))
    work = partial(_render, root=root, frames=frames, size=size, adverse=adverse, flow=flow)
    with progress(label, len(seeds), len(seeds) - len(missing)) as bar:

        def done(_: object) -> None:
            check_claim(root)
            bar.advance()

        if workers == 1:
            for seed in missing:
                done(work(seed))
        else:
            tasks = [(seed,) for seed in missing]
            claims = (claimed_folders(),)
            in_processes(
                work, tasks, workers=workers, on_done=done, where=str(root), begin=share_claims, arguments=claims
            )
    remove_drafts(root / "sequences")  # of processes that had not quite ended before
    return [root / "sequences" / name for name in names]


def check_share(root: Path, share: float) -> None:
    """Raise DistilvoError where a share in adverse conditions is outside 0 to 1."""
    if not 0.0 <= share <= 1.0:
        raise DistilvoError(f"{root}: a share of {share} in adverse conditions; expected 0 to 1, e.g. 0.5")


def check_extent(root: Path, frames: int, size: tuple[int, int], seeds: Sequence[int]) -> None:
    """Raise DistilvoError where streets of this extent cannot be rendered, before memory or days are spent on them."""
    for what, value, least, most in (
        ("streets", len(seeds), 0, _MOST_STREETS),
        ("frames", frames, 2, _MOST_FRAMES),
        ("pixels of an image", math.prod(size) if min(size) > 0 else 0, 1, _MOST_PIXELS),
        ("as seed", seeds[0] if seeds else 0, 0, 2**63),
    ):
        if not least <= value <= most:
            raise DistilvoError(f"{root}: {value} {what}; expected {least} to {most}")


def street_name(seed: int) -> str:
    """Name of the sequence of a seed; the shortest ones look like KITTI's, e.g. ``07``."""
    return f"{seed:02d}"


def _render(seed: int, root: Path, frames: int, size: tuple[int, int], adverse: float, flow: bool) -> None:
    street = make_street(seed, frames, size, adverse=is_adverse(seed, adverse))
    write_street(street, root, street_name(seed), flow=flow)
