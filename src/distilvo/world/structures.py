"""Single structures on and over a road: bridges, sign gantries, delineator posts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, UP, MeshBuilder
from distilvo.world.road import SPACING, RoadBridge, RoadMap
from distilvo.world.street_type import StreetType

_DECK, _PARAPET = 1.1, 1.0
_APPROACH = 14.0
_TILE = (4.0, 4.0)
_POST = ((0.0, 0.85, "white", 1.0), (0.85, 0.2, "metal", 0.15), (1.05, 0.1, "white", 1.0))
"""Foot, height, texture and brightness of the parts of a delineator post."""


def add_structures(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Add the bridges, gantries and delineators of the driven road."""
    for bridge in road_map.bridges:
        _add_bridge(builder, road_map, rng, bridge, street_type)
    if street_type.gantry_gap > 0.0:
        _add_gantries(builder, road_map, rng, street_type)
    if street_type.delineators > 0.0:
        for side in (1.0, -1.0):
            _add_delineators(builder, road_map, side, street_type.delineators)


def _add_bridge(
    builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, bridge: RoadBridge, street_type: StreetType
) -> None:
    """A deck across the road on abutments, dark underneath, and a pillar where there is a median."""
    half_width = road_map.roads[0].half_width
    across = np.array([*bridge.across, 0.0])
    along = np.array([-across[1], across[0], 0.0])
    room = street_type.walk_width + 0.17 * bridge.width + (rng.uniform(1.5, 8.0) if street_type.motorway else 0.8)
    inner = half_width + room
    reach = inner + _APPROACH
    middle = road_map.on_ground(bridge.centre, 0.0)
    clear = rng.uniform(4.9, 6.2)
    tint = rng.uniform(0.75, 1.1) * np.ones(3)
    corner = middle - reach * across - bridge.width / 2 * along + clear * UP
    span, wide = 2 * reach * across, bridge.width * along
    builder.boxes(corner, (span, wide, _DECK * UP), "concrete", "asphalt", _TILE, tint)
    belly = np.stack([corner, corner + span, corner + span + wide, corner + wide])
    uv = UNIT_UV * (2 * reach / 4.0, bridge.width / 4.0)
    builder.quads([belly], uv, "concrete", 0.8 * tint)
    for edge in (corner + _DECK * UP, corner + wide - 0.2 * along + _DECK * UP):
        builder.boxes(edge, (span, 0.2 * along, _PARAPET * UP), "concrete", "concrete", _TILE, tint)
    for start in (-reach, inner):
        foot = middle + start * across - bridge.width / 2 * along - 3.0 * UP
        builder.boxes(foot, (_APPROACH * across, wide, (clear + 3.0) * UP), "concrete", None, _TILE, 0.95 * tint)
        _add_ramp(builder, foot + (start > 0) * _APPROACH * across, np.sign(start) * across, wide, clear + 3.0 + _DECK)
    if street_type.motorway and street_type.median > 3.0:
        pillar = middle - 0.4 * across - 0.35 * bridge.width * along - 0.3 * UP
        builder.boxes(pillar, (0.8 * across, 0.7 * wide, (clear + 0.3) * UP), "concrete", None, _TILE, tint)


def _add_ramp(
    builder: MeshBuilder,
    foot: NDArray[np.float64],
    out: NDArray[np.float64],
    wide: NDArray[np.float64],
    height: float,
) -> None:
    """An earth ramp that goes down from the end of a bridge, with grass on its sides."""
    low = foot + 45.0 * out
    slope = 0.16 * height * wide / np.linalg.norm(wide) * 8.0
    near, far = foot + height * UP, foot + wide + height * UP
    builder.quads([[near, far, low + wide, low]], UNIT_UV * 6.0, "asphalt")
    for top, aside in ((near, -slope), (far, slope)):
        bottom = top - height * UP
        end = low if top is near else low + wide
        corners = [[bottom + aside, end, top, bottom + 0.5 * aside], [bottom + aside, top, top, bottom]]
        builder.quads(corners, UNIT_UV * 4.0, "grass")


def _add_gantries(builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, street_type: StreetType) -> None:
    """Beams over one carriageway with boards that face its traffic."""
    road = road_map.roads[0]
    for side in (-1.0, 1.0):
        s = rng.uniform(30.0, street_type.gantry_gap)
        while s < road.length - 5.0:
            if road_map.is_open(road.point(s, 0.0)[None], 12.0)[0]:
                _add_gantry(builder, road_map, rng, s, side, street_type)
            s += street_type.gantry_gap * rng.uniform(0.5, 1.5)


def _add_gantry(
    builder: MeshBuilder, road_map: RoadMap, rng: np.random.Generator, s: float, side: float, street_type: StreetType
) -> None:
    road = road_map.roads[0]
    along, left = (axis[None] for axis in road.axes(s))
    inner, outer = side * 0.2, side * (road.half_width + 1.0)
    height = rng.uniform(6.4, 7.2)
    feet = road_map.place(road, np.array([s, s]), np.array([inner, outer]), -0.2)
    edges = 0.35 * along, 0.35 * left, (height + 0.4) * UP[None]
    builder.boxes(feet, edges, "metal", None, colour=(0.9, 0.9, 0.9))
    beam = feet[:1] + (height - 0.1) * UP
    builder.boxes(beam, (0.35 * along, (outer - inner) * left, 0.5 * UP[None]), "metal", "metal")
    for lane in range(street_type.lanes):
        if rng.random() < 0.75:
            middle = road_map.place(road, s, side * street_type.lane_offset(lane), height - 0.9)[None]
            _add_board(builder, middle + side * 0.25 * along, side * left)


def _add_board(builder: MeshBuilder, foot: NDArray[np.float64], right: NDArray[np.float64]) -> None:
    """A board of 3.2 x 2.4 m whose face looks at the traffic; its back is grey. ``right``: as its readers see it."""
    half, top = 1.6 * right, 2.4 * UP
    corners = np.stack([foot - half, foot + half, foot + half + top, foot - half + top], axis=1)
    builder.quads(corners, UNIT_UV, "board")
    towards_back = np.cross(right, UP) * -0.06
    builder.quads(corners + towards_back[:, None], UNIT_UV, "metal", (0.7, 0.7, 0.7))


def _add_delineators(builder: MeshBuilder, road_map: RoadMap, side: float, gap: float) -> None:
    """White posts with a black band, closer together in bends."""
    road = road_map.roads[0]
    density = (1.0 + (np.abs(road.curvature) > 1 / 300.0)) * SPACING / gap
    count = np.cumsum(density)
    s = np.interp(np.arange(1.0, count[-1]), count, np.arange(len(count)) * SPACING)
    offset = side * (road.half_width + 0.5)
    s = s[road_map.clearance(road.point(s, offset)) > 0.25]
    along, left = road.axes(s)
    foot = road_map.place(road, s, offset, -0.15) - 0.06 * (along + left)
    for low, tall, texture, colour in _POST:
        edges = 0.12 * along, 0.12 * left, np.broadcast_to(tall * UP, foot.shape)
        builder.boxes(foot + low * UP, edges, texture, "white" if low > 1.0 else None, colour=(colour,) * 3)
