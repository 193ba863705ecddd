"""The map: roads as centre lines, how they lie to one another, and the height of the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from distilvo.world.street_type import StreetType

SPACING = 0.5
"""Metres between the samples of a centre line."""


@dataclass(frozen=True)
class Road:
    """One centre line, sampled every ``SPACING`` metres.

    Attributes:
        xy: (M, 2) metres, x east, y north.
        heading: (M,) radians, unwrapped, 0 = east, anticlockwise.
        half_width: metres from the centre to the kerb.
        covered: (M,) bool, segments where an earlier part of the same road already lies (a second lap).
    """

    xy: NDArray[np.float64]
    heading: NDArray[np.float64]
    half_width: float
    covered: NDArray[np.bool_]

    @property
    def length(self) -> float:
        """Metres of road."""
        return (len(self.xy) - 1) * SPACING

    @property
    def curvature(self) -> NDArray[np.float64]:
        """(M,) 1/m, positive to the left."""
        return np.gradient(self.heading, SPACING)

    def heading_at(self, s: ArrayLike) -> NDArray[np.float64]:
        """Heading in radians at ``s`` metres along."""
        return np.interp(np.asarray(s, dtype=np.float64), np.arange(len(self.xy)) * SPACING, self.heading)

    def axes(self, s: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors (N, 3) along the road and to its left at ``s``."""
        angle = self.heading_at(s)
        zero = np.zeros_like(angle)
        return np.stack([np.cos(angle), np.sin(angle), zero], -1), np.stack([-np.sin(angle), np.cos(angle), zero], -1)

    def point(self, s: ArrayLike, offset: ArrayLike) -> NDArray[np.float64]:
        """Points (N, 2) at ``s`` metres along and ``offset`` metres to the left of the centre line."""
        grid = np.arange(len(self.xy)) * SPACING
        left = self.axes(s)[1][..., :2] * np.asarray(offset)[..., None]
        at = np.asarray(s, dtype=np.float64)
        return np.stack([np.interp(at, grid, self.xy[:, 0]), np.interp(at, grid, self.xy[:, 1])], -1) + left

    def is_covered(self, s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether an earlier lap already covers the road at ``s``."""
        return self.covered[np.clip(np.round(s / SPACING).astype(int), 0, len(self.covered) - 1)]


class HeightField(Protocol):
    """Height of the ground."""

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres above zero at (..., 2) points."""


STEEPEST = 0.08  # root mean square slope of hills; road builders keep below
MOST_LIFT = 0.7  # m/s^2, root mean square vertical acceleration over crests at cruising speed


class Hills:
    """Rolling ground: a sum of plane waves, flatter where the traffic is fast."""

    def __init__(self, rng: np.random.Generator, height: float, speed: float) -> None:
        lengths = np.array([70.0, 130.0, 240.0, 420.0])
        direction = rng.uniform(0.0, 2 * np.pi, 4)
        self._wave = (2 * np.pi / lengths)[:, None] * np.stack([np.cos(direction), np.sin(direction)], -1)
        self._phase = rng.uniform(0.0, 2 * np.pi, 4)
        amplitude = height * rng.uniform(0.4, 1.4, 4) * lengths / 130.0
        slope = np.linalg.norm(amplitude * 2 * np.pi / lengths) / np.sqrt(2)
        lift = np.linalg.norm(amplitude * (2 * np.pi / lengths) ** 2) / np.sqrt(2) * speed**2
        self._amplitude = amplitude * min(1.0, STEEPEST / slope, MOST_LIFT / lift)

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.sin(xy @ self._wave.T + self._phase) @ self._amplitude)


