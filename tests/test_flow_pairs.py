"""Frame pairs with true flow: by hand, and of rendered streets, where solver and pairs must agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_kitti
from distilvo.data import FrameCache, open_cache
from distilvo.data.flow_pairs import FlowPairs, StandingScene
from distilvo.errors import DistilvoError
from distilvo.geometry import se3
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.models.pose_solver import Points, solve_flow
from distilvo.sequences import open_dataset
from distilvo.settings import FlowRecipe
from tiny_flow import COARSE

FORM = replace(COARSE, size=(64, 192)).preprocessing
PLAIN = FlowRecipe(batch_size=4, two_apart=0.0, reversed=0.0, exposure_gain=0.0, exposure_offset=0.0, noise=0.0)
MIXED = replace(PLAIN, two_apart=0.3, reversed=0.3)
UNIT = torch.from_numpy(8 / FORM.intrinsics.diagonal()[:2]).float()
HEIGHT = 1.65


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> FrameCache:
    pytest.importorskip("numba", reason="the extra 'world' is not installed")
    from distilvo.world.dataset import render_streets

    root = tmp_path_factory.mktemp("streets")
    render_streets(root, [0, 1, 3], 10, (96, 288), workers=1, flow=True)
    return open_cache(open_dataset(root), FORM, root / "cache", flow=True)


class Store(FrameCache):
    """A cache by hand: drives of the given motions (n - 1, 6), all maps as they are given or standing still."""

    def __init__(self, drives: list[np.ndarray], near: np.ndarray, flow: np.ndarray | None = None) -> None:
        from distilvo.data.frame_cache import Drive

        lengths = [len(motions) + 1 for motions in drives]
        firsts = np.cumsum([0, *lengths[:-1]]).tolist()
        self.drives = [Drive(str(i), *part) for i, part in enumerate(zip(firsts, lengths, strict=True))]
        self.motions = np.concatenate(drives).astype(np.float32)
        self.camera_heights = np.full(len(drives), 1.0)
        count, size = sum(lengths), (8 * near.shape[0], 8 * near.shape[1])
        self.frames = np.random.default_rng(0).integers(0, 256, (count, 1, *size)).astype(np.uint8)
        self.inverse_depth = np.tile(near.astype(np.float16), (count, 1, 1))
        flow = np.full((2, *near.shape), np.nan) if flow is None else flow
        self.flow = np.tile(flow.astype(np.float16), (count, 1, 1, 1))
        for drive in self.drives:
            self.flow[drive.first + drive.frames - 1] = np.nan
        self.key = "by hand"


SIZE = (32, 96)
HAND = Preprocessing(SIZE, 1, centred=True)
FORWARD = np.array([[0, 0, HEIGHT, 0, 0, 0]] * 3)  # one camera height at a time
WALL = np.full((4, 12), 0.25)


def standing(form: Preprocessing, near: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The flow (2, h, w) of one pair in a standing scene."""
    return StandingScene(form).flow(torch.from_numpy(near)[None], torch.from_numpy(step)[None])[0].numpy()


# --- by hand ------------------------------------------------------------------------------------------------------


def test_flow_of_a_standing_scene_by_hand() -> None:
    """One height towards a wall that is 4 away: each place moves out by a third; what leaves the image is unknown."""
    rays, focal = HAND.rays(8), HAND.intrinsics.diagonal()[:2, None, None]
    step = np.eye(4)
    step[2, 3] = 1.0
    flow = standing(HAND, WALL, step)
    outside = (np.abs(rays * 4 / 3) > 1.05 * np.abs(rays).max((1, 2))[:, None, None]).any(0)
    assert 0.1 < outside.mean() < 0.7
    np.testing.assert_array_equal(np.isnan(flow), np.tile(outside, (2, 1, 1)))
    np.testing.assert_allclose(flow[:, ~outside], (rays * focal / 3)[:, ~outside])
    step[:3, :3], step[2, 3] = se3.matrices_from_motions(np.array([0, 0, 0, 0, 0.02, 0]))[:3, :3], 0
    turned = standing(HAND, 0 * WALL, step)[0]
    assert np.nanmax(turned) < 0  # the camera turns right: all goes left, near the middle by the focal length's share
    assert turned[2, 5] == pytest.approx(-0.02 * HAND.intrinsics[0, 0], rel=0.05)
    unknown = np.where(np.arange(12) == 5, np.nan, WALL)
    assert np.isnan(standing(HAND, unknown, np.eye(4))).all(0).sum() == 4


