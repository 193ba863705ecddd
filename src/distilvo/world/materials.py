"""Textures of the ground and of plain materials: road, sidewalk, grass, gravel, hedge, roof, metal, clouds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.world.paint import Canvas, box, disc, line, noise, plain, rgba, rough

ROAD = 1024  # texels across the carriageway and along 16 m


def paint(rng: np.random.Generator, variant: int) -> dict[str, NDArray[np.uint8]]:
    """All surfaces of a texture variant, as (h, w, 4) uint8 images by name."""
    asphalt = _asphalt(rng, rng.uniform(74, 112))
    clouds = np.clip(0.5 + 0.42 * noise(rng, 512, 1.7), 0, 1)
    return {
        "road": rgba(_road(rng, asphalt, variant)),
        "asphalt": rgba(_worn(rng, asphalt)),
        "sidewalk": rgba(_sidewalk(rng)),
        "grass": rgba(_grass(rng)),
        "gravel": rgba(_gravel(rng)),
        "hedge": rgba(_hedge(rng)),
        "roof": rgba(_roof(rng, variant)),
        "white": rgba(rough(rng, (225, 225, 225), 64, 5), 245.0),
        "metal": rgba(rough(rng, (120, 124, 122), 64, 12, 0.7), 225.0),
        "cloud": rgba(np.repeat(255 * clouds[..., None], 3, 2)),
    }


def _asphalt(rng: np.random.Generator, grey: float) -> Canvas:
    size = 512
    tone: Canvas = grey + 7 * noise(rng, size, 1.1) + 10 * noise(rng, size, 0.4, 16)
    grains = rng.random((size, size))
    tone += np.where(grains > 0.985, 38, 0).astype(np.float32) - np.where(grains < 0.015, 32, 0)
    tint = np.array([1 + rng.uniform(-0.01, 0.03), 1.0, 1 + rng.uniform(-0.03, 0.03)], np.float32)
    return tone[..., None] * tint


def _worn(rng: np.random.Generator, asphalt: Canvas) -> Canvas:
    """Stains and cracks, so that an unmarked road has texture at a distance."""
    worn = asphalt + 9 * noise(rng, 512, 1.5)[..., None]
    _cracks(rng, worn, 3)
    return worn


def _road(rng: np.random.Generator, asphalt: Canvas, variant: int) -> Canvas:
    road = np.tile(asphalt, (2, 2, 1)) + 9 * np.tile(noise(rng, ROAD // 2, 1.6), (2, 2))[..., None]
    across = np.abs(np.arange(ROAD) / ROAD - 0.5) * 10.4
    wheels = np.exp(-(((np.abs(across - 1.75) - 0.75) / 0.3) ** 2))
    oil = np.exp(-(((across - 1.75) / 0.35) ** 2))
    road *= (1 + rng.uniform(-0.14, 0.08) * wheels - rng.uniform(0.0, 0.1) * oil)[None, :, None].astype(np.float32)
    _patches(rng, road, int(rng.integers(3, 11)))
    _cracks(rng, road, int(rng.integers(6, 26)))
    mark = _marks(rng, variant)
    worn = np.clip(rng.uniform(0.7, 0.95) + 0.13 * np.tile(noise(rng, ROAD // 2, 0.8), (2, 2)), 0.25, 1)
    cover = (mark * worn)[..., None]
    road = road * (1 - cover) + np.array([224, 223, 214], np.float32) * cover
    for _ in range(int(rng.integers(1, 5))):
        _manhole(road, rng.uniform(260, 764), rng.uniform(60, ROAD - 60))
    return road.astype(np.float32)


def _patches(rng: np.random.Generator, road: Canvas, count: int) -> None:
    for _ in range(count):
        w, h = rng.uniform(50, 220), rng.uniform(60, 300)
        x, y = rng.uniform(20, ROAD - 20 - w), rng.uniform(0, ROAD - h)
        tint = rng.uniform(0.7, 1.12)
        road[int(y) : int(y + h), int(x) : int(x + w)] *= tint
        if tint < 0.95:
            box(road, x, y, w, h, (50, 50, 52), 2)


def _cracks(rng: np.random.Generator, road: Canvas, count: int) -> None:
    for _ in range(count):
        turns = np.cumsum(rng.normal(0, 0.5, int(rng.integers(6, 26)))) + rng.uniform(0, 2 * np.pi)
        steps = 14 * np.stack([np.cos(turns), np.sin(turns)], 1)
        points = rng.uniform(0, len(road), 2) + np.cumsum(steps, 0)
        width = int(rng.integers(1, 4))
        cv2.polylines(road, [points.astype(np.int32)], False, (44.0, 44.0, 46.0), width, cv2.LINE_AA)


def _marks(rng: np.random.Generator, variant: int) -> Canvas:
    """(ROAD, ROAD) coverage of the white paint; the variant chooses the pattern, so that all of them occur."""
    mark = np.zeros((ROAD, ROAD), np.float32)
    per_metre = ROAD / 10.4
    half = per_metre * rng.uniform(0.055, 0.08)

    def stripe(at: float, start: float = 0.0, end: float = 1.0) -> None:
        box(mark, at * ROAD - half, start * ROAD, 2 * half, (end - start) * ROAD, (1.0,))

    if variant % 3 == 2:
        stripe(0.5)
    else:
        dashes = 2 if variant % 2 == 0 else 4
        filled = rng.uniform(0.35, 0.6)
        for k in range(dashes):
            stripe(0.5, k / dashes, (k + filled) / dashes)
    if variant % 4 != 3:
        for side in (0.19, 0.81):
            stripe(side)
    return np.asarray(cv2.GaussianBlur(mark, (0, 0), 0.8), np.float32)


def _manhole(road: Canvas, x: float, y: float) -> None:
    disc(road, x, y, 32, (58, 58, 58))
    disc(road, x, y, 26, (84, 82, 80), 2)
    line(road, (x - 20, y), (x + 20, y), (80, 78, 76), 2)
    line(road, (x, y - 20), (x, y + 20), (80, 78, 76), 2)


def _sidewalk(rng: np.random.Generator) -> Canvas:
    base = np.array([148, 145, 138]) * rng.uniform(0.8, 1.12) + rng.normal(0, 4, 3)
    walk = rough(rng, base, 256, 7, 0.8) + (5 * noise(rng, 256, 0.2, 20))[..., None]
    pitch = int(rng.choice([32, 64, 128]))
    for y in range(0, 256, pitch):
        shift = pitch // 2 if rng.random() < 0.3 else 0
        for x in range(0, 256, pitch):
            left = (x + shift) % 256
            walk[y : y + pitch, left : left + pitch] *= rng.uniform(0.88, 1.08)
            walk[y : y + pitch, left : left + 2] *= 0.62
        walk[y : y + 2] *= 0.6
    return walk


def _grass(rng: np.random.Generator) -> Canvas:
    base = np.array([74, 100, 46]) * rng.uniform(0.8, 1.1) + np.array([rng.uniform(-6, 28), 0, 0])
    tufts = np.stack([13 * noise(rng, 512, 1.4), 10 * noise(rng, 512, 1.4), 5 * noise(rng, 512)], -1)
    grass = rough(rng, base, 512, 14, 0.7) + tufts + (10 * noise(rng, 512, 0.1, 40))[..., None]
    flowers = rng.random((512, 512)) > 0.9985
    grass[flowers] = (220, 214, 150)
    return grass


def _gravel(rng: np.random.Generator) -> Canvas:
    base = np.array([140, 128, 110]) * rng.uniform(0.8, 1.1)
    return rough(rng, base, 256, 18, 0.4) + (9 * noise(rng, 256, 1.4))[..., None]


def _hedge(rng: np.random.Generator) -> Canvas:
    base = np.array([48, 80, 36]) * rng.uniform(0.85, 1.2)
    leaves = noise(rng, 256, 0.35, 4) + 0.6 * noise(rng, 256, 0.9, 8)
    hedge = plain(base, 256, 256) * np.clip(1 + 0.38 * leaves, 0.2, 2.4)[..., None].astype(np.float32)
    return hedge + (8 * noise(rng, 256, 1.2))[..., None]


def _roof(rng: np.random.Generator, variant: int) -> Canvas:
    base = [(134, 64, 48), (92, 92, 98), (112, 78, 58), (70, 72, 78), (150, 84, 58), (104, 104, 96)][variant % 6]
    roof = rough(rng, base, 256, 9, 0.6)
    for row, y in enumerate(range(0, 256, 16)):
        roof[y : y + 3] *= 0.65
        for x in range(row % 2 * 8, 256, 16):
            roof[y : y + 16, x : x + 16] *= rng.uniform(0.86, 1.1)
            roof[y : y + 16, x : x + 2] *= 0.82
    return roof
