"""Street types: the width, density and speed of a street, drawn once from its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class StreetType:
    """What a street looks like and how it is driven; lengths in metres, speeds in m/s, chances in 0..1.

    Traffic keeps to the right. Lanes are counted from the middle of the road, in each direction.

    Attributes (those whose name does not say it):
        half_width: from the centre line to the kerb, or to the outer edge of the hard shoulder.
        lanes, lane_width, shoulder: lanes in each direction, and the hard shoulder. One lane: as wide as the road.
        median: between the inner edge lines of the two directions.
        lane: the lane that is driven.
        marks: length of a dash of a lane line, and of the gap after it.
        queue_speed: of a drive in a queue; 0 in free traffic.
        stands: seconds that the car stands at the start, at a junction with traffic.
        view: to which distance the road ahead is built.
        wood: share of the roadside with a wall of trees, ``wood_setback`` from the road's edge.
        rails: share of the roadside with a crash barrier; ``noise_walls`` likewise.
        bank: height of embankments and cuttings.
        big: share of lorries and buses among moving vehicles.
    """

    name: str
    half_width: float
    marked: bool
    walk_width: float
    corner_chance: float
    corner_radius: tuple[float, float]
    side_street_gap: tuple[float, float]
    hill_height: float
    cruise_speed: float
    stop_gap: float
    grass: float
    building_density: float
    building_setback: tuple[float, float]
    building_floors: tuple[int, int]
    building_gap: float
    tree_gap: float
    tree_spread: float
    tree_rows: bool
    parked: tuple[float, float]
    hedge: float
    lamp_gap: float
    oncoming_gap: float
    leader_chance: float
    lanes: int = 1
    lane_width: float = 3.5
    shoulder: float = 0.0
    median: float = 0.0
    lane: int = 0
    marks: tuple[float, float] = (3.0, 9.0)
    roundabout_chance: float = 0.0
    queue_speed: float = 0.0
    stands: float = 0.0
    view: float = 140.0
    verge: float = 1.6
    sign_gap: float = 45.0
    wood: float = 0.0
    wood_setback: tuple[float, float] = (60.0, 120.0)
    fields: bool = False
    rails: float = 0.0
    noise_walls: float = 0.0
    delineators: float = 0.0
    gantry_gap: float = 0.0
    bridge_gap: float = 0.0
    bank: float = 0.0
    big: float = 0.08

    @property
    def divided(self) -> bool:
        """Whether the road has lanes of a stated width: several of them in each direction."""
        return self.lanes > 1

    @property
    def motorway(self) -> bool:
        """Whether there are no crossings: two carriageways with hard shoulders."""
        return self.divided and self.shoulder > 0.0

    def lane_offset(self, lane: int) -> float:
        """Metres from the centre line to the middle of ``lane``."""
        if not self.divided:
            return lane_offset(self.half_width)
        return self.median / 2 + (lane + 0.5) * self.lane_width

    @property
    def driven_offset(self) -> float:
        """Metres from the centre line to the middle of the lane that is driven, to the right of it."""
        return self.lane_offset(self.lane)


def lane_offset(half_width: float) -> float:
    """Metres from the centre line to the middle of a lane, on a road of one lane in each direction."""
    return min(1.8, 0.42 * half_width)


_TOWN = StreetType(
    name="town", half_width=5.2, marked=True, walk_width=2.4, corner_chance=0.4, corner_radius=(8.0, 13.0),
    side_street_gap=(45.0, 110.0), hill_height=0.7, cruise_speed=12.0, stop_gap=120.0, grass=0.5,
    building_density=0.85, building_setback=(3.0, 8.0), building_floors=(2, 6), building_gap=6.0, tree_gap=14.0,
    tree_spread=20.0, tree_rows=False, parked=(0.5, 0.5), hedge=0.35, lamp_gap=28.0, oncoming_gap=60.0,
    leader_chance=0.35, roundabout_chance=0.06, bridge_gap=900.0,
)  # fmt: skip
_COUNTRY = replace(
    _TOWN, name="country", half_width=3.9, walk_width=0.0, building_density=0.1, building_setback=(9.0, 30.0),
    building_floors=(1, 2), building_gap=40.0, tree_gap=5.5, tree_spread=55.0, parked=(0.0, 0.02), hedge=0.3,
    lamp_gap=300.0, cruise_speed=18.0, corner_chance=0.06, side_street_gap=(80.0, 200.0), hill_height=1.6,
    stop_gap=260.0, grass=0.97, oncoming_gap=130.0, leader_chance=0.3, view=200.0, wood=0.5, fields=True, rails=0.3,
    delineators=50.0, sign_gap=90.0, roundabout_chance=0.03, bridge_gap=1500.0,
)  # fmt: skip
_FAST = replace(
    _COUNTRY, name="fast", half_width=5.6, building_density=0.12, building_setback=(14.0, 40.0),
    building_floors=(2, 5), building_gap=30.0, tree_gap=7.0, tree_spread=40.0, parked=(0.0, 0.0), hedge=0.2,
    lamp_gap=90.0, cruise_speed=22.0, corner_chance=0.0, side_street_gap=(150.0, 400.0), hill_height=1.2,
    stop_gap=900.0, grass=0.9, oncoming_gap=60.0, leader_chance=0.5, view=260.0, bridge_gap=700.0, big=0.2,
    roundabout_chance=0.0,
)  # fmt: skip

_KINDS = (
    _TOWN,
    replace(
        _TOWN, name="narrow", half_width=3.6, marked=False, walk_width=1.5, building_density=0.97,
        building_setback=(1.6, 2.6), building_floors=(3, 7), building_gap=1.0, tree_gap=45.0, parked=(0.5, 0.1),
        hedge=0.05, cruise_speed=8.5, side_street_gap=(30.0, 70.0), grass=0.05, oncoming_gap=110.0, bridge_gap=0.0,
        roundabout_chance=0.0,
    ),
    replace(
        _TOWN, name="suburb", half_width=4.4, marked=False, walk_width=1.8, building_density=0.7,
        building_setback=(5.0, 12.0), building_floors=(1, 2), building_gap=9.0, tree_gap=9.0, hedge=0.75,
        cruise_speed=10.5, corner_chance=0.5, grass=0.85, oncoming_gap=110.0, leader_chance=0.2, bridge_gap=0.0,
    ),
    replace(
        _TOWN, name="alley", half_width=4.8, walk_width=2.0, building_density=0.45, building_setback=(8.0, 16.0),
        building_floors=(1, 4), building_gap=12.0, tree_gap=8.0, tree_rows=True, tree_spread=3.0, parked=(0.25, 0.25),
        cruise_speed=12.0, corner_chance=0.25, grass=0.8,
    ),
    replace(
        _TOWN, name="arterial", lanes=2, lane_width=3.2, median=3.0, walk_width=3.0, parked=(0.0, 0.0), view=180.0,
        cruise_speed=13.5, corner_chance=0.0, side_street_gap=(70.0, 160.0), oncoming_gap=45.0, leader_chance=0.5,
        building_setback=(4.0, 14.0), building_floors=(2, 8), roundabout_chance=0.0, bridge_gap=500.0, big=0.15,
        stop_gap=180.0,
    ),
    _COUNTRY,
    replace(
        _COUNTRY, name="wood", tree_gap=1.8, tree_spread=12.0, wood=0.95, wood_setback=(9.0, 16.0), fields=False,
        building_density=0.0, hedge=0.0, cruise_speed=20.0, corner_chance=0.02, hill_height=2.0, verge=2.2,
        side_street_gap=(200.0, 500.0), stop_gap=600.0,
    ),
    _FAST,
    replace(
        _FAST, name="motorway", lanes=2, lane_width=3.6, shoulder=2.5, median=5.0, cruise_speed=28.0, tree_gap=10.0,
        tree_spread=60.0, verge=9.0, hedge=0.0, building_density=0.1, building_setback=(45.0, 90.0), lamp_gap=900.0,
        stop_gap=1e5, wood=0.5, wood_setback=(9.0, 40.0), rails=0.6, noise_walls=0.15, sign_gap=220.0,
        gantry_gap=500.0, bridge_gap=600.0, bank=3.5, big=0.25, oncoming_gap=70.0, view=320.0,
    ),
)  # fmt: skip

_CHANCES = {
    "town": 0.14, "narrow": 0.08, "suburb": 0.12, "alley": 0.07, "arterial": 0.10,  # 51 % in towns
    "country": 0.13, "wood": 0.09,  # 22 % in the country
    "fast": 0.07, "motorway": 0.20,  # 27 % on fast roads
}  # fmt: skip
"""Share of each kind among the streets of many seeds, roughly that of hours driven."""

_ALONG = (
    (9.0, {"town": 0.3, "narrow": 0.25, "suburb": 0.3, "alley": 0.15}),
    (14.0, {"town": 0.35, "suburb": 0.15, "alley": 0.2, "country": 0.2, "wood": 0.1}),
    (20.0, {"alley": 0.15, "country": 0.4, "wood": 0.25, "fast": 0.2}),
    (np.inf, {"country": 0.05, "wood": 0.1, "fast": 0.15, "motorway": 0.7}),
)
"""Chances of the kinds along a given track, by its speed up to so many m/s."""

_LANE_MARKS = ((6.0, 12.0), (3.05, 9.14), (3.0, 9.0), (4.5, 7.5), (6.0, 9.0), (2.0, 7.0))
"""Dash and gap of lane lines in metres, e.g. 6 / 12 on German motorways, 10 / 30 feet in the US."""

_QUEUES = {"town": 0.1, "arterial": 0.12, "alley": 0.05, "fast": 0.05, "motorway": 0.12}
_STANDS = {"town": 0.12, "arterial": 0.15, "suburb": 0.05, "alley": 0.08, "country": 0.03}
_FASTEST = 36.0


def sample_street_type(rng: np.random.Generator) -> StreetType:
    """Draw one kind of street and vary it, so that no two seeds look alike."""
    kind = _varied(rng, str(rng.choice(list(_CHANCES), p=list(_CHANCES.values()))))
    draw = rng.random()
    queue, stand = _QUEUES.get(kind.name, 0.0), _STANDS.get(kind.name, 0.0)
    if draw < queue:
        speed, gap = rng.uniform(1.0, 4.0), 0.7 * kind.oncoming_gap
        return replace(kind, queue_speed=speed, stop_gap=12.0, oncoming_gap=gap, leader_chance=1.0)
    if draw < queue + stand:
        seconds = rng.uniform(3.0, 14.0)
        return replace(kind, stands=seconds, corner_chance=0.0, roundabout_chance=0.0, leader_chance=0.0)
    return kind


def street_type_along(rng: np.random.Generator, speed: float, bends: bool) -> StreetType:
    """Draw a kind of street that fits a track of ``speed`` m/s; ``bends``: it turns tighter than motorways do."""
    chances = dict(next(table for limit, table in _ALONG if speed <= limit))
    if bends:
        chances.pop("motorway", None)
    weights = np.array(list(chances.values()))
    return replace(_varied(rng, str(rng.choice(list(chances), p=weights / weights.sum()))), bridge_gap=0.0)


def _varied(rng: np.random.Generator, name: str) -> StreetType:
    kind = next(kind for kind in _KINDS if kind.name == name)

    def vary(value: float, spread: float) -> float:
        return float(value * np.exp(rng.uniform(-spread, spread)))

    kind = replace(
        kind,
        half_width=vary(kind.half_width, 0.12),
        marked=bool(rng.random() < (0.75 if kind.marked else 0.15)),
        walk_width=vary(kind.walk_width, 0.3),
        hill_height=vary(kind.hill_height, 0.3) * float(rng.choice([0.15, 1.0, 1.5], p=[0.4, 0.4, 0.2])),
        cruise_speed=min(_FASTEST, vary(kind.cruise_speed, 0.3)),
        stop_gap=vary(kind.stop_gap, 0.5),
        grass=float(np.clip(kind.grass + rng.uniform(-0.3, 0.3), 0.0, 1.0)),
        building_density=float(np.clip(vary(kind.building_density, 0.2), 0.0, 1.0)),
        building_gap=vary(kind.building_gap, 0.6),
        tree_gap=vary(kind.tree_gap, 0.5),
        parked=(vary(kind.parked[0], 0.9), vary(kind.parked[1], 0.9)),
        hedge=vary(kind.hedge, 0.8),
        lamp_gap=vary(kind.lamp_gap, 0.2),
        oncoming_gap=vary(kind.oncoming_gap, 0.6),
        marks=_LANE_MARKS[int(rng.integers(len(_LANE_MARKS)))],
        wood=float(np.clip(kind.wood + rng.uniform(-0.4, 0.4) * (kind.wood > 0), 0.0, 1.0)),
        rails=float(np.clip(kind.rails + rng.uniform(-0.5, 0.4) * (kind.rails > 0), 0.0, 1.0)),
        delineators=kind.delineators * float(rng.random() < 0.6),
        big=vary(kind.big, 0.5),
    )
    return _with_lanes(rng, kind) if kind.divided else kind


def _with_lanes(rng: np.random.Generator, kind: StreetType) -> StreetType:
    """Draw the cross-section of a road of several lanes."""
    lanes = int(rng.choice([2, 3, 4], p=[0.45, 0.4, 0.15] if kind.motorway else [0.85, 0.15, 0.0]))
    lane_width = kind.lane_width + rng.uniform(-0.2, 0.2)
    shoulder = rng.uniform(1.6, 3.2) if kind.motorway else 0.0
    median = rng.uniform(2.2, 9.0) if kind.motorway else float(rng.choice([0.6, rng.uniform(1.6, 5.0)]))
    return replace(
        kind,
        lanes=lanes,
        lane_width=lane_width,
        shoulder=shoulder,
        median=median,
        lane=int(rng.integers(lanes)),
        half_width=median / 2 + lanes * lane_width + max(shoulder, 0.3),
        bank=kind.bank * rng.uniform(-1.0, 1.0) * float(rng.random() < 0.7),
        marked=True,
    )
