"""Sources that would never end, or take all memory: pipes in the place of files, and small files of huge images."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_kitti
from distilvo.errors import DistilvoError
from distilvo.sequences import image_files, open_sequence
from distilvo.sequences.image_files import decode, read_image
from distilvo.settings import MOST_PIXELS
from distilvo.trajectory.estimates import read_trajectory

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")


def black_png(width: int, height: int) -> bytes:
    """A whole PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(width + 1)) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_png_of_too_many_pixels_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = black_png(40, 30)
    (tmp_path / "a.png").write_bytes(data[:16] + struct.pack(">II", 32_000, 32_000) + data[24:])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(
        DistilvoError, match=rf"a\.png: the image has 1024000000 pixels, expected at most {MOST_PIXELS}"
    ):
        read_image(tmp_path / "a.png")


def test_the_limit_itself_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    data = black_png(40, 30)
    monkeypatch.setattr(image_files, "MOST_PIXELS", 1200)
    assert decode(data, "a.png", "").shape == (30, 40)
    monkeypatch.setattr(image_files, "MOST_PIXELS", 1199)
    with pytest.raises(DistilvoError, match="1200 pixels"):
        decode(data, "a.png", "")


def test_a_png_without_a_header_is_one_line() -> None:
    with pytest.raises(DistilvoError, match="cannot be decoded"):
        decode(b"\x89PNG IEND", "a.png", "")


@needs_pipes
@pytest.mark.parametrize("name", ["sequences/00/calib.txt", "sequences/00/times.txt", "poses/00.txt"])
def test_a_pipe_in_a_data_set_is_not_read(name: str, tmp_path: Path) -> None:
    sequence = make_kitti(tmp_path, "00", frames=3)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(DistilvoError, match=f"{name}: a pipe, socket or device"):
        open_sequence(sequence)


@needs_pipes
def test_a_pipe_among_images_is_not_read(tmp_path: Path) -> None:
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((8, 8), np.uint8))
    os.mkfifo(tmp_path / "2.png")
    with pytest.raises(DistilvoError, match=r"2\.png: no such image; 1 of 3 are missing"):
        open_sequence(tmp_path)
    with pytest.raises(DistilvoError, match=r"2\.png: a pipe, socket or device"):
        read_image(tmp_path / "2.png")


@needs_pipes
def test_a_pipe_is_no_trajectory_and_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt"), os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(DistilvoError, match=r"a\.txt: a pipe, socket or device"):
        read_trajectory(tmp_path / "a.txt")
    for kind in (None, "video"):
        with pytest.raises(DistilvoError, match="no such"):
            open_sequence(tmp_path / "a.mp4", kind)  # type: ignore[arg-type]


@needs_pipes
def test_a_pipe_is_no_bag_nor_a_part_of_one(tmp_path: Path) -> None:
    pytest.importorskip("rosbags", reason="the extra 'bags' is not installed")
    os.mkfifo(tmp_path / "a.bag")
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "metadata.yaml")
    for path in (tmp_path / "a.bag", tmp_path / "b"):
        with pytest.raises(DistilvoError, match="a pipe, socket or device"):
            open_sequence(path, "bag")


def test_a_text_file_of_a_terabyte_is_one_line(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        try:
            file.truncate(2**38)
        except OSError:
            pytest.skip("the disk has no sparse files")
    with pytest.raises(DistilvoError, match=r"a\.txt: has 274877906944 bytes, more than"):
        read_trajectory(tmp_path / "a.txt")
