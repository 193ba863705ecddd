"""A road along a given camera track."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.world.road import SPACING, Road

CAMERA_HEIGHT = 1.65
"""Metres of the camera over the ground, as in KITTI."""

_AHEAD, _BEHIND = 140.0, 20.0
_SMOOTHING = 6.0
_LAP = 60.0
_CELL = 2.0
_CLASH_REACH, _CLASH = 20.0, 0.35
_AXES = np.array([(0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])


def to_world(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """KITTI poses (N, 4, 4), whose world is the first camera's (y down), in a world with z up."""
    turn = np.eye(4)
    turn[:3, :3] = _AXES
    return np.asarray(turn @ poses)


def pace(track: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[float, bool]:
    """Speed of a ``track`` (N, 3) while it moves, as the median in m/s at ``times`` (N,), and whether it turns tighter
    than motorways do: by more than 6 degrees within 24 metres."""
    line, travelled = _thinned(track)
    speed = np.hypot(*np.diff(track[:, :2], axis=0).T) / np.diff(times)
    moving = speed[speed > 1.0]
    grid = np.arange(0.0, travelled[-1], 12.0)
    distinct = np.unique(travelled, return_index=True)[1]
    x, y = (np.interp(grid, travelled[distinct], line[distinct, axis]) for axis in range(2))
    turn = np.diff(np.unwrap(np.arctan2(np.diff(y), np.diff(x))), n=1) if len(grid) > 3 else np.zeros(1)
    swing = np.abs(turn[1:] + turn[:-1]).max(initial=0.0)
    return float(np.median(moving)) if len(moving) else 0.0, bool(swing > np.radians(6.0))


@dataclass(frozen=True)
class Lap:
    """A segment of the road. On it the track never returns to a place at another height.

    Recorded heights drift by metres between two visits of a place, so each lap needs its own ground.

    Attributes:
        begin, end: metres along the road.
        ground: heights of the ground on this lap.
        reach: (R, 2) places of its road, m, and of some road before and after.
    """

    begin: float
    end: float
    ground: TrackGround
    reach: NDArray[np.float64]


def road_along(
    track: NDArray[np.float64], half_width: float, offset: float, ahead: float = _AHEAD
) -> tuple[Road, NDArray[np.float64], list[Lap]]:
    """The road whose lane ``offset`` metres right of the centre line the camera drives in, the station (N,) of each
    pose on it, and its laps.

    ``track`` (N, 3) are the camera's places in the z-up world; the road goes on for ``ahead`` metres after the last.
    """
    line, travelled = _thinned(track)
    total = travelled[-1]
    grid = np.arange(-_BEHIND, max(total, 1.0) + ahead, SPACING)
    distinct = np.unique(travelled, return_index=True)[1]
    inside = np.stack([np.interp(grid, travelled[distinct], line[distinct, axis]) for axis in range(3)], axis=-1)
    inside = _smoothed(_extended(inside, grid, total))
    heading = np.unwrap(np.arctan2(*np.gradient(inside[:, :2], axis=0).T[::-1]))
    left = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    inside[:, :2] += offset * left
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(inside[:, :2], axis=0).T))])
    even = np.arange(0.0, length[-1], SPACING)
    x, y, z = (np.interp(even, length, column) for column in inside.T)
    xy = np.stack([x, y], axis=-1)
    covered, clash = _revisits(xy, z, half_width)
    road = Road(xy, np.unwrap(np.arctan2(np.gradient(y), np.gradient(x))), half_width, covered)
    return road, np.interp(travelled, grid, length), _laps(xy, z - CAMERA_HEIGHT, clash)