def test_what_comes_nearer_than_the_camera_is_unknown() -> None:
    step = np.eye(4)
    step[2, 3] = 6.0  # the wall is behind the camera: its middle would be seen mirrored
    assert np.isnan(standing(HAND, WALL, step)).all()


def first_batch(store: FrameCache, recipe: FlowRecipe, form: Preprocessing = HAND) -> dict[str, np.ndarray]:
    batch = next(FlowPairs(store, form, recipe).epoch(0))
    kept = {name: values.numpy() for name, values in batch.inputs.items()}
    return kept | {"target": batch.targets[:, 0].numpy(), "index": batch.index[:, 0].numpy()}


def test_units_by_hand() -> None:
    """The cache has pixels and 1 / m at 1 m camera height, networks see cells and 1 / heights, targets are metres."""
    store = Store([FORWARD], WALL)
    store.camera_heights[:] = 2.0
    batch = first_batch(store, replace(PLAIN, batch_size=3))
    np.testing.assert_allclose(batch["inverse_depth"], 0.5)
    np.testing.assert_allclose(batch["target"], FORWARD, atol=1e-6)
    place = HAND.rays(8) * HAND.intrinsics.diagonal()[:2, None, None] / 8
    for flow in batch["flow"]:
        known = np.isfinite(flow)
        assert known.any()
        np.testing.assert_allclose(flow[known], place[known], rtol=1e-5)  # half the way: twice as large


def test_reversed_and_two_apart_by_hand() -> None:
    store = Store([FORWARD * [[1], [2], [3]]], WALL / 10)
    back = first_batch(store, replace(PLAIN, batch_size=3, reversed=1.0))
    ways = {0: 1, 1: -1, 2: -2, 3: -3}  # the first frame has none before it
    np.testing.assert_allclose(back["target"][:, 2], [HEIGHT * ways[i] for i in back["index"].tolist()], rtol=1e-6)
    far = first_batch(store, replace(PLAIN, batch_size=3, two_apart=1.0))
    ways = {0: 3, 1: 5, 2: -3, 3: -5}
    np.testing.assert_allclose(far["target"][:, 2], [HEIGHT * ways[i] for i in far["index"].tolist()], rtol=1e-6)


def test_pairs_stay_in_their_drive() -> None:
    """Each drive has its own speed; a pair over a border would show the start of another."""
    drives = [np.tile([[0, 0, speed, 0, 0, 0]], (length, 1)) for speed, length in ((1.0, 1), (10.0, 2), (100.0, 5))]
    store = Store(drives, WALL / 100)
    pairs = FlowPairs(store, HAND, replace(PLAIN, batch_size=2, two_apart=0.5, reversed=0.5))
    speeds = np.repeat([1.0, 10.0, 100.0], [2, 3, 6])
    seen = set()
    for epoch in range(20):
        for batch in pairs.epoch(epoch):
            for first, target in zip(batch.index[:, 0].tolist(), batch.targets[:, 0, 2].tolist(), strict=True):
                seen.add(round(target / speeds[first], 4))
    assert seen - {0.0} == {1.0, 2.0, -1.0, -2.0}


