"""What lies on the ground: road surface, kerbs, sidewalks, and the ground itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import MeshBuilder
from distilvo.world.road import SPACING, Road, RoadMap
from distilvo.world.street_type import StreetType

KERB = 0.14
"""Height of the sidewalk over the road's edge, metres."""

_CROWN = 0.05
_SIDE_STREET_DROP = 0.04
_ROAD_TILE = 16.0
_MOUTH = 9.0


def nodes(road: Road) -> NDArray[np.float64]:
    """Stations (N,) along ``road``, close together in bends, where its strips have their joints."""
    density = SPACING * (0.22 + 5.0 * np.abs(road.curvature))
    total = np.concatenate([[0.0], np.cumsum(density[:-1])])
    stations = np.interp(np.linspace(0.0, total[-1], int(total[-1]) + 2), total, np.arange(len(total)) * SPACING)
    return np.asarray(stations)


def add_roads(builder: MeshBuilder, road_map: RoadMap, street_type: StreetType) -> None:
    """Add the surface of every road and the sidewalks along it."""
    for index, road in enumerate(road_map.roads):
        stations = nodes(road)
        drop = _SIDE_STREET_DROP if index else 0.0
        strip = _Strip(builder, road_map, road, stations)
        middle = (stations[1:] + stations[:-1]) / 2
        uncovered = ~road.is_covered(middle)
        plain = np.full(len(middle), not street_type.marked or index > 0)
        if index == 0:
            plain |= (np.abs(middle[:, None] - road_map.junctions[None]) < _MOUTH).any(axis=1)
        for side in (1.0, -1.0):
            edge, crown = (side * road.half_width, -drop), (0.0, _CROWN - drop)
            u = (0.5 - side * 0.5, 0.5)
            strip.add(edge, crown, "road", u, _ROAD_TILE, uncovered & ~plain)
            strip.add(edge, crown, "asphalt", (0.0, road.half_width / 4.0), 4.0, uncovered & plain)
            if street_type.walk_width > 0.5:
                _add_sidewalk(strip, road_map, side, street_type.walk_width, uncovered)
            else:
                verge = (side * (road.half_width + 1.2), -0.1)
                strip.add(
                    edge, verge, "gravel", (0.0, 0.3), 4.0, uncovered & strip.is_free(side * (road.half_width + 0.6))
                )


class _Strip:
    """Adds bands along one road between two lateral offsets."""

    def __init__(self, builder: MeshBuilder, road_map: RoadMap, road: Road, stations: NDArray[np.float64]) -> None:
        self._builder, self._map, self.road, self._stations = builder, road_map, road, stations

    def is_free(self, offset: float) -> NDArray[np.bool_]:
        """(N-1,) whether the band around ``offset`` neither lies on another road nor folds over in a tight bend."""
        middle = (self._stations[1:] + self._stations[:-1]) / 2
        nominal = abs(offset) - self.road.half_width
        return self._map.clearance(self.road.point(middle, offset)) > nominal - 0.45

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


def _add_sidewalk(strip: _Strip, road_map: RoadMap, side: float, width: float, uncovered: NDArray[np.bool_]) -> None:
    edge = strip.road.half_width
    keep = uncovered & strip.is_free(side * (edge + width / 2))
    kerb, top, back = side * edge, (side * edge, KERB), (side * (edge + width), KERB + 0.02)
    strip.add((kerb, -0.05), top, "sidewalk", (0.0, 0.07), 2.0, keep, (0.8, 0.8, 0.8))
    strip.add(top, back, "sidewalk", (0.0, width / 2), 2.0, keep)
    strip.add(back, (back[0] + side * 0.05, -0.4), "sidewalk", (0.0, 0.1), 2.0, keep, (0.85, 0.85, 0.85))


def add_ground(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, grass: float) -> None:
    """Add the ground: a fine grid near the roads, a coarse one as far as the haze, patches of grass and gravel."""
    wave, shift = rng.uniform(0.012, 0.05, 2), rng.uniform(0.0, 2 * np.pi, 2)
    threshold = np.quantile(np.sin(np.linspace(0, 2 * np.pi, 64)), 1.0 - np.clip(grass, 0.02, 0.98))
    for cell, nearest, farthest, drop in ((6.0, -np.inf, 46.0, 0.12), (28.0, 26.0, 280.0, 0.9)):
        corner = _cells(road_map, cell, nearest, farthest)
        steps = cell * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        corners = road_map.on_ground(corner[:, None] + steps, -drop)
        centre = corner + cell / 2
        green = np.sin(centre[:, 0] * wave[0] + shift[0] + 1.3 * np.sin(centre[:, 1] * wave[1] + shift[1])) >= threshold
        for texture, chosen, tile in (("grass", green, 9.0), ("gravel", ~green, 4.0)):
            builder.quads(corners[chosen], corners[chosen][..., :2] / tile, texture)


def _cells(road_map: RoadMap, cell: float, nearest: float, farthest: float) -> NDArray[np.float64]:
    """Lower left corners (N, 2) of the grid cells whose centre lies between two distances from the kerbs."""
    samples = np.concatenate([road.xy for road in road_map.roads])
    low, high = (np.floor(samples.min(0) / cell) * cell - farthest, samples.max(0) + farthest)
    x, y = np.meshgrid(np.arange(low[0], high[0], cell), np.arange(low[1], high[1], cell))
    corner = np.stack([x.ravel(), y.ravel()], axis=-1)
    clearance = road_map.clearance(corner + cell / 2)
    return np.asarray(corner[(clearance > nearest) & (clearance < farthest)])


def add_junction_squares(builder: MeshBuilder, road_map: RoadMap, street_type: StreetType) -> None:
    """Pave the corners where sidewalks of crossing roads leave a gap."""
    road = road_map.roads[0]
    reach = road.half_width + max(street_type.walk_width, 1.0) + 2.0
    texture = "sidewalk" if street_type.walk_width > 0.5 else "gravel"
    line = np.linspace(-reach, reach, 6)
    along, across = np.meshgrid(line, line)
    for s in road_map.junctions[~road.is_covered(road_map.junctions)]:
        forward, left = (axis[:2] for axis in road.axes(s))
        grid = road.point(s, 0.0) + along[..., None] * forward + across[..., None] * left
        points, uv = road_map.on_ground(grid, -0.09), np.stack([along, across], -1) / 2.0

        def around(values: NDArray[np.float64]) -> NDArray[np.float64]:
            corners = values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]
            return np.stack(corners, axis=2).reshape(-1, 4, values.shape[-1])

        builder.quads(around(points), around(uv), texture, (0.9, 0.9, 0.9))
