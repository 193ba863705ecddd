"""What lies on the ground: road surface, kerbs, sidewalks, and the ground itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import MeshBuilder
from distilvo.world.lanes import add_carriageways, near_junction
from distilvo.world.road import RoadMap
from distilvo.world.street_type import StreetType
from distilvo.world.strip import Strip, add_edge, nodes

_CROWN = 0.05
_SIDE_STREET_DROP = 0.04
_ROAD_TILE = 16.0
_MOUTH = 9.0


def add_roads(builder: MeshBuilder, road_map: RoadMap, street_type: StreetType) -> None:
    """Add the surface of every road and the sidewalks along it."""
    for index, road in enumerate(road_map.roads):
        if index == 0 and street_type.divided:
            add_carriageways(builder, road_map, street_type)
            continue
        stations = nodes(road)
        drop = _SIDE_STREET_DROP if index else 0.0
        strip = Strip(builder, road_map, road, stations)
        middle = strip.middle
        uncovered = ~road.is_covered(middle)
        plain = np.full(len(middle), not street_type.marked or index > 0)
        if index == 0:
            plain |= near_junction(road_map, middle, _MOUTH)
        for side in (1.0, -1.0):
            edge, crown = (side * road.half_width, -drop), (0.0, _CROWN - drop)
            u = (0.5 - side * 0.5, 0.5)
            strip.add(edge, crown, "road", u, _ROAD_TILE, uncovered & ~plain)
            strip.add(edge, crown, "asphalt", (0.0, road.half_width / 4.0), 4.0, uncovered & plain)
            add_edge(strip, side, street_type.walk_width, uncovered)


def add_ground(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Add the ground: a fine grid near the roads, a coarse one as far as the haze, patches of grass and gravel, and
    fields at some distance from the roads."""
    grass = street_type.grass
    wave, shift = rng.uniform(0.012, 0.05, 2), rng.uniform(0.0, 2 * np.pi, 2)
    threshold = np.quantile(np.sin(np.linspace(0, 2 * np.pi, 64)), 1.0 - np.clip(grass, 0.02, 0.98))
    for cell, nearest, farthest, drop in ((6.0, -np.inf, 46.0, 0.12), (28.0, 26.0, 280.0, 0.9)):
        corner = _cells(road_map, cell, nearest, farthest)
        steps = cell * np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
        corners = road_map.on_ground(corner[:, None] + steps, -drop)
        centre = corner + cell / 2
        green = np.sin(centre[:, 0] * wave[0] + shift[0] + 1.3 * np.sin(centre[:, 1] * wave[1] + shift[1])) >= threshold
        crop, tint = _fields(rng, road_map, centre) if street_type.fields else (np.zeros(len(centre), bool), None)
        for texture, chosen, tile in (("grass", green & ~crop, 9.0), ("gravel", ~green & ~crop, 4.0)):
            builder.quads(corners[chosen], corners[chosen][..., :2] / tile, texture)
        if tint is not None:
            builder.quads(corners[crop], corners[crop][..., :2] / 6.0, "field", tint[crop])


def _fields(
    rng: np.random.Generator, road_map: RoadMap, centre: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which ground cells (N,) belong to fields, and the tints (N, 3) of the cells: one for each field."""
    block = np.floor(centre / rng.uniform(70.0, 160.0, 2)).astype(np.int64)
    number = (block[:, 0] * 73 + block[:, 1] * 151) % 64
    tints = rng.uniform(0.75, 1.15, (64, 1)) * rng.uniform(0.8, 1.15, (64, 3))
    chosen = rng.random(64) < 0.65
    return chosen[number] & (road_map.clearance(centre) > 7.0), tints[number]


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
