"""What rerun shows of a run: the current frame, the trajectory so far, the truth, and the distance between the two.

Everything is logged in the axes of the first camera: x right, y down, z forward, metres. Needs the extra ``view``.
"""

from __future__ import annotations

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.se3 import Floats, between
from distilvo.runtime import Pose
from distilvo.sequences import Sequence

ESTIMATE, TRUTH = (255, 140, 0), (60, 180, 75)
EYE_M = (-8, -18, -34)
"""Position of the viewer's eye in the axes of the camera: left of it, above and behind."""
JPEG_QUALITY = 80
ERROR = "distance from the truth (m), aligned at the first pose"


class DriveScene:
    """Logs one run to rerun, frame by frame."""

    def __init__(self, stream: rr.RecordingStream, sequence: Sequence) -> None:
        """Send the layout, and the camera and the true trajectory of ``sequence`` where it has them."""
        self._stream = stream
        self._truth = None if sequence.poses is None else between(sequence.poses[0], sequence.poses)
        self._last: Floats | None = None
        stream.send_recording_name(sequence.name)
        stream.send_blueprint(_layout(sequence))
        stream.log("world", rr.ViewCoordinates.RDF, static=True)
        stream.log("world/camera", rr.TransformAxes3D(1.0), static=True)
        if sequence.camera is not None:
            stream.log("world/camera/image", _pinhole(sequence.camera), static=True)
        if self._truth is not None:
            path = rr.LineStrips3D([self._truth[:, :3, 3]], colors=TRUTH)
            stream.log("world/truth", path, static=True)
            stream.log("error", rr.SeriesLines(names=ERROR), static=True)

    def step(self, index: int, frame: Frame, pose: Pose) -> None:
        """Log frame ``index``, (H, W) grey or (H, W, 3) RGB uint8, and the estimated pose of its camera."""
        position = pose.matrix[:3, 3]
        log = self._stream.log
        self._stream.set_time("frame", sequence=index)
        self._stream.set_time("time", duration=pose.time)
        log("world/camera", rr.Transform3D(translation=position, mat3x3=pose.matrix[:3, :3]))
        log("world/camera/image", _jpeg(frame))
        if self._last is not None:  # one piece a frame: the whole path in each frame would grow with the square
            log("world/estimate", rr.LineStrips3D([[self._last, position]], colors=ESTIMATE))
        self._last = position
        if self._truth is not None:
            there = self._truth[index, :3, 3]
            log("world/truth/now", rr.Points3D([there], colors=TRUTH, radii=rr.Radius.ui_points(5)))
            log("error", rr.Scalars(float(np.linalg.norm(position - there))))


def _layout(sequence: Sequence) -> rrb.Blueprint:
    begin, now = rrb.TimeRangeBoundary.infinite(), rrb.TimeRangeBoundary.cursor_relative()
    so_far = rrb.VisibleTimeRanges([rrb.VisibleTimeRange(name, start=begin, end=now) for name in ("frame", "time")])
    world = rrb.Spatial3DView(
        origin="world/camera",  # so the camera stays in the middle; an eye that tracks it would begin centimetres away
        contents="world/**",
        name="from behind the camera, whose axes are 1 m long",
        line_grid=False,  # it would move with the camera
        overrides={"world/estimate": so_far},
        eye_controls=rrb.EyeControls3D(position=EYE_M, look_target=(0, 0, 0), eye_up=(0, -1, 0)),
    )
    beside: list[rrb.View] = [rrb.Spatial2DView(origin="world/camera/image", name="frame")]
    if sequence.poses is not None:
        beside.append(rrb.TimeSeriesView(origin="error", name=ERROR, plot_legend=rrb.PlotLegend(visible=False)))
    return rrb.Blueprint(
        rrb.Horizontal(world, rrb.Vertical(*beside)),
        rrb.TimePanel(timeline="frame", state="collapsed"),
        collapse_panels=True,
    )


def _pinhole(camera: Camera) -> rr.Pinhole:
    return rr.Pinhole(
        focal_length=(camera.fx, camera.fy),
        principal_point=(camera.cx + 0.5, camera.cy + 0.5),  # rerun's first pixel begins at 0, ours has its centre at 0
        width=camera.width,
        height=camera.height,
        camera_xyz=rr.ViewCoordinates.RDF,
    )


def _jpeg(frame: Frame) -> rr.EncodedImage:
    """The frame as JPEG; faster than ``rr.Image.compress``."""
    image = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return rr.EncodedImage(contents=encoded.tobytes(), media_type="image/jpeg")
