"""Vehicles: the shapes of cars, which vehicles there are, and those that are parked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, MeshBuilder
from distilvo.world.lorries import LORRIES, PAINTS, Colour, lorry_mesh, wheel_rim
from distilvo.world.mesh import Mesh
from distilvo.world.motion import ground_frames
from distilvo.world.road import Road, RoadMap
from distilvo.world.street_type import StreetType, lane_offset

Kind = tuple[int, int]
"""A vehicle's shape and paint."""

_PLAIN: Colour = (1.0, 1.0, 1.0)
_PAINTS = (
    (1.05, 1.05, 1.05), (0.2, 0.2, 0.22), (0.55, 0.57, 0.6), (0.65, 0.12, 0.1),
    (0.12, 0.2, 0.5), (0.75, 0.7, 0.55), (0.15, 0.3, 0.2), (0.36, 0.38, 0.42),
)  # fmt: skip


@dataclass(frozen=True)
class _Body:
    """Metres; stations along the car as fractions of its length from the middle, forward positive.

    ``cabin`` gives the foot of the rear window, the rear and the front end of the roof, the foot of the windscreen.
    """

    length: float
    width: float
    belt: float
    roof: float
    cabin: tuple[float, float, float, float]


_BODIES = (
    _Body(4.4, 1.76, 0.92, 1.45, (-0.42, -0.30, 0.08, 0.24)),
    _Body(3.8, 1.68, 0.95, 1.50, (-0.49, -0.42, 0.08, 0.27)),
    _Body(4.7, 1.85, 1.05, 1.72, (-0.48, -0.44, 0.12, 0.28)),
    _Body(5.3, 1.95, 1.25, 2.45, (-0.497, -0.495, 0.30, 0.42)),
)
_CHANCES = (0.4, 0.3, 0.2, 0.1)
_LORRY_CHANCES = (0.4, 0.25, 0.2, 0.15)
_VAN = 3
_SILL = 0.22
_TOO_CLOSE_M = 2.2


@lru_cache(maxsize=64)
def car_mesh(body: int, paint: int) -> Mesh:
    """A car in its own frame: x forward, y left, z up, the origin on the ground under its middle."""
    shape, colour = _BODIES[body], _PAINTS[paint]
    builder = MeshBuilder()
    half, y = shape.length / 2, shape.width / 2
    rear_foot, rear_roof, front_roof, front_foot = (f * shape.length for f in shape.cabin)
    narrow = 0.86 * y

    def across(x0: float, z0: float, x1: float, z1: float, y0: float, y1: float, texture: str, tint: Colour) -> None:
        corners = [(x0, y0, z0), (x0, -y0, z0), (x1, -y1, z1), (x1, y1, z1)]
        builder.quads([corners], UNIT_UV, texture, tint)

    across(-half, _SILL, -half, shape.belt, y, y, "car_back", colour)
    across(half, _SILL, half, shape.belt, -y, -y, "car_front", colour)
    across(-half, shape.belt, rear_foot, shape.belt, y, y, "white", colour)
    across(front_foot, shape.belt, half, shape.belt - 0.06, y, y, "white", colour)
    across(rear_foot, shape.belt, rear_roof, shape.roof, y, narrow, "glass", _PLAIN)
    across(front_foot, shape.belt, front_roof, shape.roof, -y, -narrow, "glass", _PLAIN)
    across(rear_roof, shape.roof, front_roof, shape.roof, narrow, narrow, "white", colour)
    # A dark plate under the car: seen from afar it is the car's shadow.
    across(-half - 0.1, 0.07, half + 0.1, 0.07, y + 0.12, y + 0.12, "asphalt", (0.25, 0.25, 0.25))
    builder.quads([[(-half, y, 0.3), (half, y, 0.3), (half, -y, 0.3), (-half, -y, 0.3)]], UNIT_UV, "metal", (0.1,) * 3)
    for side in (-y, y):
        flank = [(-half, side, _SILL), (half, side, _SILL), (half, side, shape.belt), (-half, side, shape.belt)]
        builder.quads([flank], UNIT_UV, "car_side", colour)
        top = side / y * narrow
        window = [(rear_foot, side, shape.belt), (front_foot, side, shape.belt),
                  (front_roof, top, shape.roof), (rear_roof, top, shape.roof)]  # fmt: skip
        builder.quads([window], UNIT_UV, "white" if body == _VAN else "glass", colour if body == _VAN else _PLAIN)
        _add_wheels(builder, shape.length, side)
    return builder.build()


def _add_wheels(builder: MeshBuilder, length: float, side: float) -> None:
    for x in (-0.297 * length, 0.297 * length):
        wheel = wheel_rim(x, 0.97 * side, 0.3)
        builder.quads(wheel[[[1, 2, 4, 5], [2, 3, 3, 4]]], UNIT_UV, "metal", (0.18, 0.18, 0.19))


