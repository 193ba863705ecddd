"""Moving vehicles: those ahead, in the lanes beside, oncoming, and crossing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distilvo.world.mesh import Mesh
from distilvo.world.road import Road, RoadMap
from distilvo.world.street_type import StreetType, lane_offset
from distilvo.world.vehicles import Kind, road_frames, sample_vehicle, vehicle_extent, vehicle_mesh

_EGO = np.array([3.0, 1.15])  # half length and width of the car that films, with some air, around its camera
_AIR = np.array([0.6, 0.15])  # between two other vehicles
_END = 10.0  # vehicles come into sight so much before the road's end
_AXLE_TO_BUMPER = 3.7
_SETTING_OFF = 1.8  # m/s2


@dataclass(frozen=True)
class Mover:
    """A vehicle that drives by: its mesh, the first frame it is drawn in, and its body-to-world from there.

    Attributes:
        frames: (K, 4, 4).
        extent: half of length and width, m.
    """

    mesh: Mesh
    first: int
    frames: NDArray[np.float64]
    extent: NDArray[np.float64] = field(default_factory=lambda: np.array([2.3, 0.9]))

    def at(self, index: int) -> NDArray[np.float64] | None:
        """Its pose in image ``index``, None when it is out of sight."""
        k = index - self.first
        return self.frames[k] if 0 <= k < len(self.frames) else None

    def ends(self) -> NDArray[np.float64]:
        """(3K, 2) where its rear, its middle and its front are in all the images."""
        reach = np.array([-1.0, 0.0, 1.0])[:, None, None] * self.extent[0] * self.frames[:, :2, 0]
        return np.asarray((self.frames[:, :2, 3] + reach).reshape(-1, 2))

    def touches(self, other: Mover) -> bool:
        """Whether the two overlap in any image."""
        begin = max(self.first, other.first)
        end = min(self.first + len(self.frames), other.first + len(other.frames))
        if begin >= end:
            return False
        mine, theirs = self.frames[begin - self.first : end - self.first], other.frames[begin - other.first :]
        theirs = theirs[: len(mine)]
        cosine = (mine[:, :2, 0] * theirs[:, :2, 0]).sum(1)
        return bool(_overlap(mine, self.extent, theirs[:, :2, 3], other.extent + _AIR, cosine).any())


def _overlap(
    frames: NDArray[np.float64],
    extent: NDArray[np.float64],
    places: NDArray[np.float64],
    other: NDArray[np.float64],
    cosine: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """(K,) whether a rectangle at ``places`` (K, 2), turned by an angle of ``cosine`` (K,), may overlap the bodies."""
    gap = places - frames[:, :2, 3]
    along, across = np.abs((gap * frames[:, :2, 0]).sum(1)), np.abs((gap * frames[:, :2, 1]).sum(1))
    c, s = np.abs(cosine), np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    return np.asarray(
        (along < extent[0] + other[0] * c + other[1] * s) & (across < extent[1] + other[0] * s + other[1] * c)
    )


@dataclass(frozen=True)
class Traffic:
    """Draws the moving vehicles of a drive.

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
        """Vehicles ahead in the same lane, in lanes beside it, oncoming, and crossing at junctions."""
        kind, drawn = self.street_type, []
        if rng.random() < kind.leader_chance:
            drawn += self._leaders(rng)
        for lane in range(kind.lanes):
            if lane != kind.lane:
                drawn += self._beside(rng, lane)
            if not self.road_map.roads[0].roundabouts:  # in a roundabout all go the same way round
                drawn += self._oncoming(rng, lane)
        for index in range(1, len(self.road_map.roads)):
            if rng.random() < (1.0 if kind.stands else 0.6):
                drawn += self._on_side_street(rng, index)
        movers: list[Mover] = []
        for mover in drawn:
            if not any(mover.touches(other) for other in movers):
                movers.append(mover)
        return movers

    def _mover(self, road: Road, s: NDArray[np.float64], offset: float, back: bool, kind: Kind) -> list[Mover]:
        """A vehicle at stations ``s`` (F,), cut to the images in which it is in sight; none if it came too close."""
        extent = vehicle_extent(kind)
        margin = -1.0 if road.closed else extent[0] + 1.0
        inside = np.flatnonzero((s > margin) & (s < road.length - margin))
        if len(inside) == 0:
            return []
        distance = np.hypot(*(road.point(s[inside], offset) - self.camera[inside]).T)
        near = inside[distance < self.street_type.view - _END]
        if len(near) == 0:
            return []
        window = np.arange(near[0], near[-1] + 1)
        frames = road_frames(self.road_map, road, s[window], offset, back)
        heading = self.road_map.roads[0].heading_at(self.s[window])
        cosine = (np.stack([np.cos(heading), np.sin(heading)], -1) * frames[:, :2, 0]).sum(1)
        if _overlap(frames, extent, self.camera[window], _EGO, cosine).any():
            return []
        return [Mover(vehicle_mesh(kind), int(near[0]), frames, extent)]

    def _lane(
        self,
        rng: np.random.Generator,
        road: Road,
        offset: float,
        back: bool,
        travel: NDArray[np.float64],
        gap: float,
    ) -> list[Mover]:
        """Vehicles one after another in a lane; each has gone ``travel`` (F,) metres since the first image."""
        ego = self.s[: len(self.camera)]
        forth = -travel if back else travel
        low, high = 2.0 - float(forth.max()), road.length - 2.0 - float(forth.min())
        if road is self.road_map.roads[0]:
            low, high = float((ego - 30.0 - forth).min()), float((ego + self.street_type.view - forth).max())
        movers, place = [], low - rng.uniform(0.0, 2.0 * gap)
        while place < high:
            kind = sample_vehicle(rng, self.street_type.big)
            half = float(vehicle_extent(kind)[0])
            place += half
            movers += self._mover(road, place + forth, offset, back, kind)
            place += half + min(4.0, 0.2 * gap) + 2.5 + rng.exponential(gap)
        return movers

    def _steady(self, speed: float) -> NDArray[np.float64]:
        return np.asarray(speed * np.arange(len(self.camera)) / self.rate_hz, dtype=np.float64)

    def _oncoming(self, rng: np.random.Generator, lane: int) -> list[Mover]:
        kind = self.street_type
        speed = min(kind.cruise_speed, 34.0 if kind.divided else 26.0) * rng.uniform(0.6, 1.1)
        return self._lane(
            rng, self.road_map.roads[0], kind.lane_offset(lane), True, self._steady(speed), kind.oncoming_gap
        )

    def _beside(self, rng: np.random.Generator, lane: int) -> list[Mover]:
        """Vehicles in another lane of the same direction: faster to the left, slower to the right of the ego car."""
        kind = self.street_type
        if kind.queue_speed:
            wave = np.sin(np.arange(len(self.camera)) / self.rate_hz * rng.uniform(0.2, 0.7) + rng.uniform(0, 6.3))
            speed = np.maximum(0.0, kind.queue_speed * (rng.uniform(0.0, 1.0) + wave))
            travel, gap = np.concatenate([[0.0], np.cumsum(speed)[:-1] / self.rate_hz]), rng.uniform(1.5, 6.0)
        else:
            own = float(np.diff(self.s[: len(self.camera)]).mean()) * self.rate_hz
            own = max(own, 0.7 * kind.cruise_speed)
            faster = rng.uniform(0.0, 0.2) if lane < kind.lane else -rng.uniform(0.0, 0.25)
            travel, gap = self._steady(own * (1.0 + faster)), kind.oncoming_gap * rng.uniform(0.4, 1.2)
        return self._lane(rng, self.road_map.roads[0], -kind.lane_offset(lane), False, travel, gap)

    def _leaders(self, rng: np.random.Generator) -> list[Mover]:
        """Cars that drive as the ego car will a moment later, so that they also brake and stop like it."""
        kind, road = self.street_type, self.road_map.roads[0]
        queue = kind.queue_speed > 0.0
        delay, room = int(rng.uniform(0.5, 1.9) * self.rate_hz), _AXLE_TO_BUMPER
        movers = []
        for k in range(4 if queue else int(rng.integers(1, 3))):
            vehicle = sample_vehicle(rng, 2.0 * kind.big)
            half = float(vehicle_extent(vehicle)[0])
            room += half + (
                rng.uniform(1.2, 4.0) if queue or (k == 0 and rng.random() < 0.3) else rng.uniform(4.0, 20.0)
            )
            movers += self._mover(road, self._later(delay) + room, -kind.driven_offset, False, vehicle)
            room += half
        return movers

    def _later(self, delay: int) -> NDArray[np.float64]:
        """(F,) stations of the ego car ``delay`` instants after each image, at its last speed beyond the last one."""
        step = self.s[-1] - self.s[-2]
        longer = np.concatenate([self.s, self.s[-1] + step * np.arange(1, delay + 1)])
        return np.asarray(longer[delay : delay + len(self.camera)])

    def _on_side_street(self, rng: np.random.Generator, index: int) -> list[Mover]:
        """Vehicles that cross, come to the junction or leave it, or go round; dropped if they would meet the camera."""
        road, kind = self.road_map.roads[index], self.street_type
        if road.closed:
            travel = rng.uniform(0.0, road.length) + self._steady(rng.uniform(5.0, 7.5))
            return self._mover(road, travel % road.length, _side_offset(road, False), False, _car(rng))
        if kind.stands and index == 1:
            return [
                mover
                for back in (True, False)
                for mover in self._lane(
                    rng, road, _side_offset(road, back), back, self._steady(rng.uniform(4.0, 12.0)), 14.0
                )
            ]
        count, back = len(self.camera), bool(rng.random() < 0.5)
        seconds = np.asarray((np.arange(count) - rng.uniform(0, count)) / self.rate_hz, dtype=np.float64)
        speed, vehicle = rng.uniform(4.0, 10.0), sample_vehicle(rng, kind.big)
        if self.road_map.begins_at_road(index):
            stop = self.road_map.roads[0].half_width + float(vehicle_extent(vehicle)[0]) + 2.0
            s = stop + _to_rest(-seconds if back else seconds, speed)
        else:
            s = np.asarray(road.length / 2 + seconds * (-speed if back else speed), dtype=np.float64)
        return self._mover(road, s, _side_offset(road, back), back, vehicle)


def _car(rng: np.random.Generator) -> Kind:
    return sample_vehicle(rng, 0.0)


def _to_rest(seconds: NDArray[np.float64], speed: float) -> NDArray[np.float64]:
    """Metres (F,) from the place where a vehicle of ``speed`` m/s stands before ``seconds`` = 0 and sets off then."""
    moving = np.maximum(seconds, 0.0)
    gaining = np.minimum(moving, speed / _SETTING_OFF)
    return 0.5 * _SETTING_OFF * gaining**2 + speed * (moving - gaining)


def _side_offset(road: Road, back: bool) -> float:
    """Vehicles on a street that ends at the road stay on it."""
    return lane_offset(road.half_width) * (1.0 if back else -1.0)
