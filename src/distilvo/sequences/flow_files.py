"""Images with true optical flow and depth beside them, in KITTI's formats of 16-bit PNG, as ``render --flow`` writes.

sequences/00/flow/000000.png    to the next image: red 64 u + 2^15, green 64 v + 2^15, blue 1 where it is known, else 0
sequences/00/depth/000000.png   grey: 256 times the metres along the optical axis; 0 sky, 65535 not known

u goes right and v down, in pixels. The formats are those of KITTI's flow benchmark of 2015 and of its depth benchmark.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.sequences.image_files import ImageSequence, read_bytes, read_image

FLOW, DEPTH = "flow", "depth"
_UNKNOWN = 2**16 - 1


def has_flow(images: Path) -> bool:
    """Whether flow and depth lie beside a folder of images."""
    return all((images.parent / kind).is_dir() for kind in (FLOW, DEPTH))


class FlowImages(ImageSequence):
    """Image files with flow and depth in the folders beside theirs, under the same names."""

    def flow(self, index: int) -> NDArray[np.float32]:
        """Flow (H, W, 2) in pixels from frame ``index`` to the next one; NaN where it is not known.

        It is not known at the last frame, nor where the image that came next is missing. Raises DistilvoError where
        the file is missing, damaged or of another size.
        """
        places = None if self.order is None else self.order.numbering.places
        if index + 1 >= len(self) or (places is not None and places[index + 1] != places[index] + 1):
            return np.full((*self.shape[:2], 2), np.nan, np.float32)
        image = self._read(FLOW, index, (*self.shape[:2], 3), "red and green for the flow, blue for where it is known")
        flow = (image[..., :2].astype(np.float32) - np.float32(2**15)) / np.float32(64)
        flow[image[..., 2] == 0] = np.nan
        return flow

    def depth(self, index: int) -> NDArray[np.float32]:
        """Depth (H, W) of frame ``index``, metres along the optical axis; 0 in the sky, NaN where it is not known.

        Raises DistilvoError where the file is missing, damaged or of another size.
        """
        steps = self._read(DEPTH, index, self.shape[:2], "grey")
        return np.where(steps == _UNKNOWN, np.float32(np.nan), steps / np.float32(256))

    def flow_fingerprint(self) -> bytes:
        """Hash of the first, the middle and the last file of flow, and of depth.

        Raises DistilvoError where one of them is missing.
        """
        chosen = [(FLOW, k) for k in (0, (len(self) - 1) // 2, len(self) - 2)] if len(self) > 1 else []
        chosen += [(DEPTH, k) for k in (0, len(self) // 2, len(self) - 1)]
        digest = hashlib.sha256()
        for kind, index in chosen:
            digest.update(read_bytes(self._beside(kind, index)))
        return digest.digest()

    def _beside(self, kind: str, index: int) -> Path:
        image = self._files[index]
        path = image.parent.parent / kind / f"{image.stem}.png"
        if not path.is_file():
            raise DistilvoError(f"{path}: no such file; expected the {kind} of each image; render --flow anew")
        return path

    def _read(self, kind: str, index: int, shape: tuple[int, ...], meaning: str) -> NDArray[Any]:
        path = self._beside(kind, index)
        image = read_image(path)
        if image.shape != shape or image.dtype != np.uint16:
            found = "x".join(map(str, image.shape))
            raise DistilvoError(
                f"{path}: an image of {found}, {image.dtype}; expected {'x'.join(map(str, shape))}, uint16 ({meaning})"
            )
        return image
