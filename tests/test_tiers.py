"""What works without the extras ``train`` and ``view``, and what is said where it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in (
            "jinja2", "torch", "matplotlib", "numba", "onnx", "onnxscript", "plotly", "rerun", "safetensors"
        ):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from distilvo.commands.main import main
sys.argv = ["distilvo", *sys.argv[1:]]
main()
"""
MODEL = Path(__file__).parent / "data" / "tiny.onnx"


def without_extras(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(4):
        grey = np.random.default_rng(index).integers(0, 256, (60, 180), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), grey)
    return folder


def test_a_source_is_tracked_and_checked(images: Path, tmp_path: Path) -> None:
    done = without_extras("track", images, "--model", MODEL, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "trajectory.kitti").read_text().splitlines()) == 4
    done = without_extras("check", images, "--model", MODEL)
    assert done.returncode == 0 and "4 frames of 180x60 grey" in done.stdout, done.stdout + done.stderr


def test_trajectories_are_scored(tmp_path: Path) -> None:
    path = tmp_path / "00.txt"
    rows = [f"1 0 0 0 0 1 0 0 0 0 1 {k}" for k in range(5)]
    path.write_text("\n".join(rows) + "\n")
    done = without_extras("evaluate", "--truth", path, "--estimate", path, "--json")
    assert done.returncode == 0 and '"poses": 5' in done.stdout, done.stderr


@pytest.mark.parametrize("verb", [("demo",), ("export", "model"), ("train", "data", "--out", "out")])
def test_other_verbs_say_what_to_install(verb: tuple[str, ...], tmp_path: Path) -> None:
    done = without_extras(*verb)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "pip install 'distilvo[train]'" in done.stderr


@pytest.mark.parametrize("how", [("--view",), ("--record", "run.rrd")])
def test_watching_says_what_to_install(how: tuple[str, ...], images: Path, tmp_path: Path) -> None:
    done = without_extras("track", images, "--model", MODEL, "--out", tmp_path / "out", *how)
    assert done.returncode == 2
    assert done.stderr == "distilvo: --view and --record need rerun: pip install 'distilvo[view]'\n"
    assert not (tmp_path / "out").exists()


def test_help() -> None:
    assert "track" in without_extras("--help").stdout
