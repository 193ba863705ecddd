"""The built-in street: is the drive plausible, and do the images show the motion that is stated?"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.world import street as street_module
from distilvo.world.motion import sample_mount
from distilvo.world.sensor import SensorModel
from distilvo.world.street import Street, make_street, make_street_along, sample_intrinsics
from real_data import REAL, needs

SMALL = (48, 160)
MEDIUM = (96, 320)


@cache
def drive(seed: int, size: tuple[int, int] = SMALL) -> Street:
    return make_street(seed, 100, size)


def motions(poses: np.ndarray) -> np.ndarray:
    return np.linalg.inv(poses[:-1]) @ poses[1:]


def angle(rotation: np.ndarray) -> np.ndarray:
    """Degrees; through the quaternion's sine so that tiny angles are right."""
    skew = rotation - np.swapaxes(rotation, -1, -2)
    sine = np.linalg.norm(skew[..., [2, 0, 1], [1, 2, 0]], axis=-1) / 2
    return np.degrees(np.arctan2(sine, (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2))


def loop_poses(count: int = 240) -> np.ndarray:
    """A figure of eight, 12 m loops at 7 m/s with a gentle climb, crossing itself in the middle."""
    t = np.linspace(0.0, 2 * np.pi, count)
    x, z = 24.0 * np.sin(t), 24.0 * np.sin(t) * np.cos(t)
    yaw = np.unwrap(np.arctan2(np.gradient(x), np.gradient(z)))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(yaw)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
    poses[:, :3, 3] = np.stack([x, -0.6 * np.sin(t / 2) ** 2, z], axis=-1)
    return poses


# --- the drive ---------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_any_seed_drives_like_a_car(seed: int) -> None:
    street = make_street(seed, 60, SMALL)
    poses = street.poses
    assert poses.shape == (60, 4, 4) and poses.dtype == np.float64
    np.testing.assert_array_equal(poses[0], np.eye(4))
    np.testing.assert_allclose(poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2), np.eye(3)[None].repeat(60, 0),
                               atol=1e-12)  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1.0, atol=1e-12)
    np.testing.assert_array_equal(poses[:, 3], [[0, 0, 0, 1]] * 60)
    step = motions(poses)
    speed = 10 * np.linalg.norm(step[:, :3, 3], axis=1)
    assert speed.max() < 40.0
    assert np.abs(np.diff(speed)).max() * 10 < 6.5
    assert angle(step[:, :3, :3]).max() < 5.0
    assert (step[:, 2, 3] > -0.01).all(), "the car never goes backwards"
    sideways = np.abs(np.arctan2(step[:, 0, 2], step[:, 2, 2])) * speed * 10
    assert sideways.max() < 8.0, "m/s2 towards the inside of a bend"


def test_some_drives_stop_and_go_and_some_turn_a_corner() -> None:
    stops, corners, crawls = 0, 0, []
    for seed in range(24):
        step = motions(drive(seed).poses)
        speed = 10 * np.linalg.norm(step[:, :3, 3], axis=1)
        still = np.flatnonzero(speed < 1e-2)
        stops += len(still) >= 4 and speed[still[-1] + 1 :].max(initial=0.0) > 1.0
        corners += abs(np.degrees(np.arctan2(step[:, 0, 2], step[:, 2, 2])).sum()) > 60
        crawls.append(speed.mean())
    assert stops >= 2 and corners >= 3
    assert min(crawls) < 6.0 < 10.0 < max(crawls)


def test_intrinsics_are_about_those_of_kitti_and_scale_with_the_image() -> None:
    small, medium = drive(3).intrinsics, drive(3, MEDIUM).intrinsics
    np.testing.assert_allclose(medium[0, 0], 2 * small[0, 0])
    np.testing.assert_allclose(medium[1, 1], 2 * small[1, 1])
    # Pixel centres are integers, so the principal point scales around -0.5.
    np.testing.assert_allclose(medium[:2, 2] + 0.5, 2 * (small[:2, 2] + 0.5))
    assert 0.53 < medium[0, 0] / 320 < 0.66 and 0.47 < medium[0, 2] / 320 < 0.51
    np.testing.assert_array_equal(drive(3).poses, drive(3, MEDIUM).poses)


