"""Times of videos, files that were cut short, and the suffixes and streams that OpenCV reads."""

from __future__ import annotations

import itertools
import re
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.check import check_source
from distilvo.sequences import Sequence, open_sequence
from real_data import REAL, needs
from test_sources_media import make_mp4

MASTERS = {0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675}  # Segment, Info, Tracks, TrackEntry, Cluster
DURATION, DEFAULT_DURATION, TIMECODE, BLOCK, CRC, VOID = 0x4489, 0x23E383, 0xE7, 0xA3, 0xBF, 0xEC


def make_video(file: Path, frames: int, codec: str) -> bytes:
    """Noisy frames 64x48 of (10 k, 100, 200) RGB, 20 a second."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 20.0, (64, 48))
    for k in range(frames):
        writer.write((np.array((200, 100, 10 * (k % 10))) + rng.integers(-8, 8, (48, 64, 1))).clip(0).astype(np.uint8))
    writer.release()
    return file.read_bytes()


def notes_of(file: Path) -> tuple[Sequence, list[str]]:
    """A video whose times were read, and the notes on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequence = open_sequence(file)
        assert len(sequence) > 0
    return sequence, [str(warning.message) for warning in caught]


class FakeCapture:
    """A capture whose frames carry the given times in ms; the header says 20 frames/s."""

    def __init__(self, times_ms: list[float]) -> None:
        self._left = list(times_ms)
        self._now = 0.0

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        return self.grab(), np.zeros((4, 4, 3), np.uint8)

    def grab(self) -> bool:
        if not self._left:
            return False
        self._now = self._left.pop(0)
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_POS_MSEC: self._now, cv2.CAP_PROP_FPS: 20.0}.get(what, 0.0)

    def release(self) -> None: ...


@pytest.mark.parametrize(
    ("reported_ms", "expected_s", "mended"),
    [
        ([0, 33, 100, 110], [0, 0.033, 0.1, 0.11], None),
        ([0, 0, 0], [0, 0.05, 0.1], None),
        ([500, 540], [0.5, 0.54], None),
        ([0, 40, 0, 120], [0, 0.04, 0.09, 0.12], 2),
        ([0, 40, 80, 0, 30, 60, 90], [0, 0.04, 0.08, 0.13, 0.16, 0.19, 0.22], 3),
        ([0, 40, 0], [0, 0.04, 0.09], None),
        ([-900, -860, -800], [0, 0.04, 0.1], 0),
    ],
    ids=["uneven", "none", "late start", "one missing", "begins anew", "last one missing", "before 0"],
)
def test_video_times_are_the_files_own(
    reported_ms: list[float],
    expected_s: list[float],
    mended: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the file has none, the header's 20 frames/s fill in, and a note says so."""
    (tmp_path / "phone.mp4").touch()
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCapture(reported_ms))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sequence = open_sequence(tmp_path / "phone.mp4")
        np.testing.assert_allclose(sequence.times, expected_s)
    notes = " ".join(str(warning.message) for warning in caught)
    assert sequence.assumed_times == (not any(reported_ms)) == ("taken to be 20 a second; give --times" in notes)
    match = re.search(r"1 of \d frames are missing or go back, first of frame (\d); the frame rate fills in", notes)
    assert (None if match is None else int(match[1])) == mended


def test_variable_frame_rate_in_mp4(tmp_path: Path) -> None:
    """The table of durations says: three frames of 50 ms, then three of 200 ms."""
    data = make_mp4(tmp_path / "a.mp4")
    at = data.index(b"stts")
    count, duration = struct.unpack(">II", data[at + 12 : at + 20])
    assert (count, data[at + 4 : at + 12]) == (6, struct.pack(">II", 0, 1)), "one row for all frames"
    table = struct.pack(">IIIIII", 0, 2, 3, duration, 3, 4 * duration)
    data = bytearray((data[: at + 4] + table + data[at + 20 :]).replace(b"edts", b"free"))  # which would cut it short
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):  # each holds the next, and grows with it
        size = data.index(box) - 4
        data[size : size + 4] = struct.pack(">I", struct.unpack(">I", data[size : size + 4])[0] + 8)
    (tmp_path / "phone.mp4").write_bytes(data)
    times = open_sequence(tmp_path / "phone.mp4").times
    np.testing.assert_allclose(times, [0, 0.05, 0.1, 0.15, 0.35, 0.55], atol=1e-3)


