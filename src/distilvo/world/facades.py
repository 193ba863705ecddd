"""Textures of buildings: five facades of four windows by four floors (12.8 x 12.8 m) and a row of shops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilvo.world.paint import Canvas, Rgb, box, line, noise, plain, rgba

SIZE, BAY = 512, 128  # texels; one bay is 3.2 m
WINDOW_GLOSS = 95.0
PLASTER = ((204, 186, 156), (214, 210, 202), (188, 172, 160), (216, 196, 130), (170, 182, 176), (206, 168, 146))
BRICK = ((158, 84, 64), (138, 78, 66), (176, 122, 92), (124, 96, 84), (166, 146, 118), (150, 66, 52))
CONCRETE = ((152, 153, 158), (170, 166, 158), (130, 134, 142), (186, 188, 190), (142, 136, 128), (160, 170, 178))
FRAMES = ((228, 228, 224), (90, 70, 54), (60, 66, 72), (214, 206, 188))


@dataclass(frozen=True)
class Window:
    """Shape of a window in texels, and what surrounds it."""

    width: int
    height: int
    columns: int  # panes side by side
    surround: float  # brightness of the border against the wall; 1 for none
    frame: Rgb
    balcony: bool
    shutters: bool


def paint(rng: np.random.Generator, variant: int) -> dict[str, NDArray[np.uint8]]:
    """The facades and shops of a texture variant, as (h, w, 4) uint8 images by name; alpha is gloss."""
    walls = [
        _plaster(rng, PLASTER[variant % 6]),
        _bricks(rng, BRICK[variant % 6]),
        _plaster(rng, PLASTER[(variant + 3) % 6]),
        _panels(rng, CONCRETE[variant % 6]),
        _bricks(rng, BRICK[(variant + 3) % 6]) if variant % 2 else _plaster(rng, PLASTER[(variant + 4) % 6]),
    ]
    images = {f"facade{k}": _facade(rng, wall, k) for k, wall in enumerate(walls)}
    return {**images, "shop": _shops(rng)}


def _plaster(rng: np.random.Generator, base: Rgb) -> Canvas:
    stains = np.clip(noise(rng, SIZE, 1.3), 0, None) * np.linspace(0.2, 1.0, SIZE, dtype=np.float32)[:, None]
    wall = plain(base, SIZE, SIZE) + (5 * noise(rng, SIZE, 1.0) + 6 * noise(rng, SIZE, 0.3, 10) - 6 * stains)[..., None]
    for y in range(0, SIZE, BAY):
        if rng.random() < 0.7:
            wall[y : y + 6] *= 1.1
            wall[y + 6 : y + 9] *= 0.72
    return wall


def _bricks(rng: np.random.Generator, base: Rgb) -> Canvas:
    tone = rng.normal(1, 0.11, (SIZE // 8, SIZE // 16 + 1))
    wall = np.empty((SIZE, SIZE), np.float32)
    for row in range(SIZE // 8):
        shift = row % 2 * 8
        courses = np.repeat(tone[row], 16)[shift : shift + SIZE]
        wall[8 * row : 8 * row + 8] = courses
        wall[8 * row : 8 * row + 8, (16 - shift) % 16 :: 16] *= 0.78
        wall[8 * row] *= 0.74
    grain = 5 * noise(rng, SIZE, 1.1) + 5 * noise(rng, SIZE, 0.3, 16)
    return plain(base, SIZE, SIZE) * wall[..., None] + grain[..., None]


def _panels(rng: np.random.Generator, base: Rgb) -> Canvas:
    wall = plain(base, SIZE, SIZE)
    for y in range(0, SIZE, BAY):
        for x in range(0, SIZE, BAY):
            wall[y : y + BAY, x : x + BAY] *= rng.uniform(0.93, 1.06)
            wall[y : y + BAY, x : x + 2] *= 0.6
        wall[y : y + 3] *= 0.6
    return wall + (4 * noise(rng, SIZE, 0.9) + 5 * noise(rng, SIZE, 0.3, 8))[..., None]


def _style(rng: np.random.Generator, kind: int) -> Window:
    width, height, columns = [(50, 70, 2), (44, 68, 2), (60, 78, 2), (102, 66, 3), (40, 84, 1)][kind]
    return Window(
        width=int(width * rng.uniform(0.85, 1.12)),
        height=int(height * rng.uniform(0.9, 1.08)),
        columns=columns,
        surround=float(rng.choice([0.6, 1.0, 1.16])),
        frame=FRAMES[int(rng.integers(len(FRAMES)))],
        balcony=kind in (2, 3) and rng.random() < 0.5,
        shutters=kind in (0, 4) and rng.random() < 0.5,
    )


def _facade(rng: np.random.Generator, wall: Canvas, kind: int) -> NDArray[np.uint8]:
    gloss = np.full((SIZE, SIZE), 255, np.float32)
    style = _style(rng, kind)
    paint_colour = rng.uniform(50, 130) + rng.uniform(-28, 28, 3)
    for floor in range(4):
        for bay in range(4):
            x = BAY * bay + (BAY - style.width) // 2 + int(rng.integers(-2, 3))
            _window(rng, wall, gloss, style, x, BAY * floor + 26, paint_colour)
    return rgba(wall, gloss)


def _window(rng: np.random.Generator, wall: Canvas, gloss: Canvas, style: Window, x: int, y: int, shutter: Rgb) -> None:
    w, h = style.width, style.height
    mean = wall.mean((0, 1))
    if style.surround != 1.0:
        box(wall, x - 6, y - 6, w + 12, h + 12, mean * style.surround)
    if style.shutters:
        for left in (x - 4 - w // 2, x + w + 4):
            box(wall, left, y, w // 2, h, shutter)
            for slat in range(y + 4, y + h, 6):
                line(wall, (left + 2, slat), (left + w // 2 - 3, slat), np.asarray(shutter) * 0.7)
    _glass(rng, wall, gloss, x, y, w, h)
    box(wall, x, y, w, h, style.frame, 3)
    for column in range(1, style.columns):
        line(wall, (x + column * w // style.columns, y), (x + column * w // style.columns, y + h - 1), style.frame, 3)
    if style.columns == 2 and h > 60:
        line(wall, (x, y + h // 3), (x + w - 1, y + h // 3), style.frame, 2)
    wall[y : y + 3, x : x + w] *= 0.6
    box(wall, x - 7, y + h + 1, w + 14, 5, np.minimum(mean * 1.12, 235))
    wall[y + h + 6 : y + h + 10, x - 7 : x + w + 7] *= 0.68
    if style.balcony and rng.random() < 0.6:
        _balcony(wall, gloss, x - 10, y + h - 24, w + 20)


def _glass(rng: np.random.Generator, wall: Canvas, gloss: Canvas, x: int, y: int, w: int, h: int) -> None:
    """A pane that darkens downwards, sometimes with a blind or curtains behind it."""
    tint = np.array([52, 60, 70]) * rng.uniform(0.5, 1.3)
    wall[y : y + h, x : x + w] = tint + np.linspace(26, -10, h, dtype=np.float32)[:, None, None]
    gloss[y : y + h, x : x + w] = WINDOW_GLOSS
    style = rng.random()
    cloth = np.array([206, 200, 188]) * rng.uniform(0.55, 1.0)
    if style < 0.3:
        box(wall, x, y, w, h * rng.uniform(0.2, 0.85), cloth)
    elif style < 0.6:
        side = w * rng.uniform(0.15, 0.3)
        box(wall, x, y, side, h, cloth)
        box(wall, x + w - side, y, side, h, cloth)


def _balcony(wall: Canvas, gloss: Canvas, x: int, y: int, w: int) -> None:
    gloss[y : y + 40, x : x + w] = 255
    box(wall, x, y + 32, w, 7, (150, 148, 144))
    for bar in range(x, x + w, 6):
        line(wall, (bar, y), (bar, y + 32), (52, 54, 58), 2)
    line(wall, (x, y), (x + w, y), (52, 54, 58), 3)


def _shops(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Four shop fronts (12.8 x 3.2 m): name board, shop window, door."""
    base = rng.uniform(80, 170) * np.array([1.04, 1.0, 0.95])
    wall = plain(base, BAY, SIZE) + (6 * noise(rng, SIZE, 0.8)[:BAY])[..., None]
    gloss = np.full((BAY, SIZE), 255, np.float32)
    for bay in range(4):
        x = BAY * bay + 8
        board = rng.uniform(40, 190) + rng.uniform(-40, 40, 3)
        ink = np.where(board.mean() > 115, 25, 235) * np.ones(3)
        box(wall, x, 6, 112, 20, board)
        at = x + 10 + rng.uniform(0, 20)
        while at < x + 100:
            stroke = rng.uniform(2, 5)
            top = rng.uniform(0, 5) if rng.random() < 0.6 else 0.0
            box(wall, at, 11 + top, stroke, 10 - top, ink)
            at += stroke + rng.choice([1.5, 1.5, 2.0, 6.0])
        box(wall, x + 2, 32, 72, 84, rng.uniform(30, 110, 3))
        _glass(rng, wall, gloss, x + 6, 36, 64, 74)
        for _ in range(5):
            tall = rng.uniform(8, 34)
            box(wall, x + 8 + rng.uniform(0, 50), 108 - tall, rng.uniform(5, 12), tall, rng.uniform(50, 210, 3))
        door = rng.uniform(30, 110, 3)
        box(wall, x + 80, 34, 30, 94, door)
        box(wall, x + 85, 42, 20, 50, (58, 64, 70))
        gloss[42:92, x + 85 : x + 105] = WINDOW_GLOSS
    return rgba(wall, gloss)
