"""Sun shadows of the static scenery, as a height map seen along the sun's rays.

Every caster is slid along the rays onto the plane z = 0; a texel keeps the greatest height of what lands on it. A point
is in shadow where the texel that it slides to holds a greater height than the point's own. The map is stored in
pages, so that a long street takes memory along the street and not over its whole bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilvo.world.kernels import PAGE, cast_shadows, mark_shadow_pages
from distilvo.world.mesh import TEXTURES
from distilvo.world.textures import TextureSet

TEXELS_PER_METRE = 5.0
MAX_TABLE, MAX_PAGES = 2_000_000, 8192  # in the bounding box, and stored: the map gets coarser rather than larger
FLAT = np.isin(TEXTURES, ("road", "asphalt", "sidewalk", "grass", "gravel", "lane", "line", "field"))


@dataclass(frozen=True)
class ShadowMap:
    """Attributes:
    origin: (2,) metres east and north of the map's corner, after sliding.
    scale: texels per metre.
    table: (rows, columns) int32 page numbers, -1 where nothing stands.
    pages: (P, PAGE, PAGE) float32 heights in metres.
    """

    origin: NDArray[np.float64]
    scale: float
    table: NDArray[np.int32]
    pages: NDArray[np.float32]


def shadow_map(
    corners: NDArray[np.float64],
    texture: NDArray[np.int32],
    cutout: NDArray[np.uint8],
    textures: TextureSet,
    sun: NDArray[np.float64],
) -> ShadowMap:
    """Shadows that the triangles ``corners`` (F, 3, 5: x, y, z, u, v) cast; the ground casts none."""
    casts = ~FLAT[texture]
    slid = corners[casts]
    slid[..., :2] -= slid[..., 2:3] * (sun[:2] / sun[2])
    if not len(slid):
        nothing = np.full((1, 1), -1, np.int32)
        return ShadowMap(np.zeros(2), TEXELS_PER_METRE, nothing, np.zeros((1, PAGE, PAGE), np.float32))
    low, high = slid[..., :2].min((0, 1)), slid[..., :2].max((0, 1))
    scale = min(TEXELS_PER_METRE, (PAGE - 1) * float(np.sqrt(MAX_TABLE / np.prod(np.maximum(high - low, 1.0)))))
    slid[..., :2] = (slid[..., :2] - low) * scale
    while (numbered := _page_table(slid, (high - low) * scale))[0] > MAX_PAGES:
        scale /= 1.5
        slid[..., :2] /= 1.5
    count, table = numbered
    pages = np.full((count, PAGE, PAGE), -1e9, np.float32)
    cast_shadows(slid, texture[casts], cutout[casts], textures.opacity, textures.offsets, textures.sizes, table, pages)
    return ShadowMap(low, scale, table, pages)


def _page_table(slid: NDArray[np.float64], extent: NDArray[np.float64]) -> tuple[int, NDArray[np.int32]]:
    columns, rows = (int(n) for n in extent // (PAGE - 1) + 1)
    table = np.full((rows, columns), -1, np.int32)
    return int(mark_shadow_pages(slid, table)), table
