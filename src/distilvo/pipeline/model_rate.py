"""A source of frames at the rate of a model: the motions between frames are then as long as in its training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence as Several
from typing import TYPE_CHECKING

import numpy as np

from distilvo.geometry.se3 import Floats
from distilvo.models.frame_rate import LEAST_HZ, MOST_HZ
from distilvo.sequences import Sequence
from distilvo.sequences.selection import Choice, select

if TYPE_CHECKING:
    from distilvo.data import FrameCache  # needs torch, which tracking does not

FASTEST = 1.5
"""Times the model's rate: a source that is faster is thinned."""

_NAMED = 5  # sequences in one note


def at_models_rate(sequence: Sequence, rate_hz: float | None) -> tuple[Sequence, str]:
    """The sequence, thinned where it has more frames a second than its model knows.

    Args:
        sequence: all of whose frames may be taken.
        rate_hz: frames per second that the model was trained on; nothing is thinned where it is not known.

    Returns:
        The sequence, and one line that says what was done or could not be done; empty where there is nothing to say.
    """
    if rate_hz is None:
        return sequence, ""
    name, model, others = sequence.name, f"the model's {rate_hz:g} frames/s", "--fps or --stride choose others"
    if not len(times := sequence.times):  # of a live source they are not known before its frames
        thinned = select(sequence, Choice(fps=rate_hz), None, live=True)
        return thinned, f"{name}: above {FASTEST * rate_hz:g} frames/s it is thinned to {model}; {others}"
    rate = _rate(times)
    if sequence.assumed_times:
        all_of_it = f"all of them are taken for {model}; --stride thins, --times FILE gives times"
        return sequence, f"{name}: {rate:.1f} frames/s are assumed, its times are not known; {all_of_it}"
    if 0 < rate < rate_hz / FASTEST:
        return sequence, f"{name}: {rate:.3g} frames/s, slower than {model}: motions are longer than it knows"
    if rate <= FASTEST * rate_hz:
        return sequence, ""
    thinned = select(sequence, Choice(fps=rate_hz), None, live=False)
    near = f"{_rate(thinned.times):.1f}, as near as can be to {model}"
    return thinned, f"{name}: {rate:.1f} frames/s, thinned to {near}: {len(thinned)} of {len(times)}; {others}"


def data_rate(cache: FrameCache, sequences: Several[Sequence] = ()) -> float | None:
    """Frames per second of most frames with labels.

    None where there are none, where one of the ``sequences`` of the cache has labels and assumed times, and, with a
    warning, where their times are none that a camera has.
    """
    if any(one.assumed_times for one in sequences if one.poses is not None):
        return None
    steps = np.concatenate([[], *(np.diff(cache.drive_times(index)) for index in cache.labelled_drives)])
    if not len(steps):
        return None
    rate = 1 / max(1e-9, float(np.median(steps)))
    if LEAST_HZ <= rate <= MOST_HZ:
        return round(rate, 3)
    expected = f"expected {LEAST_HZ:g} to {MOST_HZ:g}: are they seconds?"
    warnings.warn(f"times of the data: {rate:.3g} frames/s, {expected} The model is kept without a rate", stacklevel=2)
    return None


def warn_of_rate(sequences: Several[Sequence], rate_hz: float | None, model: str) -> None:
    """Warn where sequences whose frames are all taken have another rate than ``model`` was trained on."""
    if rate_hz is None:
        return
    rates = {one.name: _rate(one.times) for one in sequences if len(one.times) > 1 and not one.assumed_times}
    others = [f"{name} {rate:.1f}" for name, rate in rates.items() if not 1 / FASTEST <= rate / rate_hz <= FASTEST]
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        named = f"{', '.join(others[:_NAMED])}{more} frames/s, but {model} was trained on {rate_hz:g}"
        reason = "motions between frames are of other lengths than it knows; take data of its rate"
        warnings.warn(f"{named}: {reason}", stacklevel=2)


def _rate(times: Floats) -> float:
    """Frames per second by the median step of times (N,), s; 0 of a single frame."""
    return 1 / max(1e-9, float(np.median(np.diff(times)))) if len(times) > 1 else 0.0
