"""What the times, poses, reference and lens of a sequence are like; each function adds its findings to the result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.check.poses import PoseCheck, compare
from distilvo.check.result import CheckResult, Level
from distilvo.poses import Floats
from distilvo.sequences import Camera, Sequence
from distilvo.sequences.camera import canonical_intrinsics, field_of_view_mismatch
from distilvo.tracking import MOST_UNSEEN

_GAP = 1.5  # of the usual time between two frames
_MODELS_RATE_HZ, _RATE_TOLERANCE = 10.0, 0.2
_UNUSABLE_UNSEEN = 0.9
_COARSE = 0.75  # source pixels for each of the model's
_KITTI_SIZE = (376, 1241)


def check_times(times: NDArray[Any], result: CheckResult) -> None:
    if not result.unreadable and len(times) != result.frames:
        result.add(
            "problem", "times", f"{len(times)} for {result.frames} frames", "restore the file of times, or the pictures"
        )
        return
    if not np.isfinite(times).all():
        result.add("problem", "times", "some are not finite numbers", "restore the file of times")
        return
    steps = np.diff(times)
    ahead = steps[steps > 0]
    back, same = np.flatnonzero(steps < 0), np.flatnonzero(steps == 0)
    result.out_of_order_times, result.duplicate_times = len(back), len(same)
    if len(back):
        k = back[0]
        found = f"{len(back)} go back, first from {times[k]:.6f} s to {times[k + 1]:.6f} s after frame {k}"
        result.add("problem", "times", found, "sort the frames by their time, or mend the clock")
    if len(same):
        found = (
            f"{len(same)} frames have the time of the one before, first frame {same[0] + 1} at {times[same[0]]:.6f} s"
        )
        result.add(
            "problem", "times", found, "remove frames that are there twice; tracking needs times that go forward"
        )
    if len(ahead) == 0:
        return
    usual = float(np.median(ahead))
    result.rate_hz, result.seconds = 1.0 / usual, float(times.max() - times.min())
    assumed = ", assumed: a folder does not tell" if result.kind == "folder" else ""
    result.add("ok", "rate", f"{result.rate_hz:.1f} frames/s over {result.seconds:.1f} s{assumed}")
    if not assumed and abs(math.log(result.rate_hz / _MODELS_RATE_HZ)) > _RATE_TOLERANCE:
        found = f"the models that come with distilvo know {_MODELS_RATE_HZ:g} frames/s"
        result.add("note", "rate", found, "thin the frames, or train on this rate")
    gaps = np.flatnonzero(steps > _GAP * usual)
    result.gaps = len(gaps)
    if len(gaps):
        k = int(gaps[np.argmax(steps[gaps])])
        result.longest_gap_s = float(steps[k])
        longest = f"the longest {steps[k]:.3f} s after frame {k}"
        found = f"{len(gaps)} of more than {_GAP:g} times the usual {usual:.3f} s, {longest}"
        result.add("note", "gaps", found, "frames may be missing: unpack again, or cut the drive there")


def check_poses(sequence: Sequence, pairs: list[int], rotations: list[Floats], result: CheckResult) -> None:
    poses = sequence.poses
    if poses is None:
        instead = " beside the GPS" if sequence.reference is not None else ""
        result.add("note", "poses", f"there are none{instead}", "it can be tracked, but not trained on")
        return
    result.has_poses = True
    if len(poses) != result.frames:
        found = f"{len(poses)} for {result.frames} frames"
        result.add("problem", "poses", found, "expected one for each frame; restore what is missing")
        return
    if not np.isfinite(poses).all():
        result.add("problem", "poses", "some are not finite numbers", "restore the file of poses")
        return
    result.path_m = _length(poses[:, :3, 3])
    result.add("ok", "poses", f"one for each frame, {result.path_m:.1f} m along")
    if sequence.camera is None:
        reason, advice = "the lens is not known", "give --intrinsics"
        result.poses = PoseCheck("cannot tell", reason, advice, 0)
    else:
        seen = np.stack(rotations) if rotations else np.empty((0, 3, 3))
        result.poses = compare(pairs, seen, poses, sequence.camera)
    level: dict[str, Level] = {"agree": "ok", "disagree": "problem", "cannot tell": "note"}
    found = {"cannot tell": "cannot tell whether poses and pictures agree"}.get(
        result.poses.verdict, f"poses and pictures {result.poses.verdict}"
    )
    if result.poses.reason:
        found += f": {result.poses.reason}"
    if result.poses.median_deg is not None:
        found += (
            f"; their turns differ by {result.poses.median_deg:.2f} degrees a frame (median of {result.poses.pairs})"
        )
    result.add(level[result.poses.verdict], "poses", found, result.poses.advice)


def check_reference(reference: Floats | None, result: CheckResult) -> None:
    if reference is None:
        return
    result.has_reference = True
    if len(reference) != result.frames or not np.isfinite(reference).all():
        found = f"{len(reference)} positions for {result.frames} frames, all of them finite numbers expected"
        result.add("problem", "GPS", found, "restore the file of the GPS")
        return
    if result.path_m is None:
        result.path_m = _length(reference)
    span = np.ptp(reference, axis=0)
    found = f"{_length(reference):.0f} m along, within {span[0]:.0f} x {span[1]:.0f} x {span[2]:.0f} m; positions alone"
    result.add("ok", "GPS", found)


def check_lens(camera: Camera | None, size: tuple[int, int] | None, result: CheckResult) -> None:
    if camera is None:
        result.add(
            "note", "lens", "not known: the middle of each frame is taken as it is", "give --intrinsics FX FY CX CY"
        )
        return
    wide = _angle(camera.fx, camera.cx, camera.width)
    high = _angle(camera.fy, camera.cy, camera.height)
    shape = size or _KITTI_SIZE
    target = canonical_intrinsics(shape)
    unseen = field_of_view_mismatch(camera, target, shape)
    result.field_of_view_deg, result.unseen = (wide, high), unseen
    view = f"{wide:.0f} x {high:.0f} degrees; the models' is {_angle(target[0, 0], target[0, 2], shape[1]):.0f} x "
    view += f"{_angle(target[1, 1], target[1, 2], shape[0]):.0f}"
    if unseen <= MOST_UNSEEN:
        result.add("ok", "lens", f"{view}, all of it seen")
    else:
        level: Level = "problem" if unseen >= _UNUSABLE_UNSEEN else "note"
        advice = "check the intrinsics; else expect a loss of accuracy, or train on such views"
        result.add(level, "lens", f"{view}, of which {unseen:.0%} is not seen and repeats the edge", advice)
    if size is not None and (scale := min(camera.fx / target[0, 0], camera.fy / target[1, 1])) < _COARSE:
        found = f"{scale:.2f} pixels for each of the model's {shape[1]}x{shape[0]}: it sees a blurred picture"
        result.add("note", "size", found, "take pictures of a higher resolution, or a smaller model")


def _angle(focal: float, centre: float, pixels: int) -> float:
    """Field of view in degrees; pixel centres lie on whole numbers."""
    return math.degrees(math.atan((centre + 0.5) / focal) + math.atan((pixels - 0.5 - centre) / focal))


def _length(positions: Floats) -> float:
    return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())
