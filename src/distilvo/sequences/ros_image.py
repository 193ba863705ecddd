"""Images as ROS messages hold them: sensor_msgs Image in its encodings, and CompressedImage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.sequences.image_files import decode

RAW, COMPRESSED = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage"))

Samples = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class _Encoding:
    """How the pixels of an encoding are stored.

    Attributes:
        samples: for each pixel; of nv12 and nv21, those of the grey image that comes first.
        bits: of a sample, 8 or 16.
        code: OpenCV's conversion to RGB; None where the samples are RGB or grey.
        block: width and height are multiples of it: columns and rows that share colour.
    """

    samples: int
    bits: int = 8
    code: int | None = None
    block: tuple[int, int] = (1, 1)


_YUYV = _Encoding(2, code=cv2.COLOR_YUV2RGB_YUYV, block=(2, 1))
_UYVY = _Encoding(2, code=cv2.COLOR_YUV2RGB_UYVY, block=(2, 1))
# OpenCV's other names of the patterns (BayerBG for RGGB) are those of the second row.
_BAYER = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
}
_COLOURS = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
}
_ENCODINGS = {
    "mono8": _Encoding(1),
    "8UC1": _Encoding(1),
    "mono16": _Encoding(1, 16),
    "16UC1": _Encoding(1, 16),
    **{f"{name}{bits}": _Encoding(n, bits, code) for bits in (8, 16) for name, (n, code) in _COLOURS.items()},
    "8UC3": _Encoding(3, code=cv2.COLOR_BGR2RGB),
    **{f"bayer_{name}{bits}": _Encoding(1, bits, code, (2, 2)) for bits in (8, 16) for name, code in _BAYER.items()},
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _Encoding(1, code=cv2.COLOR_YUV2RGB_NV12, block=(2, 2)),
    "nv21": _Encoding(1, code=cv2.COLOR_YUV2RGB_NV21, block=(2, 2)),
}
_HALF_MORE = ("nv12", "nv21")  # colour follows, in half as many rows


def image_of(message: Any, where: str) -> Samples:
    """The image of a message: (H, W, 3) RGB or (H, W) grey, uint8 or uint16. Raises DistilvoError where it has none."""
    return _compressed(message, where) if message.__msgtype__ == COMPRESSED else _raw(message, where)


def _raw(message: Any, where: str) -> Samples:
    """(H, W, 3) RGB or (H, W) grey, 8 or 16 bits as the message has it."""
    encoding = _ENCODINGS.get(message.encoding)
    if encoding is None:
        raise DistilvoError(
            f"{where}: the encoding is {message.encoding[:40]!r}, expected one of {', '.join(_ENCODINGS)}"
        )
    height, width, step = int(message.height), int(message.width), int(message.step)
    rows = height * 3 // 2 if message.encoding in _HALF_MORE else height
    used = width * encoding.samples * encoding.bits // 8
    if not height or not width or step < used or len(message.data) != rows * step:
        raise DistilvoError(
            f"{where}: {len(message.data)} bytes in rows of {step} do not make an image {width}x{height} of "
            f"{message.encoding}"
        )
    if width % encoding.block[0] or height % encoding.block[1]:
        raise DistilvoError(f"{where}: an image {width}x{height} of {message.encoding}, expected even sides")
    stored = np.asarray(message.data, dtype=np.uint8).reshape(rows, step)[:, :used]
    if encoding.bits == 16:
        order = ">u2" if message.is_bigendian else "<u2"
        samples: Samples = np.ascontiguousarray(stored).view(order).astype(np.uint16)
    else:
        samples = stored.copy()
    if encoding.samples > 1:
        samples = samples.reshape(rows, width, encoding.samples)
    return samples if encoding.code is None else cv2.cvtColor(samples, encoding.code)


def _compressed(message: Any, where: str) -> Samples:
    """As ``_raw``. A Bayer pattern may be compressed as if it were grey."""
    image = decode(bytes(message.data), where, f"its format is {message.format[:60]!r}; JPEG and PNG can be read")
    before, _, after = message.format.partition("compressed")
    encoding = _ENCODINGS.get(before.split(";")[0].strip())
    is_pattern = before.startswith("bayer_") and (not after.strip() or after.strip().startswith("bayer_"))
    if image.ndim == 2 and encoding is not None and encoding.code is not None and is_pattern:
        return cv2.cvtColor(image, encoding.code)
    return image
