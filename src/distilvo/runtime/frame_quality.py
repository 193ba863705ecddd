"""Whether a frame can be trusted: judged by its time and its image alone, before the model sees it.

The limits were set on real drives and on rendered ones in all conditions; benchmarks/quality.md has what they catch
and how often they are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Frame

Status = Literal["ok", "gap", "static image", "no texture", "implausible"]
"""Of a frame:

ok            nothing speaks against it
gap           it comes later than 1.5 times the usual time after the last one
static image  it is the last one once more: the stream is frozen, or camera and scene stand
no texture    it, or the last one, is nearly of one grey: dark, overexposed, covered
implausible   it does not show what the last one showed, or it is upside down: another place, noise, a corrupt image
"""

_WIDTH = 160  # pixels of the image that is judged
_GAP = 1.5
_HISTORY = 20  # frames
_STATIC = 0.02  # mean absolute difference in grey levels; the noise of a sensor is above 0.1
_FLAT = 1.0  # contrast of details in grey levels; a street in fog at night has 1.4
_COARSE, _QUARTER = 8, 4  # pixels
_MIDDLE, _CONTRAST = 128, 40  # grey levels
_CORNERS, _WINDOW, _LEVELS, _BACK_PX = 60, 9, 2, 0.7
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
_RECENT = 5  # frames
_FEWEST = 6  # corners that an expansion is the median of
_TRACKED, _TRACKED_OF_USUAL = 0.25, 0.5  # shares of the corners
_EXPANSION, _EXPANSION_SPREADS = 0.01, 6.0  # by which the expansion may differ from the usual one
_TURNED = 0.4  # share of the corners; of an image that is not turned it is below 0.25
_PROVEN = 2  # pairs of frames that must agree after one that did not
_PATIENCE = 30  # frames in a row that may be doubted before what was usual is forgotten
_GREY = cv2.COLOR_RGB2GRAY

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Seen:
    """What is kept of the frames before.

    time      of the last frame, s
    grey      the last image (h, w), as it was
    details   the same without its coarse brightness, at a fixed contrast; None where it has no texture
    steps     the last times between frames, s
    usual     how the last pairs that could be trusted moved
    turned    whether the last image was upside down
    proven    pairs of frames in a row that agreed, at most 2
    doubted   how the last pairs moved that could not be trusted, since one could
    """

    time: float
    grey: Image
    details: Frame | None
    steps: tuple[float, ...] = ()
    usual: tuple[_Movement, ...] = ()
    turned: bool = False
    proven: int = _PROVEN
    doubted: tuple[_Movement, ...] = ()


class _Movement(NamedTuple):
    """Of the corners of an image: the share that was found in the next one, and how fast they move apart, a frame."""

    share: float
    expansion: float


def judge(seen: Seen | None, image: Frame, time: float) -> tuple[Status, Seen]:
    """The status of a network's image (C, H, W) uint8 at a time in s, and what to remember for the next one.

    Of a first frame, without ``seen``, only the texture can be judged.
    """
    grey = _small(image)
    details = _details(grey)
    if seen is None:
        return "no texture" if details is None else "ok", Seen(time, grey, details)
    movement = None if details is None or seen.details is None else _movement(seen.details, details)
    status, now = _status(seen, grey, details, movement, time)
    now = replace(now, time=time, grey=grey, details=details, steps=(*seen.steps, time - seen.time)[-_HISTORY:])
    if status == "ok" and movement is not None:
        return status, replace(now, usual=(*seen.usual, movement)[-_HISTORY:], doubted=())
    if status == "static image":
        return status, now
    now = replace(now, doubted=(*seen.doubted, movement or _Movement(0.0, 0.0)))
    if status == "gap" or len(now.doubted) >= _PATIENCE:  # in the meantime anything may have become usual
        now = replace(now, usual=(), turned=False, doubted=())
    elif _is_steady(now.doubted):
        now = replace(now, usual=())
    return status, now


def _status(
    seen: Seen, grey: Image, details: Frame | None, movement: _Movement | None, time: float
) -> tuple[Status, Seen]:
    """The status of a frame, and what was seen with its pairs that agree and whether it is turned."""
    if details is None or seen.details is None or movement is None:
        return "no texture", replace(seen, proven=_PROVEN - 1)  # the next pair decides
    if seen.steps and time - seen.time > _GAP * _nine_in_ten(seen.steps):
        return "gap", replace(seen, proven=_PROVEN)
    if cv2.norm(grey, seen.grey, cv2.NORM_L1) <= _STATIC * grey.size:
        return "static image", seen
    if _is_unusual(movement, seen.usual):
        return "implausible", replace(seen, proven=0, turned=seen.turned != _is_turned(seen.details, details))
    proven = min(_PROVEN, seen.proven + 1)
    status: Status = "ok" if proven == _PROVEN and not seen.turned else "implausible"
    return status, replace(seen, proven=proven)


def _is_unusual(movement: _Movement, usual: tuple[_Movement, ...]) -> bool:
    """Whether too few corners were found again, or they move apart or together as they did not before."""
    if not usual:
        return movement.share < _TRACKED
    share = median(before.share for before in usual)
    if movement.share < max(_TRACKED, _TRACKED_OF_USUAL * share):
        return True
    expansions = [before.expansion for before in usual]
    middle, recent = median(expansions), median(expansions[-_RECENT:])  # a car may have just begun to move
    spread = 1.48 * median(abs(expansion - middle) for expansion in expansions)
    differs = abs(movement.expansion - recent) > _EXPANSION + _EXPANSION_SPREADS * spread
    return len(usual) >= _HISTORY // 2 and differs


def _nine_in_ten(steps: tuple[float, ...]) -> float:
    """The step that nine in ten are not longer than."""
    return sorted(steps)[round(0.9 * (len(steps) - 1))]


def _is_steady(doubted: tuple[_Movement, ...]) -> bool:
    """Whether the last pairs moved alike: then another movement than before has become usual."""
    last = np.array(doubted[-_RECENT:])
    alike = np.abs(last[:, 1] - np.median(last[:, 1])) <= _EXPANSION
    return bool(len(last) == _RECENT and (last[:, 0] >= 2 * _TRACKED).all() and alike.all())


def _is_turned(before: Frame, after: Frame) -> bool:
    """Whether an image shows what the last one showed, but upside down: turned or mirrored."""
    turned = (np.ascontiguousarray(after[::-1, ::-1]), np.ascontiguousarray(after[::-1]))
    return any(_movement(before, image).share >= _TURNED for image in turned)


def _small(image: Frame) -> Image:
    """The image in grey, 160 pixels wide at most, (h, w) float32."""
    grey = image[0] if len(image) == 1 else cv2.cvtColor(np.ascontiguousarray(image.transpose(1, 2, 0)), _GREY)
    height, width = grey.shape
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.7)


def _details(grey: Image) -> Frame | None:
    """What is left without coarse brightness, at a fixed contrast; None where there is nothing."""
    fine = grey - _coarse(grey)
    contrast = float(cv2.meanStdDev(fine)[1][0, 0])
    if contrast <= _FLAT:
        return None
    return np.clip(_MIDDLE + fine * (_CONTRAST / contrast), 0, 255).astype(np.uint8)


def _coarse(grey: Image) -> Image:
    """The image blurred over ``_COARSE`` pixels: what so strong a blur leaves, a quarter of the size can hold."""
    height, width = grey.shape
    quarter = max(1, width // _QUARTER), max(1, height // _QUARTER)
    small = cv2.GaussianBlur(cv2.resize(grey, quarter, interpolation=cv2.INTER_AREA), (0, 0), _COARSE / _QUARTER)
    return cv2.resize(small, (width, height)).astype(np.float32, copy=False)


def _movement(before: Frame, after: Frame) -> _Movement:
    """Corners are followed into the next image, and back again, by the method of Lucas and Kanade."""
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.02, 5)
    if corners is None:
        return _Movement(0.0, 0.0)
    there, forth = _follow(before, after, corners)
    back, home = _follow(after, before, there)
    off = (back - corners)[:, 0]
    found = ((off * off).sum(axis=1) < _BACK_PX**2) & forth & home
    return _Movement(np.count_nonzero(found) / len(found), _expansion(corners[found, 0], there[found, 0], before.shape))


def _expansion(corners: Image, there: Image, size: tuple[int, ...]) -> float:
    """By which share the distance of corners (K, 2) from the middle of the image grows; 0 where there are too few."""
    from_middle = corners - np.array([size[1] / 2, size[0] / 2], np.float32)
    squared = (from_middle * from_middle).sum(axis=1)
    outside = squared > _COARSE**2
    if np.count_nonzero(outside) < _FEWEST:
        return 0.0
    flow = there - corners
    flow -= median(flow[:, 0].tolist()), median(flow[:, 1].tolist())  # turns move the whole image
    return median(((flow * from_middle).sum(axis=1)[outside] / squared[outside]).tolist())


def _follow(before: Frame, after: Frame, corners: Image) -> tuple[Image, NDArray[np.bool_]]:
    """Where corners (K, 1, 2) of an image are in the next one, and which of them (K,) were found."""
    places, state, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, None, winSize=(_WINDOW, _WINDOW), maxLevel=_LEVELS, criteria=_STOP
    )
    return places, state[:, 0] == 1
