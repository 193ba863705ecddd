"""Motion of the car: speed, stops, steering and suspension, and the camera poses that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilvo.world.road import SPACING, HeightField, Road
from distilvo.world.street_type import StreetType

START = 25.0
"""Metres of road behind the first frame."""

_STEPS = 10
_WHEELBASE = 2.7
_BRAKING = 1.9
_FASTEST, _OPEN_ROAD = 38.0, 16.0  # m/s


@dataclass(frozen=True)
class Mount:
    """Where the camera sits on the car: metres ahead of the rear axle and above the ground, and its tilt in radians."""

    ahead: float
    height: float
    pitch: float
    yaw: float
    roll: float


@dataclass(frozen=True)
class Ride:
    """The car's state at N instants.

    Attributes:
        s: (N,) metres of the rear axle along the road.
        speed: (N,) m/s.
        pitch: (N,) radians of the body on its springs, nose up positive.
        roll: (N,) radians, left side up positive.
        heave: (N,) metres.
    """

    s: NDArray[np.float64]
    speed: NDArray[np.float64]
    pitch: NDArray[np.float64]
    roll: NDArray[np.float64]
    heave: NDArray[np.float64]


def sample_mount(rng: np.random.Generator) -> Mount:
    """A mount as users have it: behind the windscreen or on the roof, mostly 1.2 to 1.8 m up and hardly tilted.

    Limits: height 1.0 to 2.2 m, pitch -4 to 3 degrees, yaw and roll 2 degrees, 0.2 to 2.4 m ahead of the rear axle.
    """
    pitch = np.interp(rng.uniform(-1.0, 1.0), (-1.0, -0.8, 0.8, 1.0), (-4.0, -1.5, 1.5, 3.0))
    yaw, roll = (float(np.clip(0.4 * z + 0.06 * z**3, -2.0, 2.0)) for z in rng.normal(0.0, 1.0, 2))
    ahead = np.interp(rng.random(), (0.0, 0.1, 0.9, 1.0), (0.2, 0.6, 1.8, 2.4))
    height = np.interp(rng.random(), (0.0, 0.1, 0.9, 1.0), (1.0, 1.2, 1.8, 2.2))
    return Mount(float(ahead), float(height), *(float(a) for a in np.radians([pitch, yaw, roll])))


def speed_limit(rng: np.random.Generator, road: Road, street_type: StreetType) -> NDArray[np.float64]:
    """(M,) m/s at each sample of ``road``: what bends, traffic and braking for them allow."""
    lateral = rng.uniform(2.0, 3.3)
    swing = (0.9, 1.1) if street_type.motorway else (0.75, 1.2)
    blocks = np.repeat(rng.uniform(*swing, len(road.xy) // 80 + 1), 80)[: len(road.xy)]
    lane_radius = np.maximum(1.0 / np.maximum(np.abs(road.curvature), 1e-4) - street_type.driven_offset, 5.0)
    cruise = street_type.queue_speed or street_type.cruise_speed
    limit = np.minimum(np.minimum(cruise * blocks, _FASTEST), np.sqrt(lateral * lane_radius))
    squared = (limit**2).tolist()
    for i in range(len(squared) - 2, -1, -1):
        squared[i] = min(squared[i], squared[i + 1] + 2 * _BRAKING * SPACING)
    return np.sqrt(np.array(squared))


def sample_stops(rng: np.random.Generator, length: float, street_type: StreetType) -> list[tuple[float, float]]:
    """(station, seconds) of each full stop, in order; some drives begin standing."""
    stops: list[tuple[float, float]] = []
    if street_type.stands > 0.0:
        stops.append((START, street_type.stands))
    elif rng.random() < (0.16 if street_type.cruise_speed < _OPEN_ROAD else 0.03):
        stops.append((START, rng.uniform(0.5, 3.0)))
    s = START + 12.0 + rng.exponential(street_type.stop_gap)
    while s < length:
        stops.append((s, rng.uniform(0.8, 4.0)))
        s += 20.0 + rng.exponential(street_type.stop_gap)
    return stops


def ride(
    rng: np.random.Generator,
    road: Road,
    limit: NDArray[np.float64],
    stops: list[tuple[float, float]],
    count: int,
    rate_hz: float,
) -> Ride:
    """Drive ``count`` instants at ``rate_hz`` along ``road`` with jerk-limited acceleration on sprung wheels."""
    h = 1.0 / (rate_hz * _STEPS)
    ceiling, curvature = limit.tolist(), road.curvature.tolist()
    push = (rng.normal(0.0, 1.0, (3, count * _STEPS)) / np.sqrt(h)).tolist()
    roughness, eager = rng.uniform(0.4, 1.6), rng.uniform(1.0, 2.0)
    pending = list(stops)
    last = len(ceiling) - 1
    s, a = START, 0.0
    standing = bool(pending) and pending[0][0] <= START
    v = 0.0 if standing else ceiling[int(START / SPACING)] * rng.uniform(0.7, 1.0)
    while not standing and pending and pending[0][0] - s < v * v / (2 * _BRAKING) + 3.0:
        pending.pop(0)
    wait = pending[0][1] if standing else 0.0
    pitch = roll = heave = pitch_rate = roll_rate = heave_rate = 0.0
    rows = np.empty((count, 5))
    for k in range(count):
        rows[k] = s, v, pitch, roll, heave
        for j in range(k * _STEPS, (k + 1) * _STEPS):
            i = min(int(s / SPACING), last)
            if standing:
                wait -= h
                a = 0.0
                if wait <= 0.0:
                    standing = False
                    pending.pop(0)
            else:
                target = ceiling[min(int((s + 0.3 * v) / SPACING), last)]
                if pending:
                    target = min(target, (2 * _BRAKING * max(pending[0][0] - s, 0.0)) ** 0.5)
                wish = min(max(2.0 * (target - v), -3.2), eager)
                a += min(max(wish - a, -9.0 * h), 6.0 * h)
                v = max(0.0, v + a * h)
                s += v * h
                if pending and v < 0.12 and s > pending[0][0] - 1.5:
                    standing, wait, v = True, pending[0][1], 0.0
            # Spring and damper of the body; bumps push in proportion to speed, so a standing car is still.
            bump = roughness * min(v, 10.0)
            pitch_rate += h * (-52.0 * pitch - 6.0 * pitch_rate + 0.30 * a + 0.0048 * bump * push[0][j])
            pitch += h * pitch_rate
            roll_rate += h * (-45.0 * roll - 5.0 * roll_rate + 0.25 * v * v * curvature[i] + 0.0046 * bump * push[1][j])
            roll += h * roll_rate
            heave_rate += h * (-80.0 * heave - 8.0 * heave_rate + 0.0045 * bump * push[2][j])
            heave += h * heave_rate
    return Ride(*rows.T)


class LaneKeeping:
    """The lateral position in the lane: a slow wander along the road and now and then a swerve, where no lane lies
    beside it. A function of place alone, so a standing car does not drift."""

    def __init__(self, rng: np.random.Generator, street_type: StreetType) -> None:
        cruise_speed = street_type.cruise_speed
        self._lane = -street_type.driven_offset
        self._wave = 2 * np.pi / rng.uniform((35.0, 60.0, 110.0), (55.0, 100.0, 190.0))
        self._phase = rng.uniform(0, 2 * np.pi, 3)
        self._amplitude = rng.uniform(0.1, 1.0, 3) * (0.05, 0.1, 0.16)
        self._swerve_at, self._swerve_length = rng.uniform(40.0, 260.0), max(12.0, 1.2 * cruise_speed)
        self._swerve = rng.uniform(0.3, 1.2) if rng.random() < 0.3 and not street_type.divided else 0.0

    def __call__(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres to the left of the centre line at stations (N,)."""
        wander = np.sin(s[:, None] * self._wave + self._phase) @ self._amplitude
        swerve = self._swerve * np.exp(-(((s - self._swerve_at) / self._swerve_length) ** 2))
        return np.asarray(self._lane + wander + swerve)


