"""Images of a ROS 1 bag, a ROS 2 bag (its folder) or an MCAP file; no ROS is needed, but the extra ``bags`` is.

drive.bag                            ROS 1
drive/metadata.yaml, drive_0.db3     ROS 2, also with drive_0.mcap
drive.mcap                           ROS 2, a single file

The topic is of type sensor_msgs Image or CompressedImage. The intrinsics are those of the CameraInfo beside it, where
there is one, and its distortion is taken out. There is no ground truth. Times are those of the headers, UNIX s.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.distortion import LARGEST_COEFFICIENT, Undistortion
from distilvo.geometry.se3 import Floats
from distilvo.sequences.image_files import decode

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

_RAW, _COMPRESSED, _INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))
_CHANNELS = {"mono8": 1, "8UC1": 1, "rgb8": 3, "bgr8": 3, "8UC3": 3, "rgba8": 4, "bgra8": 4}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB, "8UC3": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB
}  # fmt: skip
_DISTORTIONS = ("plumb_bob", "rational_polynomial", "radtan")


class BagSequence:
    """The images of one topic; ``topic`` may be left out where there is only one with images.

    ``times`` and ``len`` take one pass through the bag, unless all frames have been read before. Raises DistilvoError
    where the bag cannot be read, the topic is missing or not clear, or has no image.
    """

    def __init__(self, path: str | Path, topic: str | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.poses: Floats | None = None
        self.reference: Floats | None = None
        self.assumed_times = False
        self.bits: int | None = None
        self._times: Floats | None = None
        self._undistort: Undistortion | None = None
        with self._opened() as reader:
            self.topic = _choose(self.path, {name: info.msgtype for name, info in reader.topics.items()}, topic)
            first = next(_messages(reader, self.topic), None)
            if first is None:
                raise DistilvoError(f"{self.path}: topic {self.topic} has no message; expected images")
            self.shape = _image(first[1], f"{self.path}, {self.topic}").shape
            self.camera = self._read_camera(reader)

    @property
    def times(self) -> Floats:
        """Time of each frame (N,) in seconds: the header's stamp; when it was received where headers have none."""
        if self._times is None:
            with self._opened() as reader:
                self._times = self._clock([_stamps(*message) for message in _messages(reader, self.topic)])
        return self._times

    def __len__(self) -> int:
        return len(self.times)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the first: (H, W, 3) uint8 RGB, or (H, W) uint8 grey."""
        stamps: list[tuple[float, float]] = []
        with self._opened() as reader:
            for received, message in _messages(reader, self.topic):
                where = f"{self.path}, {self.topic}, image {len(stamps)}"
                image = _image(message, where)
                if image.shape != self.shape:
                    raise DistilvoError(f"{where}: its shape is {image.shape}, expected {self.shape} as the first")
                stamps.append(_stamps(received, message))
                yield image if self._undistort is None else self._undistort(image)
            if self._times is None:
                self._times = self._clock(stamps)

    def fingerprint(self) -> bytes:
        """Hash of the first frame."""
        return hashlib.sha256(next(self.frames()).tobytes()).digest()

    @contextmanager
    def _opened(self) -> Iterator[AnyReader]:
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import Stores, get_typestore
        except ImportError:
            raise DistilvoError(f"{self.path}: reading bags needs an extra: pip install 'distilvo[bags]'") from None
        try:
            # ROS 2 bags before Iron do not describe their messages; images are the same in all versions.
            with AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
                yield reader
        except DistilvoError:
            raise
        except Exception as error:  # the parsers of five formats raise errors of many kinds
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise DistilvoError(
                f"{self.path}: not a bag that can be read ({reason}); expected a ROS 1 .bag, the folder of a ROS 2 bag "
                "or an .mcap; try ros2 bag reindex, or rosbag reindex"
            ) from None

    def _clock(self, stamps: list[tuple[float, float]]) -> Floats:
        table = np.array(stamps)
        headers: Floats = table[:, 1]
        if (headers > 0).all() and (np.diff(headers) >= 0).all():
            return headers
        warnings.warn(
            f"{self.path}: the headers of {self.topic} have no times, or they go back; times are when the bag got them",
            stacklevel=3,
        )
        return table[:, 0]

    def _read_camera(self, reader: AnyReader) -> Camera | None:
        """The camera, from the topic camera_info beside the images' own."""
        beside = self.topic.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
        message = next(_messages(reader, beside), (0, None))[1] if beside in reader.topics else None
        if message is None:
            return None
        k, p, d = (np.asarray(getattr(message, n, getattr(message, n.upper(), ()))).ravel() for n in "kpd")
        if "image_rect" in self.topic and len(p) == 12:  # rectified: P holds, and no distortion is left
            k, d = p.reshape(3, 4)[:, :3].ravel(), np.empty(0)
        size = (int(message.width), int(message.height))
        supported = (
            message.distortion_model in _DISTORTIONS
            and len(d) in (0, 4, 5, 8)
            and np.abs(d).max(initial=0) <= LARGEST_COEFFICIENT
        )
        if len(k) != 9 or not np.isfinite([*k, *d]).all() or k[0] <= 0 or k[4] <= 0 or size != self.shape[1::-1]:
            reason = f"it has no intrinsics for images of {self.shape[1]}x{self.shape[0]}"
        elif np.any(d) and not supported:
            reason = f"its distortion {message.distortion_model!r} is not one of {', '.join(_DISTORTIONS)}"
        else:
            try:
                camera = Camera(float(k[0]), float(k[4]), float(k[2]), float(k[5]), *size)
                self._undistort = Undistortion(camera, d.tolist()) if np.any(d) else None
                return camera
            except DistilvoError as error:
                reason = str(error)
        warnings.warn(f"{self.path}: {beside} is not used: {reason}; give --intrinsics", stacklevel=4)
        return None


