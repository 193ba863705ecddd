"""Trees, lamps, signs and hedges beside the roads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, UP, MeshBuilder
from distilvo.world.mesh import TEXTURES
from distilvo.world.road import Road, RoadMap
from distilvo.world.street_type import StreetType
from distilvo.world.strip import KERB

_LANE_ROOM = 0.9


def add_roadside(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Add everything that stands beside the roads."""
    for road in road_map.roads:
        for side in (1.0, -1.0):
            _add_trees(builder, road_map, road, side, rng, street_type)
            _add_lamps(builder, road_map, road, side, rng, street_type)
            _add_signs(builder, road_map, road, side, rng, street_type)
            _add_hedges(builder, road_map, road, side, rng, street_type)
    _add_woods(builder, road_map, rng)


def _stations(rng: np.random.Generator, length: float, gap: float, spread: float) -> NDArray[np.float64]:
    """Places along ``length`` metres with a mean ``gap`` that varies by a factor of 1 +- ``spread``."""
    count = int(length / gap * 1.5) + 3
    s = np.cumsum(gap * rng.uniform(1 - spread, 1 + spread, count)) - gap * rng.random()
    return np.asarray(s[(s > 0) & (s < length)])


def _add_trees(
    builder: MeshBuilder, road_map: RoadMap, road: Road, side: float, rng: np.random.Generator, street_type: StreetType
) -> None:
    s = _stations(rng, road.length, street_type.tree_gap, 0.1 if street_type.tree_rows else 0.9)
    in_row = rng.random(len(s)) < (0.95 if street_type.tree_rows else 0.4)
    row = max(street_type.walk_width - 0.5, street_type.verge)
    beyond = max(street_type.walk_width + 2.0, street_type.verge) + street_type.tree_spread * rng.random(len(s)) ** 1.5
    offset = road.half_width + np.where(in_row, row, beyond)
    spot = road.point(s, side * offset)
    height = (
        rng.uniform(4.5, 11.0, len(s))
        if not street_type.tree_rows
        else rng.uniform(8.0, 11.0) + rng.normal(0, 0.5, len(s))
    )
    _add_foliage(builder, road_map, rng, spot, height, trunks=True)


def _add_foliage(
    builder: MeshBuilder,
    road_map: RoadMap,
    rng: np.random.Generator,
    spot: NDArray[np.float64],
    height: NDArray[np.float64],
    trunks: bool,
) -> None:
    """Trees of crossed images at ``spot`` (N, 2), as wide as the roads nearby leave room for."""
    count = len(spot)
    clearance = road_map.clearance(spot)
    room = 2.0 * (clearance + road_map.roads[0].half_width / 2 - _LANE_ROOM)
    width = np.minimum(height * rng.uniform(0.7, 0.95, count), room)
    kind, turn = rng.integers(0, 3, count), rng.uniform(0, np.pi, count)
    tint = np.clip(rng.normal(1.0, 0.13, (count, 1)) + rng.normal(0, 0.04, (count, 3)), 0.6, 1.3)
    keep = (clearance > 0.8) & (width > 0.35 * height) & road_map.is_open(spot, 3.0)
    foot = road_map.on_ground(spot, -0.1)
    planes = 3 if trunks else 2
    for plane in range(planes):
        angle = turn + plane * np.pi / planes
        half = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], -1) * width[:, None] / 2
        top = height[:, None] * UP
        corners = np.stack([foot - half, foot + half, foot + half + top, foot - half + top], axis=1)
        texture = (TEXTURES.index("tree0") + kind[keep]).astype(np.int32)
        builder.quads(corners[keep], UNIT_UV, texture, tint[keep], cutout=True, normal=(0.0, 0.0, 0.9))
    if trunks:
        size = 0.014 * height[keep, None]
        edges = 2 * size * (1.0, 0.0, 0.0), 2 * size * (0.0, 1.0, 0.0), 0.45 * height[keep, None] * UP
        builder.boxes(foot[keep] - size * (1.0, 1.0, 0.0), edges, "metal", None, colour=(0.55, 0.43, 0.34))


