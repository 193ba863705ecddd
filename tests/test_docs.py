"""The Python in the documentation is Python, and the example of a video runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
MODEL = Path(__file__).parent / "data" / "tiny.onnx"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "docs/runtime.md", "docs/sources.md"])
def test_python_compiles(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert blocks
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        compile("\n" * line + block[1], name, "exec")  # so that an error names the document's line


def test_the_video_example_runs(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8").split("\n## A video\n")[1]
    writer = cv2.VideoWriter(str(tmp_path / "drive.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 20.0, (160, 96))
    for index in range(9):
        writer.write(np.full((96, 160, 3), 20 * index, np.uint8))
    writer.release()
    (tmp_path / "model.onnx").write_bytes(MODEL.read_bytes())
    command = [sys.executable, "-c", BLOCK.findall(section)[0]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
    assert np.allclose(found[:, 0], np.arange(5) / 10)  # every second frame of 20 a second
    assert found.shape == (5, 4) and not found[0].any() and np.isfinite(found).all()
