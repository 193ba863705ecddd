"""Streets by the dozen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distilvo.world import dataset


def test_systems_that_do_not_tell_the_cores_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []
    monkeypatch.setattr(dataset, "_render", lambda seed, **_: rendered.append(seed))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for cores in (1, None):  # one core needs no process pool, and is what is taken where nothing is known
        monkeypatch.setattr(os, "cpu_count", lambda known=cores: known)
        dataset.render_streets(tmp_path, [3, 4], 10, (48, 160))
    assert rendered == [3, 4, 3, 4]
