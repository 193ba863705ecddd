"""Houses along the roads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, UP, MeshBuilder
from distilvo.world.mesh import TEXTURES
from distilvo.world.road import Road, RoadMap
from distilvo.world.street_type import StreetType

FLOOR = 3.2
"""Metres of one storey and of one window bay; the facade textures show 4 x 4 of them."""

_TILE = (4 * FLOOR, 4 * FLOOR)


def add_buildings(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Add a row of houses on either side of every road, and a second, higher row behind where streets are dense."""
    for road in road_map.roads:
        for side in (1.0, -1.0):
            _add_row(builder, road_map, road, side, rng, street_type, street_type.building_setback, 0)
            back = street_type.building_setback[1] + 16.0
            _add_row(builder, road_map, road, side, rng, street_type, (back, back + 22.0), 2)


def _add_row(
    builder: MeshBuilder,
    road_map: RoadMap,
    road: Road,
    side: float,
    rng: np.random.Generator,
    street_type: StreetType,
    setback: tuple[float, float],
    extra_floors: int,
) -> None:
    gap = street_type.building_gap + 14.0 * (extra_floors > 0)
    count = int(road.length / (3.5 * FLOOR + gap * 0.7)) + 2
    width, depth = FLOOR * rng.integers(3, 8, count), FLOOR * rng.integers(3, 6, count)
    gaps = gap * rng.exponential(1.0, count) * (rng.random(count) < 0.75)
    s = np.cumsum(width + gaps) - width / 2
    built = (rng.random(count) < street_type.building_density) & (s + width / 2 < road.length)
    distance = road.half_width + rng.uniform(*setback, count)
    floors = rng.integers(street_type.building_floors[0], street_type.building_floors[1] + 1, count) + extra_floors
    along, left = road.axes(s)
    outward = side * left
    front = np.zeros((count, 3))
    front[:, :2] = road.point(s, side * distance)
    # Seen from the street, the box starts at its left corner so that facades are not mirrored.
    start = front - side * along * width[:, None] / 2
    edges = side * along * width[:, None], outward * depth[:, None]
    built &= _is_clear(road_map, start, edges, max(street_type.walk_width + 0.2, 1.3))
    _add_houses(builder, road_map, rng, start[built], (edges[0][built], edges[1][built]), floors[built])


def _is_clear(
    road_map: RoadMap,
    start: NDArray[np.float64],
    edges: tuple[NDArray[np.float64], NDArray[np.float64]],
    margin: float,
) -> NDArray[np.bool_]:
    """Whether the whole footprint keeps ``margin`` metres from every road, and lies under no bridge."""
    a, b = np.meshgrid(np.linspace(0, 1, 7), np.linspace(0, 1, 5))
    points = start[:, None] + a.reshape(1, -1, 1) * edges[0][:, None] + b.reshape(1, -1, 1) * edges[1][:, None]
    outline = points[..., :2]
    free = (road_map.clearance(outline) > margin) & road_map.is_open(outline, 1.0)
    return np.asarray((free & ~road_map.in_roundabout(outline, margin)).all(axis=1))


def _add_houses(
    builder: MeshBuilder,
    road_map: RoadMap,
    rng: np.random.Generator,
    start: NDArray[np.float64],
    edges: tuple[NDArray[np.float64], NDArray[np.float64]],
    floors: NDArray[np.int64],
) -> None:
    count = len(start)
    if count == 0:
        return
    corners = np.stack([start, start + edges[0], start + edges[1], start + edges[0] + edges[1]], axis=1)
    heights = road_map.height(corners[..., :2])
    base = start.copy()
    base[:, 2] = heights.min(axis=1) - 0.3
    facade = (TEXTURES.index("facade0") + rng.integers(0, 5, count)).astype(np.int32)
    is_shop = rng.random(count) < 0.45
    tint = np.clip(rng.normal(1.0, 0.1, (count, 1)) + rng.normal(0.0, 0.06, (count, 3)), 0.55, 1.2)
    # The ground floor reaches down the slope; its texture sits at the upper edge so that doors stay upright.
    lift = (FLOOR + heights.max(axis=1) - heights.min(axis=1))[:, None] * UP
    for chosen, skin, tile in (
        (is_shop, np.full(count, TEXTURES.index("shop"), dtype=np.int32), (4 * FLOOR, FLOOR)),
        (~is_shop, facade, _TILE),
    ):
        sides = edges[0][chosen], edges[1][chosen], lift[chosen]
        builder.boxes(base[chosen], sides, skin[chosen], None, tile, tint[chosen])
    upper = FLOOR * np.maximum(floors - 1, 0)[:, None] * UP
    gabled = (rng.random(count) < 0.6) & (floors < 6)
    builder.boxes(base + lift, (*edges, upper + 0.05 * UP), facade, "roof", _TILE, tint)
    eaves = base + lift + upper
    _add_gables(builder, eaves[gabled], (edges[0][gabled], edges[1][gabled]), rng.uniform(2.0, 4.5, count)[gabled],
                tint[gabled])  # fmt: skip


def _add_gables(
    builder: MeshBuilder,
    eaves: NDArray[np.float64],
    edges: tuple[NDArray[np.float64], NDArray[np.float64]],
    rise: NDArray[np.float64],
    tint: NDArray[np.float64],
) -> None:
    """Saddle roofs with the ridge along the street."""
    along, across = edges
    ridge = eaves + across / 2 + rise[:, None] * UP
    overhang = 0.04 * across - 0.08 * rise[:, None] * -UP
    width, slope = np.linalg.norm(along, axis=1), np.hypot(np.linalg.norm(across, axis=1) / 2, rise)
    uv = UNIT_UV * np.stack([width, slope], axis=-1)[:, None] / 4.0
    front, back = eaves - overhang, eaves + across + overhang * (1, 1, -1)
    builder.quads(np.stack([front, front + along, ridge + along, ridge], axis=1), uv, "roof", tint)
    builder.quads(np.stack([back + along, back, ridge, ridge + along], axis=1), uv, "roof", tint)
    for end in (np.zeros_like(along), along):
        corners = np.stack([eaves + end, eaves + across + end, ridge + end, ridge + end], axis=1)
        builder.quads(corners, [(0, 1), (1, 1), (0.5, 0), (0.5, 0)], "white", tint * 0.85)
