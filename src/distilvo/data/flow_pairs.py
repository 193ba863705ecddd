"""Frame pairs with true flow, inverse depth and motion, for networks that learn to see flow.

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

from distilvo import parallel
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
        inputs: ``frames`` (B, 2, C, H, W) float32, values 0..255; ``flow`` (B, 2, h, w) cells, ``inverse_depth``
            (B, 1, h, w) 1 / camera heights; both NaN where they are not known. A mirrored pair has mirrored
            intrinsics: they are the same only where the preprocessing is centred.
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
        """Made on the device that trains: on a GPU the CPU would take longer over it than the network."""
        device = parallel.device()
        pairs = np.stack([self.cache.frames[firsts], self.cache.frames[seconds]], 1)
        frames = _exposed(torch.from_numpy(pairs).to(device), torch.from_numpy(exposures).to(device), noise)
        steps = self._steps(firsts, seconds)
        flow, inverse_depth = self._maps(firsts, seconds, steps, device)
        motions = se3.motions_from_matrices(steps)
        motions[:, :3] *= DEFAULT_CAMERA_HEIGHT
        motions[flips] *= MIRROR.numpy()
        flipped = torch.from_numpy(flips).to(device)[:, None, None, None]
        flow = torch.where(flipped, flow.flip(-1) * flow.new_tensor([-1, 1])[:, None, None], flow)
        inputs = {
            "frames": torch.where(flipped[..., None], frames.flip(-1), frames),
            "flow": (flow / CELL).float(),
            "inverse_depth": torch.where(flipped[:, 0], inverse_depth.flip(-1), inverse_depth)[:, None].float(),
        }
        targets = torch.from_numpy(motions[:, None]).float().to(device)
        return FlowBatch(inputs, targets, torch.from_numpy(firsts)[:, None])

    def _maps(
        self, firsts: NDArray[np.intp], seconds: NDArray[np.intp], steps: NDArray[np.float64], device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Flow (B, 2, h, w) in pixels and inverse depth (B, h, w) in 1 / camera heights."""
        heights = torch.from_numpy(self.cache.camera_heights[self._drive[firsts]]).to(device)
        near = torch.from_numpy(self._inverse_depth[firsts]).to(device).double() * heights[:, None, None]
        true = torch.from_numpy(self._flow[firsts]).to(device).double()  # NaN at the last frame of a drive
        flow = self._standing.flow(near, torch.from_numpy(steps).to(device))
        nexts = np.minimum(firsts + 1, len(self._drive) - 1)
        following = self._standing.flow(near, torch.from_numpy(self._steps(firsts, nexts)).to(device))
        moves = (true - following).abs().amax(1, keepdim=True) > _MOVES_ITSELF  # False where one is not known
        is_next = torch.from_numpy(seconds == firsts + 1).to(device)[:, None, None, None]
        return torch.where(moves, torch.where(is_next, true, torch.nan), flow), near

    def _steps(self, firsts: NDArray[np.intp], seconds: NDArray[np.intp]) -> NDArray[np.float64]:
        """The second cameras in the axes of the first, (B, 4, 4), in camera heights."""
        steps = se3.between(self._poses[firsts], self._poses[seconds])
        steps[:, :3, 3] /= DEFAULT_CAMERA_HEIGHT
        return steps


class StandingScene:
    """The flow of a scene in which nothing moves but the camera."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._rays = torch.from_numpy(preprocessing.rays(CELL))
        self._focal = torch.from_numpy(preprocessing.intrinsics.diagonal()[:2].copy())[:, None, None]

    def flow(self, inverse_depth: Tensor, step: Tensor) -> Tensor:
        """(B, 2, h, w) in pixels, NaN where a cell leaves the image or its depth is not known.

        ``inverse_depth`` (B, h, w) and ``step`` (B, 4, 4), the second camera in the first's axes, share a unit of
        length; both float64.
        """
        rays, focal = self._rays.to(step.device), self._focal.to(step.device)
        back = step.inverse()
        rotation, shift = back[:, :3, :3], back[:, :3, 3, None, None]
        turned = (rotation[:, :, :2] @ rays.flatten(1) + rotation[:, :, 2:]).unflatten(2, rays.shape[1:])
        seen = turned + inverse_depth[:, None] * shift
        place = seen[:, :2] / seen[:, 2:].clamp_min(_NEAREST)
        in_view = (place.abs() <= 1.05 * rays.abs().amax((1, 2), keepdim=True)).all(1, keepdim=True)
        return torch.where((seen[:, 2:] > _NEAREST) & in_view, (place - rays) * focal, torch.nan)


def _exposures(rng: np.random.Generator, count: int, recipe: FlowRecipe) -> NDArray[np.float32]:
    """Logarithms of gain and gamma, offset, change of gain to the second frame, and noise of each pair, (count, 5)."""
    gain = recipe.exposure_gain
    drawn = rng.normal(size=(count, 4)) * (gain, 1.2 * gain, recipe.exposure_offset, 0.16 * gain)
    return np.column_stack([drawn, rng.uniform(0, recipe.noise, count)]).astype(np.float32)


def _exposed(frames: Tensor, exposures: Tensor, noise: NDArray[np.int64]) -> Tensor:
    """Pairs (B, 2, C, H, W) of bytes as another camera would record them, float32; noise from a seed for each pair."""
    gain, gamma, offset, change, grain = exposures[:, :, None].unbind(1)
    levels = torch.arange(256, device=frames.device) / 255
    curve = 255 * gain.exp() * levels ** gamma.exp() + offset
    curves = torch.stack([curve, curve * change.exp()], 1).clamp(0, 255)
    exposed = curves.gather(2, frames.flatten(2).long()).view(frames.shape)
    generator = torch.Generator(frames.device)
    for pair, seed, size in zip(exposed, noise, grain[:, 0], strict=True):
        generator.manual_seed(int(seed))
        pair.add_(torch.randn(pair.shape, generator=generator, device=pair.device) * size)
    return exposed.clamp_(0, 255)
