"""Street types: the width, density and speed of a street, drawn once from its seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class StreetType:
    """What a street looks like and how it is driven; lengths in metres, speeds in m/s, chances in 0..1."""

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


_TOWN = StreetType(
    name="town", half_width=5.2, marked=True, walk_width=2.4, corner_chance=0.4, corner_radius=(8.0, 13.0),
    side_street_gap=(45.0, 110.0), hill_height=0.7, cruise_speed=12.0, stop_gap=120.0, grass=0.5,
    building_density=0.85, building_setback=(3.0, 8.0), building_floors=(2, 6), building_gap=6.0, tree_gap=14.0,
    tree_spread=20.0, tree_rows=False, parked=(0.5, 0.5), hedge=0.35, lamp_gap=28.0, oncoming_gap=60.0,
    leader_chance=0.35,
)  # fmt: skip

_KINDS = (
    _TOWN,
    replace(
        _TOWN, name="narrow", half_width=3.6, marked=False, walk_width=1.5, building_density=0.97,
        building_setback=(1.6, 2.6), building_floors=(3, 7), building_gap=1.0, tree_gap=45.0, parked=(0.5, 0.1),
        hedge=0.05, cruise_speed=8.5, side_street_gap=(30.0, 70.0), grass=0.05, oncoming_gap=110.0,
    ),
    replace(
        _TOWN, name="suburb", half_width=4.4, marked=False, walk_width=1.8, building_density=0.7,
        building_setback=(5.0, 12.0), building_floors=(1, 2), building_gap=9.0, tree_gap=9.0, hedge=0.75,
        cruise_speed=10.5, corner_chance=0.5, grass=0.85, oncoming_gap=110.0, leader_chance=0.2,
    ),
    replace(
        _TOWN, name="alley", half_width=4.8, walk_width=2.0, building_density=0.45, building_setback=(8.0, 16.0),
        building_floors=(1, 4), building_gap=12.0, tree_gap=8.0, tree_rows=True, tree_spread=3.0, parked=(0.25, 0.25),
        cruise_speed=12.0, corner_chance=0.25, grass=0.8,
    ),
    replace(
        _TOWN, name="country", half_width=3.9, walk_width=0.0, building_density=0.1, building_setback=(9.0, 30.0),
        building_floors=(1, 2), building_gap=40.0, tree_gap=5.5, tree_spread=55.0, parked=(0.0, 0.02), hedge=0.3,
        lamp_gap=300.0, cruise_speed=15.0, corner_chance=0.15, side_street_gap=(80.0, 200.0), hill_height=1.6,
        stop_gap=260.0, grass=0.97, oncoming_gap=130.0, leader_chance=0.3,
    ),
    replace(
        _TOWN, name="fast", half_width=5.6, walk_width=0.0, building_density=0.12, building_setback=(14.0, 40.0),
        building_floors=(2, 5), building_gap=30.0, tree_gap=7.0, tree_spread=40.0, parked=(0.0, 0.0), hedge=0.2,
        lamp_gap=45.0, cruise_speed=19.0, corner_chance=0.0, side_street_gap=(150.0, 400.0), hill_height=1.2,
        stop_gap=700.0, grass=0.9, oncoming_gap=45.0, leader_chance=0.6,
    ),
)  # fmt: skip
_CHANCES = (0.30, 0.16, 0.22, 0.12, 0.13, 0.07)


def sample_street_type(rng: np.random.Generator) -> StreetType:
    """Draw one kind of street and vary it, so that no two seeds look alike."""
    kind = _KINDS[int(rng.choice(len(_KINDS), p=_CHANCES))]

    def vary(value: float, spread: float) -> float:
        return float(value * np.exp(rng.uniform(-spread, spread)))

    return replace(
        kind,
        half_width=vary(kind.half_width, 0.12),
        marked=bool(rng.random() < (0.75 if kind.marked else 0.15)),
        walk_width=vary(kind.walk_width, 0.3),
        hill_height=vary(kind.hill_height, 0.3) * float(rng.choice([0.15, 1.0, 1.5], p=[0.4, 0.4, 0.2])),
        cruise_speed=min(25.0, vary(kind.cruise_speed, 0.3)),
        stop_gap=vary(kind.stop_gap, 0.5),
        grass=float(np.clip(kind.grass + rng.uniform(-0.3, 0.3), 0.0, 1.0)),
        building_density=float(np.clip(vary(kind.building_density, 0.2), 0.0, 1.0)),
        building_gap=vary(kind.building_gap, 0.6),
        tree_gap=vary(kind.tree_gap, 0.5),
        parked=(vary(kind.parked[0], 0.9), vary(kind.parked[1], 0.9)),
        hedge=vary(kind.hedge, 0.8),
        lamp_gap=vary(kind.lamp_gap, 0.2),
        oncoming_gap=vary(kind.oncoming_gap, 0.6),
    )
