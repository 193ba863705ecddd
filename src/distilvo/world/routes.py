"""Rendered streets along recorded drives, such as KITTI's: several sceneries of each drive."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import Array, c_int64
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.children import in_processes
from distilvo.environment import usable_cores
from distilvo.errors import DistilvoError
from distilvo.files import check_claim, claimed_folders, remove_drafts, share_claims
from distilvo.paths import check_distinct, checked_name
from distilvo.progress import Bar, progress
from distilvo.trajectory.formats import read_kitti
from distilvo.world.dataset import check_extent, check_share, street_name
from distilvo.world.street import make_street_along
from distilvo.world.street_writer import is_whole, write_street

_LONGEST_STEP_M = 10.0  # at 10 Hz 360 km/h
_SAME_M = 1e-3

_counts: Array[c_int64] | None = None
"""Images that are done of each drive that is being rendered, in memory that the processes share."""


def read_routes(paths: Iterable[Path]) -> dict[str, NDArray[np.float64]]:
    """Poses (N, 4, 4) of each drive by its name, the stem of its file, e.g. ``00``.

    Args:
        paths: pose files of KITTI, and folders of such files (``*.txt``).

    Raises:
        DistilvoError: a folder without pose files, two files of one stem, fewer than 2 poses, poses that are more than
            10 m apart, or not such a file.
    """
    files: dict[str, Path] = {}
    for file in (file for path in paths for file in _pose_files(path)):
        if file.stem in files:
            raise DistilvoError(
                f"{file}: would be sequence {file.stem}, and so would {files[file.stem]}; rename one, or leave it out"
            )
        files[file.stem] = file
    routes = {}
    for name, file in files.items():
        routes[name] = read_kitti(file)
        if len(routes[name]) < 2:
            raise DistilvoError(f"{file}: holds 1 pose; expected at least 2, one for each image of the drive")
        _check_steps(routes[name], file)
    return routes


def _check_steps(poses: NDArray[np.float64], file: Path) -> None:
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    if steps.max() > _LONGEST_STEP_M:
        k = int(steps.argmax())
        raise DistilvoError(
            f"{file}, pose {k + 2}: {steps[k]:.1f} m from the one before, {3.6 * 10 * steps[k]:.0f} km/h at 10 poses a "
            f"second; expected metres, and at most {_LONGEST_STEP_M:g} m"
        )


def render_routes(
    root: Path,
    routes: Mapping[str, NDArray[np.float64]],
    seeds: Sequence[int],
    size: tuple[int, int],
    workers: int | None = None,
    label: str = "render",
    adverse: float = 0.0,
    *,
    flow: bool = False,
) -> list[Path]:
    """Render each drive once for each seed into a KITTI odometry layout, at 10 Hz; whole ones are left as they are.

    The camera follows the drive exactly. Name and seed decide what stands around it: scenery, light, camera.

    Args:
        root: the data set's folder.
        routes: camera-to-world poses (N, 4, 4) of each drive, N >= 2, axes as in KITTI, by its name.
        seeds: one scenery of each drive for each. See ``route_names`` for the names of the sequences.
        size: (H, W), pixels.
        workers: processes; one for each core where not given.
        label: for the progress bar.
        adverse: share of the parts of each drive, 0 to 1, in adverse conditions; see ``sample_adverse_parts``.
        flow: write true flow and depth too; see ``write_street``.

    Returns:
        The sequences' folders: all of the first drive, then all of the second.

    Raises:
        DistilvoError: the share is outside 0 to 1, poses or names are impossible, a file cannot be written, a sequence
            is not whole and holds files of others, or goes along other poses, or a process was killed.
    """
    check_share(root, adverse)
    for poses in routes.values():
        check_extent(root, len(poses), size, seeds)
    names = route_names(routes, seeds)
    drives = dict(zip(names, ((route, seed) for route in routes for seed in seeds), strict=True))
    frames = {name: len(routes[route]) for name, (route, _) in drives.items()}
    remove_drafts(root / "sequences")
    missing = [name for name in names if not is_whole(root, name, frames[name], flow=flow)]
    for name in set(names) - set(missing):
        _check_along(root, name, routes[drives[name][0]])
    missing.sort(key=lambda name: -frames[name])  # the longest first, so that all processes end at about one time
    tasks = [(name, routes[drives[name][0]], _scenery_seed(*drives[name])) for name in missing]
    work = partial(_render, root=root, size=size, adverse=adverse, flow=flow)
    total = sum(frames.values())
    with progress(label, total, total - sum(frames[name] for name in missing)) as bar:
        _render_all(work, tasks, root, workers or usable_cores(), bar)
    remove_drafts(root / "sequences")  # of processes that had not quite ended before
    return [root / "sequences" / name for name in names]


def _check_along(root: Path, name: str, poses: NDArray[np.float64]) -> None:
    """Raise DistilvoError where a sequence that is there goes along other poses."""
    file = root / "poses" / f"{name}.txt"
    rendered, wanted = ((path[0, :3, :3].T @ (path[:, :3, 3] - path[0, :3, 3]).T) for path in (read_kitti(file), poses))
    if np.abs(rendered - wanted).max() > _SAME_M:
        raise DistilvoError(
            f"{file}: the sequence that is there was rendered along other poses than those given now; choose another "
            "--out, or move it away"
        )


def route_names(routes: Iterable[str], seeds: Sequence[int]) -> list[str]:
    """Names of the sequences, one drive after another: the drive's, and where there are several seeds the seed's
    behind it, e.g. ``05`` or ``05-00``, ``05-01``.

    Raises:
        DistilvoError: one cannot name a folder, or two of them are one folder.
    """
    names = [route if len(seeds) == 1 else f"{route}-{street_name(seed)}" for route in routes for seed in seeds]
    check_distinct(names, "sequence")
    return [checked_name(name, "sequence") for name in names]


def _pose_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob("*.txt") if file.name[0] != ".")
    if not files:
        raise DistilvoError(f"{path}: no pose file in this folder; expected KITTI's, such as 00.txt")
    return files


def _scenery_seed(route: str, seed: int) -> int:
    """What scenery, light and camera are drawn from: two drives of one seed do not look alike."""
    return int(np.random.SeedSequence([seed, *route.encode()]).generate_state(1, np.uint64)[0])


def _render_all(
    work: Callable[..., None], tasks: Sequence[tuple[str, NDArray[np.float64], int]], root: Path, cores: int, bar: Bar
) -> None:
    workers = min(cores, len(tasks))
    if workers < 2:
        for task in tasks:
            work(*task, bar.advance)
        return
    # No lock: a process that is killed would keep it. Each writes the counts of its own drives alone.
    counts = multiprocessing.get_context("spawn").RawArray(c_int64, len(tasks))
    shown = 0

    def show() -> None:
        nonlocal shown
        done = sum(counts)
        if done > shown:
            bar.advance(done - shown)
            shown = done

    in_processes(
        partial(_counted, work),
        [(number, task) for number, task in enumerate(tasks)],
        workers=workers,
        on_done=lambda _: check_claim(root),
        where=str(root),
        begin=_begin,
        arguments=(claimed_folders(), counts),
        while_waiting=show,
    )
    show()


def _begin(claims: tuple[Path, ...], counts: Array[c_int64]) -> None:
    global _counts
    share_claims(claims)
    _counts = counts


def _counted(work: Callable[..., None], number: int, task: tuple[Any, ...]) -> None:
    def count() -> None:
        assert _counts is not None
        _counts[number] += 1

    work(*task, count)


def _render(
    name: str,
    poses: NDArray[np.float64],
    seed: int,
    on_frame: Callable[[], None],
    root: Path,
    size: tuple[int, int],
    adverse: float,
    flow: bool,
) -> None:
    write_street(make_street_along(poses, seed, size, adverse=adverse), root, name, on_frame, flow=flow)
