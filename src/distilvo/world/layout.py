"""Where side streets meet the road that is driven."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.road import SPACING, Road, follow
from distilvo.world.street_type import StreetType

_WINDOW = 12.0
_CORNER_TURN = np.radians(55.0)


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


def side_streets(
    rng: np.random.Generator, road: Road, street_type: StreetType
) -> tuple[list[Road], NDArray[np.float64]]:
    """Streets that branch off or cross, and the stations (N,) of the junctions on ``road``."""
    streets: list[Road] = []
    turns = corners(road)
    for s in turns[~road.is_covered(turns)]:
        streets += _beyond_corner(rng, road, float(s), street_type)
    straight = _straight_junctions(rng, road, turns, street_type)
    for s in straight:
        streets.append(_crossing(rng, road, float(s), street_type))
    return streets, np.sort(np.concatenate([turns, straight]))


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
    return follow(bend, start, heading, street_type.half_width * rng.uniform(0.65, 0.95))


def _crossing(rng: np.random.Generator, road: Road, s: float, street_type: StreetType) -> Road:
    """A street to one side (two in three) or right across."""
    side = float(rng.choice([-1.0, 1.0]))
    heading = float(road.heading_at(s)) + side * (np.pi / 2 + rng.uniform(-0.25, 0.25))
    reach = rng.uniform(50.0, 75.0)
    if rng.random() < 0.67:
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