def test_mirrored_by_hand() -> None:
    """A motion to the right with a yaw becomes one to the left; the frames' columns change places."""
    motion = np.array([[0.2, 0.1, 1.0, 0.01, 0.02, 0.03]] * 3)
    store = Store([motion], WALL * np.arange(1, 13) / 12)
    seen = set()
    for epoch in range(6):
        batch = next(FlowPairs(store, HAND, replace(PLAIN, batch_size=3)).epoch(epoch))
        for row, index in enumerate(batch.index[:, 0].tolist()):
            flipped = float(batch.targets[row, 0, 0]) * (-1 if index == 3 else 1) < 0
            seen.add(flipped)
            own = store.frames[index].astype(np.float32)
            np.testing.assert_array_equal(batch.inputs["frames"][row, 0], own[..., ::-1] if flipped else own)
            near = store.inverse_depth[index].astype(np.float32)
            np.testing.assert_array_equal(batch.inputs["inverse_depth"][row, 0], near[:, ::-1] if flipped else near)
            if index < 3:
                sign = np.array([-1, 1, 1, 1, -1, -1] if flipped else [1] * 6)
                np.testing.assert_allclose(batch.targets[row, 0], motion[0] * sign, atol=1e-5)
    assert seen == {True, False}


def test_moving_cells_have_their_own_flow_forwards_and_none_else() -> None:
    """One cell's true flow is 3 pixels off that of the standing scene, another's 0.3 pixels: that is noise."""
    still = standing(HAND, WALL / 10, se3.matrices_from_motions(np.array([0.0, 0, 1, 0, 0, 0])))
    true = still.copy()
    true[0, 2, 5] += 3
    true[1, 2, 7] += 0.3
    store = Store([FORWARD], WALL / 10, true)
    for recipe, moving in ((PLAIN, true[:, 2, 5] / 8), (replace(PLAIN, reversed=1.0), [np.nan] * 2)):
        pairs = FlowPairs(store, HAND, replace(recipe, batch_size=1))
        found = [batch for epoch in range(4) for batch in pairs.epoch(epoch)]
        checked = 0
        for batch in found:
            mirrored = bool((batch.inputs["frames"][0, 0] != torch.from_numpy(store.frames[batch.index[0, 0]])).any())
            forwards = batch.targets[0, 0, 2] > 0
            if mirrored or batch.index[0, 0] == 3 or forwards != (recipe is PLAIN):
                continue
            flow = batch.inputs["flow"][0].numpy()
            np.testing.assert_allclose(flow[:, 2, 5], moving, rtol=2e-3)
            assert np.isfinite(flow[:, 2, 7]).all()
            if forwards:
                np.testing.assert_allclose(flow[:, 2, 7], still[:, 2, 7] / 8, rtol=1e-3)
            checked += 1
        assert checked >= 3


def test_exposure_changes_both_frames_and_not_the_cache() -> None:
    store = Store([FORWARD], WALL)
    before = store.frames.copy()
    strong = replace(PLAIN, batch_size=3, exposure_gain=0.5, exposure_offset=30.0, noise=5.0)
    plain, changed = first_batch(store, replace(PLAIN, batch_size=3)), first_batch(store, strong)
    np.testing.assert_array_equal(store.frames, before)
    np.testing.assert_array_equal(plain["index"], changed["index"])
    for one, other in zip(plain["frames"], changed["frames"], strict=True):
        assert other.min() >= 0 and other.max() <= 255
        assert all(np.abs(one[k] - other[k]).mean() > 1 and np.corrcoef(one[k].flat, other[k].flat)[0, 1] > 0.8
                   for k in (0, 1))  # fmt: skip


# --- of rendered streets ------------------------------------------------------------------------------------------


