"""Flow, depth and camera height: read from a KITTI sequence, and in the cache of frames."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from conftest import make_kitti
from distilvo.data import FrameCache, open_cache
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import canonical_intrinsics
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import FlowSequence, open_dataset, open_sequence

SIZE, NETWORK = (32, 64), (16, 32)
FORM = Preprocessing(NETWORK, 1)


def add_flow(sequence: Path, flow: np.ndarray, depth: np.ndarray, known: np.ndarray | None = None) -> None:
    """The same flow (H, W, 2) and depth (H, W) at each image, as KITTI has them."""
    names = [path.name for path in sorted((sequence / "image_2").iterdir())]
    known = np.ones(depth.shape) if known is None else known
    image = np.dstack([known, flow[..., 1] * 64 + 32768, flow[..., 0] * 64 + 32768]) * known[..., None]
    for kind, content, files in (("flow", image, names[:-1]), ("depth", depth * 256, names)):
        (sequence / kind).mkdir()
        for name in files:
            cv2.imwrite(str(sequence / kind / name), content.astype(np.uint16))


def calibrate(sequence: Path, scale: float, shift: float = 0.0) -> None:
    """A camera whose pixels lie at ``scale * p + (scale - 1) / 2 + shift`` for the network's pixels p, across."""
    k = canonical_intrinsics(NETWORK)
    cx, cy = scale * (k[0, 2] + 0.5) - 0.5 + shift, scale * (k[1, 2] + 0.5) - 0.5
    row = f"{scale * k[0, 0]} 0 {cx} 0 0 {scale * k[1, 1]} {cy} 0 0 0 1 0"
    (sequence / "calib.txt").write_text("".join(f"P{number}: {row}\n" for number in range(4)))


def flat(u: float = 8.0, v: float = -4.0, metres: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*SIZE, 2), (u, v)), np.full(SIZE, metres)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """Three images, twice the network's size."""
    folder = make_kitti(tmp_path / "kitti", "00", frames=3, size=SIZE)
    calibrate(folder, 2.0)
    return folder


def cached(sequence: Path) -> FrameCache:
    root = sequence.parents[1]
    return open_cache(open_dataset(root), FORM, root / "cache", flow=True)


def opened(sequence: Path) -> FlowSequence:
    source = open_sequence(sequence)
    assert isinstance(source, FlowSequence)
    return source


# --- a sequence --------------------------------------------------------------------------------------------------


def test_flow_and_depth_of_a_sequence(sequence: Path) -> None:
    flow, depth = flat(-1.5, 300.25, 3.5)
    known = np.ones(SIZE)
    known[2, 3], depth[4, 5], depth[6, 7] = 0, 0, 65535 / 256
    add_flow(sequence, flow, depth, known)
    source = opened(sequence)
    read = source.flow(0)
    assert read.shape == (*SIZE, 2) and read.dtype == source.depth(0).dtype == np.float32
    assert np.argwhere(np.isnan(read)).tolist() == [[2, 3, 0], [2, 3, 1]]
    assert read[0, 0].tolist() == [-1.5, 300.25] and source.depth(2)[0].tolist() == [3.5] * 64
    assert source.depth(1)[4, 5] == 0 and np.argwhere(np.isnan(source.depth(1))).tolist() == [[6, 7]]
    assert np.isnan(source.flow(2)).all()


def test_flow_to_an_image_that_is_missing_is_not_known(tmp_path: Path) -> None:
    folder = make_kitti(tmp_path / "kitti", "00", frames=5, size=SIZE)
    flow, depth = flat()
    add_flow(folder, flow, depth)
    (folder / "image_2" / "000002.png").unlink()
    with pytest.warns(UserWarning, match="missing"):
        source = opened(folder)
    assert [bool(np.isnan(source.flow(k)).all()) for k in range(4)] == [False, True, False, True]
    cv2.imwrite(str(folder / "depth" / "000003.png"), np.full(SIZE, 512, np.uint16))
    assert source.depth(2).max() == 2.0  # the third image is number 3


def drawn(shape: tuple[int, ...], kind: type = np.uint16) -> bytes:
    return cv2.imencode(".png", np.zeros(shape, kind))[1].tobytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("flow/000001.png", None, "no such file; expected the flow of each image; render --flow anew"),
        ("depth/000001.png", None, "no such file; expected the depth of each"),
        ("flow/000001.png", drawn((*SIZE, 3))[:60], "the image ends too early"),
        ("flow/000001.png", b"", "the image ends too early"),
        ("depth/000002.png", b"no image", "cannot be decoded"),
        ("depth/000000.png", drawn(SIZE, np.uint8), "an image of 32x64, uint8; expected 32x64, uint16"),
        ("depth/000001.png", drawn((8, 32)), "an image of 8x32, uint16; expected 32x64, uint16"),
        ("flow/000000.png", drawn(SIZE), "an image of 32x64, uint16; expected 32x64x3, uint16"),
        ("flow/000001.png", drawn((*SIZE, 3), np.uint8), "an image of 32x64x3, uint8; expected 32x64x3, uint16"),
    ],
)
def test_damaged_files_are_one_line(name: str, content: bytes | None, message: str, sequence: Path) -> None:
    add_flow(sequence, *flat())
    (sequence / name).unlink()
    if content is not None:
        (sequence / name).write_bytes(content)
    with pytest.raises(DistilvoError, match=rf"{name}: {message}") as caught:
        cached(sequence)
    assert "\n" not in str(caught.value)


