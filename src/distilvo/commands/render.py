"""``distilvo render``: streets of the built-in world, in KITTI odometry layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.progress import console


@dataclass(frozen=True)
class Render:
    """Render streets of the built-in world in KITTI odometry layout, at 10 Hz (extra world)."""

    out: Path
    """Data set's folder; streets that are there already are kept."""
    seed: int = 0
    """Of the first street; the next ones count up."""
    streets: int = 1
    """How many; with --poses, how many sceneries of each drive."""
    frames: int | None = None
    """Images of each street, 200 where not given; with --poses each drive has as many as poses."""
    size: tuple[int, int] = (192, 640)
    """Height and width, pixels."""
    poses: tuple[Path, ...] = ()
    """Drive along these pose files (KITTI: 12 numbers a row), or all *.txt of a folder, instead of streets of the
    world's own making. A sequence is named as its file, with --streets 2 or more by the seed too: 00-00, 00-01."""
    adverse: float = 0.0
    """Share of the streets, 0 to 1, in adverse conditions: dark, blurred, foggy or crowded; with --poses, share of the
    parts of 10 s of each drive."""
    flow: bool = False
    """Write true optical flow and depth too, in KITTI's formats (docs/world.md)."""

    def run(self) -> None:
        """Render, or go on where it was interrupted."""
        if self.streets < 1:
            raise DistilvoError(f"render: --streets {self.streets}; expected at least 1")
        if not 0.0 <= self.adverse <= 1.0:
            raise DistilvoError(f"render: --adverse {self.adverse}; expected 0 to 1")
        if self.poses and self.frames is not None:
            raise DistilvoError(f"render: --frames {self.frames} beside --poses; each drive has as many as poses")
        seeds = range(self.seed, self.seed + self.streets)
        folders = self._along(seeds) if self.poses else self._streets(seeds)
        console.print(f"{len(folders)} sequences in {self.out / 'sequences'}")

    def _streets(self, seeds: range) -> list[Path]:
        from distilvo.world.dataset import check_extent, render_streets

        frames = 200 if self.frames is None else self.frames
        check_extent(self.out, frames, self.size, seeds)
        claim_folder(self.out, "render", self._settings() | {"frames": frames, "poses": None})
        return render_streets(self.out, seeds, frames, self.size, adverse=self.adverse, flow=self.flow)

    def _along(self, seeds: range) -> list[Path]:
        from distilvo.world.dataset import check_extent
        from distilvo.world.routes import read_routes, render_routes, route_names

        routes = read_routes(self.poses)
        for poses in routes.values():
            check_extent(self.out, len(poses), self.size, seeds)
        route_names(routes, seeds)  # refused before the folder is claimed
        settings = self._settings() | {"poses": list(routes)}
        if len(seeds) == 1:  # else the names tell the seeds, and there may be more of them
            settings["seed"] = self.seed
        claim_folder(self.out, "render", settings)
        return render_routes(self.out, routes, seeds, self.size, adverse=self.adverse, flow=self.flow)

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = {"size": list(self.size), "adverse": self.adverse}
        if self.flow:  # not named otherwise: folders of older versions go on
            settings["flow"] = True
        return settings
