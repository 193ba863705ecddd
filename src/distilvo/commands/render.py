"""``distilvo render``: streets of the built-in world, in KITTI odometry layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.paths import checked_name
from distilvo.progress import console


@dataclass(frozen=True)
class Render:
    """Render streets of the built-in world in KITTI odometry layout, at 10 Hz (extra world)."""

    out: Path
    """Data set's folder; streets that are there already are kept."""
    seed: int = 0
    """Of the first street; the next ones count up."""
    streets: int = 1
    """How many."""
    frames: int = 200
    """Images of each street."""
    size: tuple[int, int] = (192, 640)
    """Height and width, pixels."""
    poses: Path | None = None
    """Drive along this pose file (KITTI: 12 numbers a row) instead of a street of the world's own making."""
    adverse: float = 0.0
    """Share of the streets, 0 to 1, in adverse conditions: dark, blurred, foggy or crowded."""
    flow: bool = False
    """Write true optical flow and depth too, in KITTI's formats (docs/world.md)."""

    def run(self) -> None:
        """Render, or go on where it was interrupted."""
        if self.streets < 1:
            raise DistilvoError(f"render: --streets {self.streets}; expected at least 1")
        if not 0.0 <= self.adverse <= 1.0 or (self.adverse and self.poses is not None):
            raise DistilvoError(f"render: --adverse {self.adverse}; expected 0 to 1, and none with --poses")
        from distilvo.trajectory.formats import read_kitti
        from distilvo.world.dataset import check_extent, render_along, render_streets

        poses = None if self.poses is None else str(self.poses)
        settings = {"frames": self.frames, "size": list(self.size), "poses": poses, "adverse": self.adverse}
        if self.flow:  # not named otherwise: folders of older versions go on
            settings["flow"] = True
        path = None if self.poses is None else read_kitti(self.poses)
        seeds = range(self.seed, self.seed + self.streets)
        check_extent(self.out, self.frames if path is None else len(path), self.size, seeds)
        if self.poses is not None:
            checked_name(self.poses.stem, "sequence")
        claim_folder(self.out, "render", settings)
        if self.poses is None or path is None:
            folders = render_streets(self.out, seeds, self.frames, self.size, adverse=self.adverse, flow=self.flow)
        else:
            folders = [render_along(path, self.seed, self.size, self.out, self.poses.stem, flow=self.flow)]
        console.print(f"{len(folders)} sequences in {self.out / 'sequences'}")
