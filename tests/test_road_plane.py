"""The classical tracker with the scale of the road: known motions, standing, blind, no road, jumps, heights."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from distilvo.bench import contestants, road_plane, sample_drive
from distilvo.bench.classical_engine import ClassicalEngine
from distilvo.bench.engine_kinds import open_engine
from distilvo.bench.plane_fit import PlaneFit
from distilvo.bench.road_plane import RoadPlaneTracker, RoadStep
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import KITTI_00, Frame
from distilvo.geometry.se3 import Floats
from distilvo.sequences.kitti import open_kitti
from real_data import REAL, needs

BLANK = np.full((376, 1241), 90, np.uint8)


def drive(metres: tuple[float, ...], turn: float = 0.0, pitch: float = 0.0) -> tuple[list[Frame], Floats]:
    """Images (H, W) of a walled street at these places along it, and the true motions (N - 1, 6)."""
    texture = sample_drive._texture()
    columns, rows = np.meshgrid(np.arange(KITTI_00.width), np.arange(KITTI_00.height))
    rays = np.stack(
        [(columns - KITTI_00.cx) / KITTI_00.fx, (rows - KITTI_00.cy) / KITTI_00.fy, np.ones(rows.shape)], axis=-1
    )
    mount = se3.matrices_from_motions([0, 0, 0, pitch, 0, 0])[:3, :3]
    images = [sample_drive._image(rays @ mount.T, turn * k, z, texture) for k, z in enumerate(metres)]
    cars = se3.matrices_from_motions([[0, 0, z, 0, turn * k, 0] for k, z in enumerate(metres)])
    return images, se3.motions(cars @ se3.assemble(mount, np.zeros(3)))


def follow(images: list[Frame], height: float = 1.65) -> list[RoadStep]:
    """Each step but the first."""
    tracker = RoadPlaneTracker(KITTI_00, height)
    return [tracker.step(image) for image in images][1:]


def check(steps: list[RoadStep], true: Floats, scale: float = 0.03, degrees: float = 0.1) -> None:
    motions = np.array([step.motion for step in steps])
    lengths, true_lengths = (np.linalg.norm(values[:, :3], axis=1) for values in (motions, true))
    assert lengths == pytest.approx(true_lengths, rel=scale)
    directions = (motions[:, :3] * true[:, :3]).sum(1) / lengths / true_lengths
    assert np.degrees(np.arccos(directions.clip(-1, 1))).max() < 1.0
    assert np.degrees(np.abs(motions[:, 3:] - true[:, 3:])).max() < degrees


@pytest.fixture(scope="module")
def street() -> tuple[list[Frame], Floats]:
    return drive((0, 0.8, 1.6, 2.4, 3.2), turn=0.01)


def test_metres_and_angles_of_a_turning_car(street: tuple[list[Frame], Floats]) -> None:
    tracker = RoadPlaneTracker(KITTI_00)
    images, true = street
    first, *steps = [tracker.step(image) for image in images]
    assert (first.status, *first.motion) == ("ok", *[0.0] * 6)
    assert {step.status for step in steps} == {"ok"}
    check(steps, true)
    assert np.allclose(tracker.pose, se3.trajectory([step.motion for step in steps])[-1])


def test_backward_and_slow() -> None:
    check(follow(drive((2.4, 1.6, 0.8))[0]), drive((2.4, 1.6, 0.8))[1])
    images, true = drive((0, 0.1, 0.2, 0.3))  # most points are more than 50 steps away
    check(follow(images), true, scale=0.1)


def test_a_camera_that_looks_down_by_three_degrees() -> None:
    images, true = drive((0, 0.8, 1.6, 2.4, 3.2), pitch=-np.radians(3))
    assert true[0, 1] < -0.04  # the road ahead comes up to it
    check(follow(images), true, scale=0.04)


def test_twice_the_height_is_twice_the_translation_exactly(street: tuple[list[Frame], Floats]) -> None:
    for one, two in zip(follow(street[0], 1.3), follow(street[0], 2.6), strict=True):
        assert np.array_equal(2 * one.motion[:3], two.motion[:3]) and one.motion[2] > 0.4
        assert np.array_equal(one.motion[3:], two.motion[3:])


def test_a_standing_car_has_no_motion_and_starts_again(street: tuple[list[Frame], Floats]) -> None:
    a, b, c = street[0][:3]
    noise = np.random.default_rng(0).integers(-3, 4, b.shape)
    steps = follow([a, b, np.clip(b + noise, 0, 255).astype(np.uint8), c])
    assert [step.status for step in steps] == ["ok", "standing", "ok"]
    assert not steps[1].motion.any()
    check(steps[::2], street[1][:2])


def test_a_blind_frame_is_lost_and_its_motion_zero_not_that_of_the_last(street: tuple[list[Frame], Floats]) -> None:
    a, b, c, d, _ = street[0]
    tracker = RoadPlaneTracker(KITTI_00)
    steps = [tracker.step(image) for image in (a, b, BLANK)]
    there = tracker.pose.copy()
    steps += [tracker.step(image) for image in (c,)]
    assert [step.status for step in steps] == ["ok", "ok", "lost", "lost"]
    assert not steps[2].motion.any() and not steps[3].motion.any() and np.array_equal(tracker.pose, there)
    after = tracker.step(d)
    assert after.status == "ok"
    check([after], street[1][2:3])


def test_without_road_the_last_length_is_held_and_said_to_be(street: tuple[list[Frame], Floats]) -> None:
    images, true = street
    bare = images[:3] + [image.copy() for image in images[3:]]
    for image in bare[3:]:
        image[230:] = 90
    steps = follow(bare)
    assert [step.status for step in steps] == ["ok", "ok", "scale held", "scale held"]
    lengths = [np.linalg.norm(step.motion[:3]) for step in steps]
    assert lengths[2] == pytest.approx(lengths[1]) and lengths[3] == pytest.approx(lengths[1])
    assert np.degrees(np.abs(steps[2].motion[3:] - true[2, 3:])).max() < 0.2
    lost = follow(bare[3:])[0]  # no length was ever known
    assert lost.status == "lost" and not lost.motion.any()


def test_a_camera_that_sees_no_road_is_lost_and_no_error(street: tuple[list[Frame], Floats]) -> None:
    """Its view is so narrow that the nearest metres of road lie below the image."""
    tracker = RoadPlaneTracker(replace(KITTI_00, fx=4 * KITTI_00.fx, fy=4 * KITTI_00.fy))
    steps = [tracker.step(image) for image in street[0][:4]]
    assert [step.status for step in steps] == ["ok", "lost", "lost", "lost"]


def test_a_jump_in_speed_must_be_seen_twice() -> None:
    images, true = drive((0, 0.8, 1.6, 3.0, 4.4))
    steps = follow(images)
    assert [step.status for step in steps] == ["ok", "ok", "scale held", "ok"]
    assert np.linalg.norm(steps[2].motion[:3]) == pytest.approx(0.8, rel=0.03)
    check(steps[3:], true[3:], scale=0.04)


def test_planes_that_no_road_has_are_refused() -> None:
    tilted = [np.array([0, np.cos(angle), np.sin(angle)]) / 2 for angle in np.radians([0, 15, 25, 90, 180])]
    assert [road_plane._lies_as_a_road(PlaneFit(plane, 0.9)) for plane in tilted] == [True, True, False, False, False]
    assert [road_plane._lies_as_a_road(PlaneFit(tilted[0], share)) for share in (0.5, 0.3)] == [True, False]


def test_a_lorry_in_front_that_keeps_its_distance_is_no_road(street: tuple[list[Frame], Floats]) -> None:
    images, true = street
    lorry = images[0][100:246, 300:921]  # no more texture than the rest: most corners still follow the street
    hidden = [*images[:3], *(image.copy() for image in images[3:])]
    for image in hidden[3:]:
        image[230:, 300:921] = lorry
    for step, one in zip(follow(hidden)[3:], true[3:], strict=True):  # the first one with it shows it come: no motion
        assert step.status == "scale held"
        assert np.linalg.norm(step.motion[:3]) == pytest.approx(np.linalg.norm(one[:3]), rel=0.03)


def test_bad_input_is_one_clear_line(street: tuple[list[Frame], Floats]) -> None:
    for height in (0.0, -1.65, float("nan"), float("inf")):
        with pytest.raises(DistilvoError, match=r"camera height .* expected metres above the road"):
            RoadPlaneTracker(KITTI_00, height)
    tracker = RoadPlaneTracker(KITTI_00)
    for image in (street[0][0][:, :-1], np.stack([street[0][0]] * 3, -1), street[0][0].astype(np.float32)):
        with pytest.raises(DistilvoError, match=r"expected uint8 \(376, 1241\), grey, like its camera"):
            tracker.step(image)


def test_it_is_a_baseline_of_bench(street: tuple[list[Frame], Floats], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "_deepvo", contestants._klt)
    monkeypatch.setattr(contestants, "_open", lambda *_: [contestants._klt()])
    names = [rows[0].name for rows in contestants.gather((Path("x.onnx"),), None, True, Path())]
    assert "KLT + road plane (OpenCV)" in names
    row = contestants._road_plane()
    assert isinstance(row.engine, ClassicalEngine) and (row.runtime, row.parameters) == ("OpenCV", 0)
    track = open_engine("road-plane", Path()).tracker(1, None)
    steps = [track(image) for image in street[0][:2]]
    check(steps[1:], street[1][:1])
    assert row.engine.stepper(1)().status == "ok"


@needs("kitti_odometry")
def test_real_road() -> None:
    sequence = open_kitti(REAL / "kitti_odometry/sequences" / "06")
    tracker = RoadPlaneTracker(sequence.camera)
    steps = [tracker.step(sequence.frame(k)) for k in range(20, 36)][1:]
    true = se3.motions(sequence.poses[20:36])
    assert {step.status for step in steps} == {"ok"}
    errors = [np.linalg.norm(step.motion[:3] - one[:3]) for step, one in zip(steps, true, strict=True)]
    assert np.sqrt(np.square(errors).mean()) < 0.05 * np.linalg.norm(true[:, :3], axis=1).mean()
    turns = [np.degrees(np.linalg.norm(s.motion[3:] - one[3:])) for s, one in zip(steps, true, strict=True)]
    assert np.median(turns) < 0.06
    assert all(abs(a.motion[2] / b.motion[2] - 1) < 0.1 for a, b in pairwise(steps))
