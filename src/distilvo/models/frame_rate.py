"""The frame rate that a model's configuration states: that of the motions that it learned."""

from __future__ import annotations

from typing import Any

LEAST_HZ, MOST_HZ = 0.1, 1000.0
"""What can be the frames per second of a camera."""


def stated_rate(config: dict[str, Any]) -> float | None:
    """Frames per second; None where the configuration says that it is not known, or nothing.

    Raises:
        ValueError: what it states is no frame rate.
    """
    rate = config.get("rate_hz")
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not LEAST_HZ <= rate <= MOST_HZ:
        raise ValueError(f"rate_hz is {str(rate)[:40]!r}, expected frames per second, {LEAST_HZ:g} to {MOST_HZ:g}")
    return float(rate)
