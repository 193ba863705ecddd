"""Triangle meshes of the street, and the names of their textures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEXTURES = (
    "road", "asphalt", "sidewalk", "grass", "gravel", "hedge",
    "facade0", "facade1", "facade2", "facade3", "facade4", "shop", "roof",
    "tree0", "tree1", "tree2", "car_side", "car_back", "car_front", "glass", "white", "metal", "sign", "cloud",
    "lane", "line", "rail", "concrete", "panel", "wood", "field", "board", "truck_side", "truck_back",
)  # fmt: skip
"""Names of all textures; a face's ``texture`` is an index into this tuple."""


@dataclass(frozen=True)
class Mesh:
    """Triangles in the world frame (x east, y north, z up; metres).

    Attributes:
        vertices: (V, 3) float64.
        uv: (V, 2) float64 texture coordinates; they repeat, v grows downwards in the image.
        faces: (F, 3) int32 indices of vertices.
        texture: (F,) int32 index into ``TEXTURES``.
        normals: (F, 3) float64 unit normals; the renderer turns them towards the camera.
        colour: (F, 3) float64 factors on the texture's RGB.
        cutout: (F,) uint8, 1 where the texture's alpha cuts holes (foliage, signs).
    """

    vertices: NDArray[np.float64]
    uv: NDArray[np.float64]
    faces: NDArray[np.int32]
    texture: NDArray[np.int32]
    normals: NDArray[np.float64]
    colour: NDArray[np.float64]
    cutout: NDArray[np.uint8]