def test_the_solver_finds_the_motion_in_every_pair(streets: FrameCache) -> None:
    """Flow, inverse depth and motion fit together: forwards and backwards, two apart, mirrored."""
    kinds: dict[tuple[bool, int], int] = {}
    rays = torch.from_numpy(FORM.rays(8)).float()
    pairs = FlowPairs(streets, FORM, MIXED)
    for epoch in range(3):
        for batch in pairs.epoch(epoch):
            flow, near = batch.inputs["flow"], batch.inputs["inverse_depth"]
            known = (flow.isfinite() & near.isfinite()).float()
            seen, depth = torch.where(known > 0, flow, 0) * UNIT[:, None, None], near.nan_to_num().flatten(1)[:, None]
            points = Points(rays.flatten(1)[None], depth, torch.zeros_like(depth), torch.zeros_like(depth))
            pose, _ = solve_flow(seen.flatten(2), 1000 * known.flatten(2), points, torch.ones(1, 2))
            motion = pose.motion * torch.tensor([HEIGHT] * 3 + [1.0] * 3)
            error = (motion - batch.targets[:, 0]).abs()
            for row, index in enumerate(batch.index[:, 0].tolist()):
                cars = moving(streets, index)
                assert known[row].mean() > 0.2
                if cars:
                    continue
                assert error[row, :3].max() < 2e-3 and error[row, 3:].max() < 2e-4, (index, error[row])
                flipped = bool((batch.inputs["frames"][row, 0, 0].numpy() != streets.frames[index, 0]).any())
                way = int(np.sign(float(batch.targets[row, 0, 2])))
                kinds[flipped, way] = kinds.get((flipped, way), 0) + 1
    assert min(kinds.get((flipped, way), 0) for flipped in (True, False) for way in (1, -1)) >= 3


def moving(store: FrameCache, index: int) -> bool:
    """Whether any cell's true flow differs from that of a standing scene."""
    drive = next(i for i, d in enumerate(store.drives) if d.first <= index < d.first + d.frames)
    if index + 1 == store.drives[drive].first + store.drives[drive].frames:
        return False
    step = se3.matrices_from_motions(store.drive_motions(drive)[index - store.drives[drive].first].astype(np.float64))
    step[:3, 3] /= HEIGHT
    still = standing(FORM, store.inverse_depth[index].astype(np.float64) * store.camera_heights[drive], step)
    return bool((np.abs(store.flow[index] - still) > 0.5).any())


def test_batches_are_the_same_after_an_interruption_and_in_shares(streets: FrameCache) -> None:
    recipe = replace(MIXED, exposure_gain=0.2, noise=3.0)
    whole = list(FlowPairs(streets, FORM, recipe).epoch(2))
    assert len(whole) == len(FlowPairs(streets, FORM, recipe)) == 27 // 4
    later = list(FlowPairs(streets, FORM, recipe).epoch(2, start=3))
    halves = [list(FlowPairs(streets, FORM, recipe).epoch(2, share=slice(a, a + 2))) for a in (0, 2)]
    for number, batch in enumerate(whole):
        first, second = halves[0][number], halves[1][number]
        for name, values in batch.inputs.items():
            if number >= 3:
                np.testing.assert_array_equal(values, later[number - 3].inputs[name])
            np.testing.assert_array_equal(values, torch.cat([first.inputs[name], second.inputs[name]]))
        assert torch.equal(batch.targets, torch.cat([first.targets, second.targets]))
        assert torch.equal(batch.index, torch.cat([first.index, second.index]))
    other = next(FlowPairs(streets, FORM, recipe).epoch(3))
    assert not torch.equal(other.index, whole[0].index)
    seen = torch.cat([batch.index[:, 0] for batch in whole])
    assert len(seen.unique()) == len(seen) == 24


def test_caches_without_flow_or_with_too_few_pairs_are_one_line(streets: FrameCache, tmp_path: Path) -> None:
    make_kitti(tmp_path, "00", frames=3)
    plain = open_cache(open_dataset(tmp_path), FORM, tmp_path / "cache")
    with pytest.raises(DistilvoError, match=r"training data: no true flow; expected streets of 'distilvo render --fl"):
        FlowPairs(plain, FORM, PLAIN)
    with pytest.raises(DistilvoError, match=r"training data: 27 pairs; expected at least 28"):
        FlowPairs(streets, FORM, replace(PLAIN, batch_size=28))


def test_the_key_tells_data_and_recipe(streets: FrameCache) -> None:
    keys = {FlowPairs(streets, FORM, recipe).key for recipe in (PLAIN, MIXED, replace(PLAIN, seed=1))}
    assert len(keys) == 3 and all(streets.key in key for key in keys)
