"""What may be wrong where the times of two trajectories do not meet: another unit, another start."""

from __future__ import annotations

import numpy as np

from distilvo.geometry.se3 import Floats

_UNITS = {3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}
_UNIX_S = 9
"""Powers of ten of UNIX times in seconds, from 2001 on."""
_ALIKE = 1.25
"""Durations that differ by less than this factor may be of one drive."""


def advice(times: Floats, true_times: Floats, estimate: str, truth: str) -> str:
    """What to do about times (N,) and true times (M,), ascending, that hardly meet; the names are of the files."""
    power, true_power = _power(times), _power(true_times)
    if wrong := _unit(power - true_power, times, true_times):
        return _multiply(estimate, wrong)
    if wrong := _unit(true_power - power, true_times, times):
        return _multiply(truth, wrong)
    apart = times[-1] < true_times[0] or true_times[-1] < times[0]
    long, true_long = np.ptp(times), np.ptp(true_times)
    if apart and 0 < long < _ALIKE * true_long and true_long < _ALIKE * long:
        offset = true_times[0] - times[0]
        return f"both are about as long: where they are of one drive, try --offset {offset:.3f}, from start to start"
    return (
        "check both clocks: --offset SECONDS is added to the times of the estimate, --tolerance SECONDS is how far "
        "off a match may be"
    )


def in_nanoseconds(times: Floats) -> bool:
    """Whether times (N,) that ought to be seconds are UNIX times in nanoseconds."""
    return _power(times) - _UNIX_S == 9


def _unit(powers: int, large: Floats, small: Floats) -> int | None:
    """By which power of ten the larger times seem to be in a smaller unit than seconds; None where they do not."""
    if powers in _UNITS and _power(small) == _UNIX_S:
        return powers
    if np.ptp(small) > 0 and np.ptp(large) > 0:  # times that begin anywhere: by how long they take
        longer = round(float(np.log10(np.ptp(large) / np.ptp(small))))
        return longer if longer in _UNITS else None
    return None


def _multiply(file: str, power: int) -> str:
    return f"the times of {file} look like {_UNITS[power]}: multiply by 1e-{power}"


def _power(times: Floats) -> int:
    """The power of ten of the middle of times (N,)."""
    middle = abs(float(times[len(times) // 2]))
    return int(np.floor(np.log10(middle))) if middle >= 1 else 0
