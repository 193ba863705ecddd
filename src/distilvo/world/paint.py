"""Canvases and noise that the procedural textures are painted with: float32 (h, w, 3) images, RGB, 0..255."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.float32]
Rgb = Sequence[float] | NDArray[np.floating]


def noise(rng: np.random.Generator, size: int, falloff: float = 1.0, lowest: float = 1.0) -> Canvas:
    """(size, size) noise with spectrum 1 / f ** falloff from ``lowest`` cycles per image; it tiles; std 1."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    radius = np.hypot(fy, fx) * size
    radius[0, 0] = 1.0
    amplitude = np.where(radius >= lowest, radius**-falloff, 0.0)
    amplitude[0, 0] = 0.0
    field = np.fft.irfft2(amplitude * np.exp(2j * np.pi * rng.random(amplitude.shape)), s=(size, size))
    return (field / field.std()).astype(np.float32)


def plain(rgb: Rgb, height: int, width: int) -> Canvas:
    """A canvas of one colour."""
    return np.tile(np.asarray(rgb, np.float32), (height, width, 1))


def rough(rng: np.random.Generator, rgb: Rgb, size: int, strength: float, falloff: float = 1.0) -> Canvas:
    """A square canvas of one colour with noise on it."""
    return plain(rgb, size, size) + strength * noise(rng, size, falloff)[..., None]


def box(canvas: Canvas, x: float, y: float, w: float, h: float, rgb: Rgb, thickness: int = -1) -> None:
    """Draw an axis-aligned rectangle, filled by default; half outside is fine."""
    corner = round(x + w) - 1, round(y + h) - 1
    cv2.rectangle(canvas, (round(x), round(y)), corner, [float(c) for c in rgb], thickness)


def line(canvas: Canvas, a: Sequence[float], b: Sequence[float], rgb: Rgb, thickness: int = 1) -> None:
    """Draw a smooth straight line."""
    p, q = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
    cv2.line(canvas, p, q, [float(c) for c in rgb], thickness, cv2.LINE_AA)


def disc(canvas: Canvas, x: float, y: float, radius: float, rgb: Rgb, thickness: int = -1) -> None:
    """Draw a circle, filled by default."""
    cv2.circle(canvas, (int(x), int(y)), int(radius), [float(c) for c in rgb], thickness, cv2.LINE_AA)


def rgba(canvas: Canvas, alpha: NDArray[np.floating] | float = 255.0) -> NDArray[np.uint8]:
    """The finished texture (h, w, 4) uint8."""
    out = np.empty((*canvas.shape[:2], 4), np.uint8)
    out[..., :3] = np.clip(canvas, 0, 255)
    out[..., 3] = np.clip(alpha, 0, 255)
    return out