def ground_frames(
    ground: HeightField, xy: NDArray[np.float64], heading: NDArray[np.float64], length: float = _WHEELBASE
) -> NDArray[np.float64]:
    """Body-to-world (N, 4, 4) of cars whose rear axle (or middle) is at ``xy``: x forward, y left, z up."""
    forward = np.stack([np.cos(heading), np.sin(heading)], -1)
    left = np.stack([-forward[:, 1], forward[:, 0]], -1)
    z = ground(xy)
    slope = (ground(xy + length * forward) - ground(xy - 0.5 * length * forward)) / (1.5 * length)
    bank = (ground(xy + 0.8 * left) - ground(xy - 0.8 * left)) / 1.6
    x_axis = np.concatenate([forward, slope[:, None]], -1)
    x_axis /= np.linalg.norm(x_axis, axis=1, keepdims=True)
    z_axis = np.cross(x_axis, np.concatenate([left, bank[:, None]], -1))
    z_axis /= np.linalg.norm(z_axis, axis=1, keepdims=True)
    frames = np.zeros((len(xy), 4, 4))
    frames[:, :3, 0], frames[:, :3, 1], frames[:, :3, 2] = x_axis, np.cross(z_axis, x_axis), z_axis
    frames[:, :2, 3], frames[:, 2, 3], frames[:, 3, 3] = xy, z, 1.0
    return frames


def camera_poses(
    ground: HeightField, road: Road, keeping: LaneKeeping, state: Ride, mount: Mount
) -> NDArray[np.float64]:
    """Camera-to-world poses (N, 4, 4): camera axes x right, y down, z forward; world x east, y north, z up."""
    offset = keeping(state.s)
    drift = (keeping(state.s + 0.25) - keeping(state.s - 0.25)) / 0.5
    curvature = np.interp(state.s, np.arange(len(road.xy)) * SPACING, road.curvature)
    heading = road.heading_at(state.s) + np.arctan2(drift, 1.0 - curvature * offset)
    body = ground_frames(ground, road.point(state.s, offset), heading)
    sprung = _rotation(state.pitch, state.roll)
    fixed = _rotation(np.array([mount.pitch]), np.array([mount.roll]), np.array([mount.yaw]))[0]
    poses = np.tile(np.eye(4), (len(body), 1, 1))
    rotation = body[:, :3, :3] @ sprung
    # Camera axes in the body: right is -y, down is -z, forward is x.
    poses[:, :3, :3] = rotation @ fixed @ np.array([(0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])
    lever = np.stack([np.full_like(state.s, mount.ahead), np.zeros_like(state.s), mount.height + state.heave], -1)
    poses[:, :3, 3] = body[:, :3, 3] + (rotation @ lever[:, :, None])[..., 0]
    return poses


def _rotation(
    pitch: NDArray[np.float64], roll: NDArray[np.float64], yaw: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Body rotations (N, 3, 3), x forward, y left, z up: yaw (left), then pitch (nose up), then roll (left side up)."""
    yaw = np.zeros_like(pitch) if yaw is None else yaw
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))

    def matrix(*rows: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    turn = matrix((cy, -sy, zero), (sy, cy, zero), (zero, zero, one))
    nod = matrix((cp, zero, -sp), (zero, one, zero), (sp, zero, cp))
    lean = matrix((one, zero, zero), (zero, cr, -sr), (zero, sr, cr))
    return turn @ nod @ lean
