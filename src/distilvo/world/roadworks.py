"""Textures of roads with lanes and of what stands beside them: lanes, lines, rails, walls, woods, fields, boards."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.world.paint import Canvas, box, disc, line, noise, plain, rgba, rough

LINE_WIDTH = 0.5
"""Metres across the texture ``line``, of which the paint takes about a third."""


def paint(rng: np.random.Generator, variant: int) -> dict[str, NDArray[np.uint8]]:
    """The textures of a variant, as (h, w, 4) uint8 images by name."""
    grey = rng.uniform(84, 118) + (34.0 if variant % 3 == 0 else 0.0)  # concrete slabs on every third
    lane = _lane(rng, grey, slabs=variant % 3 == 0)
    return {
        "lane": rgba(lane),
        "line": rgba(_line(rng, lane)),
        "rail": rgba(_rail(rng)),
        "concrete": rgba(_concrete(rng)),
        "panel": rgba(_panel(rng, variant)),
        "wood": _wood(rng, variant),
        "field": rgba(_field(rng, variant)),
        "board": rgba(_board(rng, variant)),
        "truck_side": rgba(_truck_side(rng), 225.0),
        "truck_back": rgba(_truck_back(), 225.0),
    }


def _lane(rng: np.random.Generator, grey: float, slabs: bool) -> Canvas:
    """256 x 1024 for one lane by 16 m: smooth, with the dark tracks of tyres and of oil."""
    size = 1024
    tone = grey + 3.0 * noise(rng, size, 1.3) + 4.0 * noise(rng, size, 0.4, 32)
    tone = tone[:, :256] + 2.5 * np.tile(noise(rng, 256, 0.5, 8), (4, 1))
    across = (np.arange(256) / 256 - 0.5) * 3.6
    tracks = np.exp(-(((np.abs(across) - 0.78) / 0.3) ** 2))
    tone = tone * (1 - rng.uniform(0.02, 0.12) * tracks - rng.uniform(0.0, 0.07) * np.exp(-((across / 0.4) ** 2)))
    lane = tone[..., None].astype(np.float32) * np.array([1.01, 1.0, rng.uniform(0.96, 1.0)], np.float32)
    if slabs:
        for y in range(0, size, 320):
            box(lane, 0, y, 256, 2, (52, 52, 54))
    for _ in range(int(rng.integers(0, 2))):
        points = np.cumsum(rng.normal((0.0, 12.0), 5.0, (20, 2)), 0) + rng.uniform(0, 256, 2)
        cv2.polylines(lane, [points.astype(np.int32)], False, (50.0, 50.0, 52.0), 2, cv2.LINE_AA)
    return lane


def _line(rng: np.random.Generator, lane: Canvas) -> Canvas:
    """64 x 512 for 0.5 x 8 m: a white line in the middle of the lane's own surface."""
    strip = np.ascontiguousarray(lane[:512, :64]).copy()
    strip += plain(lane.mean(axis=(0, 1)) - strip.mean(axis=(0, 1)), 512, 64)
    half = int(rng.integers(8, 13))
    cover = np.zeros((512, 64), np.float32)
    cover[:, 32 - half : 32 + half] = rng.uniform(0.75, 0.95)
    cover *= np.clip(1 + 0.08 * noise(rng, 512, 0.6)[:, :64], 0.5, 1.05)
    return strip * (1 - cover[..., None]) + np.array([226, 226, 220], np.float32) * cover[..., None]


def _rail(rng: np.random.Generator) -> Canvas:
    """64 x 256 for the height of a W-beam by 4 m: two waves, and a joint."""
    y = np.linspace(0, 1, 64, dtype=np.float32)
    wave = 150 + 46 * np.cos(4 * np.pi * y) - 30 * y
    rail = np.tile(wave[:, None, None], (1, 256, 3)) + (6 * np.tile(noise(rng, 64, 0.8), (1, 4)))[..., None]
    box(rail, 0, 0, 3, 64, (84, 84, 84))
    for bolt in (10, 22, 42, 54):
        disc(rail, 7, bolt, 1, (80, 80, 80))
    return rail.astype(np.float32)


def _concrete(rng: np.random.Generator) -> Canvas:
    """256 x 256 for 4 x 4 m: stains that run down, and a joint."""
    base = np.array([158, 155, 148]) * rng.uniform(0.85, 1.1)
    wall = rough(rng, base, 256, 6, 0.9) + (7 * noise(rng, 256, 1.5))[..., None]
    streaks = cv2.GaussianBlur(noise(rng, 256, 0.5, 6), (1, 61), sigmaX=0.1, sigmaY=24)
    wall += (14 * streaks / (np.abs(streaks).max() + 1e-6))[..., None]
    box(wall, 0, 0, 2, 256, base * 0.6)
    return wall