def _choose(path: Path, topics: dict[str, str | None], wanted: str | None) -> str:
    usable = sorted(name for name, kind in topics.items() if kind in (_RAW, _COMPRESSED))
    if wanted in usable:
        return str(wanted)
    if wanted is None and len(usable) == 1:
        return usable[0]
    if not usable:
        others = ", ".join(f"{name} ({kind})" for name, kind in sorted(topics.items())[:12])
        raise DistilvoError(f"{path}: no topic with images ({_RAW} or {_COMPRESSED}); it has {others or 'no topics'}")
    problem = f"has no images at {wanted}" if wanted else f"has images at {len(usable)} topics"
    raise DistilvoError(f"{path}: {problem}; expected --topic with one of {', '.join(usable)}")


def _messages(reader: AnyReader, topic: str) -> Iterator[tuple[int, Any]]:
    """When each message of a topic was received, ns, and the message."""
    connections = [connection for connection in reader.connections if connection.topic == topic]
    for connection, received, data in reader.messages(connections=connections):
        yield received, reader.deserialize(data, connection.msgtype)


def _stamps(received: int, message: Any) -> tuple[float, float]:
    """When a message was received, and its header's time; s."""
    stamp = message.header.stamp
    return received / 1e9, stamp.sec + stamp.nanosec / 1e9


def _image(message: Any, where: str) -> Frame:
    """(H, W, 3) uint8 RGB or (H, W) uint8 grey."""
    if message.__msgtype__ == _COMPRESSED:
        return decode(bytes(message.data), where, f"its format is {message.format!r}; JPEG and PNG can be read")
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise DistilvoError(f"{where}: the encoding is {message.encoding!r}, expected one of {', '.join(_CHANNELS)}")
    height, width, step = message.height, message.width, message.step
    if not height or not width or step < width * channels or len(message.data) != height * step:
        raise DistilvoError(
            f"{where}: {len(message.data)} bytes in rows of {step} do not make an image {width}x{height}"
        )
    rows = np.asarray(message.data, dtype=np.uint8).reshape(height, step)[:, : width * channels]
    if channels == 1:
        return rows.copy()
    image = np.ascontiguousarray(rows.reshape(height, width, channels))
    code = _TO_RGB.get(message.encoding)
    return image if code is None else cv2.cvtColor(image, code).astype(np.uint8, copy=False)
