"""What makes some streets hard to read: darkness, a long shutter, fog, traffic all around."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distilvo.world.lens import Lens
from distilvo.world.motion import lane_offset
from distilvo.world.vehicles import Mover, Traffic, car_mesh, road_frames

_KINDS: dict[str, dict[str, tuple[float, float]]] = {
    "dim": {"darkness": (1.5, 2.2), "noise": (2.5, 5.0)},
    # Both at once: without defocus the smear of a long shutter falls apart into its copies of the picture.
    "blurred": {"shutter": (0.4, 0.8), "defocus": (0.008, 0.016)},
    "foggy": {"fog": (0.04, 0.10)},
    "crowded": {},
}
_RAMP = 8.0  # pictures in which the effect comes or goes
_VEIL = np.float32(165)  # the fog's brightness, 8-bit steps
_SKY = 300.0  # metres of fog in front of the sky


def is_hard(seed: int, share: float) -> bool:
    """Whether a street is among the ``share`` (0..1) of hard ones; one that is hard stays so in any larger share."""
    return bool(np.random.default_rng([seed, 4]).random() < share)


@dataclass(frozen=True)
class Hardship:
    """One or two troubles of a drive. All but crowding come and go: they hold for one stretch of the pictures.

    Attributes:
        seed: of the traffic.
        stretch: the pictures between which the effect is at least half as strong as it gets.
        darkness: light lost, as the negative logarithm of the share that is left; 0 by day.
        noise: standard deviation in 8-bit steps in the dark.
        shutter: share of the time between two pictures during which the shutter is open; 0 for the lens's own.
        defocus: standard deviation of the blur as a share of the picture's width.
        fog: extinction per metre.
        crowded: cars in close succession in the other lane, and one close ahead.
    """

    seed: int
    stretch: tuple[float, float]
    darkness: float = 0.0
    noise: float = 0.0
    shutter: float = 0.0
    defocus: float = 0.0
    fog: float = 0.0
    crowded: bool = False

    def strength(self, index: int) -> float:
        """How strong the effect is in picture ``index``, 0 to 1."""
        begin, end = self.stretch
        x = float(np.clip(0.5 + min(index - begin, end - index) / _RAMP, 0.0, 1.0))
        return x * x * (3 - 2 * x)

    def on_lens(self, lens: Lens, index: int) -> Lens:
        """The camera as it is in picture ``index``."""
        w = self.strength(index)
        if w == 0.0:
            return lens
        loss = w * self.darkness, np.inf, -np.pi / 2  # a wave that stays at its trough
        return replace(
            lens,
            gain=(*lens.gain, loss),
            shutter=lens.shutter + w * max(0.0, self.shutter - lens.shutter),
            defocus=max(lens.defocus, w * self.defocus),
            read_noise=max(lens.read_noise, w * self.noise),
            shot_noise=lens.shot_noise + 0.1 * w * self.noise,
        )

    def on_view(self, picture: NDArray[np.uint8], depth: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        """``picture`` (H, W, 3) number ``index`` through the fog; ``depth`` (H, W) in metres, 0 where the sky is."""
        density = self.strength(index) * self.fog
        if density == 0.0:
            return picture
        clear = np.exp(-np.float32(density) * np.where(depth > 0, depth, np.float32(_SKY)))[..., None]
        return np.asarray(_VEIL + clear * (picture - _VEIL) + np.float32(0.5), np.uint8)

    def traffic(self, usual: Traffic) -> list[Mover]:
        """Oncoming cars bumper to bumper, and a tall one close ahead that fills the view and hardly seems to move."""
        rng = np.random.default_rng([self.seed, 6])
        road, count = usual.road_map.roads[0], len(usual.camera)
        s = usual.s[:count] + rng.uniform(7.5, 9.5)
        leader = car_mesh(int(rng.integers(2, 4)), int(rng.integers(8)))
        frames = road_frames(usual.road_map, road, s, -lane_offset(road.half_width), False)
        crowd = replace(usual, setting=replace(usual.setting, oncoming_gap=2.0, leader_chance=0.0))
        return [Mover(leader, 0, frames), *crowd.sample(rng)]


def sample_hardship(seed: int, frames: int) -> Hardship:
    """Draw the troubles of street ``seed`` with ``frames`` pictures."""
    rng = np.random.default_rng([seed, 5])
    kinds = rng.choice(list(_KINDS), size=int(rng.integers(1, 3)), replace=False)
    length = rng.uniform(0.4, 0.8)
    begin = rng.uniform(-0.1, 1.1 - length)
    drawn = {name: float(rng.uniform(*span)) for kind in kinds for name, span in _KINDS[kind].items()}
    stretch = float(begin * frames), float((begin + length) * frames)
    return Hardship(seed, stretch, crowded="crowded" in kinds, **drawn)
