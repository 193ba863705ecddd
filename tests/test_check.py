"""``distilvo check``: a corridor drawn from its poses, and every way in which a copy of it is wrong."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from distilvo.check import CheckResult, check, check_source
from distilvo.check.rotation import image_rotation
from distilvo.commands import main
from distilvo.errors import DistilvoError
from distilvo.geometry.camera import Camera, Frame
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.geometry.se3 import relative, rotation_angle, trajectory
from distilvo.sequences import open_sequence
from distilvo.sequences.image_files import ImageSequence
from distilvo.trajectory.formats import write_kitti

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NO_DATA = "the real data are not at hand"
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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with one sequence, nothing wrong with it."""
    root = tmp_path_factory.mktemp("sound")
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
    return root


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy of the sequence, to be broken."""
    shutil.copytree(sound, tmp_path / "kitti")
    return tmp_path / "kitti" / "sequences" / "00"


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


def test_sound_sequence(sound: Path) -> None:
    result = check_source(sound / "sequences" / "00")
    assert result.usable and not lines(result, "note") and not lines(result, "problem")
    assert (result.kind, result.frames, result.sizes) == ("kitti", FRAMES, {"320x96 grey": FRAMES})
    assert result.rate_hz == pytest.approx(10) and result.seconds == pytest.approx(3.9)
    assert result.path_m == pytest.approx(0.4 * 39, rel=1e-3)
    assert result.poses is not None and result.poses.verdict == "agree" and result.poses.shift == 0
    assert result.poses.pairs == FRAMES - 1 and result.poses.median_deg is not None and result.poses.median_deg < 0.2
    # By hand: atan(156.7 / 185) + atan(163.3 / 185); atan(47.5 / 184) + atan(48.5 / 184).
    assert result.field_of_view_deg == pytest.approx((81.70, 29.24), abs=0.01)
    assert result.unseen == pytest.approx(0, abs=0.01)


def test_rotation_from_images(sound: Path) -> None:
    frames = list(open_sequence(sound / "sequences" / "00").frames())
    truth = relative(trajectory(make_motions()))[:, :3, :3]
    errors = []
    for k in range(0, FRAMES - 1, 3):
        seen = image_rotation(frames[k], frames[k + 1], CAMERA)
        assert seen is not None
        errors.append(float(rotation_angle(seen.T @ truth[k])))
    assert np.degrees(np.median(errors)) < 0.2  # half a pixel; they turn by up to 2 degrees


def test_turn_on_the_spot_and_standstill() -> None:
    """Without a step the essential matrix is not defined, the turn is: it moves the image by K R inv(K)."""
    image = cv2.GaussianBlur(np.random.default_rng(1).uniform(0, 255, SIZE).astype(np.float32), (0, 0), 2)
    image = np.clip((image - image.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    k = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    turn, _ = cv2.Rodrigues(np.array([0.01, -0.03, 0.02]))
    turned = cv2.warpPerspective(image, k @ turn.T @ np.linalg.inv(k), SIZE[::-1])
    seen, still = image_rotation(image, turned, CAMERA), image_rotation(image, image, CAMERA)
    assert seen is not None and still is not None
    np.testing.assert_allclose(seen, turn, atol=1e-3)
    np.testing.assert_allclose(still, np.eye(3), atol=1e-5)


@pytest.mark.parametrize("shift", [1, -1, 4])
def test_poses_that_lie_some_frames_off(folder: Path, shift: int) -> None:
    motions = make_motions()
    moved = motions[np.clip(np.arange(FRAMES - 1) - shift, 0, FRAMES - 2)]
    write_poses(folder, trajectory(moved))
    result = check_source(folder)
    assert result.poses is not None and (result.poses.verdict, result.poses.shift) == ("disagree", shift)
    (problem,) = lines(result, "problem")
    assert f"image k moves as pose k{shift:+d} does" in problem
    assert f"remove the first {'4 ' if shift == 4 else ''}of the {'poses' if shift > 0 else 'images'}" in problem


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (np.linalg.inv, "world-to-camera"),
        (lambda poses: poses[:, [2, 0, 1, 3]][:, :, [2, 0, 1, 3]], "about other axes"),
        (lambda poses: trajectory(make_motions()[::-1] * [1, 1, 1, 1, -1, 1]), "do not turn as the images do"),
        (lambda poses: np.tile(np.eye(4), (len(poses), 1, 1)), "do not turn as the images do"),
    ],
)
def test_poses_of_another_kind_or_drive(folder: Path, change: Any, reason: str) -> None:
    write_poses(folder, change(trajectory(make_motions())))
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "disagree" and not result.usable
    assert reason in lines(result, "problem")[0] and "; " in lines(result, "problem")[0]


def test_wrong_focal_length(folder: Path) -> None:
    write_calibration(folder, 1.5)
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "disagree" and result.poses.ratio is not None
    assert result.poses.ratio == pytest.approx(1 / 1.5, abs=0.1)
    assert "the true focal length may be 0." in lines(result, "problem")[0]
    # The view shrinks to 1 / 1.5 of its width and of its height.
    assert result.unseen == pytest.approx(1 - 1 / 1.5**2, abs=0.02) and "is not seen" in lines(result, "note")[0]


def test_poses_that_cannot_be_compared(folder: Path) -> None:
    straight = make_motions() * [1, 1, 1, 0, 0, 0]
    image = cv2.imread(str(folder / "image_0" / "000000.png"), cv2.IMREAD_UNCHANGED)
    for k in range(FRAMES):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), image)
    write_poses(folder, trajectory(straight))
    result = check_source(folder)
    assert result.poses is not None and result.poses.verdict == "cannot tell" and result.usable
    assert "hardly turns" in lines(result, "note")[0]
    for k in range(FRAMES):
        cv2.imwrite(str(folder / "image_0" / f"{k:06d}.png"), np.zeros(SIZE, np.uint8))
    dark = check_source(folder)
    assert dark.poses is not None and (dark.poses.verdict, dark.poses.pairs) == ("cannot tell", 0) and dark.usable


def test_truncated_images(folder: Path) -> None:
    for k in (3, 7, 8, 20, 21, 22, 30):
        file = folder / "image_0" / f"{k:06d}.png"
        file.write_bytes(file.read_bytes()[:500])
    cv2.imwrite(str(folder / "image_0" / "000035.png"), np.zeros((96, 300), np.uint8))
    result = check_source(folder)
    assert (result.unreadable, len(result.unreadable_frames), result.sizes) == (8, 5, {"320x96 grey": FRAMES - 8})
    assert "000003.png: the image ends too early" in result.unreadable_frames[0]
    assert "8 of 40 frames unreadable or of another size; the others are 320x96 grey" in lines(result, "problem")[5]
    assert result.poses is not None and result.poses.verdict == "agree"  # by the images that are left


def test_first_image_truncated(folder: Path) -> None:
    file = folder / "image_0" / "000000.png"
    file.write_bytes(file.read_bytes()[:500])
    result = check_source(folder)
    assert not result.usable and "000000.png: the image ends too early" in lines(result, "problem")[0]


def test_duplicate_times(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[[5, 6]] = times[4]
    write_times(folder, times)
    result = check_source(folder)
    assert (result.duplicate_times, result.out_of_order_times) == (2, 0) and not result.usable
    assert "2 frames have the time of the one before, first frame 5 at 0.400000 s" in lines(result, "problem")[0]


def test_times_out_of_order(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[5] = 0.35
    sequence = open_sequence(folder)
    sequence.times = times  # type: ignore[misc]
    result = check(sequence)
    assert result.out_of_order_times == 1 and result.rate_hz == pytest.approx(10)
    assert "first from 0.400000 s to 0.350000 s after frame 4" in lines(result, "problem")[0]
    write_times(folder, times)  # from a file they are refused at once, by their line
    assert "times.txt, line 6" in lines(check_source(folder), "problem")[0]


def test_gap(folder: Path) -> None:
    times = np.arange(FRAMES) * 0.1
    times[10:] += 0.3
    times[20:] += 0.1
    write_times(folder, times)
    result = check_source(folder)
    assert (result.gaps, result.longest_gap_s, result.usable) == (2, pytest.approx(0.4), True)
    assert "the longest 0.400 s after frame 9" in lines(result, "note")[0]


def test_another_rate(folder: Path) -> None:
    write_times(folder, np.arange(FRAMES) * 0.05)
    result = check_source(folder)
    assert result.rate_hz == pytest.approx(20) and "trained on 10 frames/s; thin the frames" in lines(result, "note")[0]


def test_no_poses_and_no_times(folder: Path) -> None:
    (folder.parent.parent / "poses" / "00.txt").unlink()
    (folder / "times.txt").unlink()
    result = check_source(folder)
    assert result.usable and not result.has_poses and result.poses is None
    notes = lines(result, "note")
    assert len(notes) == 2 and "poses: there are none" in notes[0] and "10 Hz assumed" in notes[1]


def test_folder_without_intrinsics(folder: Path) -> None:
    result = check_source(folder / "image_0", "folder")
    assert result.usable and result.field_of_view_deg is None
    assert [line.split(":")[0] for line in lines(result, "note")] == [
        "note    poses",
        "note    camera",
        "note    height",
    ]
    assert "assumed" in next(line for line in lines(result, "ok") if "rate" in line)
    given = check_source(folder / "image_0", "folder", intrinsics=(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy))
    assert given.field_of_view_deg == pytest.approx((81.70, 29.24), abs=0.01)


def test_camera_that_sees_nothing_of_the_view(folder: Path) -> None:
    result = check_source(folder / "image_0", "folder", intrinsics=(4000.0, 4000.0, 160.0, 48.0))
    assert not result.usable and "check the intrinsics" in lines(result, "problem")[0]


def test_images_coarser_than_the_model(folder: Path) -> None:
    assert not lines(check_source(folder, preprocessing=Preprocessing((96, 320), 1)), "note")
    fine = check_source(folder, preprocessing=Preprocessing((192, 640), 1))
    assert "0.50 pixels for each of the model's 640x192" in lines(fine, "note")[0]


def test_view_of_a_model_whose_optical_axis_is_in_the_middle(folder: Path) -> None:
    """Its image reaches further to the left, and less far to the right, than KITTI's."""
    shift = 319 / 2 - CAMERA.cx
    seen = check_source(folder, preprocessing=Preprocessing((96, 320), 1, centred=True))
    assert seen.unseen == pytest.approx(shift / 320, abs=2e-3) and shift > 3
    assert "the models' is 82 x 29" in next(str(one) for one in seen.findings if one.about == "camera")


