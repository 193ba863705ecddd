"""Classical trackers as engines: they need no network and no scaled image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2

from distilvo.bench.engines import FrameToPose
from distilvo.bench.latency import Step
from distilvo.geometry.camera import Camera, Frame


class ClassicalTracker(Protocol):
    """Follows one camera frame by frame."""

    def step(self, image: Frame) -> object:
        """Take the next grey image, (H, W)."""


class ClassicalEngine:
    """A classical tracker on the camera's images, without scaling."""

    def __init__(self, tracker_of: Callable[[Camera], ClassicalTracker]) -> None:
        self._tracker_of = tracker_of

    def stepper(self, threads: int) -> Step:
        from distilvo.bench.sample_drive import street, there_and_back
        from distilvo.geometry.camera import KITTI_00

        track, images = self.tracker(threads, KITTI_00), there_and_back(street(10))
        return lambda: track(next(images))

    def tracker(self, threads: int, camera: Camera | None) -> FrameToPose:
        from distilvo.geometry.camera import KITTI_00

        cv2.setNumThreads(threads)
        return self._tracker_of(camera or KITTI_00).step