def test_camera_height_is_read_and_handed_on(sequence: Path, tmp_path: Path) -> None:
    assert open_sequence(sequence).camera_height is None
    (sequence / "camera_height.txt").write_text("1.25\n")
    assert open_sequence(sequence).camera_height == open_sequence(sequence, stride=2).camera_height == 1.25
    assert open_sequence(sequence / "image_2", kind="folder").camera_height is None


@pytest.mark.parametrize("text", ["0.05\n", "25\n", "-1\n", "nan\n", "inf\n", "tall\n", "", "1.5\n1.6\n", "1.5 1.6\n"])
def test_impossible_camera_height_is_one_line(text: str, sequence: Path) -> None:
    (sequence / "camera_height.txt").write_text(text)
    with pytest.raises(DistilvoError, match=r"camera_height\.txt.*expected") as caught:
        open_sequence(sequence)
    assert "\n" not in str(caught.value)


# --- the cache ---------------------------------------------------------------------------------------------------


def test_cells_by_hand(sequence: Path) -> None:
    """Cell (r, c) has its centre at 8c + 3.5 in the network's image: 16c + 7.5 in the source, between pixels."""
    flow, depth = flat()
    flow[..., 0] = 0.125 * np.arange(64)
    depth[:, 32:] = 0  # the sky
    known = np.ones(SIZE)
    known[16:, :16] = 0
    add_flow(sequence, flow, depth, known)
    store = cached(sequence)
    assert store.flow is not None and store.inverse_depth is not None
    assert store.flow.shape == (3, 2, 2, 4) and store.inverse_depth.shape == (3, 2, 4)
    assert store.flow.dtype == store.inverse_depth.dtype == np.float16
    assert isinstance(store.flow, np.memmap) and isinstance(store.inverse_depth, np.memmap)
    # 0.125 * 7.5 and 0.125 * 23.5 source pixels, half as many of the network's; in the sky inverse depth is 0
    for frame in (0, 1):
        np.testing.assert_array_equal(store.inverse_depth[frame], [[0.25, 0.25, 0, 0]] * 2)
        np.testing.assert_array_equal(store.flow[frame, :, 0, :2], [[0.46875, 1.46875], [-2, -2]])
        assert np.isnan(store.flow[frame, :, 1, 0]).all() and store.flow[frame, 0, 1, 1] == 1.46875
    assert np.isnan(store.flow[2]).all()
    np.testing.assert_array_equal(store.inverse_depth[2], [[0.25, 0.25, 0, 0]] * 2)


@pytest.mark.parametrize(("shift", "near"), [(0.25, False), (-0.25, True)])
def test_no_mean_of_two_surfaces(shift: float, near: bool, sequence: Path) -> None:
    """An edge between pixels 7 and 8; the first cell's centre is at 7.5 + shift."""
    calibrate(sequence, 2.0, shift)
    flow, depth = flat(2.0, 0.0, 8.0)
    flow[:, :8, 0], depth[:, :8] = 8.0, 4.0
    add_flow(sequence, flow, depth)
    store = cached(sequence)
    assert store.inverse_depth is not None and store.flow is not None
    assert store.inverse_depth[0, 0, 0] == (0.25 if near else 0.125)
    assert store.flow[0, 0, 0, 0] == (4.0 if near else 1.0)


def test_no_mean_of_two_bodies_that_are_as_far_away(sequence: Path) -> None:
    calibrate(sequence, 2.0, 0.25)
    flow, depth = flat(2.0, 0.0, 4.0)
    flow[:, :8, 0] = 8.0
    add_flow(sequence, flow, depth)
    store = cached(sequence)
    assert store.flow is not None and store.flow[0, 0].tolist() == [[1.0] * 4] * 2


