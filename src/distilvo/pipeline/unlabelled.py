"""Film without labels to distill on: frames of any source that can be read more than once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from collections.abc import Sequence as Several
from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import view_not_known
from distilvo.pipeline.model_rate import at_models_rate
from distilvo.sequences import Sequence, open_sequence
from distilvo.sequences.address import is_address, shown
from distilvo.sequences.opening import sequence_folders
from distilvo.settings import SourceOptions

_NAMED = 5  # sources in one note


def open_unlabelled(
    paths: Several[Path], options: SourceOptions, taken: Collection[str] = (), rate_hz: float | None = None
) -> list[Sequence]:
    """Open film to learn from without labels; poses that a source has are dropped.

    Args:
        paths: each a data set in KITTI odometry layout or a folder of other sequences (all of its sequences), one
            sequence, a folder or a pattern of images, a video or a bag.
        options: how each of them is opened, as ``distilvo track`` has it.
        taken: names that others have already.
        rate_hz: frames per second that the teacher was trained on, where that is known: faster film is thinned to it,
            with a note, unless the options choose frames themselves.

    Returns:
        Sequences without poses, in the order of the paths. Their names are distinct: where one is taken, ``-2``,
        ``-3``, ... follows it.

    Raises:
        DistilvoError: a path is a live camera or an address, is given twice or cannot be read, has fewer than two
            frames, or several sources are to have one file of times.
    """
    for path in paths:
        _refuse_live(path, options)
    sources = [source for path in paths for source in sequence_folders(path) or [path]]
    _refuse_twice(sources)
    if options.times is not None and len(sources) > 1:
        raise DistilvoError(f"--times {options.times}: the times of one source, but there are {len(sources)}")
    sequences = [_open(source, options, rate_hz) for source in sources]
    _name_apart(sequences, taken)
    _note_of_cameras(sequences)
    return sequences


def _open(source: Path, options: SourceOptions, rate_hz: float | None) -> Sequence:
    sequence = open_sequence(source, **vars(options))
    sequence.poses = None
    if options.fps is None and options.stride == 1:
        sequence, line = at_models_rate(sequence, rate_hz)
        if line:
            warnings.warn(line, stacklevel=4)
    if (frames := len(sequence)) < 2:
        raise DistilvoError(f"{source}: {frames} frame; expected at least 2, motion lies between frames")
    return sequence


def _refuse_live(path: Path, options: SourceOptions) -> None:
    camera = options.kind == "camera" or (str(path).startswith("camera:") and not path.exists())
    if camera or is_address(path):
        raise DistilvoError(
            f"{shown(path)}: live, but film to learn from is read more than once; record it, or download it, and give "
            "the file"
        )


def _refuse_twice(sources: list[Path]) -> None:
    known: set[str] = set()
    for source in sources:
        if (place := os.path.abspath(source)) in known:
            raise DistilvoError(f"{source}: given twice; give each source of unlabelled film once")
        known.add(place)


def _name_apart(sequences: list[Sequence], taken: Collection[str]) -> None:
    """Give each sequence a name of its own; upper and lower case are one, as on some disks."""
    names = {name.casefold() for name in taken}
    for sequence in sequences:
        name, number = sequence.name, 1
        while name.casefold() in names:
            number += 1
            name = f"{sequence.name}-{number}"
        names.add(name.casefold())
        sequence.name = name


def _note_of_cameras(sequences: list[Sequence]) -> None:
    unknown = [sequence.name for sequence in sequences if sequence.camera is None]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        warnings.warn(f"{', '.join(unknown[:_NAMED])}{more}: {'; '.join(view_not_known())}", stacklevel=3)
