"""A corridor drawn from its poses: a data set with one sequence and nothing wrong with it, for tests of ``check``."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from distilvo.check import CheckResult
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import trajectory
from distilvo.trajectory.formats import write_kitti

FRAMES, SIZE = 40, (96, 320)
CAMERA = Camera(fx=185.0, fy=184.0, cx=156.2, cy=47.0, width=SIZE[1], height=SIZE[0])  # KITTI's view


def draw(pose: np.ndarray, texture: np.ndarray) -> Frame:
    """What a camera in a corridor sees: floor, ceiling, two walls and the end, 60 m ahead."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    rays = np.stack([(x - CAMERA.cx) / CAMERA.fx, (y - CAMERA.cy) / CAMERA.fy, np.ones(SIZE)], axis=-1) @ pose[:3, :3].T
    nearest, u, v = np.full(SIZE, np.inf), np.zeros(SIZE), np.zeros(SIZE)
    for axis, offset in ((1, 1.6), (1, -5.0), (0, -6.0), (0, 6.0), (2, 60.0)):
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (offset - pose[axis, 3]) / rays[..., axis]
        hit = (distance > 0) & (distance < nearest)
        points = pose[:3, 3] + np.where(hit, distance, 0.0)[..., None] * rays
        a, b = [k for k in range(3) if k != axis]
        scale = 3.0 if axis == 2 else 10.0  # texture pixels a metre
        nearest = np.where(hit, distance, nearest)
        u, v = np.where(hit, points[..., a] * scale + 170, u), np.where(hit, points[..., b] * scale + 90, v)
    return cv2.remap(texture, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def make_motions() -> np.ndarray:
    rng = np.random.default_rng(5)
    motions = np.zeros((FRAMES - 1, 6))
    motions[:, 2] = 0.4
    motions[:, 3] = rng.normal(0, 0.004, FRAMES - 1)
    motions[:, 4] = 0.03 * np.sin(0.45 * np.arange(FRAMES - 1)) + rng.normal(0, 0.006, FRAMES - 1)
    return motions


def make_corridor(root: Path) -> None:
    """Write the data set."""
    folder = root / "sequences" / "00"
    (folder / "image_0").mkdir(parents=True)
    noise = np.random.default_rng(0).uniform(0, 255, (1024, 1024)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 2)
    texture = np.clip((noise - noise.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    poses = trajectory(make_motions())
    for k, pose in enumerate(poses):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), draw(pose, texture))
    write_calibration(folder, 1.0)
    write_times(folder, np.arange(FRAMES) * 0.1)
    (folder / "camera_height.txt").write_text("1.5\n")
    write_kitti(root / "poses" / "00.txt", poses)


def write_calibration(folder: Path, zoom: float) -> None:
    (folder / "calib.txt").write_text(
        f"P0: {CAMERA.fx * zoom} 0 {CAMERA.cx} 0 0 {CAMERA.fy * zoom} {CAMERA.cy} 0 0 0 1 0\n"
    )


def write_times(folder: Path, times: np.ndarray) -> None:
    (folder / "times.txt").write_text("".join(f"{t:.6f}\n" for t in times))


def write_poses(folder: Path, poses: np.ndarray) -> None:
    write_kitti(folder.parent.parent / "poses" / "00.txt", poses)


def lines(result: CheckResult, level: str) -> list[str]:
    return [str(finding) for finding in result.findings if finding.level == level]
