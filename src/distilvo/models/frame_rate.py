"""The frame rate that a model's configuration states: that of the motions that it learned."""

from __future__ import annotations

from typing import Any


def stated_rate(config: dict[str, Any]) -> float | None:
    """Frames per second; None where the configuration says that it is not known, or nothing.

    Raises:
        ValueError: what it states is no frame rate.
    """
    rate = config.get("rate_hz")
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0.1 <= rate <= 1000:
        raise ValueError(f"rate_hz is {str(rate)[:40]!r}, expected frames per second, 0.1 to 1000")
    return float(rate)
