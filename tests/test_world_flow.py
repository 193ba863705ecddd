"""True flow and depth of the built-in world: against hand-worked motions, against the images, and on disk."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world import street as street_module
from distilvo.world.mesh import Mesh
from distilvo.world.motion import Mount
from distilvo.world.optical_flow import View, optical_flow
from distilvo.world.renderer import Renderer
from distilvo.world.sensor import SensorModel
from distilvo.world.street import make_street, make_street_along
from distilvo.world.textures import texture_set
from test_world_renderer import CAMERA, LIGHT, NORTH, SIZE, at, ground, wall

SMALL, MEDIUM = (48, 160), (96, 320)
U, V = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
BOX = wall(0, -1, 1, -0.5, 0.5)  # 2 m wide: 20 pixels at 10 m
CX, CY = CAMERA[0, 2], CAMERA[1, 2]


def seen(static: Mesh, *moments: tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]) -> list[View]:
    """Views from camera positions, each with boxes of their numbers; the renderer is told them in that order."""
    drawn = Renderer(static, texture_set(0), LIGHT, SIZE, CAMERA)
    views = []
    for pose, boxes in moments:
        drawn.render(pose, [(BOX, body) for body in boxes.values()])
        numbers = np.array([*boxes, -1], np.int16)
        views.append(View(pose, drawn.depth.copy(), numbers[drawn.body], boxes))
    return views


def flow_of(static: Mesh, *moments: tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]) -> tuple:
    first, second = seen(static, *moments)
    return first, *optical_flow(first, second, CAMERA)


BACKDROP = wall(20, -40, 40, -40, 40)


# --- a scene worked by hand --------------------------------------------------------------------------------------


def test_each_pixel_tells_which_body_it_shows() -> None:
    drawn = Renderer(BACKDROP, texture_set(0), LIGHT, SIZE, CAMERA)
    assert (drawn.body == -1).all()
    drawn.render(NORTH, [(BOX, at(0.05, 10, 0.05)), (BOX, at(1.05, 8, 0.05))])
    # 10 m away: columns 31 + 10 * (-0.95 .. 1.05); 8 m away, in front of it: 31 + 12.5 * (0.05 .. 2.05)
    assert drawn.body[23, 19:60].tolist() == [-1] * 3 + [0] * 10 + [1] * 25 + [-1] * 3
    assert set(drawn.body[[0, -1]].ravel()) == {-1}
    np.testing.assert_allclose(drawn.depth[drawn.body == 1], 8, rtol=1e-6)
    np.testing.assert_allclose(drawn.depth[drawn.body == 0], 10, rtol=1e-6)
    drawn.render(NORTH)
    assert (drawn.body == -1).all()


def test_a_body_flows_with_its_own_motion_and_not_with_the_world() -> None:
    """10 m away a metre is 10 pixels; the camera stands, and so does the wall behind."""
    first, flow, valid = flow_of(BACKDROP, (NORTH, {3: at(-0.95, 10, 0.05)}), (NORTH, {3: at(0.05, 10, 0.25)}))
    box = first.body == 3
    assert box.sum() == 200 and valid[box].all()
    np.testing.assert_allclose(flow[box], np.tile([10.0, -2.0], (200, 1)), atol=1e-4)
    assert valid[~box].any() and np.abs(flow[~box]).max() < 1e-6


def test_camera_and_body_move() -> None:
    """Camera and box go 2 m forward, the box 0.5 m aside: 5 pixels. The wall comes from 20 m to 18 m."""
    ahead = at(0, 2, 0) @ NORTH
    first, flow, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (ahead, {0: at(0.5, 12, 0)}))
    box = first.body == 0
    np.testing.assert_allclose(flow[box & valid], np.tile([5.0, 0.0], ((box & valid).sum(), 1)), atol=1e-4)
    assert (box & valid).sum() == box.sum()
    static = valid & ~box
    assert static.sum() > 1500
    np.testing.assert_allclose(flow[static], np.stack([U - CX, V - CY], -1)[static] * (20 / 18 - 1), atol=1e-4)


def test_a_turning_body_turns() -> None:
    """A quarter turn about the optical axis: the box's point 0.45 m right of its middle comes to lie as far above."""
    turned = at(0, 10, 0)
    turned[:3, :3] = [[0, 0, -1], [0, 1, 0], [1, 0, 0]]
    _, flow, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {0: turned}))
    assert valid[23, 35]
    np.testing.assert_allclose(flow[23, 35], [-4, -4], atol=1e-4)  # from 4 right of the axis to 4 above it


