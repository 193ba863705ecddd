"""Builds the mesh of everything that stands still, from a map and a street type."""

from __future__ import annotations

import numpy as np

from distilvo.world.builder import MeshBuilder
from distilvo.world.buildings import add_buildings
from distilvo.world.mesh import Mesh
from distilvo.world.road import RoadMap
from distilvo.world.roadside import add_roadside
from distilvo.world.street_type import StreetType
from distilvo.world.structures import add_structures
from distilvo.world.surface import add_ground, add_junction_squares, add_roads
from distilvo.world.vehicles import ParkedCars
from distilvo.world.walls import add_walls


def build_scenery(road_map: RoadMap, street_type: StreetType, rng: np.random.Generator, parked: ParkedCars) -> Mesh:
    """The static mesh of the street; deterministic in the state of ``rng``."""
    builder = MeshBuilder()
    add_roads(builder, road_map, street_type)
    add_junction_squares(builder, road_map, street_type)
    add_ground(builder, road_map, rng, street_type)
    add_buildings(builder, road_map, rng, street_type)
    add_roadside(builder, road_map, rng, street_type)
    add_walls(builder, road_map, rng, street_type)
    add_structures(builder, road_map, rng, street_type)
    parked.add_to(builder)
    return builder.build()
