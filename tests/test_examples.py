"""The examples run as their first lines say; the Python in the documents is Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_film, make_kitti

ROOT = Path(__file__).parents[1]
MODEL = Path(__file__).parent / "data" / "tiny.onnx"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Nine frames at 20 frames a second."""
    path = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 20.0, (160, 96))
    for index in range(9):
        writer.write(np.full((96, 160, 3), 20 * index, np.uint8))
    writer.release()
    return path


def poses(output: str) -> np.ndarray:
    return np.array([line.split() for line in output.splitlines()], dtype=float)


def test_video(film: Path) -> None:
    rows = poses(run("video.py", MODEL, film))
    assert np.allclose(rows[:, 0], np.arange(5) / 10)  # every second frame of 20 a second
    assert rows.shape == (5, 4) and not rows[0].any() and np.isfinite(rows).all()


def test_webcam(film: Path) -> None:
    rows = poses(run("webcam.py", MODEL, film))  # a file instead of a camera: read as fast as it goes
    assert rows.shape[1] == 4 and not rows[0, 1:].any() and np.isfinite(rows).all()


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    """Twenty frames at 10 frames a second, of a texture that moves to the side."""
    return make_film(tmp_path / "moving.avi", 20, 10.0, 2)


def test_speed_filter(moving: Path, tmp_path: Path) -> None:
    """The camera says 10 m/s, give or take 0.5; wheels 11 m/s, give or take as much: the filter is in between."""
    pytest.importorskip("onnx")
    from constant_model import write_onnx

    model = write_onnx(tmp_path / "m.onnx", value=[0, 0, 1, 0, 0, 0], deviation=[0.01, 0.01, 0.05, 0.01, 0.01, 0.01])
    alone = poses(run("speed_filter.py", model, moving))
    assert alone.shape == (19, 5) and alone[:, 1] == pytest.approx(10) and alone[:, 2] == pytest.approx(0.5)
    assert alone[:, 3] == pytest.approx(10, abs=0.01) and alone[0, 4] == pytest.approx(0.5, abs=0.01)
    # In the end v = (v + 0.2^2) r / (v + 0.2^2 + r) with r = 0.5^2, which gives 0.286^2.
    assert alone[-1, 4] == pytest.approx(0.286, abs=0.003) and (np.diff(alone[:, 4]) <= 0).all()
    wheels = tmp_path / "wheels.csv"
    wheels.write_text("".join(f"{0.1 * k - 0.01:.2f},11,0.5\n" for k in range(1, 20)))
    fused = poses(run("speed_filter.py", model, moving, wheels))
    assert fused[0, 3] == pytest.approx(10.5, abs=0.01) and 10.4 < fused[-1, 3] < 10.51
    assert (fused[:, 4] < alone[:, 4]).all()


def test_speed_filter_needs_deviations(moving: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "speed_filter.py"), str(MODEL), str(moving)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "tiny.onnx: states no deviations" in done.stderr