def test_what_the_camera_does_not_see_is_not_known(sequence: Path) -> None:
    """A camera that is zoomed in: the source of 64 columns is the middle 16 or so of the network's 32."""
    calibrate(sequence, 4.0, -32.0)
    add_flow(sequence, *flat())
    store = cached(sequence)
    assert store.inverse_depth is not None and store.flow is not None
    # Centres at 4 * (8c + 3.5) + 1.5 - 32 = -16.5, 15.5, 47.5, 79.5 across and 15.5, 47.5 down; it ends at 63.5, 31.5
    assert np.isnan(store.inverse_depth[0]).tolist() == [[True, False, False, True], [True] * 4]
    np.testing.assert_array_equal(np.isnan(store.flow[0, 0]), np.isnan(store.inverse_depth[0]))
    assert store.flow[0, :, 0, 1].tolist() == [2.0, -1.0]


def test_with_and_without_flow_are_two_caches(sequence: Path) -> None:
    add_flow(sequence, *flat())
    root = sequence.parents[1]
    plain = open_cache(open_dataset(root), FORM, root / "cache")
    full = cached(sequence)
    assert plain.key != full.key and plain.flow is None and plain.inverse_depth is None
    np.testing.assert_array_equal(plain.frames, full.frames)
    shutil.rmtree(sequence / "flow"), shutil.rmtree(sequence / "depth")
    add_flow(sequence, *flat(metres=2.0))
    other = cached(sequence)
    assert other.key != full.key and other.inverse_depth is not None and other.inverse_depth[0, 0, 0] == 0.5


def test_sequences_without_flow_are_named(sequence: Path) -> None:
    root = sequence.parents[1]
    add_flow(sequence, *flat())
    for name in ("01", "03"):
        make_kitti(root, name, frames=3, size=SIZE)
    (root / "sequences" / "03" / "flow").mkdir()
    with pytest.raises(DistilvoError, match=r"no true flow and depth of 01, 03; expected the folders flow and depth"):
        cached(sequence)


@pytest.mark.parametrize("name", ["flow.npy", "inverse_depth.npy"])
@pytest.mark.parametrize("fault", ["missing", "half", "other"])
def test_cache_with_broken_flow_is_made_anew(name: str, fault: str, sequence: Path) -> None:
    add_flow(sequence, *flat())
    whole = cached(sequence)
    assert whole.flow is not None and whole.inverse_depth is not None
    kept = np.array(whole.flow), np.array(whole.inverse_depth)
    file = sequence.parents[1] / "cache" / whole.key / name
    if fault == "other":
        np.save(file, np.zeros((3, 2), np.float16))
    else:
        content = file.read_bytes()
        file.unlink() if fault == "missing" else file.write_bytes(content[: len(content) // 2])
    again = cached(sequence)
    assert again.flow is not None and again.inverse_depth is not None
    np.testing.assert_array_equal(again.flow, kept[0])
    np.testing.assert_array_equal(again.inverse_depth, kept[1])


def test_camera_heights_of_drives(tmp_path: Path) -> None:
    for name in ("00", "01"):
        make_kitti(tmp_path, name, frames=3, size=SIZE)
    before = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert before.camera_heights.tolist() == [1.65, 1.65] and before.camera_heights.dtype == np.float64
    (tmp_path / "sequences" / "01" / "camera_height.txt").write_text("0.9\n")
    after = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert after.camera_heights.tolist() == [1.65, 0.9] and after.key != before.key
    np.testing.assert_array_equal(after.motions[:2], before.motions[:2])
    # from 0.9 m the same images show motions of 1.65 / 0.9 as many metres, and turned as far
    np.testing.assert_allclose(after.motions[2:], before.motions[2:] * ([1.65 / 0.9] * 3 + [1] * 3), rtol=1e-6)
    np.testing.assert_allclose(after.in_metres(1, after.drive_motions(1)), before.drive_motions(1), rtol=1e-6)
    np.testing.assert_array_equal(after.in_metres(0, after.drive_motions(0)), before.drive_motions(0))


def test_older_cache_stays_good(tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=3, size=SIZE)
    before = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    folder = tmp_path / "cache" / before.key
    index = json.loads((folder / "index.json").read_text())
    older = {"key": index["key"], "drives": index["drives"]}
    (folder / "index.json").write_text(json.dumps(older))
    made = (folder / "frames.npy").stat().st_mtime_ns
    after = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    assert (folder / "frames.npy").stat().st_mtime_ns == made
    assert after.camera_heights.tolist() == [1.65] and after.flow is None


def test_drives_end_without_flow(tmp_path: Path) -> None:
    for name, frames in (("00", 21), ("01", 18)):  # several tasks for the threads
        add_flow(make_kitti(tmp_path, name, frames, size=SIZE), *flat())
        calibrate(tmp_path / "sequences" / name, 2.0)
    store = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache", flow=True)
    assert store.flow is not None
    known = np.isfinite(store.flow).all(axis=(1, 2, 3))
    assert np.flatnonzero(~known).tolist() == [20, 38]
