"""Textures of single objects: trees (billboards with cut-out foliage), car parts and a traffic sign."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.world.paint import Canvas, box, disc, line, noise, plain, rgba

TREE = 256
LEAVES = ((76, 106, 46), (58, 90, 44), (112, 112, 48), (96, 118, 52), (134, 104, 42), (66, 84, 52))
CROWNS = ((92, 84, 92), (68, 90, 94), (100, 76, 84))  # half width, half height, middle from the top, in texels


def paint(rng: np.random.Generator, variant: int) -> dict[str, NDArray[np.uint8]]:
    """The objects of a texture variant, as (h, w, 4) uint8 images by name."""
    trees = {f"tree{k}": _tree(rng, LEAVES[(variant + 2 * k) % 6], *CROWNS[k]) for k in range(3)}
    return {
        **trees,
        "car_side": rgba(_car_side(rng), 215.0),
        "car_back": rgba(_car_end((172, 28, 24)), 220.0),
        "car_front": rgba(_car_end((240, 240, 236), grille=True), 220.0),
        "glass": rgba(_glass(), 70.0),
        "sign": _sign(rng),
    }


def _tree(rng: np.random.Generator, leaf: tuple[int, int, int], rx: int, ry: int, cy: int) -> NDArray[np.uint8]:
    """Clumps of leaves, each lit from above; the upper ones are drawn last, over a trunk with branches."""
    cover = np.zeros((TREE, TREE), np.float32)
    light = np.zeros((TREE, TREE), np.float32)
    bark = np.zeros((TREE, TREE), np.float32)
    middle = TREE // 2
    cv2.line(bark, (middle, TREE), (middle, cy), 1.0, 13)
    for angle in rng.uniform(-0.9, 0.9, 7):
        start = rng.uniform(cy + 10, cy + 0.8 * ry)
        tip = middle + 0.8 * rx * np.sin(angle), start - 0.7 * ry * np.cos(angle)
        cv2.line(bark, (middle, int(start)), (int(tip[0]), int(tip[1])), 1.0, 4, cv2.LINE_AA)
    clumps = int(rng.integers(34, 60))
    angle, reach = rng.uniform(0, 2 * np.pi, clumps), np.sqrt(rng.random(clumps))
    centres = np.stack([middle + 0.84 * rx * reach * np.cos(angle), cy + 0.84 * ry * reach * np.sin(angle)], 1)
    for x, y in centres[np.argsort(-centres[:, 1])]:
        size = rng.uniform(13, 27)
        high = 1.05 - 0.45 * (y - cy + ry) / (2 * ry)
        for _ in range(22):
            turn, far = rng.uniform(0, 2 * np.pi), size * np.sqrt(rng.random())
            px, py = x + far * np.cos(turn), y + 0.8 * far * np.sin(turn)
            shade = high * (0.86 - 0.3 * (py - y) / size) * rng.uniform(0.72, 1.18)
            disc(light, px, py, rng.uniform(2, 6), (shade,))
            disc(cover, px, py, rng.uniform(2, 6), (1.0,))
    light *= 1 + 0.2 * noise(rng, TREE, 0.3, 12)
    leaves = (cover > 0.5) & (noise(rng, TREE, 0.5, 6) < 1.7)
    colour = plain(leaf, TREE, TREE) * np.maximum(1.18 * light, 0.5)[..., None]
    colour += (14 * np.clip(light - 0.9, 0, None))[..., None] * np.array([1.2, 1.0, 0.2], np.float32)
    trunk = (bark > 0.5) & ~leaves
    colour[trunk] = np.array([82, 66, 52]) * (1 + 0.2 * noise(rng, TREE, 0.5)[trunk])[:, None]
    alpha = np.where(leaves | trunk, 255.0, 0.0)
    alpha[:2] = alpha[:, :2] = alpha[:, -2:] = 0  # the image repeats: keep the borders from touching
    return rgba(colour, alpha)


def _car_side(rng: np.random.Generator) -> Canvas:
    """256 x 64 for about 4.4 x 1.1 m; near white, the face's colour tints it."""
    side = plain((225, 225, 225), 64, 256) * np.linspace(1.05, 0.7, 64, dtype=np.float32)[:, None, None]
    side[22:25] *= 0.86
    for x in (92, 150):
        line(side, (x, 0), (x, 54), (105, 105, 105))
    for x in (100, 158):
        line(side, (x, 14), (x + 14, 14), (90, 90, 90), 2)
    box(side, 0, 52, 256, 12, (46, 46, 48))
    box(side, 0, 10, 9, 10, (172, 40, 30))
    box(side, 246, 10, 10, 9, (236, 226, 190))
    for x in (52, 204):
        disc(side, x, 46, 26, (30, 30, 32))
        disc(side, x, 48, 21, (24, 24, 25))
        disc(side, x, 48, 12, (158, 158, 160))
        for spoke in rng.uniform(0, 1.2) + 1.257 * np.arange(5):
            line(side, (x, 48), (x + 12 * np.cos(spoke), 48 + 12 * np.sin(spoke)), (60, 60, 62), 2)
    return side


def _car_end(lamp: tuple[int, int, int], grille: bool = False) -> Canvas:
    """128 x 64: lamps left and right, number plate, bumper."""
    end = plain((215, 215, 215), 64, 128) * np.linspace(1.05, 0.75, 64, dtype=np.float32)[:, None, None]
    box(end, 4, 12, 24, 15, lamp)
    box(end, 100, 12, 24, 15, lamp)
    if grille:
        box(end, 34, 12, 60, 16, (42, 42, 44))
        for y in (16, 20, 24):
            line(end, (36, y), (92, y), (96, 96, 98))
    box(end, 0, 46, 128, 18, (45, 45, 48))
    box(end, 42, 31, 44, 12, (236, 236, 228))
    for x in range(48, 82, 6):
        box(end, x, 34, 4, 6, (34, 34, 44))
    return end


def _glass() -> Canvas:
    pane = plain((46, 50, 54), 64, 128) + np.linspace(30, -12, 64, dtype=np.float32)[:, None, None]
    line(pane, (64, 0), (64, 63), (20, 20, 20), 5)
    box(pane, 0, 0, 128, 64, (150, 150, 152), 4)
    return pane


def _sign(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A round speed limit, 64 x 64."""
    sign = plain((240, 240, 240), 64, 64)
    disc(sign, 32, 32, 31, (186, 22, 26))
    disc(sign, 32, 32, 22, (240, 240, 240))
    number = str(int(rng.choice([30, 50, 60, 70])))
    ink = np.zeros((64, 64), np.uint8)
    cv2.putText(ink, number, (17, 39), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2, cv2.LINE_AA)
    sign *= 1 - 0.9 * ink[..., None] / np.float32(255)
    alpha = np.zeros((64, 64), np.float32)
    disc(alpha, 32, 32, 31, (255.0,))
    return rgba(sign, alpha)
