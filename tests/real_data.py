"""Real data that are not part of the repository: tests that need some of them are skipped where these are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test unless all of these files or folders are in ``REAL``."""
    missing = [name for name in names if not (REAL / name).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not at hand: {', '.join(missing)}")
