"""Everything visible in a street, and how a long street is split into parts for rendering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distilvo.world.mesh import Mesh
from distilvo.world.retrace import Lap
from distilvo.world.traffic import Mover

_SIGHT = 300.0
_CELL = 50.0


@dataclass(frozen=True)
class Scene:
    """Everything that stands and everything that moves.

    Attributes:
        mesh: everything that stands still, on the ground of the first lap.
        movers: the cars that drive by, likewise.
        laps: the laps of a road along a given track; empty for a street with one ground.
        first: (L,) the image with which each lap begins.
    """

    mesh: Mesh
    movers: list[Mover]
    laps: tuple[Lap, ...] = ()
    first: tuple[int, ...] = (0,)

    def over_laps(self, laps: list[Lap], s: NDArray[np.float64]) -> Scene:
        """The same scene on the laps of a road; ``s`` (N,) are the stations of the images."""
        first = np.searchsorted(s, [lap.begin for lap in laps])
        return replace(self, laps=tuple(laps), first=(0, *map(int, first[1:])))

    def part_of(self, index: int) -> int:
        """The lap that image ``index`` belongs to."""
        return int(np.searchsorted(self.first, index, side="right")) - 1

    def mesh_of(self, part: int) -> Mesh:
        """What can be seen from one lap, on that lap's ground."""
        if not self.laps:
            return self.mesh
        lap = self.laps[part]
        visible = np.repeat(_near(self.mesh.vertices[self.mesh.faces[::2, 0], :2], lap.reach), 2)
        used = np.unique(self.mesh.faces[visible])
        number = np.zeros(len(self.mesh.vertices), dtype=np.int32)
        number[used] = np.arange(len(used))
        vertices = self.mesh.vertices[used]
        vertices[:, 2] += self._rise(part, vertices[:, :2])
        m = self.mesh
        return Mesh(
            vertices=vertices,
            uv=m.uv[used],
            faces=number[m.faces[visible]],
            texture=m.texture[visible],
            normals=m.normals[visible],
            colour=m.colour[visible],
            cutout=m.cutout[visible],
        )

    def moving(self, index: int) -> Iterator[tuple[int, Mesh, NDArray[np.float64]]]:
        """Number, mesh and body-to-world (4, 4) of each car in sight in image ``index``; it keeps its number."""
        part = self.part_of(index)
        for number, mover in enumerate(self.movers):
            body = mover.at(index)
            if body is None:
                continue
            if part:
                body = body.copy()
                body[2, 3] += float(self._rise(part, body[None, :2, 3])[0])
            yield number, mover.mesh, body

    def _rise(self, part: int, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much higher than on the first lap the ground is, (N,) metres at (N, 2) points."""
        return self.laps[part].ground(xy) - self.laps[0].ground(xy)


def _near(xy: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (N, 2) lie within sight of any of the ``places`` (R, 2), to about a cell."""
    low = xy.min(axis=0)
    cells = np.floor((xy - low) / _CELL).astype(int)
    width, height = cells.max(axis=0) + 1
    x, y = np.meshgrid(np.arange(width), np.arange(height), indexing="ij")
    centre = low + (np.stack([x, y], axis=-1) + 0.5) * _CELL
    visible = np.zeros((width, height), dtype=bool)
    for place in places[:: int(_CELL)]:
        visible |= np.hypot(*(centre - place).transpose(2, 0, 1)) < _SIGHT
    return np.asarray(visible[cells[:, 0], cells[:, 1]])