ROS = """
import sys, types
from types import SimpleNamespace as Record
import cv2

class Message(Record):
    def __init__(self, **values):
        super().__init__(header=Record(), pose=Record(position=Record(), orientation=Record()))
        self.twist = Record(twist=Record(linear=Record(), angular=Record()))
        vars(self).update(values)

def shown(topic, message):
    pose, twist = message.pose, message.twist.twist
    numbers = [*vars(pose.position).values(), *vars(pose.orientation).values()]
    numbers += [*vars(twist.linear).values(), *vars(twist.angular).values(), *getattr(message.twist, "covariance", [])]
    print(topic, message.header.frame_id, *numbers)

callbacks = {}
node = Record(
    create_publisher=lambda kind, topic, depth: Record(publish=lambda message: shown(topic, message)),
    create_subscription=lambda kind, topic, callback, depth: callbacks.update({topic: callback}),
)
init, create_node = (lambda: None), (lambda name: node)

def spin(node):
    film, images = cv2.VideoCapture(sys.argv[3]), []
    while (read := film.read())[0]:
        images.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    height, width = images[0].shape
    for number, image in enumerate(images):
        stamp = Record(sec=number // 10, nanosec=number % 10 * 10**8)
        header = Record(stamp=stamp, frame_id="optical")
        callbacks["image_rect"](Record(
            header=header, encoding="mono8", height=height, width=width, step=width + 4,
            data=cv2.copyMakeBorder(image, 0, 0, 0, 4, cv2.BORDER_CONSTANT).tobytes(),
        ))  # the first one comes before the camera is known
        callbacks["camera_info"](Record(
            k=[50, 0, width / 2, 0, 50, height / 2, 0, 0, 1],
            p=[90, 0, width / 2, 0, 0, 90, height / 2, 0, 0, 0, 1, 0],
            width=width,
            height=height,
        ))

for package in ("geometry_msgs", "sensor_msgs"):
    kinds = dict.fromkeys(("PoseStamped", "TwistWithCovarianceStamped", "CameraInfo", "Image"), Message)
    sys.modules[package + ".msg"] = Record(**kinds)
    sys.modules[package] = types.ModuleType(package)
"""
"""Stands for ROS: shows what is published, and gives the frames of the video that the last argument names."""


def test_ros2_node(moving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the usual height, 1 m and 0.02 rad a frame of 0.1 s: 20 m/s, 0.2 rad/s, each give or take its own."""
    pytest.importorskip("onnx")
    from constant_model import write_onnx

    model = write_onnx(tmp_path / "m.onnx", value=[0, 0, 1, 0, 0.02, 0], deviation=[0.01, 0.02, 0.05, 1e-3, 2e-3, 3e-3])
    (tmp_path / "rclpy.py").write_text(ROS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    lines = [line.split() for line in run("ros2_node.py", model, 2 * 1.65, moving).splitlines()]
    poses, twists = ([line[1:] for line in lines if line[0] == topic] for topic in ("pose", "twist"))
    assert len(poses) == 19 and len(twists) == 18
    assert {line[0] for line in poses} == {"first_camera"} and {line[0] for line in twists} == {"optical"}
    first, second = (np.array(line[1:], dtype=float) for line in poses[:2])
    assert first == pytest.approx([0, 0, 0, 0, 0, 0, 1])
    assert second == pytest.approx([0, 0, 2, 0, np.sin(0.01), 0, np.cos(0.01)], abs=1e-6)
    velocity = np.array(twists[0][1:], dtype=float)
    assert velocity[:6] == pytest.approx([0, 0, 20, 0, 0.2, 0], abs=1e-5)
    deviations = np.sqrt(np.diag(velocity[6:].reshape(6, 6)))
    assert deviations == pytest.approx([0.2, 0.4, 1.0, 0.01, 0.02, 0.03], rel=1e-4)


def test_any_regressor() -> None:
    """Without a label for most samples the teacher helps, and more where its error is predicted."""
    pytest.importorskip("torch")
    printed = run("distill_any_regressor.py")
    gains = [float(gain) for gain in re.findall(r"The teacher paid: error (\S+) %", printed)]
    assert len(gains) == 2 and gains[1] < gains[0] < 0
    assert "2000 samples, 100 of them with a label" in printed


def test_distill_in_your_loop() -> None:
    pytest.importorskip("torch")
    first, last = map(float, re.findall(r"RMSE (\S+)", run("distill_in_your_loop.py")))  # a slow one shows its progress
    assert last < 0.5 * first


def test_distill_from_python(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for index in range(2):
        make_kitti(tmp_path / "data", f"{index:02d}", frames=34, seed=index)
    assert "deg a frame" in run("distill_from_python.py", tmp_path / "data", tmp_path / "student")
    assert (tmp_path / "student" / "config.json").is_file()


def test_each_example_is_run_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        compile(text, path.name, "exec")
        assert f'run("{path.name}"' in tested, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_documents_compiles(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        compile("\n" * line + block[1], path.name, "exec")  # so that an error names the document's line


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