def test_height_of_the_camera(folder: Path) -> None:
    height = folder / "camera_height.txt"
    assert check_source(folder).camera_height_m == 1.5
    assert "height: the camera is 1.5 m above the road" in "".join(lines(check_source(folder), "ok"))
    assert check_source(folder, camera_height=0.9).camera_height_m == 0.9
    height.unlink()
    unknown = check_source(folder)
    (note,) = lines(unknown, "note")
    assert "camera height not known: 1.65 m taken (--camera-height)" in note and unknown.camera_height_m is None
    assert unknown.usable and json.loads(json.dumps(unknown.to_dict()))["camera_height_m"] is None
    assert "--camera-height 25: expected" in lines(check_source(folder, camera_height=25), "problem")[0]


def test_poses_without_intrinsics(folder: Path) -> None:
    sequence = open_sequence(folder)
    sequence.camera = None
    result = check(sequence)
    assert result.usable and result.poses is not None and result.poses.verdict == "cannot tell"
    assert any("the camera is not known; give --intrinsics" in line for line in lines(result, "note"))


def test_counts_that_do_not_fit(folder: Path) -> None:
    sequence = open_sequence(folder)
    sequence.poses = np.tile(np.eye(4), (FRAMES - 1, 1, 1))
    sequence.times = np.arange(FRAMES + 2) * 0.1  # type: ignore[misc]
    problems = lines(check(sequence), "problem")
    assert ["times: 42 for 40 frames" in problems[0], "poses: 39 for 40 frames" in problems[1]] == [True, True]


