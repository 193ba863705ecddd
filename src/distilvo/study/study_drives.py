"""The drives of a study: rendered where its plan says so, and opened as caches of frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.files import read_json, write_json
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import Sequence, choose, open_dataset
from distilvo.study.plan import Plan, Routes, Split, Streets

# Seeds that neither the demo, its tests nor the shipped teacher use.
TRAIN_SEEDS, TEST_SEEDS, VALIDATION_SEEDS = 30_000, 40_000, 50_000


@dataclass(frozen=True)
class StudyDrives:
    """Frames to train on, to test on, and to choose settings by, where the plan has such."""

    train: FrameCache
    test: FrameCache
    validation: FrameCache | None


def check_named(plan: Plan, data: Path | None) -> None:
    """Raise DistilvoError where a drive that a plan names is not in the data, whatever part of the study it is for."""
    if isinstance(plan.data, Streets):
        return
    assert data is not None
    names = (*plan.data.train, *plan.data.validation, *plan.data.test)
    if isinstance(plan.data, Split):
        choose(data, names)
        return
    from distilvo.world.routes import read_routes

    for name in dict.fromkeys(names):
        read_routes([_pose_file(data, name)])


def check_same(drives: StudyDrives, out: Path) -> None:
    """Keep what identifies the drives of a study in ``out / "drives.json"``.

    Raises:
        DistilvoError: the study began with other frames, times or poses.
    """
    path = out / "drives.json"
    keys = {part: cache.key for part, cache in vars(drives).items() if cache is not None}
    if not path.exists():
        write_json(path, keys)
    before = read_json(path)
    if changed := [part for part, key in keys.items() if before.get(part) != key]:
        raise DistilvoError(
            f"{out}: its drives for {', '.join(changed)} have other frames, times or poses than when it began; restore "
            "them, or choose another --out"
        )


def render_drives(plan: Plan, out: Path, data: Path | None, size: tuple[int, int]) -> None:
    """Render what the plan wants rendered into ``out / "data"``; what is there already is left as it is.

    Raises:
        DistilvoError: a pose file is missing.
    """
    if isinstance(plan.data, Streets):
        from distilvo.world.dataset import render_streets

        s = plan.data
        for part, first, count in (("train", TRAIN_SEEDS, s.train), ("test", TEST_SEEDS, s.test)):
            seeds = range(first, first + count)
            render_streets(out / "data" / part, seeds, s.frames, size, label=f"{part} streets", adverse=s.adverse)
    if isinstance(plan.data, Routes):
        from distilvo.world.routes import read_routes, render_routes

        assert data is not None
        r = plan.data
        for part, names, first, count in (
            ("train", r.train, TRAIN_SEEDS, r.sceneries),
            ("validation", r.validation, VALIDATION_SEEDS, 1),
            ("test", r.test, TEST_SEEDS, r.test_sceneries),
        ):
            routes = read_routes(_pose_file(data, name) for name in names)
            seeds = range(first, first + count)
            render_routes(out / "data" / part, routes, seeds, size, label=f"{part} drives", adverse=r.adverse)


def open_drives(plan: Plan, out: Path, data: Path | None, preprocessing: Preprocessing) -> StudyDrives:
    """Open the drives of all parts; rendered ones lie in ``out / "data"``."""

    def opened(part: str) -> FrameCache | None:
        sequences = _sequences(plan, out, data, part)
        return open_cache(sequences, preprocessing, out / "cache", f"{part} drives") if sequences else None

    train, test = opened("train"), opened("test")
    assert train is not None and test is not None
    return StudyDrives(train, test, opened("validation"))


def labelled_drives(plan: Plan, train: FrameCache) -> list[int]:
    """Indices of the drives to train on that have labels, where the plan says that not all have; else none."""
    if isinstance(plan.data, Split) or not plan.data.has_film:
        return []
    if isinstance(plan.data, Streets):
        return list(range(plan.data.labelled or 0))
    from distilvo.world.routes import route_names

    r = plan.data
    names = route_names(r.labelled or r.train, range(TRAIN_SEEDS, TRAIN_SEEDS + r.sceneries))
    names = [name for number, name in enumerate(names) if number % r.sceneries < (r.labelled_sceneries or r.sceneries)]
    return [index for index, drive in enumerate(train.drives) if drive.name in names]


def _sequences(plan: Plan, out: Path, data: Path | None, part: str) -> list[Sequence]:
    if isinstance(plan.data, (Streets, Routes)):
        folder = out / "data" / part
        return open_dataset(folder) if folder.is_dir() else []
    assert data is not None
    names: tuple[str, ...] = getattr(plan.data, part)
    return choose(data, names) if names else []


def _pose_file(data: Path, name: str) -> Path:
    places = [folder / f"{name}.txt" for folder in (data, data / "poses")]
    for path in places:
        if path.is_file():
            return path
    raise DistilvoError(f"{data}: no poses of drive {name}; expected {places[0]} or {places[1]}")
