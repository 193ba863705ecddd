"""Bands, walls and kerbs that follow a road."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import MeshBuilder
from distilvo.world.road import SPACING, Road, RoadMap

KERB = 0.14
"""Height of the sidewalk over the road's edge, metres."""


def nodes(road: Road) -> NDArray[np.float64]:
    """Stations (N,) along ``road``, close together in bends, where its strips have their joints."""
    density = SPACING * (0.22 + 5.0 * np.abs(road.curvature))
    total = np.concatenate([[0.0], np.cumsum(density[:-1])])
    stations = np.interp(np.linspace(0.0, total[-1], int(total[-1]) + 2), total, np.arange(len(total)) * SPACING)
    return np.asarray(stations)


class Strip:
    """Adds bands along one road between two lateral offsets."""

    def __init__(self, builder: MeshBuilder, road_map: RoadMap, road: Road, stations: NDArray[np.float64]) -> None:
        self._builder, self._map, self.road, self._stations = builder, road_map, road, stations

    def is_free(self, offset: float) -> NDArray[np.bool_]:
        """(N-1,) whether the band around ``offset`` neither lies on another road nor folds over in a tight bend."""
        nominal = abs(offset) - self.road.half_width
        return self._map.clearance(self.road.point(self.middle, offset)) > nominal - 0.45

    @property
    def middle(self) -> NDArray[np.float64]:
        """(N-1,) stations in the middle of the pieces."""
        return np.asarray((self._stations[1:] + self._stations[:-1]) / 2)

    def add(
        self,
        outer: tuple[float, float],
        inner: tuple[float, float],
        texture: str,
        u: tuple[float, float],
        period: float,
        keep: NDArray[np.bool_],
        colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        """Add the band between two (offset, lift) lines; ``u`` at the two, v one per ``period`` metres."""
        if not keep.any():
            return
        lines = [self._map.place(self.road, self._stations, offset, lift) for offset, lift in (outer, inner)]
        first, second = lines
        corners = np.stack([first[:-1], second[:-1], second[1:], first[1:]], axis=1)
        v = self._stations / period
        uv = np.empty((len(v) - 1, 4, 2))
        uv[:, (0, 3), 0], uv[:, (1, 2), 0] = u
        uv[:, :2, 1], uv[:, 2:, 1] = v[:-1, None], v[1:, None]
        self._builder.quads(corners[keep], uv[keep], texture, colour)

    def wall(
        self,
        offset: float,
        lift: tuple[float, float],
        texture: str,
        tile: float,
        keep: NDArray[np.bool_],
        colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
        lean: float = 0.0,
        cutout: bool = False,
    ) -> None:
        """Add a wall between two heights, its texture upright and ``tile`` metres long; its top leans by ``lean``."""
        if not keep.any():
            return
        foot = self._map.place(self.road, self._stations, offset, lift[0])
        top = self._map.on_ground(self.road.point(self._stations, offset + lean), 0.0)
        top[:, 2] = foot[:, 2] + lift[1] - lift[0]
        corners = np.stack([foot[:-1], foot[1:], top[1:], top[:-1]], axis=1)
        u = self._stations / tile
        uv = np.empty((len(u) - 1, 4, 2))
        uv[:, (0, 3), 0], uv[:, (1, 2), 0] = u[:-1, None], u[1:, None]
        uv[:, :2, 1], uv[:, 2:, 1] = 1.0, 0.0
        self._builder.quads(corners[keep], uv[keep], texture, colour, cutout=cutout)


def add_edge(strip: Strip, side: float, walk_width: float, keep: NDArray[np.bool_]) -> None:
    """Add a kerb and a sidewalk on one side (1 left, -1 right), or a verge of gravel where there is none."""
    if walk_width > 0.5:
        _add_sidewalk(strip, side, walk_width, keep)
        return
    edge = strip.road.half_width
    keep = keep & strip.is_free(side * (edge + 0.6))
    strip.add((side * edge, 0.0), (side * (edge + 1.2), -0.1), "gravel", (0.0, 0.3), 4.0, keep)


def _add_sidewalk(strip: Strip, side: float, width: float, keep: NDArray[np.bool_]) -> None:
    edge = strip.road.half_width
    keep = keep & strip.is_free(side * (edge + width / 2))
    kerb, top, back = side * edge, (side * edge, KERB), (side * (edge + width), KERB + 0.02)
    strip.add((kerb, -0.05), top, "sidewalk", (0.0, 0.07), 2.0, keep, (0.8, 0.8, 0.8))
    strip.add(top, back, "sidewalk", (0.0, width / 2), 2.0, keep)
    strip.add(back, (back[0] + side * 0.05, -0.4), "sidewalk", (0.0, 0.1), 2.0, keep, (0.85, 0.85, 0.85))
