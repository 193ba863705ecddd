"""Averages by area: by hand, and against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.geometry.averaging import averaged
from distilvo.geometry.camera import Camera
from distilvo.geometry.preprocessing import Preprocessing


def test_by_hand() -> None:
    """Three pixels become two: each is two thirds of an outer one and one third of the middle one."""
    line = np.array([[30, 60, 120]], np.uint8)
    assert averaged(line, (1, 2)).tolist() == [[40, 100]]
    assert averaged(np.ascontiguousarray(line.T), (2, 1)).tolist() == [[40], [100]]
    assert averaged(np.array([[0, 1], [1, 0]], np.uint8) * 255, (1, 1)).tolist() == [[128]]  # 127.5 is rounded to even


@given(st.tuples(st.integers(1, 150), st.integers(1, 400)), st.floats(0.01, 1), st.floats(0.01, 1))
def test_within_one_grey_level_of_opencv(shape: tuple[int, int], down: float, across: float) -> None:
    image = np.random.default_rng(shape[0]).integers(0, 256, shape).astype(np.uint8)
    size = max(1, round(shape[0] * down)), max(1, round(shape[1] * across))
    theirs = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(averaged(image, size).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("size", [(48, 160), (96, 320), (192, 640)])
def test_the_image_of_a_network_is_opencvs_but_for_ties(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (376, 1241)).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 1.5)
    theirs = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    assert (averaged(image, size) != theirs).mean() < 1e-3


def test_grey_and_colour_are_the_same_image() -> None:
    """A colour frame whose channels are alike is averaged by OpenCV, a grey one here."""
    camera = Camera(718.856, 718.856, 607.1928, 185.2157, 1241, 376)
    grey = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (376, 1241)).astype(np.uint8), (0, 0), 2)
    one, three = (Preprocessing((96, 320), channels, centred=True).apply(grey, camera) for channels in (1, 3))
    assert np.abs(three.astype(int) - one).max() <= 1 and (three != one).mean() < 1e-3
