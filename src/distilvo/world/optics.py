"""What lies between the street and the sensor: glare of a low sun, and the bonnet of the own car."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilvo.world.lighting import Light

BONNETS = 0.1  # share of the streets
_GLARING = 1.5  # glow of the sky around the sun from which on the optics scatter it
_PAINTS = np.array([(0.05, 0.05, 0.06), (0.2, 0.2, 0.22), (0.55, 0.55, 0.56), (0.1, 0.13, 0.3), (0.4, 0.06, 0.05)])


class Bonnet:
    """A glossy curved shape at the lower edge that stays where it is in every image.

    Attributes:
        mask: (H, W) bool, the pixels that show it; their image motion is not the road's.
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        """Draw one for images of ``size`` (H, W): 7 to 24 % of the height, lower at its sides."""
        height, width = size
        u = (np.arange(width) + 0.5) / width - 0.5 - rng.uniform(-0.1, 0.1)
        part = rng.uniform(0.07, 0.24) - rng.uniform(0.05, 0.4) * u**2 - rng.uniform(0.0, 2.0) * u**4
        below = np.arange(height)[:, None] + 0.5 - height * (1 - part)
        self.mask = below > -0.5
        self._rows, self._columns = np.nonzero(self.mask)
        share = below[self.mask] / height
        mirrored = self._rows - height * (share + 3.5 * share)  # curved, so it shows more than a flat mirror
        self._mirrored = np.clip(mirrored, 0, height - 1).astype(np.intp)
        gloss = rng.uniform(0.25, 0.6) * (0.4 + 0.6 * np.exp(-share / 0.06))
        self._gloss = gloss[:, None].astype(np.float32)
        self._cover = np.clip(below[self.mask] + 0.5, 0, 1)[:, None].astype(np.float32)
        self._paint = _PAINTS[rng.choice(len(_PAINTS), p=(0.4, 0.2, 0.2, 0.1, 0.1))].astype(np.float32)

    def over(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``image`` (H, W, 3) with the bonnet in front of it."""
        seen = image[self._rows, self._columns].astype(np.float32)
        paint = self._paint * np.float32(1.3 * image[: len(image) // 2].mean())
        shown = paint + self._gloss * (image[self._mirrored, self._columns] - paint)
        out = image.copy()
        out[self._rows, self._columns] = seen + self._cover * (shown - seen) + np.float32(0.5)
        return out


def sample_bonnet(seed: int, size: tuple[int, int]) -> Bonnet | None:
    """The bonnet in the images of street ``seed``; None for nine of ten."""
    rng = np.random.default_rng([seed, 7])
    return Bonnet(rng, size) if rng.random() < BONNETS else None


def glare(
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    rotation: NDArray[np.float64],
    intrinsics: NDArray[np.float64],
    light: Light,
) -> NDArray[np.uint8]:
    """``image`` (H, W, 3) under the veil that a low sun in front of the camera lays over it.

    ``depth`` (H, W) is 0 where the sky is; ``rotation`` (3, 3) camera-to-world. What covers the sun weakens the veil.
    """
    x, y, z = rotation.T @ np.array(light.sun)
    if light.glow < _GLARING or z < 0.5:
        return image
    height, width = depth.shape
    u, v = intrinsics[0, 0] * x / z + intrinsics[0, 2], intrinsics[1, 1] * y / z + intrinsics[1, 2]
    row, column = (int(np.clip(a, 2, n - 3)) for a, n in ((v, height), (u, width)))
    free = float((depth[row - 2 : row + 3, column - 2 : column + 3] == 0).mean())
    if free == 0.0:
        return image
    far = ((np.arange(width) - u) / (0.2 * width))[None] ** 2 + ((np.arange(height) - v) / (0.2 * width))[:, None] ** 2
    veil = (0.12 * light.glow * free * (0.25 + 0.75 / (1 + far))).astype(np.float32)[..., None]
    return np.asarray(image + np.minimum(veil, np.float32(0.9)) * (np.float32(255) - image), np.uint8)
