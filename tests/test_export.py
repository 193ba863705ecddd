"""The exported file, the runtime on it, and tracking a source with it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from conftest import make_kitti
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.camera import Camera
from distilvo.models.kinds import count_parameters
from distilvo.models.network import PoseNetwork, State
from distilvo.models.onnx_export import _there_and_back, export_onnx
from distilvo.models.step_model import StepModel
from distilvo.pipeline.tracking import Tracked, track, write_track
from distilvo.runtime import Tracker
from distilvo.sequences import Sequence, open_sequence
from distilvo.trajectory.formats import read_kitti, read_tum
from test_training import TINY

ALWAYS = {"frames", "frames_per_second", "statuses", "segments", "camera_height_m", "end_deviation_m"}
CONFIG = {"architecture": TINY.to_dict()}


@pytest.fixture(scope="module")
def network() -> PoseNetwork:
    torch.manual_seed(0)
    network = PoseNetwork(TINY).eval()
    network.set_motion_scale(torch.tensor([0, 0, 1.0, 0, 0, 0]), torch.full((6,), 0.1))
    return network


@pytest.fixture(scope="module")
def model(network: PoseNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    frames = torch.randint(0, 256, (6, 1, 48, 160), dtype=torch.uint8)
    assert export_onnx(network, CONFIG, path, frames) < 1e-5
    return path


def test_one_file_holds_all(model: Path) -> None:
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]
    assert b'File "' not in model.read_bytes()  # stack traces of the exporter
    loaded = onnx.load(model)
    metadata = {p.key: p.value for p in loaded.metadata_props}
    assert json.loads(metadata["distilvo"]) == json.loads(json.dumps({**CONFIG, "centred": True}))
    assert (metadata["parameters"], metadata["precision"]) == (str(count_parameters(TINY)), "fp32")
    assert [value.name for value in loaded.graph.input] == ["frame", "state_0", "state_1", "state_2"]
    assert [value.name for value in loaded.graph.output] == ["motion", "next_0", "next_1", "next_2"]


def test_metadata_are_read_by_the_runtime_and_older_files_have_less(model: Path, tmp_path: Path) -> None:
    assert (StepModel(model).parameters, StepModel(model).precision) == (count_parameters(TINY), "fp32")
    older = onnx.load(model)
    onnx.helper.set_model_props(older, {"distilvo": json.dumps(CONFIG)})
    onnx.save(older, tmp_path / "older.onnx")
    step_model = StepModel(tmp_path / "older.onnx")
    assert (step_model.parameters, step_model.precision) == (None, None)
    onnx.helper.set_model_props(older, {"distilvo": json.dumps(CONFIG), "parameters": "many"})
    onnx.save(older, tmp_path / "damaged.onnx")
    with pytest.raises(DistilvoError, match=r"damaged\.onnx: not a model that 'distilvo export' wrote"):
        StepModel(tmp_path / "damaged.onnx")


def test_the_check_sees_frames_there_and_back() -> None:
    """A jump from the last frame to the first has no flow: what a solver makes of it hangs on float32's last digits."""
    assert _there_and_back(torch.arange(10), 4).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert _there_and_back(3 * torch.arange(6), 8).tolist() == [0, 3, 6, 5, 2, 1]
    assert _there_and_back(torch.arange(3), 1).tolist() == [0, 0, 0]