def elements(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Of a Matroska file: id, begin and size of each element."""
    while at < end:
        for length in (1, 2, 3, 4):
            if data[at] >> (8 - length):
                break
        ident, at = int.from_bytes(data[at : at + length], "big"), at + length
        length = 9 - data[at].bit_length()
        size, at = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1), at + length
        yield ident, at, size
        if ident in MASTERS:
            yield from elements(data, at, at + size)
        at += size


def make_mkv(file: Path, times_ms: list[int]) -> bytes:
    """A Matroska file whose frames have these times: OpenCV's, of a constant rate, with other time codes."""
    data, begin, left = bytearray(make_video(file, len(times_ms), "mp4v")), 0, list(times_ms)
    for ident, at, size in list(elements(bytes(data), 0, len(data))):
        if ident == TIMECODE:
            begin = int.from_bytes(data[at : at + size], "big")
        elif ident == BLOCK:
            struct.pack_into(">h", data, at + 1, left.pop(0) - begin)
        elif ident == DURATION:
            struct.pack_into(">d", data, at, times_ms[-1] + 50.0)
        elif ident == DEFAULT_DURATION:
            data[at - 4 : at + size] = bytes((VOID, 0x80 + size + 2)) + bytes(size + 2)
        elif ident == CRC:
            data[at - 2] = VOID
    assert not left
    file.write_bytes(data)
    return bytes(data)


@pytest.mark.parametrize(
    "steps_ms", [[200] * 20 + [50] * 29, [50] * 20 + [200] * 29, [33] * 10 + [100] * 39, [30, 70] * 24 + [30]]
)
def test_variable_frame_rate_in_mkv(steps_ms: list[int], tmp_path: Path) -> None:
    """OpenCV's count is there the duration times a rate that it guesses: "60 frames of 120"."""
    times = [0, *itertools.accumulate(steps_ms)]
    data = make_mkv(tmp_path / "a.mkv", times)
    sequence, notes = notes_of(tmp_path / "a.mkv")
    np.testing.assert_allclose(sequence.times, np.array(times) / 1000, atol=1e-9)
    assert notes == []
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 2 // 3])
    sequence, notes = notes_of(tmp_path / "cut.mkv")
    assert 10 < len(sequence) < 45 and len(notes) == 1
    assert f"{len(sequence)} frames could be decoded, " in notes[0] and "that the file claims; it was cut" in notes[0]


def faststart(data: bytes) -> bytes:
    """An MP4 with its index in front, as cameras and web sites write it: else a file that is cut cannot be opened."""
    at = data.index(b"moov") - 4
    moov = bytearray(data[at:])
    table = moov.index(b"stco") + 4
    for k in range(struct.unpack(">I", moov[table + 4 : table + 8])[0]):
        place = table + 8 + 4 * k
        moov[place : place + 4] = struct.pack(">I", struct.unpack(">I", moov[place : place + 4])[0] + len(moov))
    begin = data.index(b"free") - 4
    return data[:begin] + bytes(moov) + data[begin:at]


@pytest.mark.parametrize("suffix", ["avi", "mkv", "mp4", "webm", "flv"])
def test_file_cut_short(suffix: str, tmp_path: Path) -> None:
    codec = {"avi": "MJPG", "webm": "VP80", "flv": "FLV1"}.get(suffix, "mp4v")
    file = tmp_path / f"a.{suffix}"
    data = make_video(file, 40, codec)
    if suffix == "mp4":
        data = faststart(data)
        file.write_bytes(data)
    sequence, notes = notes_of(file)
    assert (len(sequence), notes) == (40, [])
    file.write_bytes(data[: len(data) * 3 // 5])
    sequence, notes = notes_of(file)
    assert 5 < len(sequence) < 35
    assert len(notes) == 1 and "s of 2.00 s that the file claims; it was cut short" in notes[0]


def test_trimmed_by_an_edit_list(tmp_path: Path) -> None:
    """As a phone trims: all 40 frames are in the file, its edit list says 0.5 s from second 1 on."""
    data = bytearray(make_mp4(tmp_path / "a.mp4", 40))
    at, scale = data.index(b"elst") + 12, struct.unpack(">I", data[(k := data.index(b"mdhd")) + 16 : k + 20])[0]
    data[at : at + 8] = struct.pack(">Ii", 500, scale)
    (tmp_path / "phone.mp4").write_bytes(data)
    sequence, notes = notes_of(tmp_path / "phone.mp4")
    np.testing.assert_allclose(sequence.times, np.arange(10) / 20, atol=1e-3)
    assert len(notes) == 1 and "or an edit list in it leaves the rest out" in notes[0]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        *[(name, "mp4v") for name in ("mts", "m2ts", "m2t", "3gp", "3g2", "asf", "vob", "m4v", "f4v", "divx", "mpe")],
        ("flv", "FLV1"), ("ogv", "VP80"), ("y4m", "I420"), ("wmv", "WMV2"),
    ],
)  # fmt: skip
def test_container_that_opencv_reads(suffix: str, codec: str, tmp_path: Path) -> None:
    """The last three of the first line are other names of MP4, AVI and MPEG."""
    as_written = {"f4v": "mp4", "divx": "avi", "mpe": "mpg"}.get(suffix, suffix)
    make_video(tmp_path / f"a.{as_written}", 5, codec)
    (tmp_path / f"a.{as_written}").rename(tmp_path / f"a.{suffix.upper()}")
    sequence, notes = notes_of(tmp_path / f"a.{suffix.upper()}")
    np.testing.assert_allclose(sequence.times, np.arange(5) / 20, atol=1e-3)
    frames = list(sequence.frames())
    assert len(frames) == 5 and frames[0].shape == (48, 64, 3)
    np.testing.assert_allclose(frames[3].mean(axis=(0, 1)), [30, 100, 200], atol=12)
    assert (sequence.assumed_times, notes) == (False, [])


@pytest.mark.parametrize(("suffix", "codec"), [("mjpeg", "MJPG"), ("mjpg", "MJPG"), ("m1v", "mpg1"), ("m2v", "mpg2")])
def test_raw_stream_has_no_times(suffix: str, codec: str, tmp_path: Path) -> None:
    make_video(tmp_path / f"a.{suffix}", 5, codec)
    sequence, notes = notes_of(tmp_path / f"a.{suffix}")
    assert sequence.assumed_times and len(sequence) == 5 and (np.diff(sequence.times) > 0).all()
    assert len(notes) == 1 and "a stream without times; its frames are taken to be 2" in notes[0]
    assert "--times FILE" in notes[0]
    rate = next(str(finding) for finding in check_source(tmp_path / f"a.{suffix}").findings if finding.about == "rate")
    assert "assumed: a video without times" in rate


@needs("video/solidWhiteRight.mp4")
def test_raw_h264(tmp_path: Path) -> None:
    """The stream of a real video without its container, whatever its suffix says."""
    capture = cv2.VideoCapture(str(REAL / "video" / "solidWhiteRight.mp4"), cv2.CAP_FFMPEG)
    capture.set(cv2.CAP_PROP_FORMAT, -1)
    stream = b"".join(capture.retrieve()[1].tobytes() for _ in range(12) if capture.grab())
    for name in ("a.h264", "a.264", "a.mp4"):
        (tmp_path / name).write_bytes(stream)
        sequence, notes = notes_of(tmp_path / name)
        assert sequence.assumed_times and len(notes) == 1 and "25 a second" in notes[0]
        np.testing.assert_allclose(sequence.times, np.arange(12) / 25)
