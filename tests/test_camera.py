"""Rectifying: points land where the target intrinsics put them, and brightness is averaged, not picked."""

from __future__ import annotations

import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import (
    Camera,
    camera_from_projection,
    canonical_intrinsics,
    field_of_view_mismatch,
    shrinking,
    source_of,
)
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


def test_thirds_are_the_mean_of_nine_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (144, 480), dtype=np.uint8)
    mean = frame.reshape(48, 3, 160, 3).astype(np.float64).mean((1, 3))
    assert np.abs(Preprocessing((48, 160), 1).apply(frame, None)[0] - mean).max() <= 0.5


@pytest.mark.parametrize("shape", [(8, 9), (9, 8), (9, 9)])
def test_halving_leaves_out_the_last_row_and_column_of_an_odd_size(shape: tuple[int, int]) -> None:
    """Two by two pixels of four by four each, the ninth row and column are white and lie outside."""
    frame = np.full(shape, 255, np.uint8)
    frame[:8, :8] = 0
    camera = Camera(fx=8.0, fy=8.0, cx=3.5, cy=3.5, width=shape[1], height=shape[0])
    assert rectify(frame, camera, (2, 2), intrinsics(2, 2, 0.5, 0.5)).tolist() == [[0, 0], [0, 0]]


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


def test_mismatch_of_a_shifted_camera_by_hand() -> None:
    """A tenth of the width and a fifth of the height lie outside: 0.9 x 0.8 is seen, on whichever side it is."""
    target = intrinsics(40.0, 40.0, 49.5, 24.5)
    for cx, cy in ((39.5, 14.5), (59.5, 14.5), (39.5, 34.5), (59.5, 34.5)):
        unseen = field_of_view_mismatch(Camera(40.0, 40.0, cx, cy, width=100, height=50), target, (50, 100))
        assert unseen == pytest.approx(1 - 0.72)


INSIDE = {"fx": (10, 20_000), "fy": (10, 20_000), "cx": (-200, 400), "cy": (-100, 200)}
"""For images of 200 x 100: a tenth of the short side to a hundred long ones; one side beyond each edge."""


@pytest.mark.parametrize("name", INSIDE)
def test_intrinsics_that_a_camera_may_have(name: str) -> None:
    usual = {"fx": 100.0, "fy": 100.0, "cx": 100.0, "cy": 50.0, "width": 200, "height": 100}
    lowest, highest = INSIDE[name]
    for value in (lowest, highest):
        assert getattr(Camera(**{**usual, name: value}), name) == value  # type: ignore[arg-type]
    for value in (lowest - 0.5, highest + 0.5, float("nan")):
        with pytest.raises(DistilvoError, match="for images of 200x100; expected fx fy cx cy in pixels"):
            Camera(**{**usual, name: value})  # type: ignore[arg-type]


PROJECTION = [[100.0, 0, 90, 7], [0, 110, 40, -8], [0, 0, 1, 9]]


def test_camera_from_a_projection() -> None:
    camera = camera_from_projection(np.array(PROJECTION), 200, 80, "calib.txt")
    assert camera == Camera(fx=100, fy=110, cx=90, cy=40, width=200, height=80)
    nearly = np.array(PROJECTION) + np.array([[0, 9e-7, 0, 0], [0, 0, 0, 0], [9e-7, 0, 0, 1e9 - 9]])
    assert camera_from_projection(nearly, 200, 80, "calib.txt") == camera


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, 0, 0.0, "focal lengths 0 and 110, expected positive"),
        (1, 1, 0.0, "focal lengths 100 and 0, expected positive"),
        (1, 1, -110.0, "focal lengths 100 and -110, expected positive"),
        *[(row, column, 2e-6, "no projection matrix") for row, column in ((0, 1), (1, 0), (2, 0), (2, 1))],
        (2, 2, 1.1, "no projection matrix"),
        *[(row, 3, value, "no projection matrix") for row in range(3) for value in (-1.1e9, 1.1e9)],
        (0, 0, 5.0, "intrinsics 5 110 90 40 for images of 200x80"),
    ],
)
def test_a_matrix_that_is_no_projection_is_refused(row: int, column: int, value: float, message: str) -> None:
    projection = np.array(PROJECTION)
    projection[row, column] = value
    with pytest.raises(DistilvoError, match=f"calib.txt: {message}"):
        camera_from_projection(projection, 200, 80, "calib.txt")


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ([1.0, 1.0], (0, (100, 201))),
        ([0.5, 0.25], (0, (100, 201))),  # enlarged: interpolation alone
        ([3.0, 2.0], (0, (50, 67))),
        ([3.9, 8.0], (0, (12, 52))),  # halving would be too much for one of the two
        ([4.0, 5.0], (1, (20, 50))),  # 100 / 2 / 2.5, 201 // 2 / 2
        ([16.0, 16.0], (3, (6, 12))),  # 100 -> 50 -> 25 -> 12, 201 -> 100 -> 50 -> 25; then to a half
        ([1.0, 1000.0], (0, (1, 201))),
    ],
)
def test_shrinking_by_hand(scale: list[float], expected: tuple[int, tuple[int, int]]) -> None:
    assert shrinking((100, 201), np.array(scale)) == expected
    assert shrinking((107, 107), np.array([4.0, 4.0])) == (1, (26, 26))  # 53 / 2, and not 53.5 / 2


def test_pixels_of_the_middle_by_hand() -> None:
    """50 x 25 of 200 x 50: two source pixels for each; the first pixel's centre lies between those of its two."""
    for frame, offset in (((50, 200), [50.5, 0.5]), ((150, 100), [0.5, 50.5])):
        scale, start = source_of(frame, None, (25, 50), np.eye(3))
        assert (scale.tolist(), start.tolist()) == ([2, 2], offset)


def test_channels_of_the_network_by_hand() -> None:
    """Red is 0.299 of grey; grey is alike in three channels; colours keep their order, channels first."""
    red = np.zeros((48, 160, 3), np.uint8)
    red[..., 0], red[..., 2] = 200, 10
    assert Preprocessing((48, 160), 1).apply(red, None).tolist() == np.full((1, 48, 160), 61).tolist()  # 59.8 + 1.14
    assert Preprocessing((48, 160), 3).apply(red, None)[:, 0, 0].tolist() == [200, 0, 10]
    grey = np.full((48, 160), 7, np.uint8)
    assert Preprocessing((48, 160), 3).apply(grey, None).tolist() == np.full((3, 48, 160), 7).tolist()
    assert Preprocessing((48, 160), 1).apply(grey, None).shape == (1, 48, 160)
