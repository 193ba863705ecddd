"""Milliseconds from a grey image of 1241x376 in memory to the pose, on one thread, models interleaved.

    python benchmarks/image_to_pose.py MODEL.onnx ... [--frames 500]

Without a model: the student of the package. The 5th percentile is what other work beside it disturbs least. In brackets
the parts: the image that the network sees, whether it can be trusted, and the network.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np

from distilvo.geometry.camera import KITTI_00
from distilvo.models.step_model import StepModel
from distilvo.runtime import Tracker
from distilvo.runtime.frame_quality import Seen, judge
from distilvo.runtime.packaged_models import model_path


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["student"])
    parser.add_argument("--frames", type=int, default=500)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    timed = [Timed(model) for model in arguments.models]
    wall = cv2.resize(np.random.default_rng(0).integers(0, 256, (47, 200)).astype(np.uint8), (1600, 376))
    lefts = [4 * abs(k % 120 - 60) for k in range(arguments.frames)]  # there and back
    frames = [np.ascontiguousarray(wall[:, left : left + 1241]) for left in lefts]
    times = 1000 * np.array([[one.step(frame, k / 10) for one in timed] for k, frame in enumerate(frames)])
    low, middle = np.quantile(times[len(times) // 10 :], [0.05, 0.5], axis=0)
    for name, (whole, image, trust, network), median in zip(arguments.models, low, middle[:, 0], strict=True):
        print(
            f"{name}: 5 % {whole:.2f} ms (image {image:.2f}, trust {trust:.2f}, network {network:.2f}), "
            f"median {median:.2f} ms"
        )


class Timed:
    """A tracker, and its parts alone."""

    def __init__(self, model: str) -> None:
        self.tracker, self.network = Tracker(model, KITTI_00), StepModel(model_path(model))
        self.seen: Seen | None = None

    def step(self, frame: np.ndarray, t: float) -> np.ndarray:
        """Seconds of the whole and of its three parts, (4,)."""
        stamps = [time.perf_counter()]
        self.tracker.step(frame, t)
        stamps.append(time.perf_counter())
        image = self.tracker.preprocessing.apply(frame, KITTI_00)
        stamps.append(time.perf_counter())
        _, self.seen = judge(self.seen, image, t)
        stamps.append(time.perf_counter())
        self.network.step(image)
        return np.diff([*stamps, time.perf_counter()])


if __name__ == "__main__":
    main()