def test_what_is_not_seen_in_the_second_image_is_not_valid() -> None:
    first, _, valid = flow_of(BACKDROP, (NORTH, {0: at(-1, 10, 0)}), (NORTH, {0: at(0, 10, 0)}))
    box, row = first.body == 0, V == 23
    # the box covers columns 11 to 30, then 21 to 40: the wall behind 31 to 40 is hidden, but for a pixel at its rim
    assert not valid[row & ~box & (U >= 31) & (U < 40)].any()
    assert valid[row & ~box & (U > 42)].all() and valid[row & (U < 10)].all()
    assert valid[box].all()


def test_out_of_the_image_behind_the_camera_and_gone() -> None:
    first, flow, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {0: at(2.8, 10, 0)}))
    box = first.body == 0
    assert valid[box].any() and not valid[box & (U + 28 > 63)].any() and valid[box & (U + 28 < 63)].all()
    assert not flow[~valid].any()
    _, _, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (at(0, 12, 0) @ NORTH, {0: at(0, 10, 0)}))
    assert not valid[box].any()
    _, _, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {}))
    assert not valid[box].any() and valid[~box].all()


@pytest.mark.parametrize(
    ("shift", "leaving"), [((-2.5, 0.0), U - 25 < 0), ((0.0, 2.0), V - 20 < 0), ((0.0, -2.0), V + 20 > 47)]
)
def test_out_of_each_side_of_the_image(shift: tuple[float, float], leaving: NDArray[np.bool_]) -> None:
    first, _, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {0: at(shift[0], 10, shift[1])}))
    box = first.body == 0
    assert (box & leaving).any() and not valid[box & leaving].any() and valid[box & ~leaving].any()


def test_another_body_that_is_about_as_far_away_hides() -> None:
    first, _, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {0: at(0, 10, 0), 1: at(0, 9.8, 0)}))
    assert not valid[first.body == 0].any()
    first, _, valid = flow_of(BACKDROP, (NORTH, {0: at(0, 10, 0)}), (NORTH, {1: at(5, 10, 0), 0: at(0, 10, 0)}))
    assert valid[first.body == 0].all()  # known by its number, not by its place in the list


def test_ground_at_a_grazing_angle_is_seen() -> None:
    """5 rows below the horizon the next row is 5 m away from 30 m: only between the rows is a point as far away."""
    first, flow, valid = flow_of(ground(-1.5), (NORTH, {}), (at(0, 1, 0) @ NORTH, {}))
    assert valid[26:34, 10:54].all()
    z = 150 / (V - CY + 1e-9)
    np.testing.assert_allclose(flow[28:34, 10:54, 1], (150 / (z - 1) - (V - CY))[28:34, 10:54], rtol=1e-3)
    assert first.depth[28, 31] == pytest.approx(30, rel=1e-4)


def test_the_sky_has_no_flow() -> None:
    first, flow, valid = flow_of(wall(20, -40, 40, -40, 0), (NORTH, {}), (at(0, 1, 0) @ NORTH, {}))
    assert (first.depth == 0).any() and not valid[first.depth == 0].any() and not flow[first.depth == 0].any()
    assert valid[first.depth > 0].mean() > 0.8


