"""Bags of ROS 1 and ROS 2 and MCAP files: topics, encodings, times, intrinsics."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera
from distilvo.sequences import open_sequence

pytest.importorskip("rosbags", reason="the extra 'bags' is not installed")

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

KINDS = ("ros1", "sqlite3", "mcap")
RGB = np.dstack([np.full((6, 10), value, np.uint8) for value in (10, 100, 200)])
Messages = list[tuple[str, Any, int]]


class Types:
    """Messages of one ROS generation, made from what matters here."""

    def __init__(self, kind: str) -> None:
        self.is1 = kind == "ros1"
        self.store = get_typestore(Stores.ROS1_NOETIC if self.is1 else Stores.ROS2_HUMBLE)
        self.types = self.store.types

    def header(self, stamp: float) -> Any:
        seconds = int(stamp)
        time = self.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=round((stamp - seconds) * 1e9))
        extra = {"seq": 0} if self.is1 else {}
        return self.types["std_msgs/msg/Header"](stamp=time, frame_id="camera", **extra)

    def image(self, stamp: float, image: np.ndarray, encoding: str, padding: int = 0) -> Any:
        height, width = image.shape[:2]
        rows = np.pad(image.reshape(height, -1), ((0, 0), (0, padding)), constant_values=77)
        return self.types["sensor_msgs/msg/Image"](
            header=self.header(stamp), height=height, width=width, encoding=encoding, is_bigendian=0,
            step=rows.shape[1], data=rows.ravel(),
        )  # fmt: skip

    def jpeg(self, stamp: float, data: bytes) -> Any:
        kind = self.types["sensor_msgs/msg/CompressedImage"]
        return kind(header=self.header(stamp), format="png", data=np.frombuffer(data, np.uint8))

    def info(self, distortion: list[float], model: str = "plumb_bob", width: int = 10, focal: float = 20.0) -> Any:
        k, r = np.array([focal, 0, 4.5, 0, 21, 2.5, 0, 0, 1]), np.eye(3).ravel()
        p = np.array([19.0, 0, 4, 0, 0, 20, 3, 0, 0, 0, 1, 0])
        roi = self.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        names = ("D", "K", "R", "P") if self.is1 else ("d", "k", "r", "p")
        values = dict(zip(names, (np.array(distortion), k, r, p), strict=True))
        return self.types["sensor_msgs/msg/CameraInfo"](
            header=self.header(1), height=6, width=width, distortion_model=model, binning_x=0, binning_y=0, roi=roi,
            **values,
        )  # fmt: skip

    def text(self) -> Any:
        return self.types["std_msgs/msg/String"](data="hello")


def write_bag(path: Path, kind: str, messages: Messages) -> Path:
    """A bag of (topic, message, ns received); the path to open it by."""
    types = Types(kind)
    if kind == "ros1":
        path = path.with_suffix(".bag")
        writer: Any = Writer1(path)
    else:
        plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        writer = Writer2(path, version=9, storage_plugin=plugin)
    with writer:
        connections = {
            topic: writer.add_connection(topic, message.__msgtype__, typestore=types.store)
            for topic, message in {topic: message for topic, message, _ in messages}.items()
        }
        serialize = types.store.serialize_ros1 if types.is1 else types.store.serialize_cdr
        for topic, message, received in messages:
            writer.write(connections[topic], received, serialize(message, message.__msgtype__))
    return path


def images(types: Types, topic: str = "/cam/image_raw", stamps: tuple[float, ...] = (5.0, 5.25, 5.5)) -> Messages:
    return [(topic, types.image(s, RGB + k, "rgb8"), int((s + 0.01) * 1e9)) for k, s in enumerate(stamps)]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_and_times_of_the_only_topic(kind: str, tmp_path: Path) -> None:
    types = Types(kind)
    messages = [*images(types), ("/chatter", types.text(), 6_000_000_000)]
    sequence = open_sequence(write_bag(tmp_path / "drive", kind, messages))
    assert (sequence.name, len(sequence), sequence.camera, sequence.poses) == ("drive", 3, None, None)
    np.testing.assert_allclose(sequence.times, [5.0, 5.25, 5.5], atol=1e-9)
    np.testing.assert_array_equal(list(sequence.frames()), [RGB, RGB + 1, RGB + 2])


def test_mcap_file_by_itself(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "drive", "mcap", images(Types("mcap")))
    assert len(list(open_sequence(folder / "drive.mcap").frames())) == 3


def test_old_bag_that_does_not_define_its_messages(tmp_path: Path) -> None:
    """As ROS 2 Humble and before write them."""
    folder = write_bag(tmp_path / "drive", "sqlite3", images(Types("sqlite3")))
    with sqlite3.connect(next(folder.glob("*.db3"))) as database:
        database.execute("delete from message_definitions")
    assert len(list(open_sequence(folder).frames())) == 3


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
@pytest.mark.parametrize(
    ("encoding", "stored", "expected"),
    [
        ("mono8", RGB[..., 1], RGB[..., 1]),
        ("8UC1", RGB[..., 1], RGB[..., 1]),
        ("rgb8", RGB, RGB),
        ("bgr8", RGB[..., ::-1], RGB),
        ("rgba8", np.dstack([RGB, RGB[..., :1]]), RGB),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., :1]]), RGB),
    ],
)
@pytest.mark.parametrize("padding", [0, 3])
def test_encodings(
    kind: str, encoding: str, stored: np.ndarray, expected: np.ndarray, padding: int, tmp_path: Path
) -> None:
    message = Types(kind).image(1.0, stored, encoding, padding)
    sequence = open_sequence(write_bag(tmp_path / "b", kind, [("/image", message, 1)]))
    np.testing.assert_array_equal(next(sequence.frames()), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_images(kind: str, tmp_path: Path) -> None:
    types = Types(kind)
    png = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    path = write_bag(tmp_path / "b", kind, [("/cam/compressed", types.jpeg(1 + k, png), k) for k in range(2)])
    np.testing.assert_array_equal(list(open_sequence(path).frames()), [RGB, RGB])


def test_several_topics_need_a_choice(tmp_path: Path) -> None:
    types = Types("ros1")
    path = write_bag(tmp_path / "b", "ros1", [*images(types, "/left"), *images(types, "/right", (7.0,))])
    with pytest.raises(DistilvoError, match=r"images at 2 topics; expected --topic with one of /left, /right"):
        open_sequence(path)
    with pytest.raises(DistilvoError, match=r"no images at /middle; expected --topic with one of /left, /right"):
        open_sequence(path, topic="/middle")
    np.testing.assert_allclose(open_sequence(path, topic="/right").times, [7.0])
    with pytest.raises(DistilvoError, match="--topic /left is for bags, and this is taken for: folder"):
        open_sequence(tmp_path, topic="/left")


@pytest.mark.parametrize("kind", KINDS)
def test_intrinsics_from_the_camera_info_beside(kind: str, tmp_path: Path) -> None:
    types = Types(kind)
    messages = [*images(types), ("/cam/camera_info", types.info([0.0] * 5), 1)]
    sequence = open_sequence(write_bag(tmp_path / "plain", kind, messages))
    assert sequence.camera == Camera(20, 21, 4.5, 2.5, 10, 6)
    messages = [*images(types, "/cam/image_rect"), ("/cam/camera_info", types.info([-0.3] + [0.0] * 4), 1)]
    sequence = open_sequence(write_bag(tmp_path / "rectified", kind, messages))
    assert sequence.camera == Camera(19, 20, 4, 3, 10, 6)


def test_distortion_is_taken_out_and_strange_cameras_are_a_warning(tmp_path: Path) -> None:
    types = Types("mcap")
    edge = np.zeros((6, 10), np.uint8)
    edge[:, -1] = 255
    image = ("/cam/image_raw", types.image(1, edge, "mono8"), 1)
    bent = ("/cam/camera_info", types.info([-0.5, 0, 0, 0, 0]), 1)
    sequence = open_sequence(write_bag(tmp_path / "sound", "mcap", [image, bent]))
    assert next(sequence.frames())[2, -1] < 250
    fisheye = ("/cam/camera_info", types.info([0.0] * 4, "equidistant", focal=2), 1)  # sees 0.90 at 4.5 + 2 * 0.9
    ramp = ("/cam/image_raw", types.image(1, np.tile(np.arange(10, dtype=np.uint8) * 20, (6, 1)), "mono8"), 1)
    sequence = open_sequence(write_bag(tmp_path / "fisheye", "mcap", [ramp, fisheye]))
    np.testing.assert_allclose(next(sequence.frames())[2, 7], 20 * (4.5 + 2 * np.arctan(1.25)), atol=1)
    strange = {
        "equi": types.info([], "equidistant"),
        "five": types.info([0.1] * 5, "fisheye"),
        "fov": types.info([0.1], "fov"),
        "size": types.info([], width=640),
        "bent": types.info([1e300, 0, 0, 0]),
        "long": types.info([], focal=1e9),
    }
    for name, info in strange.items():
        with pytest.warns(UserWarning, match="/cam/camera_info is not used: i.*--intrinsics"):
            sequence = open_sequence(write_bag(tmp_path / name, "mcap", [image, ("/cam/camera_info", info, 1)]))
        assert sequence.camera is None


@pytest.mark.parametrize("stamps", [(0.0, 0.0, 0.0), (5.0, 4.0, 6.0)])
def test_headers_without_times(stamps: tuple[float, ...], tmp_path: Path) -> None:
    types = Types("ros1")
    messages = [("/image", types.image(s, RGB, "rgb8"), (10 + k) * 10**9) for k, s in enumerate(stamps)]
    sequence = open_sequence(write_bag(tmp_path / "b", "ros1", messages))
    with pytest.warns(UserWarning, match="have no times, or they go back"):
        np.testing.assert_allclose(sequence.times, [10, 11, 12])


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("32FC1", "the encoding is '32FC1', expected one of mono8, .*bayer_rggb8"), ("rgb8", "18 bytes in rows of 3")],
)
def test_images_that_are_not_understood(encoding: str, message: str, tmp_path: Path) -> None:
    types = Types("ros1")
    broken = types.image(1.0, RGB[..., 0], encoding)
    if encoding == "rgb8":
        broken.step, broken.data = 3, broken.data[:18]
    with pytest.raises(DistilvoError, match=message):
        open_sequence(write_bag(tmp_path / "b", "ros1", [("/image", broken, 1)]))


def test_size_that_changes_and_jpeg_that_is_none(tmp_path: Path) -> None:
    types = Types("ros1")
    messages = [("/i", types.image(1, RGB, "rgb8"), 1), ("/i", types.image(2, RGB[:4], "rgb8"), 2)]
    with pytest.raises(DistilvoError, match=r"/i, image 1: its shape is \(4, 10, 3\), expected \(6, 10, 3\)"):
        list(open_sequence(write_bag(tmp_path / "a", "ros1", messages)).frames())
    with pytest.raises(DistilvoError, match="cannot be decoded"):
        open_sequence(write_bag(tmp_path / "b", "ros1", [("/i", types.jpeg(1, b"no image"), 1)]))


def test_metadata_that_would_hang(tmp_path: Path) -> None:
    """rosbags itself reads 6 MB of it for minutes."""
    folder = write_bag(tmp_path / "b", "sqlite3", images(Types("sqlite3")))
    sound = (folder / "metadata.yaml").read_text()
    for added, message in (
        ("x: [" + "1, " * 2_000_000 + "]\n", r"metadata.yaml: \d+ bytes, expected the metadata of a ROS 2 bag of at"),
        ("x: " + "[" * 20_000, "more than 20 levels"),
        ("x: &x [1]\ny: *x\n", "an alias"),
    ):
        (folder / "metadata.yaml").write_text(sound + added)
        with pytest.raises(DistilvoError, match=message):
            open_sequence(folder)


def test_16_bit_grey_may_be_depth(tmp_path: Path) -> None:
    types = Types("ros1")
    message = types.image(1.0, np.full((6, 10, 2), (0, 77), np.uint8), "16UC1")
    with pytest.warns(UserWarning, match="/image is 16UC1, taken for grey; depth images look the same"):
        sequence = open_sequence(write_bag(tmp_path / "b", "ros1", [("/image", message, 1)]), bits=16)
    np.testing.assert_array_equal(next(sequence.frames()), np.full((6, 10), 77))


def test_bits_of_a_bag_are_found_from_messages_all_over_it(tmp_path: Path) -> None:
    """40 images, the last of the sampled ones (every third) up to 4000: 12 bits, so that 1600 is 100."""
    types = Types("mcap")
    grey = [np.full((6, 10), 1600 if k < 39 else 4000, np.uint16) for k in range(40)]
    messages = [("/i", types.image(1 + k, image.view(np.uint8), "mono16"), k) for k, image in enumerate(grey)]
    for _, message, _ in messages:
        message.width = 10
    path = write_bag(tmp_path / "b", "mcap", messages)
    with pytest.warns(UserWarning, match=r"values up to 4000 are taken for images of 12 bits \(0 to 4095\); --bits"):
        frames = list(open_sequence(path).frames())
    assert (frames[0].dtype, frames[0][0, 0], frames[-1][0, 0]) == (np.uint8, 100, 250)
    frames = list(open_sequence(path, bits=14).frames())
    assert (frames[0][0, 0], frames[-1][0, 0]) == (25, 62)
    with pytest.raises(DistilvoError, match=r"/i, image 0: its brightest value is 1600, more than 10 bits hold; try"):
        list(open_sequence(path, bits=10).frames())


@pytest.mark.parametrize("kind", KINDS)
def test_bag_without_images(kind: str, tmp_path: Path) -> None:
    path = write_bag(tmp_path / "b", kind, [("/chatter", Types(kind).text(), 1)])
    with pytest.raises(DistilvoError, match=r"no topic with images .*it has /chatter \(std_msgs/msg/String\)"):
        open_sequence(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_bag(kind: str, kept: float, tmp_path: Path) -> None:
    path = write_bag(tmp_path / "b", kind, images(Types(kind)) * 20)
    file = path if kind == "ros1" else next(f for f in path.iterdir() if f.suffix in (".db3", ".mcap"))
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(DistilvoError, match=r"not a bag that can be read|no topic with images") as caught:
        list(open_sequence(path).frames())
    assert "\n" not in str(caught.value)


def test_part_of_a_bag_and_missing_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_bag(tmp_path / "drive", "sqlite3", images(Types("sqlite3")))
    with pytest.raises(DistilvoError, match="a part of a ROS 2 bag; expected its folder"):
        open_sequence(next(folder.glob("*.db3")))
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(DistilvoError, match=r"needs an extra: pip install 'distilvo\[bags\]'"):
        open_sequence(folder)