def _sample_car(rng: np.random.Generator) -> Kind:
    return int(rng.choice(len(_BODIES), p=_CHANCES)), int(rng.integers(len(_PAINTS)))


def sample_vehicle(rng: np.random.Generator, big: float) -> Kind:
    """Draw a vehicle, a lorry or a bus with the chance ``big``."""
    if rng.random() < big:
        return len(_BODIES) + int(rng.choice(len(LORRIES), p=_LORRY_CHANCES)), int(rng.integers(len(PAINTS)))
    return _sample_car(rng)


def vehicle_mesh(kind: Kind) -> Mesh:
    """The vehicle in its own frame, as that of ``car_mesh``."""
    return car_mesh(*kind) if kind[0] < len(_BODIES) else lorry_mesh(kind[0] - len(_BODIES), kind[1])


def vehicle_extent(kind: Kind) -> NDArray[np.float64]:
    """(2,) half of its length and width, m."""
    shape = _BODIES[kind[0]] if kind[0] < len(_BODIES) else LORRIES[kind[0] - len(_BODIES)]
    return np.array([shape.length / 2, shape.width / 2])


def road_frames(
    road_map: RoadMap, road: Road, s: NDArray[np.float64], offset: float, back: bool
) -> NDArray[np.float64]:
    """Body-to-world (N, 4, 4) of a car at stations ``s`` (N,); ``back``: it faces the road's start."""
    heading = road.heading_at(s) + (np.pi if back else 0.0)
    return ground_frames(road_map.ground, road.point(s, offset), heading, 1.5)


class ParkedCars:
    """Cars along the kerbs, and waiting at the mouths of side streets."""

    def __init__(self, rng: np.random.Generator, road_map: RoadMap, street_type: StreetType) -> None:
        self._cars: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
        for index, road in enumerate(road_map.roads):
            for side, chance in ((1.0, street_type.parked[0]), (-1.0, street_type.parked[1])):
                self._park(rng, road_map, road, side, min(chance, 0.9) * (0.6 if index else 1.0))
            if index and not road.closed and rng.random() < 0.4:
                self._wait(rng, road_map, road)

    def _wait(self, rng: np.random.Generator, road_map: RoadMap, road: Road) -> None:
        """A car at the mouth of a side street, just clear of the road that is driven."""
        main, offset = road_map.roads[0], lane_offset(road.half_width)
        s = np.arange(0.0, min(24.0, road.length), 1.0)
        distance = np.hypot(*(road.point(s, offset)[:, None] - main.xy[None, ::2]).transpose(2, 0, 1)).min(axis=1)
        clear = np.flatnonzero(distance > main.half_width + 3.2)
        if len(clear) and clear[0] > 0:  # clear from its very start: a street that begins elsewhere
            self._put(rng, road_frames(road_map, road, s[clear[:1]], offset, True))

    def _park(self, rng: np.random.Generator, road_map: RoadMap, road: Road, side: float, chance: float) -> None:
        s = 4.0 + np.cumsum(rng.uniform(5.3, 8.0, int(road.length / 6.6) + 1))
        busy = np.repeat(rng.random(len(s) // 6 + 1) < 0.75, 6)[: len(s)]
        s = s[(rng.random(len(s)) < chance) & busy & (s < road.length - 4.0) & ~road.is_covered(s)]
        offset = max(road.half_width - 1.0, lane_offset(road.half_width) + 2.6)
        ends = np.stack([road.point(s + d, side * (offset + 0.9)) for d in (-6.0, -2.4, 0.0, 2.4, 6.0)], axis=1)
        nominal = offset + 0.9 - road.half_width
        s = s[(road_map.clearance(ends) > nominal - 0.35).all(axis=1) & ~road_map.in_roundabout(ends[:, 2], 8.0)]
        frames = road_frames(road_map, road, s, side * offset, side > 0)
        for frame in frames:
            self._put(rng, frame[None])

    def _put(self, rng: np.random.Generator, frame: NDArray[np.float64]) -> None:
        self._cars.setdefault(_sample_car(rng), []).append(frame)

    def keep_away(self, points: NDArray[np.float64]) -> None:
        """Tow away every car whose middle is too close to any of the ``points`` (N, 2)."""
        occupied = {kind: frames for kind, frames in self._cars.items() if frames}
        for kind, frames in occupied.items():
            spots = np.concatenate(frames)[:, :2, 3]
            near = [bool((np.hypot(*(points - spot).T) < _TOO_CLOSE_M).any()) for spot in spots]
            self._cars[kind] = [frame for frame, is_near in zip(frames, near, strict=True) if not is_near]

    def add_to(self, builder: MeshBuilder) -> None:
        """Add all of them to a mesh."""
        for (body, paint), frames in self._cars.items():
            if frames:
                builder.instances(car_mesh(body, paint), np.concatenate(frames))