# --- a street ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "index"), [(1, 10), (3, 40), (15, 20)])
def test_the_next_image_drawn_back_by_the_flow_is_the_image(
    seed: int, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a perfect camera by day: rolling shutter, noise and sharpening move or change pixels that the flow does not.

    In a town, where most of what is seen is near: flow that is a tenth too long makes the error exceed a quarter.
    """
    perfect = SensorModel(0, (), (1.0, 1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0)
    monkeypatch.setattr(street_module, "sample_sensor", lambda *_, **__: perfect)
    street = make_street(seed, 60, MEDIUM)
    first, depth = street.render(index).astype(np.float32), street.depth.copy()
    second = street.render(index + 1).astype(np.float32)
    flow, valid = street.flow(index)
    assert flow.dtype == np.float32 and valid.dtype == bool
    u, v = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in MEDIUM[::-1]))
    back = cv2.remap(second, u + flow[..., 0], v + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error, unmoved = (np.abs(image - first).mean(axis=2) for image in (back, second))
    assert error[valid].mean() < 0.25 * unmoved[valid].mean()
    hidden = (depth > 0) & ~valid & ~street.own_car
    assert error[hidden].mean() > 2 * error[valid].mean()
    assert 0.65 < valid.sum() / ((depth > 0) & ~street.own_car).sum() < 0.99
    assert not valid[depth == 0].any() and not valid[street.own_car].any()


def test_static_pixels_flow_as_depth_and_poses_say() -> None:
    street = make_street(7, 30, SMALL)
    for index in (5, 20):
        flow, valid = street.flow(index)
        view = street._view(index)
        static = valid & (view.body == -1)
        v, u = np.nonzero(static)
        here = np.linalg.inv(street.intrinsics) @ np.stack([u, v, np.ones_like(u)]) * view.depth[static]
        there = np.linalg.inv(street.poses[index + 1]) @ street.poses[index] @ np.vstack([here, np.ones(len(u))])
        pixel = street.intrinsics @ there[:3] / there[2]
        np.testing.assert_allclose(flow[static], (pixel[:2] - [u, v]).T, atol=1e-3)
        assert static.sum() > 2000


def test_cars_of_a_street_do_not_flow_as_the_world_does() -> None:
    street = make_street(7, 30, MEDIUM, adverse=True)
    street.render(10), street.render(11)
    flow, valid = street.flow(10)
    rigid, _ = optical_flow(View(street._views[10].pose, street._views[10].depth, np.full(MEDIUM, -1, np.int16), {}),
                            View(street._views[11].pose, street._views[11].depth, np.full(MEDIUM, -1, np.int16), {}),
                            street.intrinsics)  # fmt: skip
    cars = valid & (street._views[10].body >= 0) & rigid.any(axis=-1)
    assert cars.sum() > 20
    assert np.median(np.abs(flow - rigid)[cars].max(axis=-1)) > 0.3


def test_pixels_of_a_car_flow_with_its_body() -> None:
    """A lorry ahead, number 8: it keeps its number while the renderer counts only what is in sight."""
    street, index = make_street(0, 60, MEDIUM), 10
    flow, valid = street.flow(index)
    car = valid & (street._view(index).body == 8)
    v, u = np.nonzero(car)
    assert len(u) > 500
    here = np.linalg.inv(street.intrinsics) @ np.stack([u, v, np.ones_like(u)]) * street._view(index).depth[car]
    bodies = [street._scene.movers[8].at(k) for k in (index, index + 1)]
    assert bodies[0] is not None and bodies[1] is not None
    world = street._world_poses[index] @ np.vstack([here, np.ones(len(u))])
    there = np.linalg.inv(street._world_poses[index + 1]) @ (bodies[1] @ np.linalg.solve(bodies[0], world))
    pixel = street.intrinsics @ there[:3] / there[2]
    np.testing.assert_allclose(flow[car], (pixel[:2] - [u, v]).T, atol=1e-3)


def test_flow_is_the_same_in_any_order_and_ends_before_the_last_image() -> None:
    street, other = make_street(11, 6, SMALL), make_street(11, 6, SMALL)
    forwards = [street.flow(index) for index in range(5)]
    backwards = [other.flow(index) for index in reversed(range(5))][::-1]
    for (flow, valid), (same, where) in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(flow, same)
        np.testing.assert_array_equal(valid, where)
    with pytest.raises(DistilvoError, match="no frame 6"):
        street.flow(5)


def test_the_cameras_height_is_that_of_its_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(street_module, "sample_mount", lambda _: Mount(1.0, 3.0, 0.0, 0.0, 0.0))
    street = make_street(3, 20, SMALL)
    assert street.camera_height == 3.0
    street.render(10)
    assert street.intrinsics[1, 1] * 3.0 / (46 - street.intrinsics[1, 2]) == pytest.approx(
        street.depth[46, 80], rel=0.1
    )
    assert make_street_along(np.tile(np.eye(4), (3, 1, 1)), 2, SMALL).camera_height == 1.65


# --- on disk -----------------------------------------------------------------------------------------------------
