"""Frames of a KITTI sequence as a fisheye would have taken them, and the camera file of that fisheye.

    python benchmarks/fisheye.py KITTI/sequences/06 OUT
    distilvo track OUT/frames --camera OUT/camera.yaml --model MODEL --out OUT/track
    distilvo evaluate --truth KITTI/poses/06.txt --estimate OUT/track/trajectory.kitti

KITTI is the folder of the odometry data set; OUT is a new one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from distilvo import open_sequence

WIDTH, HEIGHT, FOCAL, CENTRE = 1226, 420, 650.0, (613.0, 210.0)
COEFFICIENTS = (0.02, -0.01, 0.002, 0.0)


def main() -> None:
    """Bend every frame by the equidistant model: each pixel of the fisheye is looked up where its ray goes."""
    sequence, out = open_sequence(sys.argv[1]), Path(sys.argv[2])
    camera = sequence.camera
    assert camera is not None, "a KITTI sequence has a camera"
    x, y = np.meshgrid(*((np.arange(n) - c) / FOCAL for n, c in zip((WIDTH, HEIGHT), CENTRE, strict=True)))
    bent = np.hypot(x, y)
    angles = np.linspace(0, np.pi / 2, 100_000)  # from the axis: their image is inverted by interpolation
    lands = angles * (1 + sum(k * angles ** (2 * n) for n, k in enumerate(COEFFICIENTS, start=1)))
    factor = np.tan(np.interp(bent, lands, angles)) / np.maximum(bent, 1e-12)
    columns, rows = camera.fx * x * factor + camera.cx, camera.fy * y * factor + camera.cy
    (out / "frames").mkdir(parents=True)
    for index, frame in enumerate(sequence.frames()):
        places = columns.astype(np.float32), rows.astype(np.float32)
        fisheye = cv2.remap(frame, *places, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cv2.imwrite(str(out / "frames" / f"{index:06d}.png"), fisheye[..., ::-1] if fisheye.ndim == 3 else fisheye)
    (out / "camera.yaml").write_text(
        "cam0:\n  camera_model: pinhole\n  distortion_model: equidistant\n"
        f"  intrinsics: [{FOCAL}, {FOCAL}, {CENTRE[0]}, {CENTRE[1]}]\n"
        f"  distortion_coeffs: {list(COEFFICIENTS)}\n  resolution: [{WIDTH}, {HEIGHT}]\n"
    )


if __name__ == "__main__":
    main()