def _panel(rng: np.random.Generator, variant: int) -> Canvas:
    """256 x 256 for 5 x 4 m of a noise wall: ribs between steel posts."""
    base = np.array([(150, 142, 120), (112, 126, 108), (150, 150, 152), (128, 100, 78)][variant % 4])
    wall = rough(rng, base, 256, 6, 0.7)
    pitch = int(rng.choice([8, 16, 32]))
    for y in range(0, 256, pitch):
        wall[y : y + max(2, pitch // 5)] *= 0.8
    box(wall, 0, 0, 10, 256, (92, 94, 96))
    return wall


def _wood(rng: np.random.Generator, variant: int) -> NDArray[np.uint8]:
    """512 x 256 for 20 x 10 m: the edge of a wood, ragged at its top, dark between trunks at its foot."""
    leaf = np.array([(66, 88, 42), (54, 76, 46), (84, 92, 48), (46, 70, 44)][variant % 4], np.float32)
    x = np.arange(512)
    crown = 34 + 24 * noise(rng, 512, 0.9, 4)[0] / 2 + 8 * noise(rng, 512, 0.3, 16)[0]
    lumps = noise(rng, 512, 0.75, 6)[:256] + 0.7 * noise(rng, 512, 0.3, 24)[:256]
    height = np.linspace(1.15, 0.5, 256, dtype=np.float32)[:, None]
    wood = plain(leaf, 256, 512) * (height * np.clip(1 + 0.3 * lumps, 0.3, 2.0))[..., None]
    for at in rng.uniform(0, 512, 26):
        line(wood, (at, 256), (at + rng.normal(0, 6), rng.uniform(120, 200)), rng.uniform(40, 84) * np.ones(3), 3)
    alpha = np.where(np.arange(256)[:, None] > np.clip(crown, 4, 110)[x][None] + 9 * lumps, 255.0, 0.0)
    alpha[:3] = 0.0
    return rgba(wood, alpha)


def _field(rng: np.random.Generator, variant: int) -> Canvas:
    """256 x 256 for 6 x 6 m: rows of a crop, or of a ploughed field."""
    base = np.array([(96, 118, 54), (172, 152, 92), (120, 96, 70), (110, 122, 60)][variant % 4])
    rows = np.sin(2 * np.pi * np.arange(256) / 32)[None, :, None]
    return rough(rng, base, 256, 9, 0.7) * (1 + 0.13 * rows).astype(np.float32) + (6 * noise(rng, 256, 1.3))[..., None]


def _board(rng: np.random.Generator, variant: int) -> Canvas:
    """256 x 128: a sign over the road, blue or green, with white letters and an arrow."""
    ground = [(28, 70, 150), (20, 100, 62)][variant % 2]
    board = plain(ground, 128, 256)
    box(board, 4, 4, 248, 120, (232, 232, 232), 2)
    for y in (40, 78):
        letters = "".join(rng.choice(list("ABDEGHKLMNORSTUW"), int(rng.integers(4, 9))))
        ink = np.zeros((128, 256), np.uint8)
        cv2.putText(ink, letters, (22, y), cv2.FONT_HERSHEY_SIMPLEX, 0.95, 255, 2, cv2.LINE_AA)
        board += ink[..., None] * np.float32(0.9)
    line(board, (128, 118), (128, 92), (236, 236, 236), 4)
    line(board, (116, 106), (128, 118), (236, 236, 236), 4)
    line(board, (140, 106), (128, 118), (236, 236, 236), 4)
    return board


def _truck_side(rng: np.random.Generator) -> Canvas:
    """256 x 64: the tarpaulin of a lorry with lettering; the face's colour tints it."""
    side = plain((220, 220, 220), 64, 256) + (4 * np.tile(noise(rng, 64, 1.0), (1, 4)))[..., None]
    for x in range(0, 256, 32):
        line(side, (x, 0), (x, 64), (176, 176, 178), 1)
    ink = np.zeros((64, 256), np.uint8)
    letters = "".join(rng.choice(list("ABEKLMNORSTX"), int(rng.integers(5, 8))))
    cv2.putText(ink, letters, (40, 42), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 255, 4, cv2.LINE_AA)
    side -= ink[..., None] * np.array(rng.uniform(0.2, 0.7, 3), np.float32)
    box(side, 0, 58, 256, 6, (70, 70, 74))
    return side


def _truck_back() -> Canvas:
    """128 x 128: doors with bars, lamps, bumper."""
    back = plain((214, 214, 214), 128, 128)
    line(back, (64, 4), (64, 108), (120, 120, 122), 2)
    for x in (34, 94):
        line(back, (x, 6), (x, 106), (160, 160, 162), 2)
    box(back, 2, 2, 124, 106, (150, 150, 152), 2)
    box(back, 0, 110, 128, 18, (52, 52, 54))
    box(back, 6, 112, 20, 10, (180, 30, 26))
    box(back, 102, 112, 20, 10, (180, 30, 26))
    box(back, 50, 113, 28, 9, (230, 226, 200))
    return back
