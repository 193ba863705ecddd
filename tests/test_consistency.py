"""What a teacher's contradictions amount to, of a teacher whose errors are known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from distilvo.data import Drive
from distilvo.geometry import se3
from distilvo.pipeline.consistency import Inconsistency, inconsistency

UNIT = torch.tensor([0.5, 0.5, 0.5, 0.1, 0.1, 0.1])
Errors = dict[tuple[int, int], list[float]]
NAMES = ("backward", "two_frame", "mirrored")


class Knowing(torch.nn.Module):
    """Reads each frame's number off its pixels, left or right, and knows its pose; errs by so much on given pairs.

    ``pair`` (k, j) has its motion from k to j off by (6,), whichever side the frames are shown on.
    """

    def __init__(self, poses: np.ndarray, off: Errors, off_mirrored: Errors | None = None) -> None:
        super().__init__()
        self.poses, self.off = poses, (off, off if off_mirrored is None else off_mirrored)
        self.runs: list[list[int]] = []

    def predict(self, frames: torch.Tensor) -> torch.Tensor:
        assert not self.training and len(frames) >= 2
        mirrored = bool(frames[:, 0, 0, 1].max() > 0)
        numbers = frames[:, 0, 0, int(mirrored)].int().tolist()
        self.runs.append(numbers)
        motions = se3.motions_from_matrices(se3.between(self.poses[numbers[:-1]], self.poses[numbers[1:]]))
        for place, pair in enumerate(pairwise(numbers)):
            motions[place] += self.off[mirrored].get(pair, 0.0)
        return torch.from_numpy(motions * ([-1, 1, 1, 1, -1, -1] if mirrored else 1)).float()


def numbered(*lengths: int) -> Any:
    """A cache of 1 x 2 images: frame k shows k in its left half and 0 in its right one."""
    frames = torch.zeros((sum(lengths), 1, 1, 2), dtype=torch.uint8)
    frames[:, 0, 0, 0] = torch.arange(sum(lengths))
    firsts = np.cumsum([0, *lengths])
    drives = [Drive(str(k), int(firsts[k]), length) for k, length in enumerate(lengths)]
    return SimpleNamespace(drives=drives, drive_frames=lambda k: frames[firsts[k] : firsts[k + 1]])


def path(frames: int, seed: int = 0) -> np.ndarray:
    spread = [0.1, 0.1, 0.3, 0.02, 0.1, 0.02]
    return se3.trajectory(np.random.default_rng(seed).normal([0, 0, 1, 0, 0, 0], spread, (frames - 1, 6)))


def measured(lengths: tuple[int, ...], off: Errors, off_mirrored: Errors | None = None) -> Inconsistency:
    return inconsistency(Knowing(path(sum(lengths)), off, off_mirrored), numbered(*lengths), UNIT)  # type: ignore[arg-type]


def test_a_perfect_teacher_agrees_with_itself() -> None:
    found = measured((9, 3, 6), {})
    for name in NAMES:
        assert getattr(found, name).shape == (8 + 2 + 5, 2)
        assert getattr(found, name).max() < 1e-9


@pytest.mark.parametrize("component", [0, 1, 2])
def test_an_error_of_one_pair_shows_there_and_in_the_windows_beside_it(component: int) -> None:
    off = [0.0] * 6
    off[component] = 1.5  # (1.5 / 0.5)^2 = 9
    found = measured((12,), {(5, 6): off}, {})
    alone, windows = np.zeros(11), np.zeros(11)
    alone[5], windows[4:7] = 9.0, (4.5, 9.0, 4.5)
    for name, expected in (("backward", alone), ("two_frame", windows), ("mirrored", alone)):
        values = getattr(found, name).numpy()
        np.testing.assert_allclose(values[:, 0], expected, atol=1e-4)
        np.testing.assert_allclose(values[:, 1], 0, atol=1e-9)


def test_an_error_of_the_rotation_is_in_units_of_the_rotation() -> None:
    poses = np.tile(np.eye(4), (5, 1, 1))  # a standing camera
    teacher = Knowing(poses, {(1, 2): [0, 0, 0, 0, 0.2, 0]}, {})
    found = inconsistency(teacher, numbered(5), UNIT)  # type: ignore[arg-type]
    for name, expected in (("backward", [0, 4, 0, 0]), ("two_frame", [4, 4, 2, 0]), ("mirrored", [0, 4, 0, 0])):
        np.testing.assert_allclose(getattr(found, name).numpy(), [[0, value] for value in expected], atol=1e-5)


def test_the_first_pair_is_in_one_window_alone() -> None:
    found = measured((6,), {(0, 1): [1.0, 0, 0, 0, 0, 0]})  # (1 / 0.5)^2 = 4
    assert found.two_frame[:, 0].tolist() == pytest.approx([4, 2, 0, 0, 0], abs=1e-5)


def test_each_run_alone_is_what_it_is_compared_with() -> None:
    """An error of the other run alone shows in its own part, and in no other."""
    step = [1.0, 0, 0, 0, 0, 0]
    for pair, name, expected in (((3, 2), "backward", [0, 0, 4, 0, 0]), ((2, 4), "two_frame", [0, 0, 2, 2, 0])):
        found = measured((6,), {pair: step}, {})
        for other in NAMES:
            values = expected if other == name else [0] * 5
            assert getattr(found, other)[:, 0].tolist() == pytest.approx(values, abs=1e-5)
    found = measured((6,), {}, {(4, 5): step})
    assert found.mirrored[:, 0].tolist() == pytest.approx([0, 0, 0, 0, 4], abs=1e-5)
    assert found.backward.max() < 1e-9 and found.two_frame.max() < 1e-9


def test_whole_drives_are_run_and_none_goes_on_in_the_next() -> None:
    teacher = Knowing(path(9), {})
    inconsistency(teacher, numbered(5, 4), UNIT)  # type: ignore[arg-type]
    first, second = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 2, 4], [1, 3]], [[5, 6, 7, 8], [8, 7, 6, 5], [5, 7], [6, 8]]
    assert sorted(teacher.runs) == sorted([*first, first[0], *second, second[0]])  # the first ones mirrored, too


@pytest.mark.parametrize("mirror", [False, True])
def test_runs_that_are_known_are_spared_and_change_nothing(mirror: bool) -> None:
    off: Errors = {(2, 3): [0.3, 0, 1, 0, 0.1, 0], (6, 7): [0, 0.2, 1, 0.1, 0, 0], (4, 3): [0.5, 0, 0, 0, 0, 0]}
    off_mirrored: Errors = {(0, 1): [0.4, 0, 0, 0, 0, 0.1], (7, 8): [0, 0, 0.6, 0, 0.2, 0]}
    teacher, cache = Knowing(path(9), off, off_mirrored).eval(), numbered(5, 4)
    frames = [cache.drive_frames(drive) for drive in (0, 1)]
    outputs = [teacher.predict(part) for part in frames]
    outputs += [teacher.predict(part.flip(-1)) for part in frames] if mirror else []
    teacher.runs.clear()
    spared = inconsistency(teacher, cache, UNIT, torch.cat(outputs))  # type: ignore[arg-type]
    assert len(teacher.runs) == 2 * (3 if mirror else 4)  # two of them over every second frame
    whole = measured((5, 4), off, off_mirrored)
    for name in NAMES:
        assert getattr(whole, name).max() > 0.1
        torch.testing.assert_close(getattr(spared, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_a_drive_of_two_frames_has_nothing_over_two() -> None:
    found = measured((2, 3), {(0, 1): [1.0, 0, 0, 0, 0, 0]})
    assert found.two_frame[:1].isnan().all() and found.two_frame[1:].isfinite().all()
    assert found.backward[:, 0].tolist() == pytest.approx([4, 0, 0], abs=1e-5)


def test_the_shipped_teacher_gives_numbers_for_every_pair(kitti_root: Path, tmp_path: Path, lstm_teacher: Path) -> None:
    from distilvo.data import open_cache
    from distilvo.models.model_folder import load_model
    from distilvo.sequences import open_dataset

    teacher, _ = load_model(lstm_teacher)
    cache = open_cache(open_dataset(kitti_root)[:2], teacher.preprocessing, tmp_path, need_poses=False)
    found = inconsistency(teacher, cache, teacher.scale)
    for name in NAMES:
        values = getattr(found, name)
        assert values.shape == (38, 2) and values.isfinite().all() and (values > 0).all()
        assert values.dtype == torch.float32
