"""The surface of a road with several lanes in each direction: carriageways, lane lines, edge lines and the median."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import MeshBuilder
from distilvo.world.road import Road, RoadMap
from distilvo.world.roadworks import LINE_WIDTH
from distilvo.world.street_type import StreetType
from distilvo.world.strip import KERB, Strip, add_edge, nodes

_BASE = -0.012  # the surface under the lines, so that the lines lie on top
_LANE_TILE, _LINE_TILE = 16.0, 8.0
_LONGEST = 5.0  # metres of one piece of a line
_MOUTH = 11.0
_WIDE = 1.5  # metres of a median that is more than two lines


def near_junction(road_map: RoadMap, s: NDArray[np.float64], room: float) -> NDArray[np.bool_]:
    """Which stations (N,) of the driven road lie within ``room`` metres of a junction, or in a roundabout."""
    near = (np.abs(s[:, None] - road_map.junctions[None]) < room).any(axis=1)
    return np.asarray(near | road_map.in_roundabout(road_map.roads[0].point(s, 0.0), room))


def median_edge(street_type: StreetType) -> float:
    """Metres from the centre line to where the median proper begins: inside the inner edge lines' margins."""
    return max(0.0, street_type.median / 2 - (0.7 if street_type.motorway else 0.35))


def add_carriageways(builder: MeshBuilder, road_map: RoadMap, street_type: StreetType) -> None:
    """Add both carriageways of the driven road, their lines, the median and the outer edges."""
    road = road_map.roads[0]
    strip = Strip(builder, road_map, road, nodes(road))
    uncovered = ~road.is_covered(strip.middle)
    free = uncovered & ~near_junction(road_map, strip.middle, _MOUTH)
    width, inner = street_type.lane_width, street_type.median / 2
    outer = inner + street_type.lanes * width
    for side in (1.0, -1.0):

        def band(a: float, b: float, texture: str, u: tuple[float, float], keep: NDArray[np.bool_]) -> None:
            strip.add((side * a, _BASE), (side * b, _BASE), texture, u, _LANE_TILE, keep)  # noqa: B023

        for lane in range(street_type.lanes):
            band(inner + lane * width, inner + (lane + 1) * width, "lane", (0.0, 1.0), uncovered)
        band(outer, road.half_width, "lane", (0.0, 0.1), uncovered)
        band(median_edge(street_type), inner, "lane", (0.0, 0.1), uncovered)
        _add_median(strip, side, street_type, uncovered, free)
        for offset in (inner, outer) if street_type.motorway else (inner,):
            edges = side * offset - LINE_WIDTH / 2, side * offset + LINE_WIDTH / 2
            strip.add((edges[0], 0.0), (edges[1], 0.0), "line", (0.0, 1.0), _LINE_TILE, free)
        add_edge(strip, side, street_type.walk_width, uncovered)
    _add_lane_lines(builder, road_map, road, street_type)


def _add_median(
    strip: Strip, side: float, street_type: StreetType, uncovered: NDArray[np.bool_], free: NDArray[np.bool_]
) -> None:
    edge = median_edge(street_type)
    if edge == 0.0:
        return
    raised = KERB if not street_type.motorway and street_type.median > _WIDE else 0.0
    texture, tile = ("grass", 9.0) if street_type.median > _WIDE else ("asphalt", 4.0)
    strip.add((side * edge, raised), (0.0, raised), texture, (0.0, edge / tile), tile, free)
    strip.add((side * edge, _BASE), (0.0, _BASE), "lane", (0.0, 0.2), _LANE_TILE, uncovered & ~free)
    if raised:
        strip.add((side * edge, -0.05), (side * edge, KERB), "sidewalk", (0.0, 0.07), 2.0, free, (0.8, 0.8, 0.8))


def dashes(length: float, marks: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Stations (N,) of the pieces of a lane line of ``marks`` (dash, gap) metres, and which pieces (N-1,) are paint."""
    dash, gap = marks
    begins = np.arange(2.0, length - dash - gap, dash + gap)
    pieces = int(np.ceil(dash / _LONGEST))
    stations = begins[:, None] + np.linspace(0.0, dash, pieces + 1)
    painted = np.ones(stations.shape, dtype=bool)
    painted[:, -1] = False
    return stations.ravel(), painted.ravel()[:-1]


def _add_lane_lines(builder: MeshBuilder, road_map: RoadMap, road: Road, street_type: StreetType) -> None:
    stations, painted = dashes(road.length, street_type.marks)
    strip = Strip(builder, road_map, road, stations)
    keep = painted & ~road.is_covered(strip.middle) & ~near_junction(road_map, strip.middle, _MOUTH)
    for side in (1.0, -1.0):
        for lane in range(1, street_type.lanes):
            at = side * (street_type.median / 2 + lane * street_type.lane_width)
            edges = at - LINE_WIDTH / 2, at + LINE_WIDTH / 2
            strip.add((edges[0], 0.0), (edges[1], 0.0), "line", (0.0, 1.0), _LINE_TILE, keep)
