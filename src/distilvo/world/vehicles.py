"""Cars: their shapes, those that are parked, and those that drive by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, MeshBuilder
from distilvo.world.mesh import Mesh
from distilvo.world.motion import ground_frames, lane_offset
from distilvo.world.road import Road, RoadMap
from distilvo.world.street_type import StreetType

SIGHT = 130.0
"""Metres within which a moving car is drawn."""

_NEAREST = 2.6
Colour = tuple[float, float, float]
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
_VAN = 3
_SILL = 0.22


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
    angle = np.radians([45.0, 0.0, -45.0, -90.0, -135.0, 180.0, 135.0, 90.0])
    rim = np.stack([0.29 * np.cos(angle), np.full(8, 0.97 * side), 0.3 + 0.3 * np.sin(angle)], -1)
    for x in (-0.297 * length, 0.297 * length):
        wheel = rim + np.array([x, 0.0, 0.0])
        builder.quads(wheel[[[1, 2, 4, 5], [2, 3, 3, 4]]], UNIT_UV, "metal", (0.18, 0.18, 0.19))


def _sample_car(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice(len(_BODIES), p=_CHANCES)), int(rng.integers(len(_PAINTS)))


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
            if index and rng.random() < 0.4:
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
        s = s[(road_map.clearance(ends) > nominal - 0.35).all(axis=1)]
        frames = road_frames(road_map, road, s, side * offset, side > 0)
        for frame in frames:
            self._put(rng, frame[None])

    def _put(self, rng: np.random.Generator, frame: NDArray[np.float64]) -> None:
        self._cars.setdefault(_sample_car(rng), []).append(frame)

    def keep_away(self, points: NDArray[np.float64], metres: float = 2.2) -> None:
        """Tow away every car whose middle is within ``metres`` of any of the ``points`` (N, 2)."""
        for kind, frames in self._cars.items():
            spots = np.concatenate(frames)[:, :2, 3]
            near = [bool((np.hypot(*(points - spot).T) < metres).any()) for spot in spots]
            self._cars[kind] = [frame for frame, is_near in zip(frames, near, strict=True) if not is_near]

    def add_to(self, builder: MeshBuilder) -> None:
        """Add all of them to a mesh."""
        for (body, paint), frames in self._cars.items():
            if frames:
                builder.instances(car_mesh(body, paint), np.concatenate(frames))


@dataclass(frozen=True)
class Mover:
    """A car that drives by: its mesh, the first frame it is drawn in, and its (K, 4, 4) body-to-world from there."""

    mesh: Mesh
    first: int
    frames: NDArray[np.float64]

    def at(self, index: int) -> NDArray[np.float64] | None:
        """Its pose in image ``index``, None when it is out of sight."""
        k = index - self.first
        return self.frames[k] if 0 <= k < len(self.frames) else None


@dataclass(frozen=True)
class Traffic:
    """Draws the moving cars of a drive.

    Attributes:
        s: (N,) the ego car's stations along ``roads[0]`` at the images, and later ones after them.
        camera: (F, 2) the camera's places at the F <= N images.
        rate_hz: instants per second.
    """

    road_map: RoadMap
    street_type: StreetType
    s: NDArray[np.float64]
    camera: NDArray[np.float64]
    rate_hz: float

    def sample(self, rng: np.random.Generator) -> list[Mover]:
        """Oncoming cars, perhaps one ahead in the same lane, and cars crossing at junctions."""
        movers = self._oncoming(rng)
        if rng.random() < self.street_type.leader_chance:
            movers += self._leader(rng)
        for road in self.road_map.roads[1:]:
            if rng.random() < 0.6:
                movers += self._crossing(rng, road)
        return movers

    def _mover(
        self, rng: np.random.Generator, road: Road, s: NDArray[np.float64], offset: float, back: bool
    ) -> list[Mover]:
        """A car at stations ``s`` (F,), cut to the images in which it is in sight; none if it came too close."""
        inside = np.flatnonzero((s > 2.0) & (s < road.length - 2.0))
        if len(inside) == 0:
            return []
        distance = np.hypot(*(road.point(s[inside], offset) - self.camera[inside]).T)
        near = inside[distance < SIGHT]
        if len(near) == 0 or distance.min() < _NEAREST:
            return []
        window = np.arange(near[0], near[-1] + 1)
        return [
            Mover(car_mesh(*_sample_car(rng)), int(near[0]), road_frames(self.road_map, road, s[window], offset, back))
        ]

    def _oncoming(self, rng: np.random.Generator) -> list[Mover]:
        road = self.road_map.roads[0]
        count, speed = len(self.camera), min(self.street_type.cruise_speed, 16.0) * rng.uniform(0.6, 1.1)
        seconds = np.arange(count) / self.rate_hz
        meeting, movers = rng.exponential(0.5 * self.street_type.oncoming_gap / speed), []
        # Cars met after the last image are in sight before it.
        while meeting < seconds[-1] + SIGHT / (2 * speed):
            place = np.interp(meeting, np.arange(len(self.s)) / self.rate_hz, self.s)
            s = place + speed * (meeting - seconds)
            movers += self._mover(rng, road, s, lane_offset(road.half_width), True)
            meeting += (9.0 + rng.exponential(self.street_type.oncoming_gap)) / speed
        return movers

    def _leader(self, rng: np.random.Generator) -> list[Mover]:
        """A car that drives as the ego car will a moment later, so that it also brakes and stops like one."""
        road, count = self.road_map.roads[0], len(self.camera)
        delay = int(rng.uniform(0.5, 1.9) * self.rate_hz)
        ahead = self.s[np.minimum(np.arange(count) + delay, len(self.s) - 1)]
        return self._mover(rng, road, ahead + rng.uniform(8.0, 14.0), -lane_offset(road.half_width), False)

    def _crossing(self, rng: np.random.Generator, road: Road) -> list[Mover]:
        """A car on a side street; dropped if it would meet the camera."""
        count = len(self.camera)
        when, speed = rng.uniform(0, count), rng.uniform(4.0, 10.0) / self.rate_hz
        back = bool(rng.random() < 0.5)
        forth = -speed if back else speed
        s = np.asarray(road.length / 2 + (np.arange(count) - when) * forth, dtype=np.float64)
        # Cars on a street that ends at the road stay on it.
        offset = lane_offset(road.half_width) * (1.0 if back else -1.0)
        return self._mover(rng, road, s, offset, back)
