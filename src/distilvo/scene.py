"""What rerun shows of a run: the current frame, the trajectory as it grows, the truth, and how far apart they are.

Everything is logged in the axes of the first camera: x right, y down, z forward, metres. Needs the extra ``view``.
"""

from __future__ import annotations

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from distilvo.poses import Floats, between
from distilvo.runtime import Pose
from distilvo.sequences import Camera, Sequence
from distilvo.sequences.base import Frame

ESTIMATE, TRUTH = (255, 140, 0), (60, 180, 75)
EYE_M = (-8, -18, -34)
"""Left of the camera, above and behind it: where it is watched from, in its own axes."""
JPEG_QUALITY = 80
ERROR = "distance from the truth (m), aligned at the first pose"


class Scene:
    """Logs frame after frame of one run."""

    def __init__(self, stream: rr.RecordingStream, sequence: Sequence) -> None:
        """Args ``sequence``: whose camera and poses are drawn, where it has them."""
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
        """Log frame ``index``, (H, W) grey or (H, W, 3) RGB uint8, and where its camera was found."""
        position = pose.matrix[:3, 3]
        log = self._stream.log
        self._stream.set_time("frame", sequence=index)
        self._stream.set_time("time", duration=pose.time)
        log("world/camera", rr.Transform3D(translation=position, mat3x3=pose.matrix[:3, :3]))
        log("world/camera/image", _jpeg(frame))
        if self._last is not None:  # one piece a frame: the whole path each time would grow with its square
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
        origin="world/camera",  # the camera stays in the middle; an eye that tracks it begins centimetres away
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
        principal_point=(camera.cx + 0.5, camera.cy + 0.5),  # rerun's pixels begin at 0, ours have their centre there
        width=camera.width,
        height=camera.height,
        camera_xyz=rr.ViewCoordinates.RDF,
    )


def _jpeg(frame: Frame) -> rr.EncodedImage:
    """What ``rr.Image.compress`` does, but quicker."""
    picture = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return rr.EncodedImage(contents=encoded.tobytes(), media_type="image/jpeg")
