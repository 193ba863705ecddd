"""Checks of the times, poses, reference and camera of a sequence. Each function adds its findings to the result."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from distilvo.check.check_result import CheckResult, Level
from distilvo.check.pose_check import PoseCheck, compare
from distilvo.geometry.camera import Camera, field_of_view_mismatch, view_not_known
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.geometry.se3 import Floats
from distilvo.pipeline.tracking import MOST_UNSEEN, height_not_known
from distilvo.runtime.bridge import FASTEST_M_S
from distilvo.sequences import Sequence

_GAP = 1.5  # times the median time between two frames
_RATE_TOLERANCE = 0.2
_UNUSABLE_UNSEEN = 0.9
_COARSE = 0.75  # source pixels for each pixel of the model's image
_KITTI_SIZE = (376, 1241)


class Trained(NamedTuple):
    """Who was trained on so many frames per second; None where that is not known."""

    who: str
    rate_hz: float | None


BUNDLED = Trained("the bundled models were", 10.0)


def check_times(times: Floats, result: CheckResult, assumed: bool = False, trained: Trained = BUNDLED) -> None:
    """Check the times (N,), s: one for each frame, finite and increasing, at a rate that models expect.

    ``assumed`` times are counted at an assumed rate, since the source has none.
    """
    if not result.unreadable and len(times) != result.frames:
        message = f"{len(times)} for {result.frames} frames"
        result.add("problem", "times", message, "restore the file of times, or the images")
        return
    if not np.isfinite(times).all():
        result.add("problem", "times", "some are not finite numbers", "restore the file of times")
        return
    steps = np.diff(times)
    _check_order(times, steps, result)
    if not (steps > 0).any():
        return
    median = float(np.median(steps[steps > 0]))
    result.rate_hz, result.seconds = 1.0 / median, float(times.max() - times.min())
    _check_rate(result, assumed, trained)
    _check_gaps(steps, median, result)


def _check_order(times: Floats, steps: Floats, result: CheckResult) -> None:
    back, same = np.flatnonzero(steps < 0), np.flatnonzero(steps == 0)
    result.out_of_order_times, result.duplicate_times = len(back), len(same)
    if len(back):
        k = back[0]
        message = f"{len(back)} go back, first from {times[k]:.6f} s to {times[k + 1]:.6f} s after frame {k}"
        result.add("problem", "times", message, "sort the frames by their time, or correct the clock")
    if len(same):
        k = same[0] + 1
        message = f"{len(same)} frames have the time of the one before, first frame {k} at {times[k]:.6f} s"
        advice = "remove frames that are there twice; tracking needs times that go forward"
        result.add("problem", "times", message, advice)


def _check_rate(result: CheckResult, assumed: bool, trained: Trained) -> None:
    assert result.rate_hz is not None
    reason = f", assumed: a {result.kind or 'source'} without times" if assumed else ""
    result.add("ok", "rate", f"{result.rate_hz:.1f} frames/s over {result.seconds:.1f} s{reason}")
    if assumed or trained.rate_hz is None:
        return
    if abs(faster := math.log(result.rate_hz / trained.rate_hz)) > _RATE_TOLERANCE:
        advice = "thin the frames, or train on this rate" if faster > 0 else "train on this rate"
        result.add("note", "rate", f"{trained.who} trained on {trained.rate_hz:g} frames/s", advice)


def _check_gaps(steps: Floats, median: float, result: CheckResult) -> None:
    gaps = np.flatnonzero(steps > _GAP * median)
    result.gaps = len(gaps)
    if len(gaps):
        k = int(gaps[np.argmax(steps[gaps])])
        result.longest_gap_s = float(steps[k])
        longest = f"the longest {steps[k]:.3f} s after frame {k}"
        message = f"{len(gaps)} of more than {_GAP:g} times the usual {median:.3f} s, {longest}"
        result.add("note", "gaps", message, "frames may be missing: unpack again; tracking begins anew behind each")


def check_poses(sequence: Sequence, pairs: list[int], rotations: list[Floats], result: CheckResult) -> None:
    """Check that there is a finite pose for each frame, and that the poses turn as the images do.

    ``rotations`` (P, 3, 3) are measured from the images, each from frame ``pairs[p]`` to the next one.
    """
    poses = sequence.poses
    if poses is None:
        instead = " beside the GPS" if sequence.reference is not None else ""
        result.add("note", "poses", f"there are none{instead}", "it can be tracked, but not trained on")
        return
    result.has_poses = True
    if len(poses) != result.frames:
        message = f"{len(poses)} for {result.frames} frames"
        result.add("problem", "poses", message, "expected one for each frame; restore what is missing")
        return
    if not np.isfinite(poses).all():
        result.add("problem", "poses", "some are not finite numbers", "restore the file of poses")
        return
    result.path_m = _length(poses[:, :3, 3])
    result.add("ok", "poses", f"one for each frame, {result.path_m:.1f} m along")
    _check_speed(poses[:, :3, 3], sequence.times, result)
    if sequence.camera is None:
        comparison = PoseCheck("cannot tell", "the camera is not known", "give --intrinsics", 0)
    else:
        seen = np.stack(rotations) if rotations else np.empty((0, 3, 3))
        comparison = compare(pairs, seen, poses, sequence.camera)
    result.poses = comparison
    _add_comparison(comparison, result)


def _check_speed(places: Floats, times: Floats, result: CheckResult) -> None:
    """Say where no vehicle moves as positions (N, 3), m, do at times (N,), s."""
    if len(times) != len(places):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / np.diff(times)
    if (speeds > FASTEST_M_S).any():
        k = int(np.nanargmax(speeds))
        count, limit = np.count_nonzero(speeds > FASTEST_M_S), 3.6 * FASTEST_M_S
        message = f"{3.6 * speeds[k]:.0f} km/h from frame {k} to {k + 1}; more than {limit:.0f} km/h {count} times"
        result.add("note", "poses", message, "expected metres and seconds; look for a jump, or another unit")


def _add_comparison(comparison: PoseCheck, result: CheckResult) -> None:
    level: dict[str, Level] = {"agree": "ok", "disagree": "problem", "cannot tell": "note"}
    if comparison.verdict == "cannot tell":
        message = "cannot tell whether poses and images agree"
    else:
        message = f"poses and images {comparison.verdict}"
    if comparison.reason:
        message += f": {comparison.reason}"
    if comparison.median_deg is not None:
        message += f"; their turns differ by {comparison.median_deg:.2f} degrees a frame (median of {comparison.pairs})"
    result.add(level[comparison.verdict], "poses", message, comparison.advice)


def check_reference(reference: Floats | None, result: CheckResult) -> None:
    """Check the positions (N, 3), m, of a GPS: one for each frame, all of them finite."""
    if reference is None:
        return
    result.has_reference = True
    if len(reference) != result.frames or not np.isfinite(reference).all():
        message = f"{len(reference)} positions for {result.frames} frames, all of them finite numbers expected"
        result.add("problem", "GPS", message, "restore the file of the GPS")
        return
    length = _length(reference)
    if result.path_m is None:
        result.path_m = length
    span = np.ptp(reference, axis=0)
    extent = f"{span[0]:.0f} x {span[1]:.0f} x {span[2]:.0f} m"
    result.add("ok", "GPS", f"{length:.0f} m along, within {extent}; positions alone")


def check_height(height: float | None, result: CheckResult) -> None:
    """Say how high above the road the camera is, m, or that nothing tells it."""
    result.camera_height_m = height
    if height is None:
        result.add("note", "height", height_not_known())
    else:
        result.add("ok", "height", f"the camera is {height:g} m above the road")


def check_camera(camera: Camera | None, preprocessing: Preprocessing | None, result: CheckResult) -> None:
    """Check what the camera sees of the models' view; or of that of one model, and then the resolution too."""
    if camera is None:
        result.add("note", "camera", *view_not_known())
        return
    wide = _angle(camera.fx, camera.cx, camera.width)
    high = _angle(camera.fy, camera.cy, camera.height)
    view = preprocessing or Preprocessing(_KITTI_SIZE, 1)
    shape, target = view.size, view.intrinsics
    unseen = field_of_view_mismatch(camera, target, shape)
    result.field_of_view_deg, result.unseen = (wide, high), unseen
    angles = f"{wide:.0f} x {high:.0f} degrees; the models' is {_angle(target[0, 0], target[0, 2], shape[1]):.0f} x "
    angles += f"{_angle(target[1, 1], target[1, 2], shape[0]):.0f}"
    if unseen <= MOST_UNSEEN:
        result.add("ok", "camera", f"{angles}, all of it seen")
    else:
        level: Level = "problem" if unseen >= _UNUSABLE_UNSEEN else "note"
        advice = "check the intrinsics; else expect a loss of accuracy, or train on such views"
        result.add(level, "camera", f"{angles}, of which {unseen:.0%} is not seen and repeats the edge", advice)
    if preprocessing is not None and (scale := min(camera.fx / target[0, 0], camera.fy / target[1, 1])) < _COARSE:
        message = f"{scale:.2f} pixels for each of the model's {shape[1]}x{shape[0]}: it sees a blurred image"
        result.add("note", "size", message, "take images of a higher resolution, or a smaller model")


def _angle(focal: float, centre: float, pixels: int) -> float:
    """Field of view in degrees; pixel centres lie on whole numbers."""
    return math.degrees(math.atan((centre + 0.5) / focal) + math.atan((pixels - 0.5 - centre) / focal))


def _length(positions: Floats) -> float:
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())