def _add_woods(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator) -> None:
    """Distant trees that close the view."""
    road = road_map.roads[0]
    count = int(road.length * rng.uniform(0.1, 0.7))
    s, side = rng.uniform(0, road.length, count), rng.choice([-1.0, 1.0], count)
    distance = rng.uniform(60.0, 170.0, count)
    spot = road.point(s, side * distance)
    spot = spot[road_map.clearance(spot) > 30.0]
    _add_foliage(builder, road_map, rng, spot, rng.uniform(8.0, 17.0, len(spot)), trunks=False)


def _posts(
    builder: MeshBuilder,
    foot: NDArray[np.float64],
    axes: tuple[NDArray[np.float64], NDArray[np.float64]],
    width: float,
    height: float,
) -> None:
    along, left = axes
    edges = width * along, width * left, np.broadcast_to(height * UP, foot.shape)
    builder.boxes(foot - width / 2 * (along + left), edges, "metal", None)


def _add_lamps(
    builder: MeshBuilder, road_map: RoadMap, road: Road, side: float, rng: np.random.Generator, street_type: StreetType
) -> None:
    s = _stations(rng, road.length, street_type.lamp_gap, 0.15)
    spot = road.point(s, side * (road.half_width + 0.5))
    s = s[(road_map.clearance(spot) > 0.3) & road_map.is_open(spot, 2.0)]
    foot = road_map.place(road, s, side * (road.half_width + 0.5), 0.0)
    along, left = road.axes(s)
    height = 6.5
    _posts(builder, foot, (along, left), 0.14, height)
    arm = foot + (height - 0.1) * UP - 0.06 * along
    edges = 0.12 * along, -side * 1.8 * left, np.broadcast_to(0.12 * UP, foot.shape)
    builder.boxes(arm, edges, "metal", "metal")


def _add_signs(
    builder: MeshBuilder, road_map: RoadMap, road: Road, side: float, rng: np.random.Generator, street_type: StreetType
) -> None:
    s = _stations(rng, road.length, street_type.sign_gap, 0.8)
    offset = side * (road.half_width + (2.0 if street_type.motorway else 0.55))
    s = s[road_map.clearance(road.point(s, offset)) > 0.35]
    foot = road_map.place(road, s, offset, KERB - 0.1)
    along, left = road.axes(s)
    _posts(builder, foot, (along, left), 0.06, 2.2)
    # Signs face the traffic on their own side: it comes from behind on the right, from ahead on the left.
    right = -left if side < 0 else left
    plate = foot + 2.1 * UP + (-0.05 if side < 0 else 0.05) * along
    half, top = 0.33 * right, 0.66 * UP
    corners = np.stack([plate - half, plate + half, plate + half + top, plate - half + top], axis=1)
    builder.quads(corners, UNIT_UV, "sign", cutout=True)


def _add_hedges(
    builder: MeshBuilder, road_map: RoadMap, road: Road, side: float, rng: np.random.Generator, street_type: StreetType
) -> None:
    """Hedges and low walls behind the sidewalk, in pieces that follow the road."""
    piece = 3.0
    s = np.arange(0.0, road.length - piece, piece)
    run = np.cumsum(rng.random(len(s)) < piece / 14.0)
    chosen = (rng.random(len(s) + 1) < street_type.hedge)[run]
    height, is_wall = rng.uniform(0.6, 2.0, len(s) + 1)[run], (rng.random(len(s) + 1) < 0.25)[run]
    offset = side * (road.half_width + max(street_type.walk_width + 0.6, 2.2))
    start, end = road_map.place(road, s, offset, -0.3), road_map.place(road, s + piece, offset, -0.3)
    middle = (start + end)[:, :2] / 2
    chosen &= road_map.clearance(middle) > street_type.walk_width + 0.1
    for wall, texture, thickness, tile in ((False, "hedge", 0.7, 1.5), (True, "sidewalk", 0.25, 2.0)):
        keep = chosen & (is_wall == wall)
        across = side * thickness * road.axes(s)[1]
        up = (np.minimum(height, 1.1) if wall else height)[:, None] * UP
        builder.boxes(start[keep], ((end - start)[keep], across[keep], up[keep]), texture, texture, (tile, tile))
