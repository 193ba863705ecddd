"""The map: roads as centre lines, how they lie to one another, and the height of the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

SPACING = 0.5
"""Metres between the samples of a centre line."""


@dataclass(frozen=True)
class Roundabout:
    """Where a road goes round: the station in the middle of its arc, and the circle of its centre line.

    Attributes:
        s: metres along the road.
        centre: (2,) metres.
        radius: metres.
    """

    s: float
    centre: NDArray[np.float64]
    radius: float


@dataclass(frozen=True)
class Road:
    """One centre line, sampled every ``SPACING`` metres.

    Attributes:
        xy: (M, 2) metres, x east, y north.
        heading: (M,) radians, unwrapped, 0 = east, anticlockwise.
        half_width: metres from the centre to the kerb.
        covered: (M,) bool, segments where an earlier part of the same road already lies (a second lap).
        roundabouts: those that it goes round.
    """

    xy: NDArray[np.float64]
    heading: NDArray[np.float64]
    half_width: float
    covered: NDArray[np.bool_]
    roundabouts: tuple[Roundabout, ...] = ()

    @property
    def length(self) -> float:
        """Metres of road."""
        return (len(self.xy) - 1) * SPACING

    @property
    def closed(self) -> bool:
        """Whether it is a circle: that of a roundabout."""
        return bool(np.hypot(*(self.xy[-1] - self.xy[0])) < SPACING / 2 and len(self.xy) > 2)

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


@dataclass(frozen=True)
class RoadBridge:
    """A bridge over the road.

    Attributes:
        s: metres along the road.
        centre: (2,) metres, on the centre line.
        across: (2,) unit vector along the bridge.
        width: metres of the deck, along the road.
    """

    s: float
    centre: NDArray[np.float64]
    across: NDArray[np.float64]
    width: float


class _CentreLines:
    """Centre lines of roads that are about as wide as one another, with the nearest sample of each square metre."""

    def __init__(self, roads: list[Road]) -> None:
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

    def nearest(self, xy: NDArray[np.float64]) -> NDArray[np.int32]:
        """Index of (nearly) the nearest sample to (..., 2) points."""
        last = np.array(self._nearest.shape[::-1]) - 1
        cell = np.clip(np.floor(xy - self._origin).astype(int), 0, last)
        return np.asarray(self._nearest[cell[..., 1], cell[..., 0]])

    def clearance(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from (..., 2) points to the nearest kerb, negative on a road."""
        index = self.nearest(xy)
        offset = xy - self._samples[index]
        direction = self._direction[index]
        along = (offset * direction).sum(-1)
        across = offset[..., 1] * direction[..., 0] - offset[..., 0] * direction[..., 1]
        # The raster finds the sample to about a metre; beside the line the exact distance is the one across.
        beyond = np.maximum(np.abs(along) - 1.5, 0.0)
        return np.asarray(np.hypot(across, beyond) - self._half_width[index])


_BANK_FOOT, _BANK_WIDTH = 5.0, 22.0  # metres from the road's edge, where the ground begins to rise, and how far


class RoadMap:
    """All roads of a street with the ground they lie on.

    ``roads[0]`` is the one that is driven. ``banks`` (M,) metres: how much higher the ground is beside each sample of
    it, in a cutting, or lower (negative), beside an embankment.
    """

    def __init__(
        self,
        roads: list[Road],
        ground: HeightField,
        junctions: NDArray[np.float64],
        bridges: tuple[RoadBridge, ...] = (),
        banks: NDArray[np.float64] | None = None,
    ) -> None:
        self.roads = roads
        self.ground = ground
        self.junctions = junctions
        self.bridges = bridges
        self._banks = banks
        self._driven = _CentreLines(roads[:1])
        self._others = _CentreLines(roads[1:]) if len(roads) > 1 else None

    def clearance(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres from (..., 2) points to the nearest kerb, negative on a road."""
        own = self._driven.clearance(xy)
        return own if self._others is None else np.minimum(own, self._others.clearance(xy))

    def place(self, road: Road, s: ArrayLike, offset: ArrayLike, lift: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Points (N, 3) beside ``road``, ``lift`` metres above the ground."""
        return self.on_ground(road.point(s, offset), lift)

    def on_ground(self, xy: NDArray[np.float64], lift: ArrayLike = 0.0) -> NDArray[np.float64]:
        """(..., 2) points with their height: (..., 3)."""
        return np.concatenate([xy, (self.height(xy) + np.asarray(lift, dtype=np.float64))[..., None]], -1)

    def height(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres of the ground at (..., 2) points, with the banks beside the road."""
        if self._banks is None:
            return self.ground(xy)
        rise = np.clip((self.clearance(xy) - _BANK_FOOT) / _BANK_WIDTH, 0.0, 1.0)
        bank = self._banks[self._driven.nearest(xy)]
        return self.ground(xy) + bank * rise * rise * (3.0 - 2.0 * rise)

    def in_roundabout(self, xy: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
        """Whether (..., 2) points lie in a roundabout, or within ``margin`` metres of its outer kerb."""
        road, inside = self.roads[0], np.zeros(xy.shape[:-1], dtype=bool)
        for ring in road.roundabouts:
            inside |= np.hypot(*np.moveaxis(xy - ring.centre, -1, 0)) < ring.radius + road.half_width + margin
        return inside

    def begins_at_road(self, index: int) -> bool:
        """Whether road ``index`` begins on another one, rather than crossing it."""
        others = (road for k, road in enumerate(self.roads) if k != index)
        start = self.roads[index].xy[0]
        return any(np.hypot(*(road.xy - start).T).min() < road.half_width + 1.0 for road in others)

    def is_open(self, xy: NDArray[np.float64], margin: float) -> NDArray[np.bool_]:
        """Whether (..., 2) points keep ``margin`` metres from what a bridge over the road covers."""
        free = np.ones(xy.shape[:-1], dtype=bool)
        for bridge in self.bridges:
            offset = xy - bridge.centre
            along = np.abs(offset[..., 0] * bridge.across[1] - offset[..., 1] * bridge.across[0])
            free &= (along > bridge.width / 2 + margin) | (np.hypot(offset[..., 0], offset[..., 1]) > 60.0)
        return free


def follow(curvature: NDArray[np.float64], start: NDArray[np.float64], heading: float, half_width: float) -> Road:
    """The road that starts at ``start`` (2,) with ``heading`` and has this curvature at each sample."""
    angle = heading + np.concatenate([[0.0], np.cumsum(curvature[:-1]) * SPACING])
    middle = angle + curvature * SPACING / 2
    step = SPACING * np.stack([np.cos(middle), np.sin(middle)], -1)
    xy = start + np.concatenate([np.zeros((1, 2)), np.cumsum(step[:-1], axis=0)])
    return Road(xy, angle, half_width, np.zeros(len(xy), dtype=bool))
