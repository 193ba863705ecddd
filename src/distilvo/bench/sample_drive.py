"""Images of a walled street on which frames/s are measured; the same for every model and on every machine."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from distilvo.geometry.camera import KITTI_00, Frame
from distilvo.geometry.se3 import Floats

_TEXELS, _TEXELS_PER_M = 1024, 25.0
_HEIGHT_M, _WALL_M, _STEP_M, _TURN = 1.65, 6.0, 0.8, 0.01


def street(count: int) -> list[Frame]:
    """Grey images (376, 1241) uint8 of KITTI 00's camera, 0.8 m further and 0.01 rad to the right each time."""
    texture = _texture()
    k = KITTI_00
    columns, rows = np.meshgrid(np.arange(k.width), np.arange(k.height))
    rays = np.stack([(columns - k.cx) / k.fx, (rows - k.cy) / k.fy, np.ones(rows.shape)], axis=-1)
    return [_image(rays, _TURN * k, _STEP_M * k, texture) for k in range(count)]


def there_and_back(images: list[Frame]) -> itertools.cycle[Frame]:
    """Repeat images forward and backward without end, so that each is a neighbour of the one before."""
    return itertools.cycle(images + images[-2:0:-1])


def _image(rays: Floats, yaw: float, forward: float, texture: Frame) -> Frame:
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    x, y, z = np.moveaxis(rays @ turn.T, -1, 0)
    ground = _HEIGHT_M / np.maximum(y, 1e-6)
    wall = _WALL_M / np.maximum(np.abs(x), 1e-6)
    depth = np.minimum(ground, wall)
    across = np.where(ground < wall, x * depth, y * depth + np.where(x > 0, 100.3, 200.7))
    along = z * depth + forward
    u, v = (((metres * _TEXELS_PER_M) % _TEXELS).astype(np.float32) for metres in (across, along))
    surface = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    clear = np.exp(-depth / 25.0) * (y * depth > -6.0)  # haze; above the walls is sky
    return np.rint(170.0 + clear * (surface - 170.0)).astype(np.uint8)


def _texture() -> Frame:
    rng = np.random.default_rng(0)
    total = np.zeros((_TEXELS, _TEXELS), np.float32)
    for size in (16, 64, 256):
        coarse = rng.standard_normal((size, size)).astype(np.float32)
        total += cv2.resize(coarse, (_TEXELS, _TEXELS), interpolation=cv2.INTER_LINEAR)
    return np.clip(110.0 + 40.0 * total, 0, 255).astype(np.uint8)