class RoadMap:
    """All roads of a street with the ground they lie on.

    ``roads[0]`` is the one that is driven.
    """

    def __init__(self, roads: list[Road], ground: HeightField, junctions: NDArray[np.float64]) -> None:
        self.roads = roads
        self.ground = ground
        self.junctions = junctions
        self._samples = np.concatenate([road.xy for road in roads])
        angle = np.concatenate([road.heading for road in roads])
        self._direction = np.stack([np.cos(angle), np.sin(angle)], -1)
        self._half_width = np.concatenate([np.full(len(road.xy), road.half_width) for road in roads])
        self._origin = self._samples.min(axis=0) - 80.0
        self._nearest = self._nearest_samples()

    def _nearest_samples(self) -> NDArray[np.int32]:
        """For each square metre the index of (nearly) the nearest centre-line sample."""
        cell = np.floor(self._samples - self._origin).astype(int)
        width, height = cell.max(axis=0) + 81
        empty = np.ones((height, width), np.uint8)
        empty[cell[:, 1], cell[:, 0]] = 0
        owner = np.zeros((height, width), np.int32)
        owner[cell[:, 1], cell[:, 0]] = np.arange(len(cell))
        _, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        seeds = np.zeros(int(label.max()) + 1, np.int32)
        seeds[label[cell[:, 1], cell[:, 0]]] = owner[cell[:, 1], cell[:, 0]]
        return np.asarray(seeds[label])

    def clearance(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from (..., 2) points to the nearest kerb, negative on a road."""
        last = np.array(self._nearest.shape[::-1]) - 1
        cell = np.clip(np.floor(xy - self._origin).astype(int), 0, last)
        index = self._nearest[cell[..., 1], cell[..., 0]]
        offset = xy - self._samples[index]
        direction = self._direction[index]
        along = (offset * direction).sum(-1)
        across = offset[..., 1] * direction[..., 0] - offset[..., 0] * direction[..., 1]
        # The raster finds the sample to about a metre; beside the line the exact distance is the one across.
        beyond = np.maximum(np.abs(along) - 1.5, 0.0)
        return np.hypot(across, beyond) - self._half_width[index]

    def place(self, road: Road, s: ArrayLike, offset: ArrayLike, lift: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Points (N, 3) beside ``road``, ``lift`` metres above the ground."""
        return self.on_ground(road.point(s, offset), lift)

    def on_ground(self, xy: NDArray[np.float64], lift: ArrayLike = 0.0) -> NDArray[np.float64]:
        """(..., 2) points with their height: (..., 3)."""
        return np.concatenate([xy, (self.ground(xy) + np.asarray(lift, dtype=np.float64))[..., None]], -1)


def follow(curvature: NDArray[np.float64], start: NDArray[np.float64], heading: float, half_width: float) -> Road:
    """The road that starts at ``start`` (2,) with ``heading`` and has this curvature at each sample."""
    angle = heading + np.concatenate([[0.0], np.cumsum(curvature[:-1]) * SPACING])
    middle = angle + curvature * SPACING / 2
    step = SPACING * np.stack([np.cos(middle), np.sin(middle)], -1)
    xy = start + np.concatenate([np.zeros((1, 2)), np.cumsum(step[:-1], axis=0)])
    return Road(xy, angle, half_width, np.zeros(len(xy), dtype=bool))


def sample_road(rng: np.random.Generator, street_type: StreetType, length: float) -> Road:
    """A road of straights, bends, S bends and 90 degree corners, at least ``length`` metres long.

    Corners alternate so that the heading stays within about 130 degrees and the road never meets itself.
    """
    pieces = [np.zeros(_samples(rng.uniform(15.0, 45.0)))]
    turned, total = 0, 0.0
    straights = (12.0, 60.0) if street_type.cruise_speed < 13 else (30.0, 120.0)
    while total < length + 40.0:
        draw = rng.random()
        if draw < street_type.corner_chance:
            side = -turned if turned else int(rng.choice([-1, 1]))
            pieces.append(_corner(rng, street_type, side))
            pieces.append(np.zeros(_samples(rng.uniform(20.0, 60.0))))
            turned += side
        elif draw < street_type.corner_chance + 0.35:
            pieces.append(_s_bend(rng, street_type.cruise_speed))
        else:
            pieces.append(np.zeros(_samples(rng.uniform(*straights))))
        total = sum(map(len, pieces)) * SPACING
    window = np.hanning(13)
    curvature = np.convolve(np.concatenate(pieces), window / window.sum(), "same")
    return follow(curvature, np.zeros(2), float(rng.uniform(0.0, 2 * np.pi)), street_type.half_width)


def _samples(length: float) -> int:
    return max(1, round(length / SPACING))


def _corner(rng: np.random.Generator, street_type: StreetType, side: int) -> NDArray[np.float64]:
    radius = rng.uniform(*street_type.corner_radius) + (1.0 if side < 0 else 0.0)
    angle = np.radians(90.0 + rng.uniform(-12.0, 12.0))
    count = _samples(angle * radius)
    return np.full(count, side * angle / (count * SPACING))


def _s_bend(rng: np.random.Generator, speed: float) -> NDArray[np.float64]:
    """A bend and its opposite, which restores the heading."""
    radius = max(25.0, speed**2 / 2.0) * np.exp(rng.uniform(0.0, 1.6))
    side = rng.choice([-1.0, 1.0])
    length = min(rng.uniform(12.0, 50.0), 0.6 * radius)
    bend = np.full(_samples(length), side / radius)
    return np.concatenate([bend, np.zeros(_samples(rng.uniform(0.0, 30.0))), -bend])
