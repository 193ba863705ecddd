"""Adverse conditions of a drive: darkness, a long shutter, fog, dense traffic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from distilvo.world.sensor import SensorModel
from distilvo.world.traffic import Mover, Traffic
from distilvo.world.vehicles import car_mesh, road_frames

_KINDS: dict[str, dict[str, tuple[float, float]]] = {
    "dim": {"darkness": (1.5, 2.2), "noise": (2.5, 5.0)},
    # Both at once: without defocus the separate copies of the image that make up the smear can be seen.
    "blurred": {"shutter": (0.4, 0.8), "defocus": (0.008, 0.016)},
    "foggy": {"fog": (0.04, 0.10)},
    "crowded": {},
}
_PART = 100  # images of a long drive that are good or adverse together
_CROWDED = 3 / 8  # of streets in adverse conditions: each has one or two of four kinds
_RAMP = 8.0  # images in which the effect comes or goes
_VEIL = np.float32(165)  # the fog's brightness, 8-bit steps
_SKY = 300.0  # metres of fog in front of the sky


def is_adverse(seed: int, share: float) -> bool:
    """Whether street ``seed`` is among the ``share`` (0..1) in adverse conditions; it is also in any larger share."""
    return bool(np.random.default_rng([seed, 4]).random() < share)


@dataclass(frozen=True)
class AdverseConditions:
    """One or two adverse conditions of a drive. All but crowding hold for one segment of the images only.

    Attributes:
        seed: of the traffic.
        segment: first and last image in which the effect has at least half of its full strength.
        darkness: light lost, as the negative logarithm of the share that remains; 0 by day.
        noise: standard deviation of the sensor's noise in the dark, in 8-bit steps.
        shutter: share of the time between two images during which the shutter is open; 0 for the sensor's own.
        defocus: standard deviation of the blur as a share of the image's width.
        fog: extinction per metre.
        crowded: cars in close succession in the other lane, and one close ahead.
    """

    seed: int
    segment: tuple[float, float]
    darkness: float = 0.0
    noise: float = 0.0
    shutter: float = 0.0
    defocus: float = 0.0
    fog: float = 0.0
    crowded: bool = False

    def strength(self, index: int) -> float:
        """Strength of the effect in image ``index``, 0 to 1."""
        begin, end = self.segment
        x = float(np.clip(0.5 + min(index - begin, end - index) / _RAMP, 0.0, 1.0))
        return x * x * (3 - 2 * x)

    def on_sensor(self, sensor: SensorModel, index: int) -> SensorModel:
        """The sensor model for image ``index``."""
        w = self.strength(index)
        if w == 0.0:
            return sensor
        loss = w * self.darkness, np.inf, -np.pi / 2  # a wave that stays at its trough
        return replace(
            sensor,
            gain=(*sensor.gain, loss),
            shutter=sensor.shutter + w * max(0.0, self.shutter - sensor.shutter),
            defocus=max(sensor.defocus, w * self.defocus),
            read_noise=max(sensor.read_noise, w * self.noise),
            shot_noise=sensor.shot_noise + 0.1 * w * self.noise,
        )

    def on_view(self, image: NDArray[np.uint8], depth: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        """``image`` (H, W, 3) number ``index`` through the fog; ``depth`` (H, W) in metres, 0 where the sky is."""
        density = self.strength(index) * self.fog
        if density == 0.0:
            return image
        clear = np.exp(-np.float32(density) * np.where(depth > 0, depth, np.float32(_SKY)))[..., None]
        return np.asarray(_VEIL + clear * (image - _VEIL) + np.float32(0.5), np.uint8)

    def traffic(self, usual: Traffic) -> list[Mover]:
        """Dense oncoming traffic, and a tall car close ahead that fills the view and hardly moves in it."""
        rng = np.random.default_rng([self.seed, 6])
        road, count = usual.road_map.roads[0], len(usual.camera)
        s = usual.s[:count] + rng.uniform(7.5, 9.5)
        leader = car_mesh(int(rng.integers(2, 4)), int(rng.integers(8)))
        frames = road_frames(usual.road_map, road, s, -usual.street_type.driven_offset, False)
        crowd = replace(usual, street_type=replace(usual.street_type, oncoming_gap=2.0, leader_chance=0.0))
        return [Mover(leader, 0, frames), *crowd.sample(rng)]


def sample_adverse(seed: int, frames: int) -> AdverseConditions:
    """Draw the adverse conditions of street ``seed`` with ``frames`` images."""
    rng = np.random.default_rng([seed, 5])
    kinds = rng.choice(list(_KINDS), size=int(rng.integers(1, 3)), replace=False)
    length = rng.uniform(0.4, 0.8)
    begin = rng.uniform(-0.1, 1.1 - length)
    segment = float(begin * frames), float((begin + length) * frames)
    return AdverseConditions(seed, segment, crowded="crowded" in kinds, **_strengths(rng, kinds))


def sample_adverse_parts(seed: int, frames: int, share: float) -> tuple[AdverseConditions, ...]:
    """Draw the adverse conditions of a long drive, in which they come and go.

    The drive is cut into parts of about 100 images, and ``share`` (0..1) of them are dark, blurred or foggy for a
    segment of 0.4 to 0.8 of their length; no two such segments overlap. A crowd stays all the way: dense traffic is
    drawn for ``share`` times 3/8 of the drives, as often as among streets. A larger share adds to what a smaller has.
    """
    edges = np.linspace(0, frames, max(1, round(frames / _PART)) + 1)
    drawn = [_in_part(seed, part, begin, end, share) for part, (begin, end) in enumerate(pairwise(edges))]
    conditions = [part for part in drawn if part is not None]
    if np.random.default_rng([seed, 9]).random() < _CROWDED * share:
        conditions.append(AdverseConditions(seed, (0.0, float(frames)), crowded=True))
    return tuple(conditions)


def _in_part(seed: int, part: int, begin: float, end: float, share: float) -> AdverseConditions | None:
    """Conditions in images ``begin`` to ``end`` of a drive; None where this part is not among the ``share``."""
    rng = np.random.default_rng([seed, 8, part])
    if rng.random() >= share:
        return None
    kinds = rng.choice([kind for kind, spans in _KINDS.items() if spans], size=int(rng.integers(1, 3)), replace=False)
    length = rng.uniform(0.4, 0.8) * (end - begin)
    first = float(rng.uniform(begin, end - length))
    return AdverseConditions(seed, (first, float(first + length)), crowded=False, **_strengths(rng, kinds))


def _strengths(rng: np.random.Generator, kinds: Iterable[str]) -> dict[str, float]:
    """The values of ``AdverseConditions`` for these kinds."""
    return {name: float(rng.uniform(*span)) for kind in kinds for name, span in _KINDS[kind].items()}