def test_wrong_export_is_caught(network: PoseNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.randint(0, 256, (4, 1, 48, 160), dtype=torch.uint8)
    right = network.predict(frames)
    monkeypatch.setattr(PoseNetwork, "predict", lambda *_: right + 1e-3)
    with pytest.raises(DistilvoError, match=r"gives motions up to 1\.00e-03 off"):
        export_onnx(network, CONFIG, tmp_path / "m.onnx", frames)
    assert not list(tmp_path.iterdir())


def test_state_that_leaks_into_the_next_stream_is_caught(
    network: PoseNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One drive alone cannot tell: it is the first stream that the file sees."""
    frames = torch.randint(0, 256, (4, 1, 48, 160), dtype=torch.uint8)
    forget = StepModel.reset
    monkeypatch.setattr(StepModel, "reset", lambda self: None if hasattr(self, "_state") else forget(self))
    with pytest.raises(DistilvoError, match="off those of the network"):
        export_onnx(network, CONFIG, tmp_path / "m.onnx", frames)


def test_streams_that_the_network_mixes_are_caught(network: PoseNetwork, tmp_path: Path) -> None:
    """One pair of frames cannot tell: it is a batch of one as well."""
    frames = torch.randint(0, 256, (2, 1, 48, 160), dtype=torch.uint8)
    mixing = copy.deepcopy(network)
    mixing.lstm[0].batch_first = False  # forward() then takes the batch for time, step() has one of each
    with pytest.raises(DistilvoError, match="off those of the network"):
        export_onnx(mixing, CONFIG, tmp_path / "m.onnx", frames)


def test_frozen_time_is_caught(network: PoseNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that takes the state for a constant: right for a pair of frames, wrong from the third one on."""
    frames = torch.randint(0, 256, (2, 1, 48, 160), dtype=torch.uint8)
    step = PoseNetwork.step

    def frozen(self: PoseNetwork, frame: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        motion, after = step(self, frame, (state[0], *(0 * memory for memory in state[1:])))
        return motion, (after[0], *state[1:])

    monkeypatch.setattr(PoseNetwork, "step", frozen)
    with pytest.raises(DistilvoError, match="off those of the network"):
        export_onnx(network, CONFIG, tmp_path / "m.onnx", frames)


def test_tracker_follows_the_network(network: PoseNetwork, model: Path, kitti_root: Path) -> None:
    sequence = open_sequence(kitti_root / "sequences" / "00")
    tracker = Tracker(model, sequence.camera)
    seen = [network.preprocessing.apply(frame, sequence.camera) for frame in sequence.frames()]
    frames = torch.from_numpy(np.stack(seen))
    expected = se3.trajectory(network.predict(frames).numpy())
    for _ in range(2):  # the same again after a reset
        poses = [tracker.step(frame, t).matrix for t, frame in enumerate(sequence.frames())]
        assert np.allclose(poses, expected, atol=1e-4)
        tracker.reset()


def test_tracker_refuses_what_it_cannot_use(model: Path, tmp_path: Path) -> None:
    tracker = Tracker(model)
    frame = np.zeros((60, 200), np.uint8)
    assert np.array_equal(tracker.step(frame, 1.0).matrix, np.eye(4))
    for bad in (frame.astype(np.float32), frame[0], np.zeros((60, 200, 4), np.uint8), frame[:0]):
        with pytest.raises(DistilvoError, match="expected uint8"):
            tracker.step(bad, 2.0)
    for t in (1.0, 0.5, float("nan")):
        with pytest.raises(DistilvoError, match="not after the last one"):
            tracker.step(frame, t)
    (tmp_path / "m.onnx").write_bytes(model.read_bytes()[:500])
    with pytest.raises(DistilvoError, match="not a model that 'distilvo export' wrote"):
        Tracker(tmp_path / "m.onnx")


def test_runtime_does_not_import_torch(model: Path) -> None:
    code = (
        f"import sys; from distilvo.runtime import Tracker; Tracker({str(model)!r}); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def followed(sequence: Sequence, model: Path) -> Tracked:
    """A source tracked by a model of its camera."""
    return track(sequence, Tracker(model, sequence.camera))


def test_track_writes_trajectory_and_errors(model: Path, kitti_root: Path, tmp_path: Path) -> None:
    result = followed(open_sequence(kitti_root / "sequences" / "01"), model)
    write_track(result, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["frames"] == 20
    assert summary.keys() == {*ALWAYS, "rms_rpe_t_m", "rms_rpe_r_deg", "ate_m", "ate_scale"}
    times, found = read_tum(tmp_path / "trajectory.tum")
    assert np.allclose(times, np.arange(20) / 10)
    assert np.allclose(found, read_kitti(tmp_path / "trajectory.kitti"), atol=1e-6)


def test_track_without_truth_has_no_errors(model: Path, tmp_path: Path) -> None:
    folder = make_kitti(tmp_path, "07", frames=4)
    (tmp_path / "poses" / "07.txt").unlink()
    assert followed(open_sequence(folder), model).summary().keys() == ALWAYS


def test_other_fields_of_view_are_warned_about(model: Path, kitti_root: Path) -> None:
    sequence = open_sequence(kitti_root / "sequences" / "00")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        followed(sequence, model)
    sequence.camera = Camera(fx=150, fy=150, cx=79.5, cy=23.5, width=160, height=48)
    with pytest.warns(UserWarning, match=r"does not see \d\d% of the view"):
        followed(sequence, model)
    sequence.camera = None
    with pytest.warns(UserWarning, match="intrinsics are not known"):
        followed(sequence, model)


def test_track_holds_no_frames(model: Path) -> None:
    """However long the source is: beside the one at work there is at most the one before, in the loop's hand."""
    alive: list[weakref.ref[np.ndarray]] = []
    held = []

    class Long:
        name, camera, poses, reference, camera_height, assumed_times = "long", None, None, None, None, False
        times = np.arange(40) / 10

        def __len__(self) -> int:
            return len(self.times)

        def frames(self) -> Iterator[np.ndarray]:
            for index in range(len(self)):
                held.append(sum(ref() is not None for ref in alive))
                frame = np.full((60, 200), index, np.uint8)
                alive.append(weakref.ref(frame))
                yield frame
                del frame

        def fingerprint(self) -> bytes:
            return b""

    with pytest.warns(UserWarning, match="intrinsics are not known"):
        track(Long(), Tracker(model), watchers=(lambda index, frame, pose: None,))
    assert len(held) == 40 and max(held) <= 1
