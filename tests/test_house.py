"""The house: what importing costs, what each room may load, public names, and systems without POSIX modules."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import distilvo

SOURCE = Path(distilvo.__file__).parent
HIDDEN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("distilvo", ("numpy", "cv2", "torch", "rich", "tyro", "onnxruntime")),
        ("distilvo.commands.main", ("numpy", "cv2", "torch", "onnxruntime", "plotly", "matplotlib", "numba")),
        ("distilvo.runtime", ("torch", "rich", "tyro", "matplotlib", "plotly", "numba", "distilvo.sequences")),
        ("distilvo.trajectory.estimates", ("torch", "cv2", "onnxruntime", "matplotlib", "plotly", "numba")),
    ],
)
def test_importing_loads_no_more_than_needed(module: str, absent: tuple[str, ...]) -> None:
    done = python(f"import sys, {module}; print(sorted(set({absent!r}) & sys.modules.keys()))")
    assert done.stdout.strip() == "[]", done.stderr


def test_distill_is_torch_only() -> None:
    pytest.importorskip("torch")
    names = ("cv2", "numba", "onnxruntime", "onnx", "matplotlib", "plotly", "distilvo.geometry", "distilvo.data")
    done = python(HIDDEN.format(names=names) + "import distilvo.distill as d; print(len(d.__all__))")
    assert int(done.stdout) > 10, done.stderr


def test_public_names_are_listed_and_there() -> None:
    names = dir(distilvo)
    assert {"Tracker", "open_sequence", "Recipe", "__version__"} <= set(names)
    if "torch" in sys.modules:
        assert all(getattr(distilvo, name) is not None for name in names)


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "distilvo", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"distilvo {distilvo.__version__}\n"


def test_without_posix_modules_it_imports_and_tracks(tmp_path: Path) -> None:
    """As on Windows, where ``resource`` and ``fcntl`` are not there."""
    import cv2
    import numpy as np

    for index in range(3):
        grey = np.random.default_rng(index).integers(0, 256, (60, 180), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), grey)
    model = Path(__file__).parent / "data" / "tiny.onnx"
    code = HIDDEN.format(names=("resource", "fcntl")) + (
        "from distilvo import environment; from distilvo.commands.main import main\n"
        "assert environment.peak_memory_mb() is None\n"
        "sys.argv = ['distilvo', *sys.argv[1:]]; main()"
    )
    done = python(code, "track", str(tmp_path), "--model", str(model), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "trajectory.kitti").read_text().splitlines()) == 3


def test_no_two_files_and_no_two_public_classes_have_one_name() -> None:
    files = [path for path in SOURCE.rglob("*.py") if path.name != "__init__.py"]
    assert [name for name, count in Counter(path.name for path in files).items() if count > 1] == []
    classes = Counter(
        node.name
        for path in files
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_files_are_short() -> None:
    files = [*SOURCE.rglob("*.py"), *Path(__file__).parent.glob("*.py")]
    long = {path.name: n for path in files if (n := len(path.read_text().splitlines())) > 300}
    assert long == {}
