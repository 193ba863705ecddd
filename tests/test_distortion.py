"""Distortion taken out of frames: against numbers worked out by hand, and straight lines that become straight."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.geometry.distortion import Model, Undistortion

RATIONAL = (-0.2, 0.05, 0.001, -0.002, 0.01, 0.1, 0.02, 0.003)


def ramps(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames whose grey level is the column, and the row, of each pixel."""
    x, y = np.meshgrid(np.arange(width, dtype=np.uint8), np.arange(height, dtype=np.uint8))
    return x, y


@pytest.mark.parametrize(
    ("model", "coefficients", "ray", "lands"),
    [
        # theta = pi / 4: 0.785398 (1 + 0.1 * 0.616850) = 0.833845
        ("equidistant", (0.1, 0, 0, 0), (0.75, 0), (200 * 0.643501 * 1.041409, 0)),
        # r = 1.25, theta = 0.896055: 0.896055 (1 - 0.02 * 0.802915 + 0.01 * 0.644673) = 0.887442, in the ratio 3 : 4
        ("equidistant", (-0.02, 0.01, 0, 0), (0.75, 1.0), (200 * 0.532465, 200 * 0.709954)),
        ("equidistant", (0, 0, 0, 0), (0.75, 0), (200 * 0.643501, 0)),
        # x (1 - 0.16 r^2)
        ("radtan", (-0.16, 0, 0, 0), (0.5, 0), (200 * 0.48, 0)),
        # radial 0.910926 / 1.057830, tangential (-0.002, -0.00012)
        ("radtan", RATIONAL, (0.6, 0.4), (200 * 0.514676, 200 * 0.344331)),
        ("radtan", (*RATIONAL, 0.01, 0, 0, 0), (0.6, 0.4), (200 * (0.514676 + 0.0052), 200 * 0.344331)),
        ("radtan", (-0.1, 0, 0, 0, 0.2), (0.5, 0), (200 * 0.5 * (1 - 0.025 + 0.2 * 0.015625), 0)),
    ],
)
@pytest.mark.filterwarnings("ignore:distortion")  # the corners of this wide frame are of no interest
def test_ray_lands_where_the_formula_says(
    model: Model, coefficients: tuple[float, ...], ray: tuple[float, float], lands: tuple[float, float]
) -> None:
    """The frame undistorted shows, at the pinhole's pixel of a ray, what the distorted frame has where it lands."""
    camera = Camera(200, 200, 20, 10, 256, 256)
    undistort = Undistortion(camera, coefficients, model)
    column, row = round(20 + 200 * ray[0]), round(10 + 200 * ray[1])
    for frame, start, place in zip(ramps(256, 256), (20, 10), lands, strict=True):
        assert undistort(frame)[row, column] == pytest.approx(start + place, abs=0.55)


@pytest.mark.parametrize("coefficients", [(0, 0, 0, 0), (-0.03, 0.01, -0.004, 0.0005)])
def test_straight_line_becomes_straight(coefficients: tuple[float, ...]) -> None:
    """The edge of a table through a fisheye of 150 degrees: X = -3 to 3, Y = 0.5, Z = 1."""
    camera = Camera(120, 120, 160, 120, 320, 240)
    x = np.linspace(-3, 3, 400)
    radius = np.hypot(x, 0.5)
    theta = np.arctan(radius)
    bent = theta * (1 + sum(k * theta ** (2 + 2 * n) for n, k in enumerate(coefficients))) / radius
    points = np.stack([160 + 120 * bent * x, 120 + 120 * bent * 0.5], axis=-1)
    frame = np.zeros((240, 320), np.uint8)
    cv2.polylines(frame, [np.round(points * 16).astype(np.int32)], False, 255, 2, cv2.LINE_AA, 4)

    def rows(image: np.ndarray) -> np.ndarray:
        weights = image[:, 20:300].astype(float)
        return (weights * np.arange(240)[:, None]).sum(axis=0) / weights.sum(axis=0)

    assert np.ptp(rows(frame)) > 10
    np.testing.assert_allclose(rows(Undistortion(camera, coefficients, "equidistant")(frame)), 180, atol=0.5)


@pytest.mark.parametrize(
    ("model", "coefficients", "focal"),
    [
        ("equidistant", (-0.01, 0, 0, 0), 60.3),  # 190 degrees on a circle of 200 pixels
        ("equidistant", (0.3, -0.4, 0.05, 0), 60.3),  # turns back at 59 degrees
        ("radtan", (-0.4, 0, 0, 0), 90.0),  # at r = 0.91
        ("radtan", (0, 0, 0, 0, 0, 0, 0, -0.2), 70.0),  # a pole, at r = 1.31
    ],
)
def test_nothing_is_seen_twice(model: Model, coefficients: tuple[float, ...], focal: float) -> None:
    """Outwards from the centre, the undistorted frame shows what lies further and further out, or repeats the last."""
    camera = Camera(focal, focal, 100, 100, 201, 201)
    x, y = np.meshgrid(np.arange(201), np.arange(201))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        undistorted = Undistortion(camera, coefficients, model)(np.hypot(x - 100, y - 100).astype(np.uint8))
    for outwards in (undistorted[100, 100:], undistorted[100, 100::-1], np.diagonal(undistorted)[100:]):
        assert (np.diff(outwards.astype(int)) >= 0).all()
        assert outwards[0] <= 1 and outwards[-1] > 45
    assert undistorted.std() > 10


def test_distortion_that_says_nothing_about_the_edge() -> None:
    """1 - 1.2 r^2 vanishes at r = 0.913, 42 degrees: a circle that covers 65 % of this frame."""
    camera = Camera(100, 100, 100, 100, 201, 201)
    with pytest.warns(UserWarning, match=r"x.yaml: its distortion is not defined beyond 42 degrees.*; 35% of each"):
        Undistortion(camera, (-0.4, 0, 0, 0), where="x.yaml")
    with pytest.raises(DistilvoError, match=r"not defined beyond 18 degrees from the axis, 9\d% of each frame; check"):
        Undistortion(camera, (-3.0, 0, 0, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Undistortion(camera, (-0.28, 0.07, 0.0002, 0.00002))  # EuRoC's
