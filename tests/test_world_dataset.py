"""Many streets in one data set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distilvo.world import dataset

WITHOUT_NUMBA = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "numba":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from distilvo.commands.main import main
sys.argv = ["distilvo", *sys.argv[1:]]
main()
"""


def test_systems_without_the_cores_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[int] = []
    monkeypatch.setattr(dataset, "_render", lambda seed, **_: rendered.append(seed))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for cores in (1, None):  # one core needs no process pool; it is assumed where the number is not known
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        dataset.render_streets(tmp_path, [3, 4], 10, (48, 160))
    assert rendered == [3, 4, 3, 4]


@pytest.mark.parametrize(
    "verb",
    [
        ("render", "--out", "out"),
        ("demo", "--out", "out"),
        ("study", "paper", "--data", ".", "--out", "out"),
        ("export",),
    ],
)
def test_verbs_that_render_name_the_extra_where_numba_is_missing(
    verb: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if verb[0] != "render":
        pytest.importorskip("torch", reason="the extra 'train' is not installed")
    if verb == ("export",):
        verb = ("export", str(request.getfixturevalue("lstm_teacher")), "--out", "model.onnx", "--int8")
    command = [sys.executable, "-c", WITHOUT_NUMBA, *verb]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    *notes, error = done.stderr.splitlines()
    assert error == "distilvo: the built-in world needs numba: pip install 'distilvo[world]'"
    assert all(line.startswith("distilvo: note: bf16:") for line in notes)  # on a processor that has none
    assert not (tmp_path / "model.onnx").exists()
