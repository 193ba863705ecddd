"""Numba functions of night and rain that ``shading.py`` calls: headlights, lit windows, mirror images in wet roads.

After an edit write this file's new checksum into ``shading.py``; a test tells it.
"""

# numba infers the types of arguments:
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math

import numpy as np
from numba import njit

F = np.float32


@njit(inline="always", error_model="numpy")
def lamplight(dx, dy, dz, z, material, rays, headlights):
    """Light of the own headlights at a point, as a multiple of the sky's: a low beam from under the camera."""
    ahead_x = rays[1, 0] * rays[2, 1] - rays[2, 0] * rays[1, 1]
    ahead_y = rays[2, 0] * rays[0, 1] - rays[0, 0] * rays[2, 1]
    scale = 1.0 / math.sqrt(ahead_x * ahead_x + ahead_y * ahead_y)
    ahead_x, ahead_y = ahead_x * scale, ahead_y * scale
    x, y, up = dx * z - ahead_x, dy * z - ahead_y, dz * z + 0.8
    square = x * x + y * y + up * up + 0.01
    inverse = 1.0 / math.sqrt(square)
    side, forward, up = (x * ahead_y - y * ahead_x) * inverse, (x * ahead_x + y * ahead_y) * inverse, up * inverse
    if forward < 0.1:
        return F(0)
    beam = 0.2 / (0.04 - up) if up < 0 else max(0.3, 5.0 - 150.0 * up)  # most light just under the cut-off
    side *= 3.0
    cosine = -(x * material[7] + y * material[8] + (dz * z + 0.8) * material[9]) * inverse
    return F(headlights * 26.0 / (1.0 + square) * beam / (1.0 + side**4) * (0.15 + 0.85 * max(cosine, 0.0)))


@njit(inline="always", error_model="numpy")
def sheen(dx, dy, dz, sun):
    """Factor on the light of a low sun that the ground throws on towards who looks against it: 1 to 4."""
    towards = (dx * sun[0] + dy * sun[1] + dz * sun[2]) / math.sqrt(dx * dx + dy * dy + dz * dz)
    return F(1.0 + 3.0 * max(towards, 0.0) ** 4)


@njit(inline="always", error_model="numpy")
def window(x, y, z):
    """Whether somebody is at home: 0 for most cells of a house, else how bright it is, the same in every image."""
    i, j, k = np.int64(math.floor(x * 0.4)), np.int64(math.floor(y * 0.4)), np.int64(math.floor(z * 0.35))
    key = (i * 73856093) ^ (j * 19349663) ^ (k * 83492791)
    bright = (key >> 4) & 15
    return F(bright) * F(0.1) if bright > 11 or bright == 3 else F(0)


@njit(inline="always", error_model="numpy")
def vehicle_lamp(u, v, lorry):
    """Brightness at texture coordinates of a vehicle's front or back: 2 in its two lamps, else 0; a ``lorry`` has them
    in its bumper."""
    side, height = abs(abs(u - math.floor(u) - 0.5) - 0.375), v - math.floor(v)
    top, bottom = (0.87, 0.96) if lorry else (0.17, 0.44)
    return F(2) if side < 0.1 and top < height < bottom else F(0)


@njit(inline="always", error_model="numpy")
def mirror(dx, dy, dz, material, film, ripple):
    """Share of light that a film of water mirrors, and the unit ray that a ray goes on along, tilted by ``ripple``."""
    scale = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
    cosine = -(dx * material[7] + dy * material[8] + dz * material[9]) * scale
    graze = F(1.0 - max(cosine, 0.0))
    graze *= graze
    share = film * (F(0.04) + F(0.96) * graze * graze)
    up = max(dz * scale + 2 * cosine * material[9] + ripple, 0.01)
    return share, dx * scale + 2 * cosine * material[7], dy * scale + 2 * cosine * material[8], up


@njit(error_model="numpy")
def mirrored(px, py, pz, dx, dy, dz, eye, inverse, row, depth):
    """Row and column of what a ray from a point meets in the rows shaded so far; (-1, 0) for the sky."""
    t = 0.5
    for _ in range(11):
        x, y, z = px + t * dx - eye[0], py + t * dy - eye[1], pz + t * dz - eye[2]
        s = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2] * z
        u = int((inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2] * z) / s + 0.5)
        v = int((inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2] * z) / s + 0.5)
        if u < 0 or u >= depth.shape[1] or v < 0:
            break
        if v < row and 0.0 < depth[v, u] < s < depth[v, u] + 0.4 + 0.8 * t:
            return v, u
        t *= 1.5
    return -1, 0
