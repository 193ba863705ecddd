"""The course of a road: straights, bends, corners and roundabouts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distilvo.world.road import SPACING, Road, Roundabout, follow
from distilvo.world.street_type import StreetType

_EASE, _MOTORWAY_EASE = 13, 121  # samples over which curvature comes and goes
_TIGHTEST_SWEEP = 420.0
_ENTRY = 13.0  # radius with which a road swings into a roundabout, m
_CROSSING_ROOM = 60.0


def sample_road(rng: np.random.Generator, street_type: StreetType, length: float) -> Road:
    """A road of straights, bends, S bends, 90 degree corners and roundabouts, at least ``length`` metres long.

    Corners alternate so that the heading stays within about 130 degrees and the road never meets itself.
    """
    first = rng.uniform(15.0, 45.0) + _CROSSING_ROOM * (street_type.stands > 0.0)
    pieces = [np.zeros(_samples(first))]
    rings: list[tuple[int, float]] = []
    turned, total = 0, 0.0
    straights = (12.0, 60.0) if street_type.cruise_speed < 13 else (30.0, 120.0)
    while total < length + 40.0:
        draw = rng.random()
        corner = street_type.corner_chance
        if draw < corner:
            side = -turned if turned else int(rng.choice([-1, 1]))
            pieces.append(_corner(rng, street_type, side))
            pieces.append(np.zeros(_samples(rng.uniform(20.0, 60.0))))
            turned += side
        elif draw < corner + street_type.roundabout_chance:
            exit_side = int(rng.choice([-1, 0, 0, 1])) if turned == 0 else -turned * int(rng.integers(2))
            piece, middle, radius = _roundabout(rng, exit_side)
            rings.append((sum(map(len, pieces)) + middle, radius))
            pieces += [piece, np.zeros(_samples(rng.uniform(40.0, 70.0)))]
            turned += exit_side
        elif draw < corner + street_type.roundabout_chance + 0.35:
            pieces.append(_sweep(rng) if street_type.motorway else _s_bend(rng, street_type.cruise_speed))
        else:
            pieces.append(np.zeros(_samples(rng.uniform(*straights))))
        total = sum(map(len, pieces)) * SPACING
    window = np.hanning(_MOTORWAY_EASE if street_type.motorway else _EASE)
    curvature = np.convolve(np.concatenate(pieces), window / window.sum(), "same")
    road = follow(curvature, np.zeros(2), float(rng.uniform(0.0, 2 * np.pi)), street_type.half_width)
    return replace(road, roundabouts=tuple(_ring(road, at * SPACING, radius) for at, radius in rings))


def _samples(length: float) -> int:
    return max(1, round(length / SPACING))


def _corner(rng: np.random.Generator, street_type: StreetType, side: int) -> NDArray[np.float64]:
    radius = rng.uniform(*street_type.corner_radius) + (1.0 if side < 0 else 0.0)
    angle = np.radians(90.0 + rng.uniform(-12.0, 12.0))
    return _arc(radius, side * angle)


def _arc(radius: float, angle: float) -> NDArray[np.float64]:
    """Curvature samples of an arc that turns by ``angle`` radians, to the left where positive."""
    count = _samples(abs(angle) * radius)
    return np.full(count, angle / (count * SPACING))


def _s_bend(rng: np.random.Generator, speed: float) -> NDArray[np.float64]:
    """A bend and its opposite, which restores the heading."""
    radius = max(25.0, speed**2 / 2.0) * np.exp(rng.uniform(0.0, 1.6))
    side = rng.choice([-1.0, 1.0])
    length = min(rng.uniform(12.0, 50.0), 0.6 * radius)
    bend = np.full(_samples(length), side / radius)
    return np.concatenate([bend, np.zeros(_samples(rng.uniform(0.0, 30.0))), -bend])


def _sweep(rng: np.random.Generator) -> NDArray[np.float64]:
    """A long bend of a motorway, and sometimes its opposite."""
    radius = _TIGHTEST_SWEEP * np.exp(rng.uniform(0.1, 2.0))
    bend = np.full(_samples(rng.uniform(100.0, 300.0)), float(rng.choice([-1.0, 1.0])) / radius)
    return np.concatenate([bend, -bend]) if rng.random() < 0.5 else bend


def _roundabout(rng: np.random.Generator, exit_side: int) -> tuple[NDArray[np.float64], int, float]:
    """Curvature through a roundabout, the sample in the middle of its arc, and the arc's radius.

    ``exit_side``: -1 leaves to the right, 0 straight on, 1 to the left. The road swings to the right on a circle that
    touches the roundabout's from outside, goes round anticlockwise and swings out the same way; this is where the
    entry's line runs through the roundabout's middle.
    """
    radius = rng.uniform(13.0, 20.0)
    swing = float(np.arccos(_ENTRY / (_ENTRY + radius)))
    side = _arc(_ENTRY, -swing)
    round_it = _arc(radius, 2 * swing + np.radians(exit_side * 90.0))
    return np.concatenate([side, round_it, side]), len(side) + len(round_it) // 2, radius


def _ring(road: Road, s: float, radius: float) -> Roundabout:
    return Roundabout(s, road.point(s, radius), radius)