def _thinned(track: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The track without standing still: places (N, 3) and metres travelled (N,), which never decrease.

    A place counts only once it is half a metre from the last that did, so jitter while the car stands makes no road.
    """
    travelled = np.zeros(len(track))
    line = track.copy()
    last = 0
    for i in range(1, len(track)):
        step = float(np.hypot(*(track[i, :2] - track[last, :2])))
        if step >= SPACING:
            travelled[i], last = travelled[last] + step, i
        else:
            travelled[i], line[i] = travelled[last], track[last]
    return line, travelled


def _extended(inside: NDArray[np.float64], grid: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Lead the road straight on before the first and after the last place of the track."""
    first, last = int(_BEHIND / SPACING), int((_BEHIND + total) / SPACING)
    reach = min(10, max(last - first, 1))
    line = inside.copy()
    for end, inner, chosen in ((first, first + reach, slice(0, first)), (last, last - reach, slice(last + 1, None))):
        away = inside[end, :2] - inside[inner, :2]
        size = float(np.hypot(*away))
        # A track that never moves still gets a road: along the world's x axis, where the first camera looks.
        unit = away / size if size > 0.5 else np.array([-1.0 if end == first else 1.0, 0.0])
        line[chosen, :2] = inside[end, :2] + np.abs(grid[chosen] - grid[end])[:, None] * unit
    return line


def _smoothed(line: NDArray[np.float64]) -> NDArray[np.float64]:
    count = int(_SMOOTHING / SPACING) | 1
    window = np.hanning(count + 2)[1:-1]
    padded = np.pad(line, ((count // 2, count // 2), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=-1)


def _revisits(
    xy: NDArray[np.float64], z: NDArray[np.float64], half_width: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """For each sample: whether an earlier pass already covers it, and the latest earlier sample that is close by but
    at another height (-1 if none)."""
    covered, clash = np.zeros(len(xy), dtype=bool), np.full(len(xy), -1)
    thin = np.arange(0, len(xy), 2)
    for begin in range(0, len(xy), 512):
        part = np.arange(begin, min(begin + 512, len(xy)))
        distance = np.hypot(*(xy[part, None] - xy[None, thin]).transpose(2, 0, 1))
        earlier = (part[:, None] - thin[None]) * SPACING > _LAP
        covered[part] = (earlier & (distance < 0.85 * half_width)).any(axis=1)
        other = earlier & (distance < _CLASH_REACH) & (np.abs(z[part, None] - z[None, thin]) > _CLASH)
        clash[part] = np.where(other, thin[None], -1).max(axis=1)
    return covered, clash


def _laps(xy: NDArray[np.float64], z: NDArray[np.float64], clash: NDArray[np.int64]) -> list[Lap]:
    """Cut the road well before each place where it returns at another height."""
    before, after, shortest = (int(metres / SPACING) for metres in (_LAP / 2, _AHEAD, 20.0))
    cuts = [0]
    for i in np.flatnonzero(clash >= 0):
        if clash[i] >= cuts[-1] - before:
            cut = max(i - after, clash[i] + before + 1, cuts[-1] + shortest)
            if cut < len(xy) - shortest:
                cuts.append(int(cut))
    laps = []
    for begin, end in zip(cuts, [*cuts[1:], len(xy)], strict=True):
        place = np.arange(len(xy))
        rank = 1 * ((place > end) & (place < end + after)) + 2 * ((place >= begin - before) & (place <= end))
        near = xy[max(begin - before, 0) : end + after]
        laps.append(Lap(begin * SPACING, end * SPACING, TrackGround(xy, z, rank), near))
    return laps


class TrackGround:
    """Ground under a track: the height of the nearest piece of track, smoothed."""

    def __init__(self, xy: NDArray[np.float64], z: NDArray[np.float64], rank: NDArray[np.int64]) -> None:
        """``xy`` (M, 2) and the ground's height ``z`` (M,) there; a place of lower ``rank`` (M,)
        near one of higher rank does not count."""
        self._origin = xy.min(axis=0) - 150.0
        cell = np.floor((xy - self._origin) / _CELL).astype(int)
        width, height = cell.max(axis=0) + int(150.0 / _CELL)
        heights, empty = np.zeros((height, width), np.float32), np.ones((height, width), np.uint8)
        for level in np.unique(rank)[::-1]:
            x, y = cell[rank == level].T
            if not empty.all():
                free = cv2.distanceTransform(empty, cv2.DIST_L2, 5)[y, x] > _CLASH_REACH / _CELL
                x, y = x[free], y[free]
                heights[y, x], empty[y, x] = z[rank == level][free], 0
            else:
                heights[y, x], empty[y, x] = z[rank == level], 0
        _, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        value = np.zeros(int(label.max()) + 1, np.float32)
        value[label[empty == 0]] = heights[empty == 0]
        self._height = cv2.GaussianBlur(value[label], (0, 0), 6.0 / _CELL)

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Metres at (..., 2) points, bilinear between the cells; beyond the border as at the border."""
        last = np.array(self._height.shape[::-1]) - 1.001
        place = np.clip((xy - self._origin) / _CELL - 0.5, 0.0, last)
        cell = place.astype(int)
        (x, y), (ax, ay) = np.moveaxis(cell, -1, 0), np.moveaxis(place - cell, -1, 0)
        low = self._height[y, x] * (1 - ax) + self._height[y, x + 1] * ax
        high = self._height[y + 1, x] * (1 - ax) + self._height[y + 1, x + 1] * ax
        return np.asarray(low * (1 - ay) + high * ay, dtype=np.float64)
