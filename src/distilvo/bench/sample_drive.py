"""Images of a walled street on which frames/s are measured; the same for every model and on every machine."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats

CAMERA = Camera(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157, width=1241, height=376)
"""The camera of KITTI odometry 00."""
_TEXELS, _TEXELS_PER_M = 1024, 25.0
_HEIGHT_M, _WALL_M, _STEP_M, _TURN = 1.65, 6.0, 0.8, 0.01


def street(count: int, camera: Camera = CAMERA) -> list[Frame]:
    """Grey images (H, W) uint8 of a drive: 0.8 m forward and 0.01 rad to the right from each to the next."""
    texture = _texture()
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)], axis=-1)
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
