"""What meets the road that is driven: side streets, roundabouts, bridges, and the banks beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.motion import START
from distilvo.world.road import SPACING, HeightField, Road, RoadBridge, RoadMap, Roundabout, follow
from distilvo.world.street_type import StreetType

_WINDOW = 12.0
_CORNER_TURN = np.radians(55.0)
_WAITING = 13.0  # metres from the rear axle of a car that waits to the middle of the crossing
_WIDEST_SIDE_STREET = 4.6


def corners(road: Road) -> NDArray[np.float64]:
    """Stations (N,) in the middle of each turn of more than 55 degrees within 24 metres."""
    reach = int(_WINDOW / SPACING)
    if len(road.heading) <= 2 * reach:
        return np.zeros(0)
    turn = np.abs(road.heading[2 * reach :] - road.heading[: -2 * reach])
    stations: list[float] = []
    sharp = np.flatnonzero(turn > _CORNER_TURN)
    for run in np.split(sharp, np.flatnonzero(np.diff(sharp) > 1) + 1):
        if len(run):
            stations.append((run[np.argmax(turn[run])] + reach) * SPACING)
    return np.array(stations)


def make_map(rng: np.random.Generator, road: Road, ground: HeightField, street_type: StreetType) -> RoadMap:
    """The map around ``road``, which is driven."""
    streets, junctions = side_streets(rng, road, street_type)
    bridges = _bridges(rng, road, street_type, junctions)
    banks = None
    if street_type.bank != 0.0:
        s = np.arange(len(road.xy)) * SPACING
        swell = np.sin(s / rng.uniform(30.0, 90.0) + rng.uniform(0.0, 6.3))
        banks = street_type.bank * np.clip(0.4 + swell, 0.0, 1.0)
    return RoadMap([road, *streets], ground, junctions, bridges, banks)


def _bridges(
    rng: np.random.Generator, road: Road, street_type: StreetType, junctions: NDArray[np.float64]
) -> tuple[RoadBridge, ...]:
    if street_type.bridge_gap == 0.0:
        return ()
    s = START + np.cumsum(40.0 + rng.exponential(street_type.bridge_gap, int(road.length / 40.0) + 1))
    s = s[s < road.length - 10.0]
    bend = np.abs(road.heading_at(s + 15.0) - road.heading_at(s - 15.0))
    apart = np.abs(s[:, None] - junctions[None]).min(axis=1, initial=np.inf)
    bridges = []
    for at in s[(bend < 0.2) & (apart > 30.0)]:
        angle = float(road.heading_at(at)) + np.pi / 2 + rng.uniform(-0.3, 0.3)
        across = np.array([np.cos(angle), np.sin(angle)])
        bridges.append(RoadBridge(float(at), road.point(at, 0.0), across, rng.uniform(6.0, 16.0)))
    return tuple(bridges)


def side_streets(
    rng: np.random.Generator, road: Road, street_type: StreetType
) -> tuple[list[Road], NDArray[np.float64]]:
    """Streets that branch off or cross, and the stations (N,) of the junctions on ``road``.

    Where the drive begins standing, the first street is the one at which it stands.
    """
    if street_type.motorway:
        return [], np.zeros(0)
    streets: list[Road] = []
    rings = road.roundabouts
    for ring in rings:
        streets += _around(rng, road, ring, street_type)
    turns = corners(road)
    turns = turns[[not any(_meets(road, ring, s) for ring in rings) for s in turns]] if len(turns) else turns
    for s in turns[~road.is_covered(turns)]:
        streets += _beyond_corner(rng, road, float(s), street_type)
    straight = _straight_junctions(rng, road, turns, street_type)
    straight = straight[[not any(_meets(road, ring, s, 30.0) for ring in rings) for s in straight]]
    if street_type.stands > 0.0:
        straight = straight[straight > START + _WAITING + 30.0]
        streets.insert(0, _crossing(rng, road, START + _WAITING, street_type, across=True))
    for s in straight:
        streets.append(_crossing(rng, road, float(s), street_type))
    more = [ring.s for ring in rings] + [START + _WAITING] * (street_type.stands > 0.0)
    return streets, np.sort(np.concatenate([turns, straight, more]))


def _meets(road: Road, ring: Roundabout, s: float, room: float = 12.0) -> bool:
    """Whether station ``s`` lies in a roundabout, or within ``room`` metres of it."""
    return bool(np.hypot(*(road.point(s, 0.0) - ring.centre)) < ring.radius + road.half_width + room)


def _around(rng: np.random.Generator, road: Road, ring: Roundabout, street_type: StreetType) -> list[Road]:
    """The full circle of a roundabout, and the roads that the drive does not take at it."""
    count = int(2 * np.pi * ring.radius / SPACING) + 1
    angle = np.linspace(0.0, 2 * np.pi, count + 1)
    xy = ring.centre + ring.radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    circle = Road(xy, angle + np.pi / 2, road.half_width, np.zeros(count + 1, dtype=bool))
    reach = ring.radius + 22.0
    s = np.arange(len(road.xy)) * SPACING
    inside = np.flatnonzero((np.hypot(*(road.xy - ring.centre).T) < reach) & (np.abs(s - ring.s) < 4.0 * reach))
    taken = [np.arctan2(*(road.xy[end] - ring.centre)[::-1]) for end in (inside[0], inside[-1])]
    arms = []
    for bearing in taken[0] + np.pi / 2 * np.arange(1, 4) + rng.uniform(-0.2, 0.2, 3):
        apart = [abs((bearing - other + np.pi) % (2 * np.pi) - np.pi) for other in taken]
        if min(apart) > 0.9 and rng.random() < 0.8:
            out = np.array([np.cos(bearing), np.sin(bearing)])
            arms.append(_street(rng, ring.centre + (ring.radius + 1.0) * out, float(bearing), 70.0, street_type))
    return [circle, *arms]


def _straight_junctions(
    rng: np.random.Generator, road: Road, turns: NDArray[np.float64], street_type: StreetType
) -> NDArray[np.float64]:
    low, high = street_type.side_street_gap
    s = np.cumsum(rng.uniform(low, high, int(road.length / low) + 1)) - low * rng.random()
    s = s[(s > 12.0) & (s < road.length - 12.0)]
    bend = np.abs(road.heading_at(s + 10.0) - road.heading_at(s - 10.0))
    apart = np.abs(s[:, None] - turns[None]).min(axis=1, initial=np.inf)
    return np.asarray(s[(bend < 0.15) & (apart > 35.0) & ~road.is_covered(s)])


def _street(
    rng: np.random.Generator, start: NDArray[np.float64], heading: float, length: float, street_type: StreetType
) -> Road:
    bend = np.full(int(length / SPACING), rng.normal(0.0, 0.0025))
    width = min(street_type.half_width, _WIDEST_SIDE_STREET) if street_type.divided else street_type.half_width
    return follow(bend, start, heading, width * rng.uniform(0.65, 0.95))


def _crossing(rng: np.random.Generator, road: Road, s: float, street_type: StreetType, across: bool = False) -> Road:
    """A street to one side (two in three) or right ``across``."""
    side = float(rng.choice([-1.0, 1.0]))
    heading = float(road.heading_at(s)) + side * (np.pi / 2 + rng.uniform(-0.25, 0.25))
    reach = rng.uniform(50.0, 75.0)
    if rng.random() < 0.67 and not across:
        return _street(rng, road.point(s, side * (road.half_width - 1.0)), heading, reach, street_type)
    back = reach * np.array([np.cos(heading), np.sin(heading)])
    return _street(rng, road.point(s, 0.0) - back, heading, 2 * reach, street_type)


def _beyond_corner(rng: np.random.Generator, road: Road, s: float, street_type: StreetType) -> list[Road]:
    """The arms that the drive does not take where it turns: straight ahead, and opposite the way it leaves."""
    into, out = (float(road.heading_at(s + d)) for d in (-_WINDOW, _WINDOW))
    before, after = road.point(s - _WINDOW, 0.0), road.point(s + _WINDOW, 0.0)
    ahead, away = (np.array([np.cos(angle), np.sin(angle)]) for angle in (into, out))
    # The two tangents meet in the middle of the junction.
    along = np.linalg.solve(np.stack([ahead, away], axis=1), after - before)[0]
    middle = before + np.clip(along, 0.0, 40.0) * ahead
    arms = [(into, ahead), (out + np.pi, -away)]
    chosen = rng.choice(3, p=[0.45, 0.25, 0.3])
    picked = arms if chosen == 0 else [arms[chosen - 1]]
    return [_street(rng, middle + 1.0 * direction, angle, 70.0, street_type) for angle, direction in picked]
