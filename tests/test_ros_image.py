"""Encodings of ROS images: a known colour stored by hand comes out, and its place in the image."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.sequences.ros_image import COMPRESSED, RAW, image_of

RED, GREEN, BLUE = 200, 100, 10
# BT.601, 16 to 235: Y = 16 + 0.257 R + 0.504 G + 0.098 B = 118.8, Cb = 128 - 0.148 R - 0.291 G + 0.439 B = 73.7,
# Cr = 128 + 0.439 R - 0.368 G - 0.071 B = 178.3
Y, CB, CR = 119, 74, 178


def message(encoding: str, stored: np.ndarray, width: int, height: int, big: bool = False, padding: int = 0) -> object:
    rows = np.pad(stored.view(np.uint8), ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        __msgtype__=RAW, encoding=encoding, height=height, width=width, is_bigendian=int(big), step=rows.shape[1],
        data=rows.ravel(),
    )  # fmt: skip


def pattern(name: str) -> np.ndarray:
    """(6, 8): the letters of the name are the top left pixel, its right neighbour, and the two below them."""
    levels = {"r": RED, "g": GREEN, "b": BLUE}
    return np.tile(np.reshape([levels[letter] for letter in name], (2, 2)), (3, 4))


@pytest.mark.parametrize("name", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("bits", "big"), [(8, False), (16, False), (16, True)])
@pytest.mark.parametrize("padding", [0, 4])
def test_bayer_patterns(name: str, bits: int, big: bool, padding: int) -> None:
    stored = (
        pattern(name).astype(np.uint8) if bits == 8 else (pattern(name) * 256 + 255).astype(">u2" if big else "<u2")
    )
    frame = image_of(message(f"bayer_{name}{bits}", stored, 8, 6, big, padding), "x")
    colour = np.full((6, 8, 3), (RED, GREEN, BLUE))
    np.testing.assert_array_equal(frame, colour if bits == 8 else colour * 256 + 255)
    assert frame.dtype == (np.uint8 if bits == 8 else np.uint16)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16", "bgr16", "rgba16", "bgra16"])
def test_16_bits_of_either_order(encoding: str, padding: int, big: bool) -> None:
    """513 would be 258 in the other order."""
    channels = {"m": 1, "1": 1}.get(encoding[0], len(encoding) - 2)
    grey = (np.arange(48).reshape(6, 8) * 256 + 1).astype(np.uint16)
    stored = np.stack([grey + 256 * k for k in range(channels)], axis=-1).astype(">u2" if big else "<u2")
    frame = image_of(message(encoding, stored.reshape(6, -1), 8, 6, big, padding), "x")
    if channels == 1:
        np.testing.assert_array_equal(frame, grey)
        return
    colours = (2, 1, 0) if encoding.startswith("bgr") else (0, 1, 2)
    np.testing.assert_array_equal(frame, np.stack([grey + 256 * k for k in colours], axis=-1))


@pytest.mark.parametrize(
    ("encoding", "order"),
    [
        ("yuv422", (CB, Y, CR, Y)), ("uyvy", (CB, Y, CR, Y)),
        ("yuv422_yuy2", (Y, CB, Y, CR)), ("yuyv", (Y, CB, Y, CR)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("padding", [0, 4])
def test_yuv_of_shared_colour(encoding: str, order: tuple[int, ...], padding: int) -> None:
    stored = np.tile(np.array(order, np.uint8), (6, 4))
    frame = image_of(message(encoding, stored, 8, 6, padding=padding), "x")
    np.testing.assert_allclose(frame, np.full((6, 8, 3), (RED, GREEN, BLUE)), atol=2)


@pytest.mark.parametrize(("encoding", "order"), [("nv12", (CB, CR)), ("nv21", (CR, CB))])
def test_yuv_in_planes(encoding: str, order: tuple[int, int]) -> None:
    stored = np.concatenate([np.full((6, 8), Y), np.tile(order, (3, 4))]).astype(np.uint8)
    np.testing.assert_allclose(
        image_of(message(encoding, stored, 8, 6), "x"), np.full((6, 8, 3), (RED, GREEN, BLUE)), atol=2
    )


def test_colour_stays_at_its_place() -> None:
    """The left half of a pattern is red, the right half blue."""
    stored = np.zeros((8, 16), np.uint8)
    stored[::2, :8:2] = 250
    stored[1::2, 9::2] = 250
    frame = image_of(message("bayer_rggb8", stored, 16, 8), "x").astype(int)
    assert frame[:, :6, 0].min() > 200 and frame[:, :6, 1:].max() == 0
    assert frame[:, 10:, 2].min() > 200 and frame[:, 10:, :2].max() == 0


def test_compressed_pattern_becomes_colour() -> None:
    data = cv2.imencode(".png", pattern("grbg").astype(np.uint8))[1]
    for form, colour in (
        ("bayer_grbg8; png compressed ", True),
        ("bayer_grbg8; png compressed mono8", False),
        ("mono8; png compressed ", False),
        ("png", False),
    ):
        compressed = SimpleNamespace(__msgtype__=COMPRESSED, format=form, data=data)
        expected = np.full((6, 8, 3), (RED, GREEN, BLUE)) if colour else pattern("grbg")
        np.testing.assert_array_equal(image_of(compressed, "x"), expected)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (message("32FC1", np.zeros((6, 32), np.uint8), 8, 6), "encoding is '32FC1', expected one of mono8, .*nv21"),
        (
            message("mono16", np.zeros((6, 8), np.uint8), 8, 6),
            "48 bytes in rows of 8 do not make an image 8x6 of mono16",
        ),
        (message("nv12", np.zeros((6, 8), np.uint8), 8, 6), "do not make an image 8x6 of nv12"),
        (message("bayer_rggb8", np.zeros((5, 8), np.uint8), 8, 5), "8x5 of bayer_rggb8, expected even sides"),
        (message("yuyv", np.zeros((6, 14), np.uint8), 7, 6), "7x6 of yuyv, expected even sides"),
        (message("mono8", np.zeros((0, 8), np.uint8), 8, 0), "0 bytes"),
    ],
)
def test_refused(broken: object, expected: str) -> None:
    with pytest.raises(DistilvoError, match=expected):
        image_of(broken, "x")
