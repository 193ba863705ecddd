"""``distilvo convert``: a trajectory file from one format to another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from distilvo.errors import DistilvoError
from distilvo.progress import console

if TYPE_CHECKING:
    from distilvo.trajectory.formats import Trajectory

Format = Literal["tum", "kitti"]
_BY_SUFFIX: dict[str, Format] = {".tum": "tum", ".kitti": "kitti"}


@dataclass(frozen=True)
class Convert:
    """Write a trajectory of KITTI, KITTI-360, TUM or EuRoC as TUM or KITTI; no file is ever overwritten."""

    source: Positional[Path]
    """Trajectory file: KITTI (also with frame numbers), TUM, or EuRoC's data.csv."""
    out: Positional[Path]
    """New file; the suffix .tum or .kitti says its format."""
    to: Format | None = None
    """Format of the new file where its suffix does not say it."""
    times: Path | None = None
    """To TUM: file of the times of KITTI poses, seconds, one a row. To KITTI: new file for the times of a TUM file;
    OUT with the suffix .times.txt where not given."""

    def run(self) -> None:
        """Convert, and say how many poses were written."""
        from distilvo.trajectory.formats import read_trajectory

        form = self._format()
        _check_new(self.out)
        trajectory = read_trajectory(self.source)
        if form == "tum":
            self._write_tum(trajectory)
        else:
            self._write_kitti(trajectory)

    def _format(self) -> Format:
        by_suffix = _BY_SUFFIX.get(self.out.suffix)
        if self.to is not None and by_suffix not in (None, self.to):
            raise DistilvoError(f"{self.out}: the suffix says {by_suffix}, but --to {self.to}; expected one of them")
        if (form := self.to or by_suffix) is None:
            raise DistilvoError(f"{self.out}: the suffix does not say the format; give --to tum or --to kitti")
        return form

    def _write_tum(self, trajectory: Trajectory) -> None:
        import numpy as np

        from distilvo.trajectory.conversion import read_times, with_times
        from distilvo.trajectory.formats import write_tum

        if trajectory.times is not None and self.times is not None:
            raise DistilvoError(f"{self.source}: has times of its own; leave --times {self.times} out")
        if trajectory.times is None:
            if self.times is None:
                raise DistilvoError(
                    f"{self.source}: has no measured times, and a TUM file needs them; give --times FILE, seconds, "
                    f"one a row{self._near_times()}"
                )
            times = read_times(self.times)
            if repeated := int((np.diff(times) == 0).sum()):
                warnings.warn(
                    f"{self.times}: {repeated} times repeat the one before; many programs leave such poses out",
                    stacklevel=2,
                )
            trajectory = with_times(trajectory, times, str(self.times))
        assert trajectory.times is not None
        write_tum(self.out, trajectory.poses, trajectory.times)
        self._tell(f"{len(trajectory.poses)} poses, {trajectory.times[0]:.3f} to {trajectory.times[-1]:.3f} s")

    def _write_kitti(self, trajectory: Trajectory) -> None:
        from distilvo.trajectory.conversion import write_kitti_with_times

        if trajectory.times is None and self.times is not None:
            raise DistilvoError(f"{self.source}: has no measured times that could be written to --times {self.times}")
        times = self.times or self.out.with_suffix(".times.txt")
        if trajectory.times is not None:
            _check_new(times)
            if times.resolve() == self.out.resolve():
                raise DistilvoError(f"--times {times}: is the file of the poses, too; give another name")
        write_kitti_with_times(trajectory, self.out, times)
        self._tell(f"{len(trajectory.poses)} poses" + ("" if trajectory.times is None else f"; their times: {times}"))

    def _near_times(self) -> str:
        """Where the times of the poses may be: beside them, or in the layout of KITTI odometry."""
        beside = self.source.with_suffix(".times.txt"), self.source.with_name("times.txt")
        odometry = self.source.parent.parent / "sequences" / self.source.stem / "times.txt"
        return next((f"; try --times {file}" for file in (*beside, odometry) if file.is_file()), "")

    def _tell(self, content: str) -> None:
        console.print(f"{self.out}: {content}")


def _check_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise DistilvoError(f"{path}: exists already; choose another name or remove it")
