"""Whether poses and images belong together: the rotations from frame to frame by the poses and by the images.

The rotation between two images can be measured to some hundredths of a degree. So poses of another drive, poses that
lie one frame off, and a wrong focal length stand out as soon as the camera turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distilvo.geometry.camera import Camera
from distilvo.geometry.se3 import Floats, between, relative, rotation_angle

MOST_PAIRS = 100
MOST_SHIFT = 5

_FEWEST_PAIRS = 10
# Most correct rotations from images have an error below this: degrees, and pixels for coarse images.
_TOLERANCE_DEG, _TOLERANCE_PX = 0.15, 0.5
_SAME = 0.9  # two series of rotations with at least this correlation count as the same
_UNLIKE = 0.5  # below this they count as different; between the two there is no verdict
_MOST_RATIO = 1.15  # of the images' rotations to the poses', or the inverse
_SURE = 3.0  # standard errors
_MOST_BLUNDERS = 0.1  # share of the pairs with a wrong rotation from the images

_Verdict = Literal["agree", "disagree", "cannot tell"]


@dataclass(frozen=True)
class PoseCheck:
    """The result of the comparison.

    verdict      agree, disagree, cannot tell
    reason       of the verdict, in plain words
    advice       what to try; empty where poses and images agree
    pairs        number of pairs of frames that could be measured
    median_deg   median angle between the rotation of the poses and that of the images, None without pairs
    shift        frame k moves as pose k + shift does; None where no shift fits
    ratio        rotation of the images / rotation of the poses, None where the two differ in kind
    correlation  of the two series of rotation vectors at the shift, None where it is not defined
    """

    verdict: _Verdict
    reason: str
    advice: str
    pairs: int
    median_deg: float | None = None
    shift: int | None = None
    ratio: float | None = None
    correlation: float | None = None


def sample_pairs(frames: int) -> list[int]:
    """First frames of up to 100 pairs of consecutive frames, spread evenly over the sequence."""
    last = frames - 2
    return sorted({round(k) for k in np.linspace(0, last, min(MOST_PAIRS, last + 1))}) if last >= 0 else []


def compare(pairs: list[int], seen: Floats, poses: Floats, camera: Camera) -> PoseCheck:
    """Compare rotations of images with those of poses (N, 4, 4), camera-to-world.

    ``seen`` (P, 3, 3) are the rotations ``inv(T_k) @ T_{k+1}`` that the images show, k being one of ``pairs`` (P,).
    """
    if len(pairs) < _FEWEST_PAIRS:
        return PoseCheck(
            "cannot tell",
            f"only {len(pairs)} pairs of images have enough corners that can be followed, {_FEWEST_PAIRS} are needed",
            "look at some images: are they dark, blurred, or not one after the other",
            len(pairs),
        )
    series = _Series(np.array(pairs), seen, poses)
    tolerance = max(_TOLERANCE_DEG, math.degrees(_TOLERANCE_PX / math.sqrt(camera.fx * camera.fy)))
    return series.judge(math.radians(tolerance))


class _Series:
    """Rotations of the images and of the poses, as vectors (P, 3), rad. Wrong ones of the images are removed."""

    def __init__(self, pairs: NDArray[np.intp], seen: Floats, poses: Floats) -> None:
        self.pairs, self.seen, self.steps = pairs, _vectors(seen), _turns(poses)
        self.inverse_steps = _turns(between(poses, np.broadcast_to(np.eye(4), poses.shape)))
        apart = np.stack([self._apart(shift) for shift in range(-MOST_SHIFT, MOST_SHIFT + 1)])
        self.median = float(np.median(apart[MOST_SHIFT]))
        best = apart.min(axis=0)
        sound = best <= max(4 * np.median(best), np.quantile(best, 1 - _MOST_BLUNDERS))
        self.count = len(pairs)
        self.pairs, self.seen = self.pairs[sound], self.seen[sound]

    def judge(self, tolerance: float) -> PoseCheck:
        """The verdict. ``tolerance`` is the error that a correct rotation from images may have, rad."""
        truth = self.steps[self.pairs]
        shift = self._shift()
        if shift:
            return self._shifted(shift)
        correlation, ratio = _correlation(self.seen, truth), _ratio(self.seen, truth)
        turn = max(_rms(self.seen), _rms(truth))
        turns = turn >= 3 * tolerance
        steady = turns and self.median <= tolerance  # on a circle there is nothing to correlate
        scaled = turns and not 1 / _MOST_RATIO <= ratio <= _MOST_RATIO
        if (correlation >= _SAME or steady) and not scaled:
            return self._result("agree", "", shift=0, ratio=ratio, correlation=correlation)
        if correlation >= _SAME:
            return self._result(
                "disagree",
                f"the images turn {ratio:.2f} times as much as the poses",
                f"the true focal length may be {ratio:.2f} times the one given: were the images resized or cropped?",
                shift=0, ratio=ratio, correlation=correlation,
            )  # fmt: skip
        if turn < 2 * tolerance:
            return self._result(
                "cannot tell",
                f"the camera hardly turns ({math.degrees(turn):.2f} degrees a frame)",
                "check another sequence of the same data set, one with bends",
                correlation=correlation,
            )
        unlike = correlation < _UNLIKE
        reason, advice = self._difference(truth) if unlike else ("", "")
        if not reason and not (unlike and self.median > max(1.5 * tolerance, 0.25 * turn)):
            return self._result(
                "cannot tell",
                f"the rotations from the images are too uncertain (correlation {correlation:.2f})",
                "check another sequence of the same data set, one with more bends",
                correlation=correlation,
            )
        reason = reason or (
            f"the poses do not turn as the images do, and no shift by up to {MOST_SHIFT} frames corrects it"
        )
        advice = advice or "check that poses and images are of one drive and in one order"
        return self._result("disagree", reason, advice, correlation=correlation)

    def _difference(self, truth: Floats) -> tuple[str, str]:
        """The common mistake that explains the poses, and what to do; two empty strings where there is none."""
        if _correlation(self.seen, self.inverse_steps[self.pairs]) >= _SAME:
            return "the poses turn as those of world-to-camera do", "expected camera-to-world: invert each of them"
        u, _, v = np.linalg.svd(self.seen.T @ truth)
        turned = truth @ (u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v).T
        if _correlation(self.seen, turned) >= _SAME and 1 / _MOST_RATIO <= _ratio(self.seen, turned) <= _MOST_RATIO:
            return (
                "the poses turn as much as the images, but about other axes",
                "expected the camera's own, x right, y down, z forward: bring the poses to them",
            )
        return "", ""

    def _shift(self) -> int:
        """The shift of the poses, in frames, that fits best; 0 where its gain is not significant."""
        best_shift, best_gain = 0, 0.0
        for shift in range(-MOST_SHIFT, MOST_SHIFT + 1):
            inside = self._inside(shift)
            if shift == 0 or inside.sum() < _FEWEST_PAIRS:
                continue
            seen, here, there = (
                self.seen[inside],
                self.steps[self.pairs[inside]],
                self.steps[self.pairs[inside] + shift],
            )
            gains = ((seen - here) ** 2).sum(axis=1) - ((seen - there) ** 2).sum(axis=1)
            gain, error = float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))
            alike = _correlation(seen, there)
            if gain > max(best_gain, _SURE * error) and alike >= _SAME and alike > _correlation(seen, here):
                best_shift, best_gain = shift, gain
        return best_shift

    def _shifted(self, shift: int) -> PoseCheck:
        inside = self._inside(shift)
        seen, there = self.seen[inside], self.steps[self.pairs[inside] + shift]
        count = abs(shift)
        frames, first = (f"{count} frames", f"first {count}") if count > 1 else ("1 frame", "first")
        reason = f"the poses lie {frames} off: image k moves as pose k{shift:+d} does"
        if shift > 0:
            advice = f"remove the {first} of the poses, or restore the images that are missing at the beginning"
        else:
            advice = f"remove the {first} of the images, or restore the poses that are missing at the beginning"
        return self._result(
            "disagree", reason, advice, shift=shift, ratio=_ratio(seen, there), correlation=_correlation(seen, there)
        )

    def _result(
        self,
        verdict: _Verdict,
        reason: str,
        advice: str = "",
        *,
        shift: int | None = None,
        ratio: float | None = None,
        correlation: float | None = None,
    ) -> PoseCheck:
        return PoseCheck(verdict, reason, advice, self.count, math.degrees(self.median), shift, ratio, correlation)

    def _inside(self, shift: int) -> NDArray[np.bool_]:
        return (self.pairs + shift >= 0) & (self.pairs + shift < len(self.steps))

    def _apart(self, shift: int) -> Floats:
        """Distances (P,), rad, between rotation vectors of images and shifted poses; infinite outside the poses."""
        inside = self._inside(shift)
        apart = np.full(len(self.pairs), np.inf)
        apart[inside] = np.linalg.norm(self.seen[inside] - self.steps[self.pairs[inside] + shift], axis=1)
        return apart


def _turns(poses: Floats) -> Floats:
    """Rotation vectors (N-1, 3) from each pose (N, 4, 4) to the next."""
    return _vectors(relative(poses)[:, :3, :3])


def _vectors(rotations: Floats) -> Floats:
    """Rotations (P, 3, 3) -> axis times angle (P, 3), rad."""
    angle = rotation_angle(rotations)
    r = np.asarray(rotations)
    skew = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], axis=1) / 2
    return skew / np.sinc(angle / np.pi)[:, None].clip(1e-6)


def _correlation(a: Floats, b: Floats) -> float:
    """Correlation of two series (P,) or (P, 3), each about its mean; 0 where one of them is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-12 else 0.0


def _ratio(seen: Floats, truth: Floats) -> float:
    """The factor on ``truth`` (P, 3) with the least squared distance from ``seen`` (P, 3)."""
    return float((seen * truth).sum() / max(float((truth * truth).sum()), 1e-12))


def _rms(vectors: Floats) -> float:
    return math.sqrt(float((vectors**2).sum(axis=1).mean()))
