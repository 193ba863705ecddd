"""Frame pairs with true flow, inverse depth and motion, for networks that see flow first.

Not only consecutive frames: some pairs are two frames apart, some run backwards in time, half are mirrored. Their flow
follows from inverse depth and motion; cells on moving cars, whose flow is known for consecutive frames alone, are left
out there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distilvo.data.augmentation import MIRROR
from distilvo.data.flow_cells import CELL
from distilvo.data.frame_cache import FrameCache
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import DEFAULT_CAMERA_HEIGHT
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.settings import FlowRecipe

_MOVES_ITSELF = 0.5  # pixels that the flow of a cell may differ from that of a standing scene
_NEAREST = 0.05  # camera heights to the next camera


@dataclass(frozen=True)
class FlowBatch:
    """Pairs for one step of training.

    Attributes:
        inputs: ``frames`` (B, 2, 1, H, W) float32, values 0..255; ``flow`` (B, 2, h, w) cells, ``inverse_depth``
            (B, 1, h, w) 1 / camera heights; both NaN where they are not known.
        targets: (B, 1, 6) true motions, m as from the default camera height, and rad.
        index: (B, 1) number of the first frame.
        weights: of the pairs: all alike.
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    index: Tensor
    weights: None = None


class FlowPairs:
    """Pairs of a cache that has flow, in an order that depends on seed and epoch alone."""

    def __init__(self, cache: FrameCache, preprocessing: Preprocessing, recipe: FlowRecipe) -> None:
        """``preprocessing`` is that of the cache.

        Raises DistilvoError where the cache has no flow, or fewer pairs than one batch.
        """
        if cache.flow is None or cache.inverse_depth is None:
            raise DistilvoError("training data: no true flow; expected streets of 'distilvo render --flow'")
        self.cache, self.recipe, self.batch_size = cache, recipe, recipe.batch_size
        self._flow, self._inverse_depth = cache.flow, cache.inverse_depth
        self._drive = np.repeat(np.arange(len(cache.drives)), [drive.frames for drive in cache.drives])
        self._poses = np.concatenate([se3.trajectory(cache.drive_motions(i)) for i in range(len(cache.drives))])
        self._standing = StandingScene(preprocessing)
        if len(cache.motions) < self.batch_size:
            raise DistilvoError(f"training data: {len(cache.motions)} pairs; expected at least {self.batch_size}")
        self.key = f"{cache.key} pairs {recipe}"

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.cache.motions) // self.batch_size

    @property
    def samples(self) -> int:
        """Frames of the cache."""
        return len(self.cache.frames)

    def epoch(self, number: int, start: int = 0, share: slice = slice(None)) -> Iterator[FlowBatch]:
        """The batches of one epoch from number ``start`` on; of each the ``share`` that this process takes."""
        order = np.random.default_rng([self.recipe.seed, number]).permutation(len(self.cache.frames))
        for batch in range(start, len(self)):
            rng = np.random.default_rng([self.recipe.seed, number, batch])
            firsts = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            seconds = self._seconds(firsts, rng)
            flips = rng.random(self.batch_size) < 0.5
            exposures = _exposures(rng, self.batch_size, self.recipe)
            noise = rng.integers(2**63, size=self.batch_size)
            yield self._batch(firsts[share], seconds[share], flips[share], exposures[share], noise[share])

    def _seconds(self, firsts: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
        """The second frame of each pair: one or two after the first or before it, in the same drive."""
        apart = np.where(rng.random(len(firsts)) < self.recipe.two_apart, 2, 1)
        signed = np.where(rng.random(len(firsts)) < self.recipe.reversed, -apart, apart)
        drives = [self.cache.drives[index] for index in self._drive[firsts]]
        low = np.array([drive.first for drive in drives])
        high = np.array([drive.first + drive.frames - 1 for drive in drives])
        seconds = firsts + signed
        seconds = np.where((seconds < low) | (seconds > high), firsts - signed, seconds)
        return np.clip(seconds, low, high)

    def _batch(
        self,
        firsts: NDArray[np.intp],
        seconds: NDArray[np.intp],
        flips: NDArray[np.bool_],
        exposures: NDArray[np.float32],
        noise: NDArray[np.int64],
    ) -> FlowBatch:
        pairs = [self._pair(int(i), int(j)) for i, j in zip(firsts, seconds, strict=True)]
        flow, inverse_depth, motions = (np.stack(part) for part in zip(*pairs, strict=True))
        frames = np.stack([self.cache.frames[firsts], self.cache.frames[seconds]], 1).astype(np.float32)
        for maps in (frames, flow, inverse_depth):
            maps[flips] = maps[flips][..., ::-1]
        flow[flips, 0] *= -1
        motions[flips] *= MIRROR.numpy()
        for row, seed in enumerate(noise):
            frames[row] = _exposed(frames[row], exposures[row], int(seed))
        inputs = {
            "frames": torch.from_numpy(frames),
            "flow": torch.from_numpy(flow / CELL).float(),
            "inverse_depth": torch.from_numpy(inverse_depth[:, None]).float(),
        }
        return FlowBatch(inputs, torch.from_numpy(motions[:, None]).float(), torch.from_numpy(firsts)[:, None])

    def _pair(self, first: int, second: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Flow (2, h, w) in pixels, inverse depth (h, w) in 1 / camera heights, and the motion (6,)."""
        height = float(self.cache.camera_heights[self._drive[first]])
        near = self._inverse_depth[first].astype(np.float64) * height
        step = self._step(first, second)
        flow = self._standing.flow(near, step)
        if first + 1 < len(self._drive) and self._drive[first + 1] == self._drive[first]:
            true = self._flow[first].astype(np.float64)
            following = flow if second == first + 1 else self._standing.flow(near, self._step(first, first + 1))
            moves = np.abs(true - following).max(0) > _MOVES_ITSELF  # False where the true flow is not known
            flow = np.where(moves, true if second == first + 1 else np.nan, flow)
        motion = se3.motions_from_matrices(step)
        motion[:3] *= DEFAULT_CAMERA_HEIGHT
        return flow, near, motion

    def _step(self, first: int, second: int) -> NDArray[np.float64]:
        """The second camera in the axes of the first, (4, 4), in camera heights."""
        step = se3.between(self._poses[first], self._poses[second])
        step[:3, 3] /= DEFAULT_CAMERA_HEIGHT
        return step


class StandingScene:
    """The flow of a scene in which nothing moves but the camera."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._rays = preprocessing.rays(CELL)
        self._focal = preprocessing.intrinsics.diagonal()[:2, None, None]
        self._half_view = np.abs(self._rays).max((1, 2), keepdims=True)

    def flow(self, inverse_depth: NDArray[np.float64], step: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2, h, w) in pixels, NaN where a cell leaves the image or its depth is not known.

        ``inverse_depth`` (h, w) and ``step`` (4, 4), the second camera in the first's axes, share a unit of length.
        """
        back = np.linalg.inv(step)
        rays = np.concatenate([self._rays, np.ones_like(self._rays[:1])])
        seen = np.einsum("ij,jhw->ihw", back[:3, :3], rays) + inverse_depth * back[:3, 3, None, None]
        place = seen[:2] / np.maximum(seen[2], _NEAREST)
        inside = (seen[2] > _NEAREST) & (np.abs(place) <= 1.05 * self._half_view).all(0)
        return np.where(inside, (place - self._rays) * self._focal, np.nan)


def _exposures(rng: np.random.Generator, count: int, recipe: FlowRecipe) -> NDArray[np.float32]:
    """Logarithms of gain and gamma, offset, change of gain to the second frame, and noise of each pair, (count, 5)."""
    gain = recipe.exposure_gain
    drawn = rng.normal(size=(count, 4)) * (gain, 1.2 * gain, recipe.exposure_offset, 0.16 * gain)
    return np.column_stack([drawn, rng.uniform(0, recipe.noise, count)]).astype(np.float32)


def _exposed(frames: NDArray[np.float32], exposure: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """A pair (2, C, H, W) of 0..255 as another camera would record it."""
    gain, gamma, offset, change, noise = exposure
    curve = 255 * np.exp(gain) * (np.arange(256, dtype=np.float32) / 255) ** np.exp(gamma) + offset
    first, second = np.clip([curve, curve * np.exp(change)], 0, 255).astype(np.float32)
    grain = np.random.default_rng(seed).standard_normal(frames.shape, np.float32) * noise
    index = frames.astype(np.uint8)
    return np.clip(np.stack([first[index[0]], second[index[1]]]) + grain, 0, 255)
