"""The tracker: what it imports, which image the model gets, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.step_model import StepModel
from distilvo.runtime import Camera, Tracker

MODEL = Path(__file__).parent / "data" / "tiny.onnx"
MOTION = np.zeros(6, np.float32)


def image(height: int, width: int, colours: int, seed: int) -> np.ndarray:
    """Smooth and sharp parts, as a street has them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 9, colours), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, colours)
    smooth[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, colours)
    return smooth[..., 0] if colours == 1 else smooth


@pytest.fixture(scope="module")
def model() -> Path:
    """A network with random weights, exported: where only the runtime is installed it cannot be made."""
    return MODEL


def frames(count: int, height: int = 100, width: int = 300) -> list[np.ndarray]:
    return [np.random.default_rng(k).integers(0, 256, (height, width), dtype=np.uint8) for k in range(count)]


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 500),
    width=st.integers(20, 900),
    colours=st.sampled_from([1, 3]),
    focal=st.none() | st.floats(0.4, 2.5),
    shift=st.floats(-0.1, 0.1),
    seed=st.integers(0, 99),
)
def test_the_runtime_shows_a_model_exactly_what_training_shows_it(
    height: int, width: int, colours: int, focal: float | None, shift: float, seed: int
) -> None:
    frame, camera = image(height, width, colours, seed), None
    if focal is not None:
        camera = Camera(focal * width, focal * width, width * (0.5 + shift), height * (0.5 - shift), width, height)
    seen = []
    with Tracker(MODEL, camera) as tracker, mock.patch.object(StepModel, "step", lambda _, f: seen.append(f) or MOTION):
        tracker.step(frame, 0.0)
        expected = Preprocessing(tracker.preprocessing.size, 1).apply(frame, camera)
    assert seen[0].dtype == np.uint8 and np.array_equal(seen[0], expected)


def test_follows_frames_without_torch_and_readers(model: Path) -> None:
    code = f"""
import sys
import numpy as np
from distilvo.models.step_model import StepModel
from distilvo.runtime import Camera, Tracker
with Tracker({str(model)!r}, Camera(200, 200, 150, 50, 300, 100)) as tracker:
    for t in range(3):
        pose = tracker.step(np.zeros((100, 300), np.uint8), t)
names = ("torch", "distilvo.sequences", "distilvo.data", "matplotlib", "plotly", "numba", "rich", "tyro")
print(sorted(name for name in names if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_after_an_error_the_next_good_frame_goes_on(model: Path) -> None:
    film = frames(4)
    with Tracker(model) as plain, Tracker(model) as disturbed:
        for t, frame in enumerate(film):
            wanted = plain.step(frame, t)
            for bad, time, reason in (
                (frame.astype(float), t, "float64"),
                (np.full((100, 300), np.nan), t, "float64"),
                (frame[:, :, None], t, "expected uint8"),
                (frame[:0], t, "expected uint8"),
                (None, t, "NoneType"),
                *((frame, wrong, "expected a time") for wrong in (float("inf"), None, "0.1", [1.0])),
                (frame, float("nan"), "time"),
                *(((frame, t - 1, "not after the last one"), (frame[:50], t, "reset")) if t else ()),
            ):
                with pytest.raises(DistilvoError, match=reason):
                    disturbed.step(bad, time)  # type: ignore[arg-type]
            assert np.array_equal(disturbed.step(frame, t).matrix, wanted.matrix)


def test_reset_begins_a_new_drive(model: Path) -> None:
    film = frames(3)
    tracker = Tracker(model)
    first = [tracker.step(frame, t).matrix for t, frame in enumerate(film)]
    tracker.reset()
    again = [tracker.step(frame, t).matrix for t, frame in enumerate(film)]
    assert np.array_equal(first, again) and np.array_equal(first[0], np.eye(4))
    tracker.reset()
    assert np.array_equal(tracker.step(frames(1, 60, 80)[0], 0).matrix, np.eye(4))  # of another size, too


def test_closed_and_mismatched(model: Path) -> None:
    with Tracker(model) as tracker:
        pass
    with pytest.raises(DistilvoError, match="closed"):
        tracker.step(frames(1)[0], 0)
    with pytest.raises(DistilvoError, match="camera is given for 10x10"):
        Tracker(model, Camera(5, 5, 5, 5, 10, 10)).step(frames(1)[0], 0)


def test_rotations_stay_rotations(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker(model)
    motions = np.random.default_rng(0).normal(0, 0.3, (20_000, 6)).astype(np.float32)
    upcoming = iter(motions)
    monkeypatch.setattr("distilvo.models.step_model.StepModel.step", lambda *_: next(upcoming))
    frame = np.zeros((100, 300), np.uint8)
    for t in range(len(motions)):
        pose = tracker.step(frame, t)
    rotation = pose.matrix[:3, :3]
    assert np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-12 and np.linalg.det(rotation) > 0
