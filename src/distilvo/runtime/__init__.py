"""Live tracking with an exported model: ``step(frame, t) -> pose``. Needs numpy, onnxruntime and OpenCV: no torch."""

from distilvo.geometry.camera import Camera
from distilvo.runtime.frame_quality import Status
from distilvo.runtime.tracker import Pose, Tracker

__all__ = ["Camera", "Pose", "Status", "Tracker"]
