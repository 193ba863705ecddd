"""The texture set of a street: named images painted by rule, packed with their mip pyramids for the kernels.

Meaning of a face's uv, in metres per repeat (u across, v downwards in the image):

    road      u 0..1 is the whole carriageway (marks at its middle and edges), v 16 m along
    asphalt   4 x 4, no marks          sidewalk 2 x 2 (slabs of 0.5)     grass, gravel 9 x 9 and 4 x 4
    hedge     1.5 x 1.5                facadeN  12.8 x 12.8 (four windows by four floors of 3.2)
    shop      12.8 x 3.2               roof     4 x 8 (v down the slope)
    lane      u 0..1 is one lane, v 16 m     line 0.5 x 8 (white in its middle)     field 6 x 6
    rail      4 m x its height               concrete 4 x 4                         panel 5 x its height
    wood      20 m x its height (the edge of a wood, cut out at its top)
    board, truck_*                           0..1 over the object
    treeN, sign, car_*, glass          0..1 over the object, v 0 at its top; trunk in the middle of a tree's foot

A tree's, a wood's and a sign's alpha cuts holes; everything else's alpha is gloss, 255 dull and 0 a mirror of the sky.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world import facades, materials, props, roadworks
from distilvo.world.mesh import TEXTURES

TEXTURE_VARIANTS = 6
LEVELS = 12
CUTOUT = ("tree0", "tree1", "tree2", "sign", "wood")


@dataclass(frozen=True)
class TextureSet:
    """Attributes:
    texels: (N,) uint64, one texel each: four 16-bit lanes r, g, b, a (low to high) with 8-bit values.
    opacity: (N,) uint8, their alpha alone.
    offsets: (T, LEVELS) int64, where level l of texture t begins in ``texels``; rows are width long.
    sizes: (T, 3) int32, log2 of width and height, and the coarsest level.
    """

    texels: NDArray[np.uint64]
    opacity: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]


@lru_cache(maxsize=TEXTURE_VARIANTS)
def texture_set(variant: int) -> TextureSet:
    """The textures of ``variant`` (0 .. TEXTURE_VARIANTS - 1), painted once per process.

    Raises DistilvoError for a variant that does not exist.
    """
    if variant not in range(TEXTURE_VARIANTS):
        raise DistilvoError(f"textures: variant {variant} does not exist; choose one of 0..{TEXTURE_VARIANTS - 1}")
    rng = np.random.default_rng([variant, 0x7E87])
    images = {**materials.paint(rng, variant), **facades.paint(rng, variant), **props.paint(rng, variant)}
    images |= roadworks.paint(np.random.default_rng([variant, 0x80AD]), variant)
    return pack({name: images[name] for name in TEXTURES})


def pack(images: dict[str, NDArray[np.uint8]]) -> TextureSet:
    """Mip pyramids of ``images`` ((h, w, 4) uint8 each, h and w powers of two), in the dictionary's order."""
    offsets = np.zeros((len(images), LEVELS), np.int64)
    sizes = np.zeros((len(images), 3), np.int32)
    parts: list[NDArray[np.uint8]] = []
    start = 0
    for index, (name, image) in enumerate(images.items()):
        levels = _pyramid(image, weighted=name in CUTOUT)
        height, width = image.shape[:2]
        sizes[index] = width.bit_length() - 1, height.bit_length() - 1, len(levels) - 1
        for number, level in enumerate(levels):
            offsets[index, number] = start
            start += len(level)
            parts.append(level)
    channels = np.concatenate(parts)
    texels = channels.astype(np.uint16).view(np.uint64).ravel()
    return TextureSet(texels, channels[:, 3].copy(), offsets, sizes)


def _pyramid(image: NDArray[np.uint8], weighted: bool) -> list[NDArray[np.uint8]]:
    """Every level as (texels, 4), finest first. ``weighted``: transparent texels do not bleed into a level's colour."""
    current = image.astype(np.float32)
    levels = [image.reshape(-1, 4)]
    while min(current.shape[:2]) > 1:
        height, width = current.shape[:2]
        blocks = current.reshape(height // 2, 2, width // 2, 2, 4)
        if weighted:
            weight = blocks[..., 3:] + 1e-3
            current = (blocks * weight).sum((1, 3)) / weight.sum((1, 3))
            current[..., 3] = blocks[..., 3].mean((1, 3))
        else:
            current = 0.25 * (blocks[:, 0, :, 0] + blocks[:, 0, :, 1] + blocks[:, 1, :, 0] + blocks[:, 1, :, 1])
        levels.append(np.round(current).astype(np.uint8).reshape(-1, 4))
    return levels
