"""Images of a ROS 1 bag, a ROS 2 bag (its folder) or an MCAP file; no ROS is needed, but the extra ``bags`` is.

drive.bag                            ROS 1
drive/metadata.yaml, drive_0.db3     ROS 2, also with drive_0.mcap
drive.mcap                           ROS 2, a single file

The topic is of type sensor_msgs Image or CompressedImage, see ``ros_image``. The intrinsics are those of the CameraInfo
beside it, where there is one, and its distortion is taken out. There is no ground truth. Times are those of the
headers, UNIX s.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.distortion import COUNTS, LARGEST_COEFFICIENT, MODELS, Undistortion
from distilvo.geometry.se3 import Floats
from distilvo.paths import check_regular
from distilvo.sequences.brightness import SAMPLES, bits_of, eight_bits
from distilvo.sequences.ros_image import COMPRESSED, RAW, image_of
from distilvo.sequences.yaml_file import read_yaml

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader


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
        self.camera_height: float | None = None
        self.assumed_times = False
        self.bits: int | None = None
        self._times: Floats | None = None
        self._undistort: Undistortion | None = None
        with self._opened() as reader:
            self.topic = _choose(self.path, {name: info.msgtype for name, info in reader.topics.items()}, topic)
            first = next(_messages(reader, self.topic), None)
            if first is None:
                raise DistilvoError(f"{self.path}: topic {self.topic} has no message; expected images")
            if getattr(first[1], "encoding", "") == "16UC1":
                warnings.warn(
                    f"{self.path}: {self.topic} is 16UC1, taken for grey; depth images look the same: check the topic",
                    stacklevel=3,
                )
            image = image_of(first[1], f"{self.path}, {self.topic}")
            self.shape, self._type = image.shape, image.dtype
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
                image = eight_bits(image_of(message, where), self._found_bits(), where)
                if image.shape != self.shape:
                    raise DistilvoError(f"{where}: its shape is {image.shape}, expected {self.shape} as the first")
                stamps.append(_stamps(received, message))
                yield image if self._undistort is None else self._undistort(image)
            if self._times is None:
                self._times = self._clock(stamps)

    def fingerprint(self) -> bytes:
        """Hash of the first frame."""
        return hashlib.sha256(next(self.frames()).tobytes()).digest()

    def _found_bits(self) -> int:
        """How many bits count in images of 16 bits: found from some messages, spread over the bag, where not given."""
        if self.bits is None and self._type == np.uint16:
            with self._opened() as reader:
                step = -(-(reader.topics[self.topic].msgcount) // SAMPLES)
                sampled = islice(_messages(reader, self.topic, step), SAMPLES)
                images = [image_of(message, f"{self.path}, {self.topic}") for _, message in sampled]
            self.bits = bits_of([image.astype(np.uint16, copy=False) for image in images], self.name)
        return 8 if self.bits is None else self.bits

    @contextmanager
    def _opened(self) -> Iterator[AnyReader]:
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import Stores, get_typestore
        except ImportError:
            raise DistilvoError(f"{self.path}: reading bags needs an extra: pip install 'distilvo[bags]'") from None
        for file in self.path.iterdir() if self.path.is_dir() else (self.path,):
            check_regular(file, "a bag")
        metadata = self.path / "metadata.yaml"
        if metadata.exists():  # rosbags reads one of any size, for minutes
            read_yaml(metadata, "the metadata of a ROS 2 bag")
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
        model = MODELS.get(message.distortion_model)
        if "image_rect" in self.topic and len(p) == 12:  # rectified: P holds, and no distortion is left
            k, d, model = p.reshape(3, 4)[:, :3].ravel(), np.empty(0), "radtan"
        size = (int(message.width), int(message.height))
        distorted = np.any(d) or model == "equidistant"
        supported = model is not None and len(d) in COUNTS[model] and np.abs(d).max(initial=0) <= LARGEST_COEFFICIENT
        if len(k) != 9 or not np.isfinite([*k, *d]).all() or k[0] <= 0 or k[4] <= 0 or size != self.shape[1::-1]:
            reason = f"it has no intrinsics for images of {self.shape[1]}x{self.shape[0]}"
        elif distorted and not supported:
            reason = (
                f"its distortion {message.distortion_model!r} of {len(d)} numbers is not one of {', '.join(MODELS)}"
            )
        else:
            try:
                camera = Camera(float(k[0]), float(k[4]), float(k[2]), float(k[5]), *size)
                if distorted and model is not None:
                    self._undistort = Undistortion(camera, d.tolist(), model, f"{self.path}, {beside}")
                return camera
            except DistilvoError as error:
                reason = str(error)
        warnings.warn(f"{self.path}: {beside} is not used: {reason}; give --camera or --intrinsics", stacklevel=4)
        return None


def _choose(path: Path, topics: dict[str, str | None], wanted: str | None) -> str:
    usable = sorted(name for name, kind in topics.items() if kind in (RAW, COMPRESSED))
    if wanted in usable:
        return str(wanted)
    if wanted is None and len(usable) == 1:
        return usable[0]
    if not usable:
        others = ", ".join(f"{name} ({kind})" for name, kind in sorted(topics.items())[:12])
        raise DistilvoError(f"{path}: no topic with images ({RAW} or {COMPRESSED}); it has {others or 'no topics'}")
    problem = f"has no images at {wanted}" if wanted else f"has images at {len(usable)} topics"
    raise DistilvoError(f"{path}: {problem}; expected --topic with one of {', '.join(usable)}")


def _messages(reader: AnyReader, topic: str, step: int = 1) -> Iterator[tuple[int, Any]]:
    """When each message of a topic, or each ``step``-th, was received, ns, and the message."""
    connections = [connection for connection in reader.connections if connection.topic == topic]
    for connection, received, data in islice(reader.messages(connections=connections), None, None, step):
        yield received, reader.deserialize(data, connection.msgtype)


def _stamps(received: int, message: Any) -> tuple[float, float]:
    """When a message was received, and its header's time; s."""
    stamp = message.header.stamp
    return received / 1e9, stamp.sec + stamp.nanosec / 1e9
