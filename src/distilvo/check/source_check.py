"""Open a source, read every frame once, and report what it holds."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from distilvo.check.check_result import CheckFinding, CheckResult
from distilvo.check.facts import BUNDLED, Trained, check_camera, check_height, check_poses, check_reference, check_times
from distilvo.check.pose_check import sample_pairs
from distilvo.check.rotation import image_rotation
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Frame
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.geometry.se3 import Floats
from distilvo.progress import progress
from distilvo.sequences import IndexedSequence, Sequence, open_sequence
from distilvo.sequences.address import shown
from distilvo.sequences.brightness import GreyLevels
from distilvo.sequences.guess import guess
from distilvo.sequences.image_files import ImageSequence
from distilvo.settings import SourceKind

LIVE_FRAMES = 100
"""Number of frames that are read from a live camera, which never ends."""

_NAMED = 5  # unreadable frames whose error is kept


def check_source(
    path: str | Path,
    kind: SourceKind | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    rate_hz: float | None = None,
    **options: Any,
) -> CheckResult:
    """Open a source and check it. A source that cannot be opened gives a result with one problem, not an error.

    Args:
        path: the source, see docs/sources.md.
        kind: of the source; guessed from the path if None.
        preprocessing: of a model; without it the field of view alone is compared, with KITTI's.
        rate_hz: frames per second that the model was trained on; without a model those of the bundled ones.
        options: the others of ``settings.SourceOptions``, as ``open_sequence`` takes them.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            kind = kind or guess(path)
            sequence = open_sequence(path, kind, **options)
            result = check(sequence, kind, preprocessing, rate_hz)
        except DistilvoError as error:
            result = CheckResult(shown(path), kind)
            result.add("problem", "source", str(error))
    result.findings += [CheckFinding("note", "source", str(w.message)) for w in caught if w.category is UserWarning]
    return result


def check(
    sequence: Sequence,
    kind: SourceKind | None = None,
    preprocessing: Preprocessing | None = None,
    rate_hz: float | None = None,
) -> CheckResult:
    """Check every frame of an open sequence once, then its times, poses, reference and camera.

    Of ``kind`` "camera", which never ends, the first 100 frames are read.
    ``preprocessing`` is that of a model; without it the field of view alone is compared, with KITTI's. ``rate_hz``:
    frames per second that it was trained on; without a model those of the bundled ones.
    """
    result = CheckResult(sequence.name, kind)
    pairs, rotations = _read_frames(sequence, result)
    if result.frames == 0:
        result.add("problem", "frames", "there are none", "check that the source is whole; copy or unpack it again")
        return result
    _report_frames(result, one_by_one=isinstance(sequence, IndexedSequence))
    if isinstance(sequence, ImageSequence) and sequence.order is not None:
        result.add("ok", "order", sequence.order.describe())
    trained = BUNDLED if preprocessing is None and rate_hz is None else Trained("the model was", rate_hz)
    check_times(np.asarray(sequence.times, dtype=np.float64), result, sequence.assumed_times, trained)
    check_poses(sequence, pairs, rotations, result)
    check_reference(sequence.reference, result)
    check_camera(sequence.camera, preprocessing, result)
    check_height(sequence.camera_height, result)
    return result


def _read_frames(sequence: Sequence, result: CheckResult) -> tuple[list[int], list[Floats]]:
    """Read every frame; return the first frames (P,) of the pairs that could be measured, and rotations (P, 3, 3)."""
    poses, camera = sequence.poses, sequence.camera
    sampled = set(sample_pairs(len(poses))) if poses is not None and camera is not None else set()
    pairs: list[int] = []
    rotations: list[Floats] = []
    sizes: Counter[str] = Counter()
    levels = GreyLevels()
    last: Frame | None = None
    count = len(sequence) if isinstance(sequence, IndexedSequence) else 0  # counting a stream takes a pass of its own
    with progress(f"check {sequence.name}", count) as bar:
        for index, frame in enumerate(_each(sequence, LIVE_FRAMES if result.kind == "camera" else None)):
            result.frames += 1
            if isinstance(frame, DistilvoError):
                result.unreadable += 1
                if len(result.unreadable_frames) < _NAMED:
                    result.unreadable_frames.append(str(frame))
                last = None
            else:
                levels.add(frame)
                sizes[f"{frame.shape[1]}x{frame.shape[0]} {'grey' if frame.ndim == 2 else 'colour'}"] += 1
                if last is not None and camera is not None and index - 1 in sampled and last.shape == frame.shape:
                    rotation = image_rotation(last, frame, camera)
                    if rotation is not None:
                        pairs.append(index - 1)
                        rotations.append(rotation)
                last = frame
            bar.advance()
    result.sizes = dict(sizes.most_common())
    if note := levels.note():
        result.add("note", "brightness", note)
    return pairs, rotations


def _each(sequence: Sequence, most: int | None) -> Iterator[Frame | DistilvoError]:
    """Yield every frame, or the error of reading it. A stream ends at its first error; images are opened one by one."""
    if not isinstance(sequence, IndexedSequence):
        try:
            yield from islice(sequence.frames(), most)
        except DistilvoError as error:
            yield error
        return
    for index in range(len(sequence)):
        try:
            frame = sequence.frame(index)
        except DistilvoError as error:
            yield error
        else:
            yield frame


def _report_frames(result: CheckResult, one_by_one: bool) -> None:
    sizes = ", ".join(result.sizes if len(result.sizes) == 1 else (f"{n} of {s}" for s, n in result.sizes.items()))
    count = f"{result.frames} frame{'s' if result.frames != 1 else ''}"
    if result.unreadable:
        for reason in result.unreadable_frames:
            result.add("problem", "frame", reason)
        message = f"{result.unreadable} of {count} unreadable or of another size"
        if not one_by_one:
            message += ", and those after it were not reached"
        if sizes:
            message += f"; the others are {sizes}"
        result.add("problem", "frames", message, "copy or unpack the source again, or leave the frames out")
        return
    result.add("ok", "frames", f"{count} of {sizes}" if len(result.sizes) == 1 else f"{count}: {sizes}")
    if len(result.sizes) > 1:
        result.add("problem", "size", f"there are {len(result.sizes)}: {sizes}", "bring all frames to one size")
    if result.frames < 2:
        result.add("problem", "frames", "motion lies between frames", "two frames are the least")
