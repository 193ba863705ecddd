"""Traffic: cars that stand, queue, overtake, and never come through each other."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from distilvo.world.mesh import Mesh
from distilvo.world.road import RoadMap
from distilvo.world.scenery import build_scenery
from distilvo.world.street import Street, make_street
from distilvo.world.street_type import StreetType
from distilvo.world.vehicles import ParkedCars
from test_world_roads import ARTERIALS, MOTORWAYS, SMALL, drive, kind_of, seeds
from test_world_street import motions

QUEUES = seeds(lambda kind: kind.queue_speed > 0, 5)


STANDING = seeds(lambda kind: kind.stands > 5, 5)


@pytest.mark.parametrize("seed", STANDING)
def test_a_standing_car_does_not_move_while_others_do(seed: int) -> None:
    street = drive(seed)
    still = min(int(10 * kind_of(seed).stands), 100) - 1
    np.testing.assert_allclose(street.poses[:still], np.eye(4)[None].repeat(still, 0), atol=1e-12)
    to_camera, crossed = np.linalg.inv(street._world_poses[0]), 0
    for mover in street._scene.movers:
        x, _, z, _ = to_camera @ mover.frames[: max(still - mover.first, 0), :, 3].T
        ahead = x[(z > 4.0) & (z < 20.0)]
        crossed += len(ahead) > 5 and np.ptp(ahead) > 3.0
    assert crossed >= 2


@pytest.mark.parametrize("seed", QUEUES)
def test_a_queue_crawls_behind_a_car_close_ahead(seed: int) -> None:
    street = drive(seed)
    speed = 10 * np.linalg.norm(motions(street.poses)[:, :3, 3], axis=1)
    assert speed.max() < 6.0
    gaps = []
    for index in range(0, 100, 10):
        to_camera = np.linalg.inv(street._world_poses[index])
        places = [to_camera @ body[:, 3] for _, _, body in street._scene.moving(index)]
        gaps.append(min((p[2] for p in places if abs(p[0]) < 2.0 and p[2] > 0), default=np.inf))
    assert np.median(gaps) < 22.0


BUSY = [*MOTORWAYS, *ARTERIALS, *QUEUES, *STANDING, *range(12)]


def bodies(street: Street, index: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Body-to-world and half length and width, taken from the mesh itself, of what moves in image ``index``."""
    for _, mesh, body in street._scene.moving(index):
        high = mesh.vertices[mesh.vertices[:, 2] > 0.2]
        yield body, np.abs(high[:, :2]).max(axis=0)


@pytest.mark.parametrize("seed", BUSY)
def test_nothing_that_moves_comes_near_the_camera(seed: int) -> None:
    street = drive(seed)
    for index in range(100):
        for body, half in bodies(street, index):
            place = np.linalg.inv(body) @ street._world_poses[index][:, 3]
            outside = np.maximum(np.abs(place[:2]) - half, 0.0)
            assert np.hypot(*outside) > 1.0 and np.hypot(*place[:2]) > 2.0


@pytest.mark.parametrize("seed", BUSY)
def test_no_vehicle_drives_through_another(seed: int) -> None:
    street = drive(seed)
    for index in range(0, 100, 4):
        boxes = [
            ((float(b[0, 3]), float(b[1, 3])), tuple(2 * half), float(np.degrees(np.arctan2(b[1, 0], b[0, 0]))))
            for b, half in bodies(street, index)
        ]
        for k, one in enumerate(boxes):
            for other in boxes[:k]:
                assert cv2.rotatedRectangleIntersection(one, other)[0] == cv2.INTERSECT_NONE


def test_no_vehicle_drives_through_a_parked_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the parked ones are those that wait at the mouths of side streets."""
    kept: list[ParkedCars] = []

    def spy(road_map: RoadMap, kind: StreetType, rng: np.random.Generator, parked: ParkedCars) -> Mesh:
        kept.append(parked)
        return build_scenery(road_map, kind, rng, parked)

    monkeypatch.setattr("distilvo.world.street.build_scenery", spy)
    checked = 0
    for seed in range(40):
        street = make_street(seed, 60, SMALL)
        spots = [frame[0, :2, 3] for frames in kept[-1]._cars.values() for frame in frames]
        for index in range(0, 60, 3):
            for body, half in bodies(street, index):
                for spot in spots:
                    place = np.abs((spot - body[:2, 3]) @ body[:2, :2])
                    assert (place > half + 0.3).any(), f"seed {seed}, image {index}"
                    checked += 1
    assert checked > 1000


def test_cars_overtake_and_are_overtaken_on_motorways() -> None:
    relative = []
    for seed in MOTORWAYS:
        street = drive(seed)
        heading = street._world_poses[:, :3, 2]
        for mover in street._scene.movers:
            span = slice(mover.first, mover.first + len(mover.frames))
            if len(mover.frames) > 10 and (mover.frames[:, :3, 0] * heading[span]).sum(1).min() > 0.9:
                ahead = ((mover.frames[:, :3, 3] - street._world_poses[span, :3, 3]) * heading[span]).sum(1)
                relative.append((ahead[-1] - ahead[0]) / len(ahead) * 10)
    assert max(relative) > 1.5 and min(relative) < -1.5