def test_reference(folder: Path) -> None:
    files = sorted((folder / "image_0").iterdir())[:3]
    reference = np.array([[0.0, 0, 0], [3, 4, 0], [3, 4, 1]])
    result = check(ImageSequence("drive", files, np.arange(3) * 0.1, reference=reference), "malaga")
    assert result.has_reference and result.path_m == pytest.approx(6)
    assert any("GPS: 6 m along, within 3 x 4 x 1 m" in line for line in lines(result, "ok"))


class Stream:
    """Frames that can only be had one after the other."""

    name, camera, poses, reference, camera_height = "stream", None, None, None, None
    assumed_times = False

    def __init__(self, frames: list[Frame | DistilvoError]) -> None:
        self._frames = frames
        self.times = np.arange(len(frames)) * 0.1

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self) -> Iterator[Frame]:
        for frame in self._frames:
            if isinstance(frame, DistilvoError):
                raise frame
            yield frame

    def fingerprint(self) -> bytes:
        return b""


def test_streams() -> None:
    frame = np.zeros((4, 6), np.uint8)
    broken = check(Stream([frame, frame, DistilvoError("image 2: broken"), frame]))
    assert (broken.frames, broken.unreadable, broken.unreadable_frames) == (3, 1, ["image 2: broken"])
    assert "those after it were not reached" in lines(broken, "problem")[1]
    mixed = check(Stream([frame, frame, np.zeros((4, 6, 3), np.uint8)]))
    assert mixed.sizes == {"6x4 grey": 2, "6x4 colour": 1} and "one size" in lines(mixed, "problem")[0]
    assert len(lines(check(Stream([frame])), "problem")) == 1
    assert check(Stream([frame] * 120), "camera").frames == 100  # it would never end
    none = check(Stream([]))
    assert not none.usable and "frames: there are none" in lines(none, "problem")[0]


