"""Which frames the tracker doubts, and what it puts in place of their motion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from distilvo.geometry import se3
from distilvo.models.network import PoseNetwork
from distilvo.models.onnx_export import export_onnx
from distilvo.runtime import Pose, Tracker
from distilvo.runtime.bridge import Bridge, too_fast
from distilvo.runtime.frame_quality import judge
from distilvo.settings import Gaps
from test_training import TINY

N, FIRST, SPOILT = 70, 25, 20
BAD = slice(FIRST, FIRST + SPOILT)
TIMES = np.arange(N) / 10
Frames = list[np.ndarray]


def drive(count: int = N, speed: float = 1.01) -> Frames:
    """A camera that comes closer to a wall: each image shows the middle of the last one, with the noise of a sensor."""
    return views(np.full(count, speed).cumprod() / speed)


def views(scales: np.ndarray, pan: np.ndarray | None = None, bare: slice = slice(0)) -> Frames:
    """A wall seen at scales (K,), turned to the right by so many pixels, with a part of its columns bare."""
    random = np.random.default_rng(0)
    coarse, fine = (cv2.resize(random.normal(0, 40, (n, 4 * n)), (640, 192)) for n in (12, 48))
    wall = 110 + coarse + fine
    frames = []
    wall[:, bare] = 110
    for scale, right in zip(2.5 * scales, np.zeros(len(scales)) if pan is None else pan, strict=True):
        shift = np.array([[scale, 0, 80 - right - scale * 320], [0, scale, 24 - scale * 96]])
        seen = cv2.warpAffine(wall, shift, (160, 48)) + random.normal(0, 1, (48, 160))
        frames.append(np.clip(seen, 0, 255).astype(np.uint8))
    return frames


def statuses(frames: Frames, times: np.ndarray = TIMES) -> list[str]:
    seen, found = None, []
    for frame, time in zip(frames, times, strict=False):
        status, seen = judge(seen, frame[None], float(time))
        found.append(status)
    return found


def noise(frames: Frames) -> Frames:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, frame.shape).astype(np.uint8) for frame in frames]


SPOIL: dict[str, tuple[Callable[[Frames], Frames], str]] = {
    "black": (lambda frames: [0 * frame for frame in frames], "no texture"),
    "covered": (lambda frames: [frame // 64 for frame in noise(frames)], "no texture"),
    "overexposed": (lambda frames: [np.full_like(frame, 255) for frame in frames], "no texture"),
    "noise": (noise, "implausible"),
    "upside down": (lambda frames: [np.ascontiguousarray(frame[::-1, ::-1]) for frame in frames], "implausible"),
    "mirrored": (lambda frames: [np.ascontiguousarray(frame[::-1]) for frame in frames], "implausible"),
    "shuffled": (lambda frames: [frames[k * 7 % SPOILT] for k in range(SPOILT)], "implausible"),
}


def test_a_sound_drive_is_never_doubted() -> None:
    for speed in (1.0, 1.004, 1.012):
        assert statuses(drive(speed=speed)) == ["ok"] * N
    start = np.concatenate([np.ones(30), (1 + np.arange(40) / 2000).cumprod()])
    assert statuses(views(start)) == ["ok"] * N  # a car begins to move after it stood
    assert statuses([frame // 8 for frame in drive()]) == ["ok"] * N  # at night


def test_a_turn_is_no_other_movement() -> None:
    turn = np.concatenate([np.zeros(40), 5 * np.arange(30)])
    assert statuses(views(np.ones(N), turn, bare=slice(0, 320))) == ["ok"] * N


@pytest.mark.parametrize("kind", SPOIL)
def test_twenty_spoilt_frames_are_doubted_and_few_others(kind: str) -> None:
    spoil, expected = SPOIL[kind]
    frames = drive()
    found = statuses(frames[:FIRST] + spoil(frames[BAD]) + frames[BAD.stop :])
    assert set(found[:FIRST]) == {"ok"}
    assert found[BAD].count(expected) >= SPOILT - 1
    behind = sum(status != "ok" for status in found[BAD.stop :])
    assert behind == 1 if expected == "no texture" else 1 <= behind <= 2  # the next pair, and one more that proves it


def test_a_frozen_stream_and_the_jump_after_it() -> None:
    frames = drive(speed=1.02)
    found = statuses(frames[:FIRST] + [frames[FIRST]] * SPOILT + frames[BAD.stop :])
    assert found[FIRST + 1 : BAD.stop] == ["static image"] * (SPOILT - 1)
    assert found[BAD.stop] == "implausible" and set(found[BAD.stop + 2 :]) == {"ok"}


def test_frames_that_are_lost() -> None:
    frames = drive()
    left = frames[:FIRST] + frames[BAD.stop :]
    found = statuses(left, np.concatenate([TIMES[:FIRST], TIMES[BAD.stop :]]))
    assert found[FIRST] == "gap" and set(found[FIRST + 1 :]) == {"ok"}
    one = statuses(frames[:FIRST] + frames[FIRST + 1 :], np.delete(TIMES, FIRST))
    assert one.count("gap") == 1
    assert statuses(left)[FIRST] == "implausible"  # also where no time says so


def test_a_rate_that_varies_has_no_gaps_and_another_rate_becomes_usual() -> None:
    stutter = np.cumsum(np.tile([0.033, 0.066], N // 2))
    assert "gap" not in statuses(drive(), stutter)[3:]
    slower = np.concatenate([TIMES[:30], TIMES[29] + 0.2 * np.arange(1, N - 29)])
    assert statuses(drive(), slower).count("gap") <= 3


def test_what_has_become_usual_is_trusted_again() -> None:
    """After a long night, or where the car stands after a curve, the old movement does not count for ever."""
    slow, fast = drive(40, 1.001), drive(30, 1.03)
    backwards = statuses(drive(40) + drive(40)[::-1], np.arange(80) / 10)
    assert backwards[41:45] == ["implausible"] * 4 and set(backwards[50:]) == {"ok"}
    found = statuses(slow + fast)
    assert found[40] == "implausible" and set(found[50:]) == {"ok"}
    night = statuses(slow + [0 * slow[0]] * 40 + fast, np.arange(110) / 10)
    assert set(night[40:80]) == {"no texture"} and set(night[85:]) == {"ok"}
    remounted = [np.ascontiguousarray(frame[::-1, ::-1]) for frame in drive(100)[30:]]
    assert statuses(drive(30) + remounted, np.arange(100) / 10)[-20:] == ["ok"] * 20


def motion(metres: float) -> np.ndarray:
    return np.array([0, 0, metres, 0, 0, 0], np.float32)


def test_bridge_holds_the_velocity_for_three_seconds_then_begins_a_segment() -> None:
    bridge = Bridge("velocity")
    for metres in (1.0, 1.2, 9.0, 1.1, 1.0):  # the median is 1.1 m in 0.1 s
        bridge.step("ok", motion(metres), 0.1)
    bridged, segment = bridge.step("gap", motion(0.6), 2.0)
    assert (bridged, segment) == (pytest.approx(motion(22.0)), 0)
    assert bridge.step("no texture", motion(5), 1.0)[0] == pytest.approx(motion(11.0))
    assert bridge.step("implausible", motion(5), 0.1)[0] == pytest.approx(motion(0))
    assert bridge.step("ok", motion(1), 0.1) == (pytest.approx(motion(1)), 1)
    assert bridge.step("gap", motion(1), 9.0) == (pytest.approx(motion(0)), 2)


def test_each_bridge_may_last_three_seconds() -> None:
    bridge = Bridge("velocity")
    for status in ("ok", "gap", "ok", "gap"):
        bridged, segment = bridge.step(status, motion(1), 0.5 if status == "ok" else 2.0)
    assert (bridged, segment) == (pytest.approx(motion(4)), 0)


def test_bridge_by_segments() -> None:
    bridge = Bridge("segment")
    seen = [bridge.step(status, motion(1), 0.1) for status in ("ok", "gap", "ok", "no texture", "no texture", "ok")]
    assert [segment for _, segment in seen] == [0, 1, 1, 1, 1, 2]
    assert [float(moved[2]) for moved, _ in seen] == [1, 0, 1, 0, 0, 1]
    assert Bridge("velocity").step("gap", motion(1), 0.1) == (pytest.approx(motion(0)), 0)  # no velocity is known


def test_no_vehicle_is_that_fast() -> None:
    assert too_fast(motion(10.1), 0.1) and not too_fast(motion(9.9), 0.1)
    turn = np.array([0, 0, 0, 0, 0.7, 0], np.float32)
    assert too_fast(turn, 0.1) and not too_fast(turn, 0.2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("model") / "m.onnx", metres=1.0)


def export(path: Path, metres: float) -> Path:
    """A network that finds about so many metres a frame."""
    torch.manual_seed(0)
    network = PoseNetwork(TINY).eval()
    network.set_motion_scale(torch.tensor([0, 0, metres, 0, 0, 0]), torch.full((6,), 0.01))
    export_onnx(network, {"architecture": TINY.to_dict()}, path, torch.zeros((3, 1, 48, 160), dtype=torch.uint8))
    return path


def tracked(model: Path, frames: Frames, times: np.ndarray, gaps: Gaps = "velocity") -> list[Pose]:
    with Tracker(model, gaps=gaps) as tracker:
        return [tracker.step(frame, float(t)) for frame, t in zip(frames, times, strict=True)]


def test_tracker_never_makes_a_gap_one_step(model: Path) -> None:
    frames = drive()
    left, times = frames[:FIRST] + frames[BAD.stop :], np.concatenate([TIMES[:FIRST], TIMES[BAD.stop :]])
    poses = tracked(model, left, times)
    assert (poses[FIRST].status, poses[FIRST].segment) == ("gap", 0)
    assert poses[FIRST].motion[2] == pytest.approx(21 * 1.0, abs=1.0)  # 1 m a frame, 21 steps of 0.1 s
    apart = tracked(model, left, times, "segment")
    assert [pose.segment for pose in apart] == [0] * FIRST + [1] * (N - SPOILT - FIRST)
    assert apart[FIRST].matrix == pytest.approx(apart[FIRST - 1].matrix, abs=1e-12)  # its rotation is made orthonormal
    steps = se3.between(np.stack([p.matrix for p in poses[:-1]]), np.stack([p.matrix for p in poses[1:]]))
    assert steps[:, 2, 3] == pytest.approx([pose.motion[2] for pose in poses[1:]], abs=1e-3)


def test_tracker_begins_a_new_pair_behind_spoilt_frames(model: Path) -> None:
    """What follows is as if the drive began there: the model never sees a spoilt pair."""
    frames = drive()
    before, after = frames[:FIRST], frames[BAD.stop :]
    dark = tracked(model, before + SPOIL["black"][0](frames[BAD]) + after, TIMES)
    assert [pose.status for pose in dark[BAD]] == ["no texture"] * SPOILT
    assert np.linalg.norm(dark[BAD][-1].matrix[:3, 3] - dark[FIRST - 1].matrix[:3, 3]) == pytest.approx(20, abs=1)
    for one, other in zip(dark[BAD.stop + 1 :], tracked(model, after, TIMES[BAD.stop :])[1:], strict=True):
        assert one.status == other.status == "ok" and np.array_equal(one.motion, other.motion)
    frozen = tracked(model, [frames[0]] * 3, TIMES[:3])
    assert frozen[2].status == "static image" and not frozen[2].motion.any()


def test_tracker_does_not_believe_200_metres_a_second(tmp_path: Path) -> None:
    poses = tracked(export(tmp_path / "fast.onnx", metres=20.0), drive(5), TIMES[:5])
    assert [pose.status for pose in poses] == ["ok", *["implausible"] * 4]
    assert not poses[-1].matrix[:3, 3].any()