# --- the images ------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_in_any_order() -> None:
    one, two = make_street(11, 12, SMALL), make_street(11, 12, SMALL)
    forwards = [one.render(i) for i in range(12)]
    backwards = [two.render(i) for i in reversed(range(12))][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert forwards[0].shape == (48, 160, 3) and forwards[0].dtype == np.uint8
    assert not np.array_equal(forwards[0], make_street(12, 12, SMALL).render(0))


def assert_way_is_free(street: Street, frames: range, ahead: int = 4) -> None:
    """From each image the camera's place a little later must be in plain sight."""
    height, width = street.size
    checked = 0
    for index in frames:
        street.render(index)
        to = np.linalg.inv(street.poses[index]) @ street.poses[min(index + ahead, len(street) - 1)][:, 3]
        if to[2] < 1.0:
            continue
        u, v = (street.intrinsics @ (to[:3] / to[2]))[:2].round().astype(int)
        if 0 <= u < width and 0 <= v < height:
            seen = street.depth[v, u]
            assert seen == 0 or seen > to[2], f"seed {street.seed}, frame {index}: blocked at {seen} m"
            checked += 1
    assert checked > len(frames) // 4


@pytest.mark.parametrize("seed", range(8))
def test_nothing_stands_in_the_way(seed: int) -> None:
    assert_way_is_free(drive(seed), range(0, 96, 3))


def test_the_road_lies_under_the_camera() -> None:
    """The plane of the ground ahead is as far below the camera as cameras are mounted: 1.0 to 2.2 m."""
    heights = []
    for seed in range(16):
        street = drive(seed)
        for index in (10, 50, 90):
            street.render(index)
            z = street.depth[30:, 60:100]
            if z.min() > 0 and z.max() < 30 and np.ptp(z[-1]) < 0.05 * z.max():
                v, u = np.mgrid[30:48, 60:100]
                rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(street.intrinsics).T
                points = (rays * z[..., None]).reshape(-1, 3)
                normal = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][2]
                heights.append(abs(normal @ points.mean(0)))
    assert len(heights) > 8 and 1.2 < np.median(heights) < 1.8 and min(heights) > 0.7 and max(heights) < 2.5


def test_mounts_lie_within_their_limits() -> None:
    mounts = [sample_mount(np.random.default_rng(seed)) for seed in range(3000)]
    height, pitch, yaw, roll, ahead = (
        np.array([getattr(m, name) for m in mounts]) for name in ("height", "pitch", "yaw", "roll", "ahead")
    )
    assert 1.0 <= height.min() < 1.05 and 2.1 < height.max() <= 2.2
    assert np.mean((height > 1.2) & (height < 1.8)) == pytest.approx(0.8, abs=0.03)
    assert -4.0 <= np.degrees(pitch.min()) < -3.5 and 2.5 < np.degrees(pitch.max()) <= 3.0
    assert np.mean(np.abs(np.degrees(pitch)) < 1.5) == pytest.approx(0.8, abs=0.03)
    for angles in np.degrees([yaw, roll]):
        assert 1.2 < np.abs(angles).max() <= 2.0 and np.mean(np.abs(angles) < 0.7) > 0.8
    assert ahead.min() >= 0.2 and ahead.max() <= 2.4


def test_cameras_lie_within_their_limits() -> None:
    cameras = np.array([sample_intrinsics(np.random.default_rng(seed), (96, 320)) for seed in range(2000)])
    zoom = cameras[:, 0, 0] / (0.579 * 320)
    np.testing.assert_allclose(cameras[:, 1, 1] / (1.912 * 96), zoom)
    assert 0.8 <= zoom.min() < 0.82 and 1.5 < zoom.max() <= 1.6
    assert np.mean((zoom > 0.93) & (zoom < 1.15)) == pytest.approx(0.75, abs=0.03)
    centre = (cameras[:, :2, 2] + 0.5) / (320, 96) - (0.4897, 0.4939)
    assert 0.025 < np.abs(centre).max() <= 0.03


