"""Shapes of lorries and buses: tall boxes on wheels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distilvo.world.builder import UNIT_UV, MeshBuilder
from distilvo.world.mesh import Mesh

Colour = tuple[float, float, float]
_DARK: Colour = (0.16, 0.16, 0.17)


@dataclass(frozen=True)
class Lorry:
    """Metres: length, width and height; ``cab``: length of the cab, 0 for a bus; ``floor``: the load's lower edge."""

    length: float
    width: float
    height: float
    cab: float
    floor: float
    axles: tuple[float, ...]


LORRIES = (
    Lorry(16.2, 2.5, 3.95, 2.3, 1.15, (0.41, 0.19, -0.25, -0.33, -0.41)),
    Lorry(8.6, 2.4, 3.4, 2.0, 1.0, (0.33, -0.27)),
    Lorry(6.6, 2.2, 2.95, 1.9, 0.8, (0.32, -0.3)),
    Lorry(12.0, 2.5, 3.1, 0.0, 0.35, (0.3, -0.26)),
)
PAINTS: tuple[Colour, ...] = (
    (1.05, 1.05, 1.05), (0.9, 0.92, 0.95), (0.25, 0.4, 0.75), (0.75, 0.18, 0.15),
    (0.3, 0.55, 0.35), (0.85, 0.7, 0.25), (0.45, 0.47, 0.5), (0.95, 0.95, 0.9),
)  # fmt: skip


@lru_cache(maxsize=64)
def lorry_mesh(shape: int, paint: int) -> Mesh:
    """Lorry number ``shape`` in its own frame: x forward, y left, z up, the origin on the ground under its middle."""
    lorry, colour = LORRIES[shape], PAINTS[paint]
    builder = MeshBuilder()
    half, y = lorry.length / 2, lorry.width / 2
    load_front = half - lorry.cab - (0.5 if lorry.cab else 0.0)
    if lorry.cab:
        tarpaulin = PAINTS[(paint * 3 + shape) % len(PAINTS)]
        _box(builder, (-half, load_front), y, (lorry.floor, lorry.height), "truck_side", tarpaulin, "truck_back")
        _add_cab(builder, half, lorry, colour)
        _box(builder, (-half + 0.2, half - 0.4), 0.8 * y, (0.45, lorry.floor), "metal", _DARK, "metal")
    else:
        _box(builder, (-half, half), y, (lorry.floor, lorry.height), "white", colour, "white")
        _add_windows(builder, half, lorry)
    for side in (-0.98 * y, 0.98 * y):
        for axle in lorry.axles:
            _add_wheel(builder, axle * lorry.length, side)
    shadow = [(-half, y, 0.06), (-half, -y, 0.06), (half, -y, 0.06), (half, y, 0.06)]
    builder.quads([shadow], UNIT_UV, "asphalt", (0.22, 0.22, 0.22))
    return builder.build()


def _box(
    builder: MeshBuilder,
    x: tuple[float, float],
    y: float,
    z: tuple[float, float],
    side: str,
    colour: Colour,
    back: str,
) -> None:
    """A closed box but for its bottom; ``back`` is the texture of the rear."""
    (x0, x1), (z0, z1) = x, z
    flanks = [[(x1, y, z0), (x0, y, z0), (x0, y, z1), (x1, y, z1)],
              [(x0, -y, z0), (x1, -y, z0), (x1, -y, z1), (x0, -y, z1)]]  # fmt: skip
    builder.quads(flanks, UNIT_UV, side, colour)
    builder.quads([[(x0, y, z0), (x0, -y, z0), (x0, -y, z1), (x0, y, z1)]], UNIT_UV, back, colour)
    builder.quads([[(x1, -y, z0), (x1, y, z0), (x1, y, z1), (x1, -y, z1)]], UNIT_UV, "white", colour)
    builder.quads([[(x0, y, z1), (x0, -y, z1), (x1, -y, z1), (x1, y, z1)]], UNIT_UV, "white", colour)


def _add_cab(builder: MeshBuilder, half: float, lorry: Lorry, colour: Colour) -> None:
    y, top, rear = lorry.width / 2 - 0.04, lorry.height - 0.5, half - lorry.cab
    _box(builder, (rear, half), y, (0.45, top), "white", colour, "white")
    front = half + 0.02
    pane = [(front, -y + 0.1, 0.55 * top), (front, y - 0.1, 0.55 * top), (front, y - 0.15, 0.9 * top),
            (front, -y + 0.15, 0.9 * top)]  # fmt: skip
    builder.quads([pane], UNIT_UV, "glass")
    grille = [(front, -y, 0.45), (front, y, 0.45), (front, y, 0.45 + 0.32 * top), (front, -y, 0.45 + 0.32 * top)]
    builder.quads([grille], UNIT_UV, "car_front", colour)
    for side in (-y - 0.02, y + 0.02):
        window = [(half - 1.3, side, 0.58 * top), (half - 0.25, side, 0.58 * top), (half - 0.3, side, 0.86 * top),
                  (half - 1.3, side, 0.86 * top)]  # fmt: skip
        builder.quads([window], UNIT_UV, "glass")


def _add_windows(builder: MeshBuilder, half: float, lorry: Lorry) -> None:
    """The panes of a bus, all round."""
    y, low, high = lorry.width / 2 + 0.02, 0.42 * lorry.height, 0.83 * lorry.height
    edges = np.linspace(-half + 0.4, half - 0.3, 9)
    for side in (-y, y):
        builder.quads(
            [[(a, side, low), (b, side, low), (b, side, high), (a, side, high)]
             for a, b in zip(edges[:-1], edges[1:] - 0.12, strict=True)],
            UNIT_UV, "glass",
        )  # fmt: skip
    for x, bottom in ((-half - 0.02, low), (half + 0.02, 0.35 * lorry.height)):
        turn = 1.0 if x < 0 else -1.0
        left, right = turn * (y - 0.12), -turn * (y - 0.12)
        builder.quads([[(x, left, bottom), (x, right, bottom), (x, right, high), (x, left, high)]], UNIT_UV, "glass")
        lamps = [(x, left, lorry.floor), (x, right, lorry.floor), (x, right, 0.3 * lorry.height),
                 (x, left, 0.3 * lorry.height)]  # fmt: skip
        builder.quads([lamps], UNIT_UV, "car_back" if x < 0 else "car_front", (0.8, 0.8, 0.8))


def _add_wheel(builder: MeshBuilder, x: float, side: float) -> None:
    rim = wheel_rim(x, 1.01 * side, 0.49)
    builder.quads(rim[[[1, 2, 4, 5], [2, 3, 3, 4], [0, 1, 5, 6], [7, 0, 6, 7]]], UNIT_UV, "metal", _DARK)


def wheel_rim(x: float, y: float, radius: float) -> NDArray[np.float64]:
    """(8, 3) corners of a wheel that stands on the ground: from the upper front one down and round."""
    angle = np.radians([45.0, 0.0, -45.0, -90.0, -135.0, 180.0, 135.0, 90.0])
    return np.stack([x + radius * np.cos(angle), np.full(8, y), radius + radius * np.sin(angle)], -1)
