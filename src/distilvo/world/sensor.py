"""Sensor model: rolling shutter, defocus, motion blur, vignetting, varying exposure, tint, noise and processing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from distilvo.errors import DistilvoError

GRAIN = 1024  # side of the stored noise field; every frame uses a random window of it
MOST_BLUR = 0.05  # of the image's width; a longer smear would show as copies
FLOW_STEP = 4  # pixels; image motion is smooth enough to compute on a coarser grid


@dataclass(frozen=True)
class SensorModel:
    """The effects of one camera. They depend on the image and its index alone, not on the order of the calls.

    Attributes:
        seed: of the noise.
        gain: (amplitude, period [frames], phase [rad]) of each wave of the automatic exposure, in log brightness.
        steps: (height, period [frames], phase [0..1]) of each sudden change of the exposure, in log brightness.
        tint: white balance, factors on R, G, B.
        vignetting: share of light lost in the corners.
        defocus: standard deviation of the blur as a share of the image's width.
        shutter: share of the time between two frames during which the shutter is open.
        read_noise: standard deviation in 8-bit steps in the dark.
        shot_noise: variance in 8-bit steps squared per step of brightness.
        readout: share of the time between two frames from the exposure of the first row to that of the last.
        local_contrast: share by which the difference from the brightness around is raised.
        sharpening: the same for the difference from the next pixels; it leaves halos.
        quality: of JPEG compression, 1 to 100; 0 for none.
    """

    seed: int
    gain: tuple[tuple[float, float, float], ...]
    tint: tuple[float, float, float]
    vignetting: float
    defocus: float
    shutter: float
    read_noise: float
    shot_noise: float
    steps: tuple[tuple[float, float, float], ...] = ()
    readout: float = 0.0
    local_contrast: float = 0.0
    sharpening: float = 0.0
    quality: int = 0

    def brightness(self, index: int) -> float:
        """The exposure's factor at frame ``index``."""
        waves = sum(a * np.sin(2 * np.pi * index / period + phase) for a, period, phase in self.gain)
        steps = sum(height for height, period, phase in self.steps if (index / period + phase) % 1.0 < 0.5)
        return float(np.exp(waves + steps))

    def apply(self, frame: NDArray[np.uint8], index: int, flow: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
        """``frame`` (H, W, 3) uint8 RGB number ``index`` as this camera would record it, same shape and type.

        ``flow`` (H, W, 2) is the image motion in pixels over one frame interval (see ``shutter_flow``). Blur and
        rolling shutter are centred, so the image stands for the middle of the exposure of its middle row. Raises
        DistilvoError for a wrong shape.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise DistilvoError(f"sensor: a frame of shape {frame.shape} {frame.dtype}, expected (H, W, 3) uint8 RGB")
        height, width = frame.shape[:2]
        if flow is not None and self.readout:
            frame = _rolled(frame, self.readout * flow)
        image = frame.astype(np.float32)
        if flow is not None and self.shutter:
            limit = MOST_BLUR * width
            image = _smear(image, np.clip(self.shutter * flow, -limit, limit))
        if self.defocus * width > 0.2:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), self.defocus * width), np.float32)
        factor = self.brightness(index) * np.asarray(self.tint, np.float32)
        image *= _falloff(height, width, self.vignetting)[..., None] * factor
        if self.read_noise or self.shot_noise:
            deviation = np.sqrt(self.read_noise**2 + self.shot_noise * image)
            image += deviation * self._grain(index, height, width)
        return self._processed(np.clip(image + np.float32(0.5), 0, 255))

    def _processed(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """What the camera's processor makes of ``image`` (H, W, 3), 0..255 and already rounded up by half a step."""
        height, width = image.shape[:2]
        if self.local_contrast:
            small = cv2.resize(image, (-(-width // 8), -(-height // 8)), interpolation=cv2.INTER_AREA)
            around = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.0), (width, height))
            image = image + np.float32(self.local_contrast) * (image - around)
        if self.sharpening:
            around = cv2.GaussianBlur(image, (0, 0), max(0.8, 0.003 * width))
            image = image + np.float32(self.sharpening) * (image - around)
        frame = np.clip(image, 0, 255).astype(np.uint8)
        if self.quality:
            _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            frame = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        return frame

    def _grain(self, index: int, height: int, width: int) -> NDArray[np.float32]:
        field = _noise_field()
        rng = np.random.default_rng([self.seed, index])
        rows, columns = (max(0, GRAIN - n) + 1 for n in (height, width))
        y, x = int(rng.integers(rows)), int(rng.integers(columns))
        window = field[y : y + height, x : x + width]
        if window.shape[:2] == (height, width):
            return window
        repeats = -(-height // GRAIN), -(-width // GRAIN), 1
        return np.tile(field, repeats)[:height, :width]


def shutter_flow(
    depth: NDArray[np.float32], intrinsics: NDArray[np.float64], motion: NDArray[np.float64], shutter: float
) -> NDArray[np.float32]:
    """Image motion (H, W, 2) in pixels of a static scene, at most half the image's width for a whole frame interval.

    ``depth`` (H, W) in metres along the optical axis, 0 for infinitely far; ``motion`` (4, 4) is the camera's motion
    over one frame interval (the next camera's pose in the axes of this one); ``shutter`` the share of it that counts.
    """
    height, width = depth.shape
    v, u = np.mgrid[0:height:FLOW_STEP, 0:width:FLOW_STEP].astype(np.float32)
    near = depth[::FLOW_STEP, ::FLOW_STEP]
    inverse = np.divide(1, near, out=np.zeros_like(near), where=near > 0)
    back = np.linalg.inv(motion)
    camera = (intrinsics @ back[:3, :3] @ np.linalg.inv(intrinsics)).astype(np.float32)
    shift = (intrinsics @ back[:3, 3]).astype(np.float32)
    x, y, z = (camera[k, 0] * u + camera[k, 1] * v + camera[k, 2] + shift[k] * inverse for k in range(3))
    z = np.maximum(z, np.float32(0.1))  # what the camera passes leaves the image; any long blur will do
    flow = np.stack([x / z - u, y / z - v], axis=-1) * np.float32(shutter)
    limit = np.float32(0.5 * width * shutter)
    # corners of the coarse grid lie on pixels 0, STEP, ...: a plain resize would shift them by half a cell
    grid = np.array([[FLOW_STEP, 0, 0], [0, FLOW_STEP, 0]], np.float32)
    full = cv2.warpAffine(np.clip(flow, -limit, limit), grid, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(full, np.float32)


def sample_sensor(rng: np.random.Generator, night: bool = False) -> SensorModel:
    """Draw a sensor model, from nearly perfect to cheap; at ``night`` it is noisy.

    Every second one has a rolling shutter, which reads the rows in 5 to 30 ms at 10 images a second.
    """
    own = rng.spawn(1)[0]  # new draws leave the older ones, and all that follow them, as they are
    waves = tuple(
        (float(rng.uniform(0.0, 0.06)), float(rng.uniform(18, 160)), float(rng.uniform(0, 2 * np.pi))) for _ in range(3)
    )
    warm = float(np.exp(rng.normal(0, 0.04)))
    return SensorModel(
        seed=int(rng.integers(2**31)),
        gain=waves,
        tint=(warm, 1.0, 1 / warm),
        vignetting=float(rng.uniform(0.0, 0.35)),
        defocus=float(0.0018 * rng.uniform(0, 1) ** 2),
        shutter=float(rng.choice([0.0, rng.uniform(0.01, 0.12)])),
        read_noise=float(rng.uniform(0.3, 2.0)) + night * own.uniform(1.0, 4.0),
        shot_noise=float(rng.uniform(0.0, 0.035)) + night * own.uniform(0.0, 0.2),
        steps=((own.uniform(-0.2, 0.2), own.uniform(40, 200), own.random()),) if own.random() < 0.3 else (),
        readout=own.uniform(0.05, 0.3) if own.random() < 0.5 else 0.0,
        local_contrast=own.uniform(0.15, 0.6) if own.random() < 0.25 else 0.0,
        sharpening=own.uniform(0.2, 1.2) if own.random() < 0.35 else 0.0,
        quality=int(own.integers(20, 80)) if own.random() < 0.25 else 0,
    )


def _rolled(frame: NDArray[np.uint8], flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``frame`` with row r moved by ``flow`` times (r + 0.5) / H - 0.5."""
    height, width = frame.shape[:2]
    columns, rows = _pixel_grid(height, width)
    late = (rows + np.float32(0.5)) / np.float32(height) - np.float32(0.5)
    x, y = columns - late * flow[..., 0], rows - late * flow[..., 1]
    return np.asarray(cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _smear(image: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the image and its copies moved by a third of ``flow`` forwards and backwards."""
    height, width = image.shape[:2]
    columns, rows = _pixel_grid(height, width)
    total = image.copy()
    for part in (-1 / 3, 1 / 3):
        x, y = columns + part * flow[..., 0], rows + part * flow[..., 1]
        total += cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return total / np.float32(3)


@lru_cache(maxsize=4)
def _pixel_grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return columns, rows


@lru_cache(maxsize=16)
def _falloff(height: int, width: int, loss: float) -> NDArray[np.float32]:
    y, x = (np.linspace(-1, 1, n) for n in (height, width))
    return (1 - loss * ((x[None, :] ** 2 + y[:, None] ** 2) / 2) ** 1.5).astype(np.float32)


@lru_cache(maxsize=1)
def _noise_field() -> NDArray[np.float32]:
    return np.random.default_rng(0x6A17).standard_normal((GRAIN, GRAIN, 3), np.float32)
