"""Rectifying: points land where the target intrinsics put them, and brightness is averaged, not picked."""

from __future__ import annotations

import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, canonical_intrinsics, field_of_view_mismatch
from distilvo.geometry.preprocessing import Preprocessing, rectify

KITTI_00 = Camera(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)
DASH_CAM = Camera(fx=900.0, fy=880.0, cx=470.3, cy=280.8, width=960, height=540)
SMALL = Camera(fx=60.0, fy=62.0, cx=50.4, cy=30.7, width=101, height=60)
SIZES = [(48, 160), (64, 208), (96, 320), (192, 640)]


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> np.ndarray:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def blob(shape: tuple[int, int], x: float, y: float, sigma_x: float, sigma_y: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    bell = np.exp(-0.5 * (((columns - x) / sigma_x) ** 2 + ((rows - y) / sigma_y) ** 2))
    return np.rint(255 * bell).astype(np.uint8)


def centroid(image: np.ndarray) -> np.ndarray:
    weights = image.astype(np.float64)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()


@pytest.mark.parametrize("camera", [KITTI_00, DASH_CAM, SMALL], ids=["kitti", "dash-cam", "small"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("where", [(0.5, 0.5), (0.3, 0.4), (0.7, 0.6)])
def test_points_land_at_their_target_pixels(camera: Camera, size: tuple[int, int], where: tuple[float, float]) -> None:
    """A blob two target pixels wide at a given target position, drawn as the source camera sees it."""
    height, width = size
    target = canonical_intrinsics(size)
    expected = np.array([where[0] * width + 0.3, where[1] * height + 0.2])
    scale = np.array([camera.fx / target[0, 0], camera.fy / target[1, 1]])
    x, y = scale * (expected - target[:2, 2]) + [camera.cx, camera.cy]
    sigma = np.maximum(2.0 * scale, 1.5)
    source = blob((camera.height, camera.width), x, y, *sigma)
    centre = centroid(rectify(source, camera, size, target))
    np.testing.assert_allclose(centre, expected, atol=0.05)


def test_same_intrinsics_same_size_change_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 101, 3), np.uint8)
    same = intrinsics(SMALL.fx, SMALL.fy, SMALL.cx, SMALL.cy)
    np.testing.assert_array_equal(rectify(noise, SMALL, (60, 101), same), noise)


def test_whole_pixel_shift_by_hand() -> None:
    """A target whose centre lies 3 right and 1 down sees everything 3 further right; the edge is repeated."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 101), np.uint8)
    moved = rectify(noise, SMALL, (60, 101), intrinsics(SMALL.fx, SMALL.fy, SMALL.cx + 3, SMALL.cy + 1))
    np.testing.assert_array_equal(moved[1:, 3:], noise[:-1, :-3])
    np.testing.assert_array_equal(moved[1:, 0], noise[:-1, 0])


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shrinking_averages_blocks(factor: int) -> None:
    source = np.random.default_rng(1).integers(0, 255, (64, 96), np.uint8)
    camera = Camera(fx=80.0, fy=80.0, cx=47.5, cy=31.5, width=96, height=64)
    target = intrinsics(80 / factor, 80 / factor, 48 / factor - 0.5, 32 / factor - 0.5)
    shrunk = rectify(source, camera, (64 // factor, 96 // factor), target)
    blocks = source.reshape(64 // factor, factor, 96 // factor, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(shrunk, blocks, atol=2)


def test_a_frame_of_the_models_own_size_stays_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (48, 160), dtype=np.uint8)
    assert np.array_equal(Preprocessing((48, 160), 1).apply(frame, None)[0], frame)


def test_halves_are_the_mean_of_four_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (96, 320), dtype=np.uint8)
    mean = frame.reshape(48, 2, 160, 2).astype(np.float64).mean((1, 3))
    assert np.abs(Preprocessing((48, 160), 1).apply(frame, None)[0] - mean).max() <= 0.5


def test_fine_stripes_turn_grey_when_shrunk() -> None:
    stripes = np.zeros((376, 1241), np.uint8)
    stripes[:, ::2] = 255
    small = rectify(stripes, KITTI_00, (48, 160), canonical_intrinsics((48, 160)))
    assert np.abs(small.astype(int) - 128).max() < 20


def test_without_a_camera_the_middle_is_cut_out() -> None:
    """A frame twice as wide as the target: the outer quarters fall away, and the point of the middle stays there."""
    frame = np.full((50, 200, 3), 255, np.uint8)
    frame[:, 50:150] = 40
    np.testing.assert_array_equal(rectify(frame, None, (25, 50), np.eye(3)), np.full((25, 50, 3), 40))
    spot = blob((50, 200), 99.5, 24.5, 4, 4)
    np.testing.assert_allclose(centroid(rectify(spot, None, (25, 50), np.eye(3))), [24.5, 12.0], atol=0.05)


@pytest.mark.parametrize("size", [(48, 160), (49, 161)])
def test_grey_stays_grey_and_colour_colour(size: tuple[int, int]) -> None:
    grey = np.zeros((376, 1241), np.uint8)
    target = canonical_intrinsics(size)
    assert rectify(grey, KITTI_00, size, target).shape == size
    colour = rectify(np.dstack([grey, grey, grey + 9]), KITTI_00, size, target)
    assert (colour.shape, colour.dtype) == ((*size, 3), np.uint8)
    np.testing.assert_array_equal(colour[0, 0], [0, 0, 9])


def test_frame_of_another_size_than_its_camera_is_refused() -> None:
    with pytest.raises(DistilvoError, match="the frame is 640x480, but its camera is given for 1241x376"):
        rectify(np.zeros((480, 640), np.uint8), KITTI_00, (48, 160), canonical_intrinsics((48, 160)))


def test_canonical_intrinsics_by_hand() -> None:
    np.testing.assert_allclose(
        canonical_intrinsics((376, 1241)), intrinsics(718.856, 718.856, 607.1928, 185.2157), atol=1e-9
    )
    half = canonical_intrinsics((188, 1241))
    np.testing.assert_allclose([half[1, 1], half[1, 2]], [359.428, 185.7157 / 2 - 0.5])


def test_mismatch_by_hand() -> None:
    """Twice the focal length in the source sees the middle quarter of the image; the same camera sees all of it."""
    target = intrinsics(40.0, 40.0, 49.5, 24.5)
    whole = Camera(fx=40.0, fy=40.0, cx=49.5, cy=24.5, width=100, height=50)
    tele = Camera(fx=80.0, fy=80.0, cx=49.5, cy=24.5, width=100, height=50)
    wide = Camera(fx=20.0, fy=20.0, cx=49.5, cy=24.5, width=100, height=50)
    aside = Camera(fx=40.0, fy=40.0, cx=200.0, cy=24.5, width=100, height=50)
    unseen = [field_of_view_mismatch(camera, target, (50, 100)) for camera in (whole, tele, wide, aside)]
    np.testing.assert_allclose(unseen, [0.0, 0.75, 0.0, 1.0], atol=1e-12)
