"""Turns a map and a setting into the mesh of everything that stands still."""

from __future__ import annotations

import numpy as np

from distilvo.world.builder import MeshBuilder
from distilvo.world.buildings import add_buildings
from distilvo.world.mesh import Mesh
from distilvo.world.road import RoadMap
from distilvo.world.roadside import add_roadside
from distilvo.world.setting import Setting
from distilvo.world.surface import add_ground, add_junction_squares, add_roads
from distilvo.world.vehicles import ParkedCars


def build_scenery(road_map: RoadMap, setting: Setting, rng: np.random.Generator, parked: ParkedCars) -> Mesh:
    """The static mesh of the street; deterministic in the state of ``rng``."""
    builder = MeshBuilder()
    add_roads(builder, road_map, setting)
    add_junction_squares(builder, road_map, setting)
    add_ground(builder, road_map, rng, setting.grass)
    add_buildings(builder, road_map, rng, setting)
    add_roadside(builder, road_map, rng, setting)
    parked.add_to(builder)
    return builder.build()
