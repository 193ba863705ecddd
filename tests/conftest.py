"""What the tests share."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from distilvo.geometry import se3
from distilvo.trajectory.formats import write_kitti

# A shell that runs the tests in the background has Ctrl-C ignored, which the commands under test would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
# One thread for each command under test, too: several tests run at once, and threads that wait for a core take it away.
os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("distilvo", deadline=None)  # the first example pays for imports
settings.load_profile("distilvo")

BASE = {
    "alignment", "association", "camera", "convert", "examples", "house", "layouts", "metrics", "metrics_oracles",
    "names", "pose_covariance", "processes", "runtime", "se3", "terminal", "textfile", "tiers", "trajectories",
}  # fmt: skip
"""Tests of what is installed without extras."""
EXTRAS = {
    "rosbags": {"sources_bags"},
    "rerun": {"view"},
    "plotly": {"report_comparison", "report_figures"},
    "numba": {
        "world_adverse",
        "world_dataset",
        "street_writer",
        "world_flow",
        "world_flow_files",
        "world_renderer",
        "world_roads",
        "world_routes",
        "world_sensor",
        "world_street",
        "world_traffic",
        "world_weather",
    },
}
"""Tests that need a package of an extra, and no torch."""

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)
else:
    own = BASE.union(*(tests for package, tests in EXTRAS.items() if find_spec(package)))
    here = Path(__file__).parent
    collect_ignore = [path.name for path in here.glob("test_*.py") if path.stem.removeprefix("test_") not in own]


def make_kitti(root: Path, name: str, frames: int = 20, size: tuple[int, int] = (48, 160), seed: int = 0) -> Path:
    """A sequence in KITTI layout: noise that slides sideways as the camera turns; quick to make and to learn."""
    rng = np.random.default_rng(seed)
    motions = np.zeros((frames - 1, 6))
    motions[:, 2] = rng.uniform(0.5, 1.5, frames - 1)
    motions[:, 4] = rng.uniform(-0.03, 0.03, frames - 1)
    shift = np.concatenate([[0], np.cumsum(motions[:, 4])]) * 90
    wide = cv2.GaussianBlur(rng.uniform(0, 255, (size[0], size[1] * 3)).astype(np.float32), (0, 0), 2)
    wide = np.clip((wide - wide.mean()) * 6 + 128, 0, 255)
    folder = root / "sequences" / name
    (folder / "image_2").mkdir(parents=True)
    for index in range(frames):
        moved = cv2.warpAffine(wide, np.float32([[1, 0, -size[1] - shift[index]], [0, 1, 0]]), (size[1], size[0]))
        cv2.imwrite(str(folder / "image_2" / f"{index:06d}.png"), np.repeat(moved[..., None], 3, 2).astype(np.uint8))
    fx, fy = 0.5793 * size[1], 1.9118 * size[0]
    row = f"{fx} 0 {size[1] * 0.489} 0 0 {fy} {size[0] * 0.4926} 0 0 0 1 0"
    (folder / "calib.txt").write_text("".join(f"P{k}: {row}\n" for k in range(4)))
    (folder / "times.txt").write_text("".join(f"{0.1 * k:.6f}\n" for k in range(frames)))
    write_kitti(root / "poses" / f"{name}.txt", se3.trajectory(motions))
    return folder


@pytest.fixture(scope="session")
def kitti_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four short sequences with poses."""
    root = tmp_path_factory.mktemp("kitti")
    for index in range(4):
        make_kitti(root, f"{index:02d}", seed=index)
    return root


@pytest.fixture(scope="session")
def lstm_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a teacher of the paper's kind: CNN, LSTM, FC, with random weights and motions as cars have them."""
    from distilvo.models.model_folder import save_model
    from distilvo.models.network import PoseNetwork
    from distilvo.models.teacher import DEMO

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PoseNetwork(DEMO)
    network.set_motion_scale(torch.tensor([0, 0, 1.0, 0, 0, 0]), torch.tensor([0.3] * 3 + [0.02] * 3))
    return save_model(network.eval(), tmp_path_factory.mktemp("models") / DEMO.name, {})


def make_film(path: Path, frames: int, rate: float, step: int) -> Path:
    """A video (96 x 200) of a texture that moves to the side by ``step`` pixels a frame."""
    texture = np.random.default_rng(0).integers(0, 256, (12, 40, 3), dtype=np.uint8)
    texture = cv2.resize(texture, (400, 96), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (200, 96))
    for k in range(frames):
        writer.write(np.ascontiguousarray(texture[:, step * k : step * k + 200]))
    writer.release()
    return path
