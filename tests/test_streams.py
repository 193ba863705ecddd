"""Cameras at addresses: streams of a server in this process, addresses without one, and passwords that stay secret."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.check import check_source
from distilvo.commands.track import Track
from distilvo.errors import DistilvoError
from distilvo.sequences import live_camera, open_dataset, open_sequence
from distilvo.sequences.address import as_address, shown
from distilvo.sequences.guess import guess
from distilvo.settings import SourceOptions
from test_sources_media import make_mp4

COUNT = 12


class Camera(BaseHTTPRequestHandler):
    """A web camera: 12 JPEG images at /live, then the connection ends; nothing at /silent; a file at /file.mp4."""

    file = b""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path.startswith("/live"):
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for k in range(COUNT):
                image = cv2.imencode(".jpg", np.full((48, 64, 3), (200, 100, 10 * k), np.uint8))[1].tobytes()
                header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
                self.wfile.write(header.encode() + image + b"\r\n")
        elif self.path.startswith("/file"):
            self.send_header("Content-Length", str(len(self.file)))
            self.end_headers()
            self.wfile.write(self.file)
        else:
            self.end_headers()
            threading.Event().wait(3)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"admin:s3cret@127.0.0.1:{server.server_port}"
        server.shutdown()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_stream_that_breaks_off(host: str) -> None:
    stream = open_sequence(f"http://{host}/live?user=admin&pwd=s3cret", intrinsics=(60, 60, 32, 24))
    assert stream.name == f"http://***@{host.partition('@')[2]}/live?***"
    assert stream.camera is not None and stream.camera.width == 64
    with pytest.warns(UserWarning, match=rf"http://\*\*\*@.*/live.* no more images after {COUNT}; the drive ends here"):
        frames = list(stream.frames())
    assert len(frames) == len(stream) == len(stream.times) == COUNT
    np.testing.assert_allclose(frames[5][20, 30], [50, 100, 200], atol=4)
    assert stream.times[0] == 0 and (np.diff(stream.times) >= 0).all() and not stream.assumed_times


def test_check_of_a_stream(host: str) -> None:
    result = check_source(f"http://{host}/live")
    text = json.dumps(result.to_dict())
    assert result.kind == "camera" and result.frames == COUNT and "no more images after 12" in text
    assert "s3cret" not in text and "admin" not in text


def test_file_behind_an_address(host: str, tmp_path: Path) -> None:
    """Its images come as fast as the network: when they arrive says nothing."""
    Camera.file = make_mp4(tmp_path / "a.mp4")
    with pytest.raises(DistilvoError, match=r"/file.mp4: a file of 6 frames, expected a live stream; download it"):
        open_sequence(f"http://{host}/file.mp4")


def test_stream_that_is_silent(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_camera, "WAIT_S", 1)
    with pytest.raises(DistilvoError, match="/silent: no stream of images there within 1 s; check the address"):
        open_sequence(f"http://{host}/silent")


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "rtmp", "http", "https", "tcp"])
def test_nobody_there(scheme: str) -> None:
    address = f"{scheme}://admin:s3cret@127.0.0.1:{closed_port()}/stream"
    with pytest.raises(DistilvoError, match=rf"{scheme}://\*\*\*@127.0.0.1:\d+/stream: no stream of images") as caught:
        open_sequence(address)
    assert "s3cret" not in str(caught.value)


def test_command_line_does_not_print_the_password() -> None:
    address = f"rtsp://admin:s3cret@127.0.0.1:{closed_port()}/stream?token=s3cret"
    for verb in (["check"], ["check", "--json"], ["track", "--model", "nowhere"], ["evaluate", "--data"]):
        done = subprocess.run(
            [sys.executable, "-m", "distilvo", *verb, address], check=False, capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "s3cret" not in done.stdout + done.stderr and "admin" not in done.stdout + done.stderr


def test_settings_of_a_run_have_no_password() -> None:
    run = Track("rtsp://admin:s3cret@host:554/live", Path("model"), options=SourceOptions("camera"))
    assert run._settings()["source"] == "rtsp://***@host:554/live" and "s3cret" not in str(run._settings())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("rtsp://host/live", "rtsp://host/live"),
        ("rtsp://user@host/live", "rtsp://***@host/live"),
        ("RTSP://user:p@ss/w?rd@host:554/live", "RTSP://***@host:554/live"),
        ("http://host/video?user=a&pwd=b", "http://host/video?***"),
        ("rtsp://host/user=admin_password=tlJw_bo6_channel=1", "rtsp://host/user=admin_password=***"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
        ("rtsp:/user:p@host", "rtsp:/***@host"),
        ("drive/a:b@c.mp4", "drive/a:b@c.mp4"),
        ("camera:0", "camera:0"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, expected: str) -> None:
    assert shown(address) == expected


def test_what_is_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert guess("rtsp://host/live") == "camera"
    assert as_address("camera:0") is as_address(r"C:\drive") is as_address("a/b.mp4") is as_address("name:/b") is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rtsp:" / "a").mkdir(parents=True)
    assert as_address(Path("rtsp:/a")) is None
    with pytest.raises(DistilvoError, match=r"rtsp:/\*\*\*@host: an address needs two slashes"):
        open_sequence(Path("rtsp://u:p@host"))
    with pytest.raises(
        DistilvoError, match=r"srt://\*\*\*@host: expected a path, or an address with one of http, https"
    ):
        open_sequence("srt://u:p@host")
    with pytest.raises(DistilvoError, match=r"\*\*\*@host/a.mp4: an address is of kind camera, not video; download"):
        open_sequence("http://u:p@host/a.mp4", kind="video")
    with pytest.raises(DistilvoError, match=r"\*\*\*@host: an address, expected the folder of a data set"):
        open_dataset("rtsp://u:p@host")
