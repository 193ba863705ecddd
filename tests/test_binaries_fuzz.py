"""Damaged images, videos, bags, models and caches: one clear error or sound content, never a traceback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from conftest import make_kitti
from damage import BYTES, TEXT, assert_sound, damage, refused
from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.model_folder import load_model, save_model
from distilvo.models.network import PoseNetwork
from distilvo.models.onnx_export import export_onnx
from distilvo.models.teacher import DEMO
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.pipeline.recipes import train_supervised
from distilvo.runtime import Tracker
from distilvo.sequences import open_dataset, open_sequence
from distilvo.settings import Recipe

TINY = replace(
    DEMO,
    convolutions=((2, 5, 2), (4, 3, 2), (4, 3, 2), (6, 3, 2), (6, 3, 1)),
    lstm=(4,),
    fc=(4,),
    branch=2,
    reach=(1, 1),
)
IMAGES = (".png", ".jpg", ".bmp", ".pgm", ".ppm", ".tif", ".webp")


def write_image(file: Path, seed: int = 0) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    cv2.imwrite(str(file), smooth[..., 0] if file.suffix == ".pgm" else smooth)


@pytest.mark.parametrize("suffix", IMAGES)
def test_damaged_image(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"1{suffix}"
    for k in range(2):
        write_image(tmp_path / f"{k}{suffix}", k)
    sound = list(open_sequence(tmp_path).frames())

    def read() -> None:
        sequence = open_sequence(tmp_path)
        assert_sound(sequence)
        if suffix == ".png":  # it has checksums
            np.testing.assert_array_equal(list(sequence.frames()), sound)

    damage(file, read, BYTES, few=25)


@pytest.mark.parametrize("suffix", IMAGES)
def test_image_cut_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"1{suffix}"
    write_image(file)
    data = file.read_bytes()
    for kept in range(0, len(data), 40):
        file.write_bytes(data[:kept])
        with pytest.raises(DistilvoError, match=r"ends too early|cannot be decoded"):
            open_sequence(tmp_path)


def test_jpeg_with_a_hole_is_refused_and_one_with_more_behind_it_is_read(tmp_path: Path) -> None:
    """Cameras append to their files, and drop packets: the rest of the image would be grey then."""
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    data = cv2.imencode(".jpg", noise)[1].tobytes()
    thumbnail = cv2.imencode(".jpg", noise[:16, :16])[1].tobytes()
    exif = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2, "big") + b"Exif\0\0" + thumbnail
    (tmp_path / "0.jpg").write_bytes(data[:2] + exif + data[2:] + b"more" * 2000)
    assert next(open_sequence(tmp_path).frames()).shape == (96, 128, 3)
    (tmp_path / "0.jpg").write_bytes(data[: len(data) // 3] + data[-2:])
    with pytest.raises(DistilvoError, match=r"0\.jpg: the lower part of the image is missing, and would be grey"):
        open_sequence(tmp_path)
    (tmp_path / "0.jpg").write_bytes((data[:2] + exif + data[2:])[: len(exif) + 700])
    with pytest.raises(DistilvoError, match=r"0\.jpg: the image ends too early"):
        open_sequence(tmp_path)


def test_damaged_video(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 20.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MP4")
    for k in range(5):
        writer.write(cv2.GaussianBlur(np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 3))
    writer.release()
    damage(file, lambda: assert_sound(open_sequence(file)), BYTES)


@pytest.mark.parametrize(
    ("part", "kind"),
    [("data", "ros1"), ("data", "sqlite3"), ("data", "mcap"), ("metadata", "sqlite3"), ("metadata", "mcap")],
)
def test_damaged_bag(kind: str, part: str, tmp_path: Path) -> None:
    pytest.importorskip("rosbags", reason="the extra 'bags' is not installed")
    from test_sources_bags import Types, images, write_bag

    types = Types(kind)
    info = ("/cam/camera_info", types.info([0.01, 0, 0, 0]), 1)
    path = write_bag(tmp_path / "drive", kind, [*images(types), info])
    data = path if kind == "ros1" else next(file for file in path.iterdir() if file.suffix in (".db3", ".mcap"))
    file = data if part == "data" else path / "metadata.yaml"
    damage(file, lambda: assert_sound(open_sequence(path)), BYTES if part == "data" else TEXT)


def network() -> PoseNetwork:
    torch.manual_seed(0)
    return PoseNetwork(TINY).eval()


def test_damaged_onnx_file(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    export_onnx(network(), {"architecture": TINY.to_dict()}, file, torch.zeros(3, 1, *TINY.size, dtype=torch.uint8))
    frames = [np.full((*TINY.size, 3), k, np.uint8) for k in range(3)]

    def read() -> None:
        with Tracker(file) as tracker:
            for k, frame in enumerate(frames):
                assert np.isfinite(tracker.step(frame, float(k)).matrix).all()

    damage(file, read, BYTES)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged_model_folder(name: str, tmp_path: Path) -> None:
    save_model(network(), tmp_path, {})

    def read() -> None:
        found, _ = load_model(tmp_path)
        with torch.no_grad():
            found.predict(torch.zeros(3, found.architecture.channels, *found.architecture.size))

    damage(tmp_path / name, read, TEXT if name == "config.json" else BYTES)


@pytest.mark.parametrize("name", ["index.json", "frames.npy", "motions.npy", "times.npy"])
def test_damaged_cache_is_made_anew(name: str, tmp_path: Path) -> None:
    make_kitti(tmp_path / "kitti", "00", frames=4, size=(12, 40))
    sequences, form = open_dataset(tmp_path / "kitti"), Preprocessing((12, 40), 1)
    sound = open_cache(sequences, form, tmp_path / "cache")
    frames, motions, times = np.array(sound.frames), sound.motions, sound.times

    def read() -> None:
        found = open_cache(sequences, form, tmp_path / "cache")
        assert (found.drives, found.key) == (sound.drives, sound.key)
        np.testing.assert_array_equal(found.motions, motions)
        np.testing.assert_array_equal(found.times, times)
        assert found.frames.dtype == np.uint8 and found.frames.shape == frames.shape
        assert found.drive_frames(0).shape == frames.shape

    damage(tmp_path / "cache" / sound.key / name, read, BYTES)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    root = tmp_path_factory.mktemp("store")
    make_kitti(root / "kitti", "00", frames=9)
    return open_cache(open_dataset(root / "kitti"), TINY.preprocessing, root / "cache")


def test_damaged_checkpoint(store: FrameCache, tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, clip_length=2, batch_size=2)

    def read() -> None:
        found, _ = train_supervised(TINY, store, recipe, tmp_path)
        assert all(tensor.isfinite().all() for tensor in found.state_dict().values())

    read()
    damage(tmp_path / "supervised.safetensors", read, BYTES, few=15)


def test_damaged_outputs_of_a_teacher(store: FrameCache, tmp_path: Path) -> None:
    teacher = network()

    def read() -> None:
        given = run_teacher(teacher, "fc.0", store, tmp_path)
        assert given.motions.shape == given.truth.shape and given.hints.shape == (len(given.truth), TINY.fc[-1])
        assert given.motions.isfinite().all() and given.hints.isfinite().all()

    read()
    damage(next(tmp_path.glob("teacher-*.safetensors")), read, BYTES, few=25)


def test_what_is_refused_is_one_line() -> None:
    def read() -> None:
        raise DistilvoError("image \x1b[2J\n.png: no such file")

    assert refused(read)
