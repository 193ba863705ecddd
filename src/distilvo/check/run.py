"""Open a source, look at every frame once, and say what was found."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from distilvo.check.facts import check_lens, check_poses, check_reference, check_times
from distilvo.check.poses import sample_pairs
from distilvo.check.result import CheckResult, Finding
from distilvo.check.rotation import picture_rotation
from distilvo.errors import DistilvoError
from distilvo.poses import Floats
from distilvo.progress import console, progress, silence
from distilvo.sequences import Camera, Frame, Sequence, open_sequence
from distilvo.sequences.guess import guess
from distilvo.settings import SourceKind

LIVE_FRAMES = 100
"""So many frames of a camera that never ends are looked at."""

_NAMED = 5


def check_source(
    path: Path,
    kind: SourceKind | None = None,
    topic: str | None = None,
    intrinsics: tuple[float, float, float, float] | None = None,
    size: tuple[int, int] | None = None,
) -> CheckResult:
    """Open a source and check it; one that cannot be opened is a result with one problem, not an error.

    ``intrinsics`` are fx fy cx cy where the source does not tell; ``size`` (H, W) is the model's.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            kind = kind or guess(path)
            sequence = open_sequence(path, kind, topic)
            if intrinsics is not None:
                height, width = next(iter(sequence.frames())).shape[:2]
                sequence.camera = Camera(*intrinsics, width=width, height=height)
            result = check(sequence, kind, size)
        except DistilvoError as error:
            result = CheckResult(str(path), kind)
            result.add("problem", "source", str(error))
    result.findings += [Finding("note", "source", str(w.message)) for w in caught if w.category is UserWarning]
    return result


def check(sequence: Sequence, kind: SourceKind | None = None, size: tuple[int, int] | None = None) -> CheckResult:
    """Look at every frame of a sequence once, and at its times, poses, reference and lens.

    Of ``kind`` camera, which never ends, the first 100 frames are taken.
    ``size`` (H, W) is that of the model's picture; without it the field of view alone is compared.
    """
    result = CheckResult(sequence.name, kind)
    pairs, rotations = _look(sequence, result)
    if result.frames == 0:
        result.add("problem", "frames", "there are none", "check that the source is whole; copy or unpack it again")
        return result
    _report_frames(result, one_by_one=hasattr(sequence, "frame"))
    check_times(np.asarray(sequence.times, dtype=np.float64), result)
    check_poses(sequence, pairs, rotations, result)
    check_reference(sequence.reference, result)
    check_lens(sequence.camera, size, result)
    return result


def model_size(model: Path) -> tuple[int, int]:
    """Height and width of the pictures that a model folder's, or an ONNX file's, network sees."""
    if model.suffix == ".onnx":
        from distilvo.runtime import Tracker

        return Tracker(model).size
    from distilvo.models.files import read_config

    height, width = read_config(model)[1].size
    return height, width


def _look(sequence: Sequence, result: CheckResult) -> tuple[list[int], list[Floats]]:
    """Open every frame; the pairs whose rotation the pictures tell, by their first frame, and these rotations."""
    poses, camera = sequence.poses, sequence.camera
    sampled = set(sample_pairs(len(poses))) if poses is not None and camera is not None else set()
    pairs: list[int] = []
    rotations: list[Floats] = []
    sizes: Counter[str] = Counter()
    last: Frame | None = None
    count = len(sequence) if hasattr(sequence, "frame") else 0  # counting a stream takes a pass of its own
    with progress(f"check {sequence.name}", count) as bar:
        for index, frame in enumerate(_each(sequence, LIVE_FRAMES if result.kind == "camera" else None)):
            result.frames += 1
            if isinstance(frame, DistilvoError):
                result.unreadable += 1
                if len(result.unreadable_frames) < _NAMED:
                    result.unreadable_frames.append(str(frame))
                last = None
            else:
                sizes[f"{frame.shape[1]}x{frame.shape[0]} {'grey' if frame.ndim == 2 else 'colour'}"] += 1
                if last is not None and camera is not None and index - 1 in sampled and last.shape == frame.shape:
                    rotation = picture_rotation(last, frame, camera)
                    if rotation is not None:
                        pairs.append(index - 1)
                        rotations.append(rotation)
                last = frame
            bar.advance()
    result.sizes = dict(sizes.most_common())
    return pairs, rotations


def _each(sequence: Sequence, most: int | None) -> Iterator[Frame | DistilvoError]:
    """Every frame, or why it cannot be read. Pictures are opened one by one; a stream ends at its first error."""
    frame_at = getattr(sequence, "frame", None)
    if frame_at is None:
        try:
            yield from islice(sequence.frames(), most)
        except DistilvoError as error:
            yield error
        return
    for index in range(len(sequence)):
        found: Frame | DistilvoError
        try:
            found = frame_at(index)
        except DistilvoError as error:
            found = error
        yield found


def _report_frames(result: CheckResult, one_by_one: bool) -> None:
    sizes = ", ".join(result.sizes if len(result.sizes) == 1 else (f"{n} of {s}" for s, n in result.sizes.items()))
    count = f"{result.frames} frame{'s' if result.frames != 1 else ''}"
    if result.unreadable:
        for reason in result.unreadable_frames:
            result.add("problem", "frame", reason)
        found = f"{result.unreadable} of {count} unreadable or of another size"
        if not one_by_one:
            found += ", and those after it were not reached"
        if sizes:
            found += f"; the others are {sizes}"
        result.add("problem", "frames", found, "copy or unpack the source again, or leave the frames out")
        return
    result.add("ok", "frames", f"{count} of {sizes}" if len(result.sizes) == 1 else f"{count}: {sizes}")
    if len(result.sizes) > 1:
        result.add("problem", "size", f"there are {len(result.sizes)}: {sizes}", "bring all frames to one size")
    if result.frames < 2:
        result.add("problem", "frames", "motion lies between frames", "two frames are the least")


def run_check(
    source: Path,
    kind: SourceKind | None,
    topic: str | None,
    intrinsics: tuple[float, float, float, float] | None,
    model: Path | None,
    as_json: bool,
) -> None:
    """Print what is found, as lines or as one JSON object; DistilvoError where the source cannot be used."""
    if as_json:
        silence()
    size = None if model is None else model_size(model)
    result = check_source(source, kind, topic, intrinsics, size)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, allow_nan=False))
    else:
        for finding in result.findings:
            console.print(str(finding), markup=False, highlight=False, soft_wrap=True)
    if not result.usable:
        count = f"{result.problems} problem{'s' if result.problems > 1 else ''}"
        raise DistilvoError(f"{source}: {count} found; mend what is said above, then check again")