def estimated_motion(street: Street, index: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotation and direction of travel between two images, from tracked corners and the essential matrix."""
    first, second = (cv2.cvtColor(street.render(i), cv2.COLOR_RGB2GRAY) for i in (index, index + 1))
    points = cv2.goodFeaturesToTrack(first, 500, 0.005, 5)
    if points is None or len(points) < 30:
        return None
    options = {"winSize": (13, 13), "maxLevel": 3, "criteria": (3, 40, 0.003)}
    there, _, _ = cv2.calcOpticalFlowPyrLK(first, second, points, None, **options)
    back, _, _ = cv2.calcOpticalFlowPyrLK(second, first, there, None, **options)
    good = np.abs(back - points).reshape(-1, 2).max(axis=1) < 0.3
    p, q = points.reshape(-1, 2)[good], there.reshape(-1, 2)[good]
    cv2.setRNGSeed(0)
    essential, inliers = cv2.findEssentialMat(p, q, street.intrinsics, cv2.RANSAC, 0.9999, 0.3)
    if essential is None or essential.shape != (3, 3):
        return None
    _, rotation, shift, _ = cv2.recoverPose(essential, p, q, street.intrinsics, mask=inliers)
    return rotation.T, -(rotation.T @ shift).ravel()  # OpenCV maps first to second camera; ours is the inverse


def tracking_errors(street: Street, frames: range) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Degrees (K,): rotation error, error of the direction of travel, and the true rotation."""
    rows = []
    for index in frames:
        truth = np.linalg.inv(street.poses[index]) @ street.poses[index + 1]
        distance = float(np.linalg.norm(truth[:3, 3]))
        motion = estimated_motion(street, index) if distance > 0.2 else None
        if motion is not None:
            rotation, direction = motion
            off = np.degrees(np.arccos(np.clip(direction @ truth[:3, 3] / distance, -1.0, 1.0)))
            rows.append((angle(rotation.T @ truth[:3, :3]), off, angle(truth[:3, :3])))
    return tuple(np.array(rows).T)  # type: ignore[return-value]


def test_corner_tracking_finds_the_stated_motion() -> None:
    """An independent tool sees in the images the motion that the poses state, in bends as well."""
    rows = [tracking_errors(drive(seed, MEDIUM), range(0, 98, 5)) for seed in (0, 3, 7, 9)]
    rotation, direction, turned = (np.concatenate(column) for column in zip(*rows, strict=True))
    assert len(rotation) > 50 and (turned > 1.5).sum() >= 5
    assert np.median(rotation) < 0.15
    assert np.median(direction) < 3.0
    assert np.median(rotation[turned > 1.5]) < 0.3


# --- along given poses -------------------------------------------------------------------------------------------


def test_a_street_along_given_poses_follows_them_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a perfect camera: a rolling shutter alone turns the direction that the tracked corners tell by degrees."""
    perfect = SensorModel(0, (), (1.0, 1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(street_module, "sample_sensor", lambda *_, **__: perfect)
    given_poses = loop_poses()
    start = np.eye(4)
    start[:3, 3] = 5.0, -1.0, 30.0
    street = make_street_along(start @ given_poses, 5, MEDIUM)
    np.testing.assert_allclose(motions(street.poses), motions(given_poses), atol=1e-9)
    np.testing.assert_array_equal(street.poses[0], np.eye(4))
    np.testing.assert_allclose(street.times, np.arange(240) / 10)
    assert_way_is_free(street, range(0, 230, 7))
    rotation, direction, turned = tracking_errors(street, range(0, 238, 10))
    assert len(rotation) > 15 and turned.max() > 2.0
    assert np.median(rotation) < 0.15 and np.median(direction) < 3.0


@needs("kitti_poses/00.txt")
def test_a_street_along_a_kitti_sequence_leaves_the_track_free() -> None:
    rows = np.loadtxt(REAL / "kitti_poses/00.txt").reshape(-1, 3, 4)[:1700]  # closes its first loops
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows
    street = make_street_along(poses, 1, SMALL)
    assert len(street) == 1700
    assert_way_is_free(street, range(0, 1690, 13))


def test_a_camera_that_never_moves_gets_a_street_too() -> None:
    street = make_street_along(np.tile(np.eye(4), (5, 1, 1)), 2, SMALL)
    assert len(street) == 5 and street.render(4).std() > 5


# --- on disk -----------------------------------------------------------------------------------------------------


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(DistilvoError, match="at least 2"):
        make_street(0, 1)
    with pytest.raises(DistilvoError, match="at least two"):
        make_street_along(np.eye(4)[None], 0)
    with pytest.raises(DistilvoError, match="increasing seconds"):
        make_street_along(loop_poses(4), 0, times=np.zeros(4))
    with pytest.raises(DistilvoError, match="no frame 100"):
        drive(0).render(100)
