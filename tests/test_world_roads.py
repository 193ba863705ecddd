"""The kinds of road: their shares, their lanes, how they are driven, and what moves on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from distilvo.world.builder import MeshBuilder
from distilvo.world.course import sample_road
from distilvo.world.lanes import add_carriageways
from distilvo.world.layout import make_map
from distilvo.world.mesh import TEXTURES, Mesh
from distilvo.world.retrace import pace, to_world
from distilvo.world.road import RoadMap, follow
from distilvo.world.street import Street, make_street, make_street_along
from distilvo.world.street_type import _CHANCES, _LANE_MARKS, StreetType, sample_street_type, street_type_along
from distilvo.world.surface import add_roads
from test_world_street import assert_way_is_free, loop_poses, motions

SMALL = (48, 160)


def kind_of(seed: int) -> StreetType:
    return sample_street_type(np.random.default_rng([seed, 1]))


def seeds(accept: Callable[[StreetType], bool], count: int) -> list[int]:
    return [seed for seed in range(3000) if accept(kind_of(seed))][:count]


@cache
def drive(seed: int) -> Street:
    return make_street(seed, 100, SMALL)


def is_free(kind: StreetType) -> bool:
    return not kind.queue_speed and not kind.stands


def flat(xy: np.ndarray) -> np.ndarray:
    return np.zeros(xy.shape[:-1])


MOTORWAYS = seeds(lambda kind: kind.motorway and is_free(kind), 6)
ARTERIALS = seeds(lambda kind: kind.name == "arterial" and is_free(kind), 2)
WOODS = seeds(lambda kind: kind.name == "wood" and is_free(kind), 2)


# --- kinds -------------------------------------------------------------------------------------------------------


def test_the_kinds_come_in_the_stated_shares() -> None:
    count = 4000
    found = Counter(kind_of(seed).name for seed in range(count))
    assert sum(_CHANCES.values()) == pytest.approx(1.0)
    assert found.keys() == _CHANCES.keys()
    for share, names in ((0.51, "town narrow suburb alley arterial"), (0.22, "country wood"), (0.27, "fast motorway")):
        assert sum(found[name] for name in names.split()) / count == pytest.approx(share, abs=0.035)
    for name, chance in _CHANCES.items():
        assert abs(found[name] / count - chance) < 4 * np.sqrt(chance * (1 - chance) / count), name


def test_a_motorway_has_room_for_its_lanes_and_every_lane_is_driven() -> None:
    kinds = [kind for kind in map(kind_of, range(2500)) if kind.motorway]
    assert {kind.lanes for kind in kinds} == {2, 3, 4}
    assert {(kind.lanes, kind.lane) for kind in kinds} >= {(2, 0), (2, 1), (3, 0), (3, 1), (3, 2)}
    assert {kind.marks for kind in kinds} == set(_LANE_MARKS)
    for kind in kinds:
        assert kind.lane < kind.lanes
        assert kind.lane_offset(kind.lanes - 1) + kind.lane_width / 2 + kind.shoulder == pytest.approx(kind.half_width)
        assert kind.view >= 250.0 and 20.0 < kind.cruise_speed <= 36.0


def test_a_fast_straight_track_becomes_a_motorway_and_a_slow_one_never() -> None:
    fast = Counter(street_type_along(np.random.default_rng(seed), 30.0, False).name for seed in range(200))
    assert fast["motorway"] > 70 and not {"town", "narrow", "suburb", "arterial"} & fast.keys()
    bent = {street_type_along(np.random.default_rng(seed), 30.0, True).name for seed in range(200)}
    assert bent == {"country", "wood", "fast"}
    slow = {street_type_along(np.random.default_rng(seed), 7.0, True).name for seed in range(200)}
    assert slow == {"town", "narrow", "suburb", "alley"}


def test_the_pace_of_a_track_is_its_speed_while_it_moves_and_whether_it_bends() -> None:
    track, times = to_world(straight_poses(40, 2.5))[:, :3, 3], np.arange(100) / 10
    waiting = np.concatenate([np.repeat(track[:1], 60, axis=0), track])
    assert pace(waiting, times) == (pytest.approx(25.0), False)
    assert pace(to_world(loop_poses())[:, :3, 3], np.arange(240) / 10)[1]


def straight_poses(count: int, step: float) -> np.ndarray:
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = step * np.arange(count)
    return poses


# --- lanes -------------------------------------------------------------------------------------------------------


def line_quads(mesh: Mesh) -> np.ndarray:
    """(Q, 4, 3) corners of the quads with a white line."""
    lines = mesh.faces[::2][mesh.texture[::2] == TEXTURES.index("line")]
    return mesh.vertices[lines[:, :1] + np.arange(4)]


@pytest.mark.parametrize("marks", _LANE_MARKS)
def test_lane_lines_have_the_stated_dashes_and_gaps(marks: tuple[float, float]) -> None:
    """On a straight road along x the dashes of each lane line can be read off the mesh."""
    kind = replace(kind_of(MOTORWAYS[0]), lanes=3, lane_width=3.5, median=4.0, shoulder=2.5, half_width=15.0,
                   marks=marks, bank=0.0, bridge_gap=0.0)  # fmt: skip
    road = follow(np.zeros(601), np.zeros(2), 0.0, 15.0)
    builder = MeshBuilder()
    road_map = make_map(np.random.default_rng(0), road, flat, kind)
    assert road_map.roads == [road], "nothing branches off"
    add_carriageways(builder, road_map, kind)
    quads = line_quads(builder.build())
    middle = quads[..., 1].mean(axis=1).round(3)
    assert set(middle) == {side * at for side in (-1, 1) for at in (2.0, 5.5, 9.0, 12.5)}
    np.testing.assert_array_equal(quads[..., 2], 0.0)  # right on the ground
    for at in (-9.0, -5.5, 5.5, 9.0):
        covered = np.zeros(30000, dtype=bool)  # centimetres
        for low, high in zip(*(f(quads[middle == at][..., 0], axis=1) for f in (np.min, np.max)), strict=True):
            covered[round(100 * low) : round(100 * high)] = True
        edges = np.flatnonzero(np.diff(covered.astype(int)))
        lengths = np.diff(edges) / 100
        np.testing.assert_allclose(lengths[0::2], marks[0], atol=0.021)
        np.testing.assert_allclose(lengths[1::2], marks[1], atol=0.021)
        assert len(lengths) > 2 * 270 / sum(marks)
    for at in (2.0, 12.5):  # edge lines are solid
        assert (np.ptp(quads[middle == at][..., 0], axis=1)).sum() == pytest.approx(300.0, abs=1.0)


def test_a_point_on_a_wide_road_is_on_it_even_where_a_narrow_one_is_nearer() -> None:
    wide = follow(np.zeros(201), np.array([-50.0, 0.0]), 0.0, 10.0)
    narrow = follow(np.zeros(201), np.array([0.0, -50.0]), np.pi / 2, 4.0)
    road_map = RoadMap([wide, narrow], flat, np.array([50.0]))
    points = np.array([(6.0, 8.0), (5.0, 12.0), (2.0, 12.0), (20.0, 12.0)])
    np.testing.assert_allclose(road_map.clearance(points), (-2.0, 1.0, -2.0, 2.0), atol=1e-9)


@pytest.mark.parametrize("seed", ARTERIALS)
def test_no_sidewalk_lies_on_the_lanes(seed: int) -> None:
    rng, kind = np.random.default_rng(seed), kind_of(seed)
    road = follow(np.zeros(801), np.zeros(2), 0.0, kind.half_width)
    builder = MeshBuilder()
    road_map = make_map(rng, road, flat, kind)
    assert len(road_map.roads) > 2
    add_roads(builder, road_map, kind)
    mesh = builder.build()
    across, up = mesh.vertices[mesh.faces[mesh.texture == TEXTURES.index("sidewalk")]].mean(axis=1)[:, 1:].T
    raised = np.abs(across[up > 0.05])
    assert ((raised > kind.half_width - 0.5) | (raised < kind.median / 2)).all()


# --- how they are driven -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", MOTORWAYS)
def test_a_motorway_is_driven_fast_straight_and_smoothly(seed: int) -> None:
    poses = drive(seed).poses
    steps = motions(poses)
    speed = 10 * np.linalg.norm(steps[:, :3, 3], axis=1)
    assert speed.min() > 13.0 and speed.max() < 39.0
    yaw = np.unwrap(np.arctan2(poses[:, 0, 2], poses[:, 2, 2]))
    turn = np.abs(yaw[20:] - yaw[:-20])
    assert turn.max() < 2.2 * speed.max() / 400.0, "a bend of less than 400 m"
    sideways = 10 * np.abs(yaw[10:] - yaw[:-10]) / 10 * speed[:90]
    assert sideways.max() < 3.5, "m/s2"
    height = np.convolve(poses[:, 1, 3], np.ones(10) / 10, "valid")
    assert np.abs(np.diff(height, 2)).max() * 100 < 2.5, "m/s2"


@pytest.mark.parametrize("seed", [*MOTORWAYS[:4], *ARTERIALS, *WOODS])
def test_the_way_is_free_on_the_new_kinds_too(seed: int) -> None:
    assert_way_is_free(drive(seed), range(0, 96, 5))


@pytest.mark.parametrize("exit_side", [-1, 0, 1])
def test_the_way_through_a_roundabout_goes_round_its_middle(exit_side: int) -> None:
    kind = replace(kind_of(seeds(lambda k: k.name == "town", 1)[0]), corner_chance=0.0, roundabout_chance=1.0)
    for seed in range(200):
        road = sample_road(np.random.default_rng(seed), kind, 60.0)
        ring = road.roundabouts[0]
        s = np.arange(len(road.xy)) * 0.5
        reach = np.hypot(*(road.xy - ring.centre).T)
        inside = np.flatnonzero(reach < ring.radius + 20.0)
        inside = inside[np.abs(s[inside] - ring.s) < 80.0]
        turned = np.degrees(road.heading[inside[-1]] - road.heading[inside[0]])
        if round(turned / 90.0) != exit_side:
            continue
        assert abs(turned - 90.0 * exit_side) < 8.0
        assert reach.min() == pytest.approx(ring.radius, abs=0.6)
        middle = np.abs(s - ring.s) < 6.0
        np.testing.assert_allclose(reach[middle], ring.radius, atol=0.6)
        assert (road.curvature[middle] > 0).all(), "anticlockwise"
        assert road.heading[inside].min() < road.heading[inside[0]] - 0.5, "it swings to the right first"
        # The entry's line leads to the middle of the roundabout.
        ahead = ring.centre - road.xy[inside[0]]
        off = np.arctan2(ahead[1], ahead[0]) - road.heading[inside[0]]
        assert abs((off + np.pi) % (2 * np.pi) - np.pi) < 0.12
        return
    raise AssertionError(f"no roundabout with exit {exit_side}")


# --- what moves --------------------------------------------------------------------------------------------------


# --- along given poses -------------------------------------------------------------------------------------------


def test_a_motorway_along_a_fast_track_follows_it_exactly() -> None:
    poses = straight_poses(60, 3.0)
    poses[:, 0, 3] = 30.0 * (1 - np.cos(np.arange(60) * 3.0 / 900.0))  # a wide bend
    seed = next(seed for seed in range(50) if street_type_along(np.random.default_rng([seed, 2]), 30.0, False).motorway)
    street = make_street_along(poses, seed, SMALL)
    np.testing.assert_allclose(motions(street.poses), motions(poses), atol=1e-9)
    lines = (
        np.linalg.inv(street._world_poses[20])[:3] @ np.insert(line_quads(street._scene.mesh).mean(axis=1), 3, 1, 1).T
    )
    near = lines[0, (lines[2] > -10.0) & (lines[2] < 25.0)]
    assert 1.6 < near[near > 0].min() < 2.0 and -2.0 < near[near < 0].max() < -1.6, "in the middle of a lane"
    assert_way_is_free(street, range(0, 56, 5))
