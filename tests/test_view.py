"""What a run sends to rerun: read back from a recording, and from a server in place of the viewer's window."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rerun", reason="the extra 'view' is not installed")

from rerun.chunk import RrdReader

from conftest import make_kitti
from distilvo.commands import main
from distilvo.commands.track import Track
from distilvo.errors import DistilvoError
from distilvo.geometry.se3 import between
from distilvo.sequences import open_sequence
from distilvo.trajectory.formats import read_kitti, read_tum
from distilvo.viewer import live_view

MODEL = Path(__file__).parent / "data" / "tiny.onnx"
FRAMES = 6
OF_EACH_RUN = {"/world", "/world/camera", "/world/camera/image", "/world/estimate"}
OF_TRUTH = {"/world/truth", "/world/truth/now", "/error"}


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    return make_kitti(tmp_path / "kitti", "00", frames=FRAMES)


def record(source: Path, folder: Path) -> Path:
    Track(source, MODEL, folder / "out", record=folder / "run.rrd").run()
    return folder / "run.rrd"


def read(path: Path) -> tuple[set[str], dict[str, list[Any]]]:
    """Entities, and the values of each 'entity column' in order of frames; 'frame' and 'time' are columns, too."""
    rows: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    entities = set()
    for chunk in RrdReader(path).stream():
        if chunk.entity_path.startswith("/__"):
            continue
        entities.add(chunk.entity_path)
        columns = chunk.to_record_batch().to_pydict()
        for name, values in columns.items():
            frames = columns.get("frame", [-1] * len(values))
            rows[f"{chunk.entity_path} {name}"] += zip(frames, values, strict=True)
    in_order = {name: sorted(pairs, key=lambda row: row[0]) for name, pairs in rows.items()}
    return entities, {name: [value for _, value in pairs] for name, pairs in in_order.items()}


def test_recording_holds_frames_trajectory_and_truth(drive: Path, tmp_path: Path) -> None:
    entities, columns = read(record(drive, tmp_path))
    assert entities == OF_EACH_RUN | OF_TRUTH
    times, estimate = read_tum(tmp_path / "out" / "trajectory.tum")
    for entity in ("/world/camera", "/world/camera/image", "/error"):
        assert columns[f"{entity} frame"] == list(range(FRAMES))
        assert np.allclose([value.total_seconds() for value in columns[f"{entity} time"]], times)

    positions = np.array(columns["/world/camera Transform3D:translation"])[:, 0]
    assert np.allclose(positions, estimate[:, :3, 3], atol=1e-5)
    transposed = np.array(columns["/world/camera Transform3D:mat3x3"]).reshape(-1, 3, 3)
    assert np.allclose(transposed.swapaxes(1, 2), estimate[:, :3, :3], atol=1e-5)
    pieces = np.array(columns["/world/estimate LineStrips3D:strips"])[:, 0]
    assert np.allclose(pieces, np.stack([positions[:-1], positions[1:]], axis=1))

    truth = read_kitti(drive.parent.parent / "poses" / "00.txt")
    truth = between(truth[0], truth)[:, :3, 3]
    assert np.allclose(columns["/world/truth LineStrips3D:strips"][0][0], truth, atol=1e-5)
    assert np.allclose(np.array(columns["/world/truth/now Points3D:positions"])[:, 0], truth, atol=1e-5)
    distances = np.linalg.norm(estimate[:, :3, 3] - truth, axis=1)
    assert np.allclose(np.array(columns["/error Scalars:scalars"])[:, 0], distances, atol=1e-5)


def test_images_and_intrinsics(drive: Path, tmp_path: Path) -> None:
    sequence = open_sequence(drive)
    _, columns = read(record(drive, tmp_path))
    blobs = columns["/world/camera/image EncodedImage:blob"]
    for blob, frame in zip(blobs, sequence.frames(), strict=True):
        image = cv2.cvtColor(cv2.imdecode(np.array(blob[0], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(image.astype(float) - frame).mean() < 4
    camera = sequence.camera
    assert camera is not None
    matrix = np.array(columns["/world/camera/image Pinhole:image_from_camera"][0][0]).reshape(3, 3).T
    wanted = [[camera.fx, 0, camera.cx + 0.5], [0, camera.fy, camera.cy + 0.5], [0, 0, 1]]
    assert np.allclose(matrix, wanted, atol=1e-3)


def test_without_intrinsics_and_truth(tmp_path: Path) -> None:
    (tmp_path / "grey").mkdir()
    for index in range(3):
        grey = np.random.default_rng(index).integers(0, 256, (60, 180), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "grey" / f"{index}.png"), grey)
    with pytest.warns(UserWarning, match="intrinsics are not known"):
        entities, columns = read(record(tmp_path / "grey", tmp_path))
    assert entities == OF_EACH_RUN
    assert len(columns["/world/camera/image EncodedImage:blob"]) == 3
    assert "/world/camera/image Pinhole:image_from_camera" not in columns


def test_no_file_is_overwritten(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "run.rrd").write_text("mine")
    with pytest.raises(DistilvoError, match=r"run\.rrd: exists already; choose another --record"):
        record(drive, tmp_path)
    assert (tmp_path / "run.rrd").read_text() == "mine" and not (tmp_path / "out").exists()
    with pytest.raises(DistilvoError, match=r"expected a name that ends in \.rrd"):
        Track(drive, MODEL, tmp_path / "out", record=tmp_path / "run.mp4").run()
    with pytest.raises(DistilvoError, match="expected one of them"):
        Track(drive, MODEL, tmp_path / "out", view=True, record=tmp_path / "b.rrd").run()


@pytest.mark.parametrize("reason", [KeyboardInterrupt, DistilvoError, RuntimeError])
def test_an_interrupted_run_leaves_no_file(drive: Path, tmp_path: Path, reason: type[BaseException]) -> None:
    sequence = open_sequence(drive)
    with pytest.raises(reason), live_view.recorded(sequence, tmp_path / "part" / "run.rrd"):
        raise reason
    assert list((tmp_path / "part").iterdir()) == []


def test_a_place_that_cannot_be_written(drive: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DistilvoError, match="cannot be written"):
        Track(drive, MODEL, tmp_path / "out", record=tmp_path / "file" / "run.rrd").run()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    monkeypatch.setattr(live_view, "PORT", free)
    return free


@pytest.fixture
def server(port: int, tmp_path: Path) -> Iterator[Path]:
    """What a viewer would be sent, written to a file."""
    path = tmp_path / "sent.rrd"
    command = [sys.executable, "-m", "rerun_cli", "--save", str(path), "--bind", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not live_view._answers():
            assert process.poll() is None
            time.sleep(0.05)
        yield path
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.filterwarnings("ignore:RRD file has no footer")
def test_a_viewer_that_is_open_is_sent_the_run(server: Path, drive: Path, tmp_path: Path) -> None:
    Track(drive, MODEL, tmp_path / "out", view=True).run()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        entities, columns = read(server)
        if len(columns.get("/error frame", [])) == FRAMES:
            break
        time.sleep(0.1)
    assert entities == OF_EACH_RUN | OF_TRUTH and columns["/world/camera/image frame"] == list(range(FRAMES))


def test_something_else_at_the_port(port: int, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler)
    thread = threading.Thread(target=other.serve_forever)
    thread.start()
    try:
        with pytest.raises(DistilvoError, match="is not rerun's viewer") as caught:
            Track(drive, MODEL, tmp_path / "out", view=True).run()
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    assert "\n" not in str(caught.value)


def test_no_window_can_be_opened(
    port: int, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As rerun ends without a display, which a stand-in for it does here on any machine."""
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\necho 'Error: winit: mod.rs:765: DISPLAY is not set.' >&2\nexit 1\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    command = ("track", drive, "--model", MODEL, "--out", tmp_path / "out", "--view", "--camera-height", 1.65)
    monkeypatch.setattr(sys, "argv", ["distilvo", *map(str, command)])
    with pytest.raises(SystemExit) as ended:
        main.main()
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message == (
        "distilvo: rerun's viewer cannot be opened (DISPLAY is not set.); without a display take --record FILE.rrd\n"
    )
