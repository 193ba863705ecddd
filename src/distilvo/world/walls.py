"""What accompanies a road for long: crash barriers, concrete barriers, noise walls, and the edges of woods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UP, MeshBuilder
from distilvo.world.lanes import median_edge, near_junction
from distilvo.world.road import SPACING, Road, RoadMap
from distilvo.world.street_type import StreetType
from distilvo.world.strip import Strip, nodes

_RAIL = (0.44, 0.76)
_POSTS = 4.0
_ROOM = 12.0  # metres that walls keep from junctions


def add_walls(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Add the barriers, noise walls and woods along the driven road, and a wood that closes the view at its end."""
    road = road_map.roads[0]
    strip = Strip(builder, road_map, road, nodes(road))
    free = ~road.is_covered(strip.middle) & ~near_junction(road_map, strip.middle, _ROOM)
    for side in (1.0, -1.0):
        runs = _runs(rng, strip.middle, street_type.rails, 120.0)
        if not street_type.divided and street_type.rails > 0.0:
            runs |= np.abs(road.curvature[np.round(strip.middle / SPACING).astype(int)]) > 1 / 180.0
        _add_rail(builder, road_map, strip, side * (road.half_width + 0.55), free & runs)
        _add_noise_wall(strip, road_map, rng, side, street_type, free)
        _add_wood(strip, road_map, rng, side, street_type)
    if street_type.motorway:
        _add_median_barrier(builder, road_map, strip, rng, street_type, free)
    if street_type.wood > 0.0 and rng.random() < 0.7:
        _close_view(builder, road_map, road, rng)


def _runs(rng: np.random.Generator, s: NDArray[np.float64], share: float, length: float) -> NDArray[np.bool_]:
    """(N,) a random ``share`` of the stations, in runs of about ``length`` metres."""
    run = np.cumsum(rng.random(len(s)) < np.diff(s, prepend=0.0) / length)
    return np.asarray((rng.random(len(s) + 1) < share)[run])


def _add_rail(builder: MeshBuilder, road_map: RoadMap, strip: Strip, offset: float, keep: NDArray[np.bool_]) -> None:
    """A W-beam on posts."""
    keep = keep & strip.is_free(offset)
    if not keep.any():
        return
    strip.wall(offset, _RAIL, "rail", 4.0, keep)
    s = np.arange(2.0, strip.road.length - 2.0, _POSTS)
    s = s[keep[np.clip(np.searchsorted(strip.middle, s), 0, len(keep) - 1)]]
    along, left = strip.road.axes(s)
    foot = road_map.place(strip.road, s, offset + np.sign(offset) * 0.1, -0.2)
    edges = 0.1 * along, np.sign(offset) * 0.06 * left, np.broadcast_to(0.9 * UP, foot.shape)
    builder.boxes(foot - 0.05 * along, edges, "metal", None, colour=(0.8, 0.8, 0.8))


def _add_median_barrier(
    builder: MeshBuilder,
    road_map: RoadMap,
    strip: Strip,
    rng: np.random.Generator,
    street_type: StreetType,
    free: NDArray[np.bool_],
) -> None:
    """Concrete in the middle, a pair of rails, or (on a wide median) nothing but shrubs."""
    edge, draw = median_edge(street_type), rng.random()
    if draw < 0.35:
        tint = float(rng.uniform(0.85, 1.15))
        for side in (1.0, -1.0):
            foot = side * 0.32
            strip.wall(foot, (-0.05, 0.25), "concrete", 4.0, free, (tint,) * 3, lean=-side * 0.12)
            strip.wall(foot - side * 0.12, (0.25, 0.85), "concrete", 4.0, free, (tint,) * 3, lean=-side * 0.09)
            strip.add((side * 0.11, 0.85), (0.0, 0.85), "concrete", (0.0, 0.1), 4.0, free, (tint,) * 3)
    elif draw < 0.88 or street_type.median < 5.0:
        for side in (1.0, -1.0):
            _add_rail(builder, road_map, strip, side * max(0.12, edge - 0.3), free)
    if street_type.median > 4.5 and rng.random() < 0.4:
        height = rng.uniform(0.8, 1.6)
        keep = free & _runs(rng, strip.middle, 0.8, 100.0)
        for side in (1.0, -1.0):
            strip.wall(side * 0.45, (-0.1, height), "hedge", 1.5, keep, lean=-side * 0.15)
        strip.add((0.3, height), (-0.3, height), "hedge", (0.0, 0.4), 1.5, keep)


def _add_noise_wall(
    strip: Strip,
    road_map: RoadMap,
    rng: np.random.Generator,
    side: float,
    street_type: StreetType,
    free: NDArray[np.bool_],
) -> None:
    offset = side * (strip.road.half_width + rng.uniform(2.0, 6.0))
    height, tint = rng.uniform(2.5, 5.5), float(rng.uniform(0.8, 1.15))
    texture = "panel" if rng.random() < 0.7 else "concrete"
    keep = free & _runs(rng, strip.middle, street_type.noise_walls, 200.0) & strip.is_free(offset)
    keep &= road_map.is_open(strip.road.point(strip.middle, offset), 4.0)
    strip.wall(offset, (-0.6, height), texture, 5.0, keep, (tint,) * 3)


def _add_wood(strip: Strip, road_map: RoadMap, rng: np.random.Generator, side: float, street_type: StreetType) -> None:
    """Two layers of trees in runs, the farther one higher."""
    if street_type.wood == 0.0:
        return
    setback, height = rng.uniform(*street_type.wood_setback), rng.uniform(7.0, 12.0)
    chosen = _runs(rng, strip.middle, street_type.wood, 140.0)
    for beyond, taller in ((0.0, 1.0), (5.0, 1.3)):
        offset = side * (strip.road.half_width + setback + beyond)
        spot = strip.road.point(strip.middle, offset)
        keep = chosen & (road_map.clearance(spot) > 0.75 * (setback + beyond)) & road_map.is_open(spot, 5.0)
        tint = rng.uniform(0.7, 1.1) * np.array([rng.uniform(0.95, 1.15), 1.0, rng.uniform(0.9, 1.05)])
        colour = (float(tint[0]), float(tint[1]), float(tint[2]))
        strip.wall(offset, (-0.8, taller * height), "wood", rng.uniform(16.0, 24.0), keep, colour, cutout=True)


def _close_view(builder: MeshBuilder, road_map: RoadMap, road: Road, rng: np.random.Generator) -> None:
    """A wood across the end of the road, behind the last that is seen of it."""
    along, left = road.axes(road.length)
    end = road.point(road.length, 0.0) + rng.uniform(8.0, 60.0) * along[:2]
    across = np.linspace(-260.0, 260.0, 14)
    line = end + across[:, None] * left[:2] + 0.0006 * across[:, None] ** 2 * along[:2]
    foot = road_map.on_ground(line, -1.5)
    foot[:, 2] = np.minimum(foot[:, 2], road_map.on_ground(end, -1.5)[2] + 2.0)
    top = foot + rng.uniform(8.0, 16.0) * UP
    corners = np.stack([foot[1:], foot[:-1], top[:-1], top[1:]], axis=1)
    uv = np.array([(2.0, 1.0), (0.0, 1.0), (0.0, 0.0), (2.0, 0.0)])
    builder.quads(corners, uv, "wood", rng.uniform(0.75, 1.05) * np.ones(3), cutout=True)