@pytest.mark.parametrize("name", ["empty", "missing", "words.txt"])
def test_nothing_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "words.txt").touch()
    result = check_source(tmp_path / name)
    assert not result.usable and result.frames == 0 and len(result.findings) == 1


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main sets its own
    monkeypatch.setattr(sys, "argv", ["distilvo", "check", *map(str, arguments)])
    try:
        main.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, folder) == 0
    out, err = capsys.readouterr()
    assert not err and all(line.startswith("ok ") for line in out.splitlines())
    assert "ok      poses: poses and images agree; their turns differ by 0." in out
    (folder / "image_0" / "000003.png").write_bytes(b"")
    assert run(monkeypatch, folder, "--json") == 2
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["usable"], result["unreadable"], result["poses"]["verdict"]) == (False, 1, "agree")
    assert err.count("\n") == 1 and "2 problems; " in err


@pytest.mark.skipif(not DATA.is_dir(), reason=NO_DATA)
def test_real_kitti() -> None:
    turning = check_source(DATA / "kitti_odometry" / "sequences" / "00")
    assert turning.usable and turning.poses is not None and turning.poses.verdict == "agree"
    assert turning.poses.median_deg is not None and turning.poses.median_deg < 0.1
    straight = check_source(DATA / "kitti_odometry" / "sequences" / "06")
    assert straight.usable and straight.poses is not None and straight.poses.verdict in ("agree", "cannot tell")
    sequence = open_sequence(DATA / "kitti_odometry" / "sequences" / "00")
    assert sequence.poses is not None
    sequence.poses = sequence.poses[np.clip(np.arange(160) - 1, 0, None)]
    late = check(sequence)
    assert late.poses is not None and (late.poses.verdict, late.poses.shift) == ("disagree", 1)
