"""The renderer's geometry against hand-worked numbers; its light and textures by their properties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world.lighting import Light, sample_light
from distilvo.world.mesh import TEXTURES, Mesh
from distilvo.world.renderer import Renderer
from distilvo.world.textures import CUTOUT, TEXTURE_VARIANTS, TextureSet, pack, texture_set

SIZE = (48, 64)
CAMERA = np.array([[100.0, 0, 31], [0, 100, 23], [0, 0, 1]])
NORTH = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # at the origin, looking along +y
LIGHT = Light(
    sun=(0.0, 0.0, 1.0), sun_colour=(0.0, 0.0, 0.0), ambient=(1.0, 1.0, 1.0), zenith=(0.2, 0.4, 0.8),
    horizon=(0.6, 0.7, 0.8), cloud_colour=(1.0, 1.0, 1.0), cloud_cover=0.0, cloud_shift=(0.0, 0.0), glow=0.0, fog=0.0,
    exposure=1.0, saturation=1.0, gamma=2.2,
)  # fmt: skip


def image(rgb: tuple[int, int, int], alpha: int = 255) -> NDArray[np.uint8]:
    return np.full((16, 16, 4), (*rgb, alpha), np.uint8)


@pytest.fixture(scope="module")
def textures() -> TextureSet:
    """Flat colours: road is red over green, sign has a transparent left half, gravel a fine checkerboard."""
    images = {name: image((200, 200, 200)) for name in TEXTURES}
    images["road"][:8, :, :3], images["road"][8:, :, :3] = (200, 0, 0), (0, 200, 0)
    images["sign"][:, :8, 3] = 0
    images["gravel"][..., :3] = 255 * (np.indices((16, 16)).sum(0) % 2)[..., None]
    images["shop"], images["roof"] = image((200, 0, 0)), image((0, 0, 200))
    return pack(images)


def quads(corners: object, texture: str = "white", uv: object = ((0, 1), (1, 1), (1, 0), (0, 0))) -> Mesh:
    """Quads (N, 4, 3) whose corners go around, first the lower left one."""
    points = np.asarray(corners, np.float64).reshape(-1, 4, 3)
    count = len(points)
    corners_of = 4 * np.arange(count)[:, None, None] + [[0, 1, 2], [0, 2, 3]]
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Mesh(
        vertices=points.reshape(-1, 3),
        uv=np.tile(np.asarray(uv, np.float64), (count, 1)),
        faces=corners_of.reshape(-1, 3).astype(np.int32),
        texture=np.full(2 * count, TEXTURES.index(texture), np.int32),
        normals=np.repeat(normals, 2, axis=0),
        colour=np.ones((2 * count, 3)),
        cutout=np.full(2 * count, texture in CUTOUT, np.uint8),
    )


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    parts = {name: np.concatenate([getattr(m, name) for m in meshes]) for name in Mesh.__annotations__}
    parts["faces"] = np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)]).astype(np.int32)
    return Mesh(**parts)


def wall(y: float, x0: float, x1: float, z0: float, z1: float, texture: str = "white") -> Mesh:
    return quads([[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]], texture)


def ground(z: float, reach: float = 500.0) -> Mesh:
    return quads([[-reach, -reach, z], [reach, -reach, z], [reach, reach, z], [-reach, reach, z]], "asphalt")


def at(x: float, y: float, z: float) -> NDArray[np.float64]:
    body = np.eye(4)
    body[:3, 3] = x, y, z
    return body


def renderer(mesh: Mesh, textures: TextureSet, light: Light = LIGHT) -> Renderer:
    return Renderer(mesh, textures, light, SIZE, CAMERA)


def test_known_point_falls_on_its_pixel(textures: TextureSet) -> None:
    # (1, -0.5, 10) in camera axes: u = 100 * 0.1 + 31 = 41, v = 100 * -0.05 + 23 = 18; 0.1 m at 10 m is one pixel
    drawn = renderer(wall(10, 0.95, 1.05, 0.45, 0.55), textures)
    drawn.render(NORTH)
    assert np.argwhere(drawn.depth).tolist() == [[18, 41]]
    assert drawn.depth[18, 41] == pytest.approx(10.0, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    pixel=st.tuples(st.integers(0, 63), st.integers(0, 47)),
    depth=st.floats(0.5, 200),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    where=st.tuples(*[st.floats(-1000, 1000)] * 3),
)
def test_projection_from_any_pose(
    textures: TextureSet,
    pixel: tuple[int, int],
    depth: float,
    angles: tuple[float, float, float],
    where: tuple[float, float, float],
) -> None:
    pose = at(*where)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        turn, (i, j) = np.eye(3), [k for k in range(3) if k != axis]
        turn[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
        pose[:3, :3] = pose[:3, :3] @ turn
    around = np.array([[-0.5, 0.5], [0.5, 0.5], [0.5, -0.5], [-0.5, -0.5]]) + pixel
    rays = np.column_stack([around, np.ones(4)]) @ np.linalg.inv(CAMERA).T
    corners = depth * rays @ pose[:3, :3].T + pose[:3, 3]
    drawn = renderer(quads(corners), textures)
    drawn.render(pose)
    assert np.argwhere(drawn.depth).tolist() == [[pixel[1], pixel[0]]]
    assert drawn.depth[pixel[1], pixel[0]] == pytest.approx(depth, rel=1e-5)


@pytest.mark.parametrize("red_first", [True, False])
def test_nearer_wall_hides_the_farther(textures: TextureSet, red_first: bool) -> None:
    red, blue = wall(5, -1, 1, -1, 1, "shop"), wall(8, -9, 9, -9, 9, "roof")
    frame = renderer(joined(red, blue) if red_first else joined(blue, red), textures).render(NORTH)
    assert frame[23, 31, 0] > 100 > frame[23, 31, 2]
    assert frame[23, 2, 2] > 100 > frame[23, 2, 0]


def test_texture_v_grows_downwards(textures: TextureSet) -> None:
    frame = renderer(wall(5, -1, 1, -1, 1, "road"), textures).render(NORTH)
    assert frame[13, 31, 0] > 100 > frame[13, 31, 1]
    assert frame[33, 31, 1] > 100 > frame[33, 31, 0]


def test_far_texture_is_filtered_not_sampled(textures: TextureSet) -> None:
    board = quads(
        [[-20, 20, -20], [20, 20, -20], [20, 20, 20], [-20, 20, 20]], "gravel", [(0, 40), (40, 40), (40, 0), (0, 0)]
    )
    frame = renderer(board, textures).render(NORTH)
    assert frame.std() < 2 and 90 < frame.mean() < 200


def test_cutout_shows_what_is_behind(textures: TextureSet) -> None:
    drawn = renderer(joined(wall(5, -1, 1, -1, 1, "sign"), wall(9, -9, 9, -9, 9)), textures)
    drawn.render(NORTH)
    assert drawn.depth[23, 15] == pytest.approx(9) and drawn.depth[23, 47] == pytest.approx(5)


def test_sky_where_nothing_stands(textures: TextureSet) -> None:
    drawn = renderer(wall(10, 0.95, 1.05, 0.45, 0.55), textures)
    frame = drawn.render(at(0, 100, 0) @ NORTH)
    assert not drawn.depth.any()
    np.testing.assert_array_equal(frame, drawn.render(at(30, 200, 5) @ NORTH))
    assert (frame[0, :, 2] > frame[0, :, 0]).all() and frame[0, 0, 0] < frame[-1, 0, 0]


def test_depth_of_a_wall_and_of_the_ground(textures: TextureSet) -> None:
    drawn = renderer(wall(7, -9, 9, -9, 9), textures)
    drawn.render(NORTH)
    np.testing.assert_allclose(drawn.depth, 7.0, rtol=1e-6)
    drawn = renderer(ground(-1.5), textures)  # it reaches behind the camera too
    drawn.render(NORTH)
    rows = np.arange(25, 48)
    np.testing.assert_allclose(drawn.depth[25:], np.tile((100 * 1.5 / (rows - 23))[:, None], 64), rtol=1e-4)
    assert not drawn.depth[:22].any()


def test_no_gaps_between_neighbouring_triangles(textures: TextureSet) -> None:
    rng = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(np.linspace(-6, 6, 25), np.linspace(-6, 6, 25), indexing="ij"), axis=-1)
    grid[1:-1, 1:-1] += rng.uniform(-0.15, 0.15, (23, 23, 2))
    points = np.stack([grid[..., 0], np.full((25, 25), 9.0), grid[..., 1]], axis=-1)
    cells = np.stack([points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]], axis=2)
    drawn = renderer(quads(cells), textures)
    drawn.render(NORTH)
    np.testing.assert_allclose(drawn.depth, 9.0, rtol=1e-6)


def test_same_bytes_in_any_order(textures: TextureSet) -> None:
    mesh = joined(ground(-1.5), wall(20, -3, 4, -1, 3, "road"), wall(30, -9, 0, -1, 9, "sign"))
    light = replace(LIGHT, sun=(0.6, 0.0, 0.8), sun_colour=(2.0, 2.0, 2.0), fog=0.01, cloud_cover=0.5)
    first = renderer(mesh, textures, light)
    here, there = first.render(NORTH), first.render(at(1, 2, 0) @ NORTH)
    second = renderer(mesh, textures, light)
    assert second.render(at(1, 2, 0) @ NORTH).tobytes() == there.tobytes() != here.tobytes()
    assert second.render(NORTH).tobytes() == here.tobytes() == first.render(NORTH).tobytes()


def test_moving_mesh_appears_moves_and_goes(textures: TextureSet) -> None:
    drawn = renderer(ground(-5), textures)
    car = wall(0, -0.5, 0.5, -0.5, 0.5)
    empty = drawn.render(NORTH)
    for x, column in ((0.0, 31), (2.0, 51)):  # 2 m aside at 10 m: 20 pixels
        drawn.render(NORTH, [(car, at(x, 10, 0))])
        rows, columns = np.nonzero(np.abs(drawn.depth - 10) < 1e-3)
        assert columns.mean() == pytest.approx(column, abs=0.51) and rows.mean() == pytest.approx(23, abs=0.51)
    # more moving triangles than the static mesh made room for
    crowd = [(car, at(x, 12, 0)) for x in np.linspace(-4, 4, 9)]
    drawn.render(NORTH, crowd)
    assert (np.abs(drawn.depth[23] - 12) < 1e-3).all()
    np.testing.assert_array_equal(drawn.render(NORTH), empty)


def test_shadow_falls_away_from_the_sun(textures: TextureSet) -> None:
    # a wall 2 m high at x = 0 along the view, the sun at 45 degrees in the east: shadow from x = -2 to 0 at z = 0
    fence = quads([[0, 0, 0], [0, 40, 0], [0, 40, 2], [0, 0, 2]])
    half = np.sqrt(0.5)
    light = replace(LIGHT, sun=(half, 0.0, half), sun_colour=(2.0, 2.0, 2.0), ambient=(0.2, 0.2, 0.2))
    above = np.array(
        [[1.0, 0, 0, 0], [0, -1, 0, 20], [0, 0, -1, 20], [0, 0, 0, 1]]
    )  # looks down from 20 m, up is north
    row = renderer(joined(ground(0), fence), textures, light).render(above)[23, :, 0].astype(int)
    metres = (np.arange(64) - 31) * 20 / 100
    shaded, lit = row[(metres > -1.7) & (metres < -0.3)], row[(metres < -2.3) | (metres > 0.3)]
    assert shaded.max() + 40 < lit.min()


def test_fog_and_exposure_change_what_they_should(textures: TextureSet) -> None:
    far = wall(100, -90, 90, -90, 90, "shop")
    clear, foggy, bright = (
        renderer(far, textures, replace(LIGHT, **change)).render(NORTH).reshape(-1, 3).mean(0)
        for change in ({}, {"fog": 0.05}, {"exposure": 2.0})
    )
    sky = LIGHT.response()[(1024 * np.sqrt(LIGHT.horizon)).astype(int)]
    assert np.abs(foggy - sky).max() < 4 < np.abs(clear - sky).max()
    assert bright[0] > clear[0] + 10


@pytest.mark.parametrize(
    ("camera", "size"),
    [
        (np.zeros((3, 3)), SIZE),
        (np.diag([np.nan, 1.0, 1.0]), SIZE),
        (np.eye(4), SIZE),
        (CAMERA, (0, 64)),
        (CAMERA + np.eye(3)[[1, 2, 0]], SIZE),
    ],
)
def test_impossible_camera_is_refused(textures: TextureSet, camera: NDArray[np.float64], size: tuple[int, int]) -> None:
    with pytest.raises(DistilvoError, match=r"camera: .*expected"):
        Renderer(ground(0), textures, LIGHT, size, camera)


def test_impossible_mesh_and_pose_are_refused(textures: TextureSet) -> None:
    good = ground(-1)
    for change in (
        {"faces": good.faces + 3},
        {"texture": good.texture + 99},
        {"vertices": good.vertices * np.nan},
        {"colour": good.colour[:1]},
        {"uv": good.uv[:2]},
    ):
        with pytest.raises(DistilvoError, match="mesh: "):
            renderer(replace(good, **change), textures)
    drawn = renderer(good, textures)
    for pose in (np.eye(3), NORTH * np.nan, np.zeros((4, 4))):
        with pytest.raises(DistilvoError, match="camera-to-world"):
            drawn.render(pose)
        with pytest.raises(DistilvoError, match="body-to-world"):
            drawn.render(NORTH, [(good, pose)])


def test_texture_sets_are_complete_kept_and_differ() -> None:
    first, second = texture_set(0), texture_set(1)
    assert texture_set(0) is first
    assert len(first.sizes) == len(TEXTURES) and first.offsets[-1].max() < len(first.texels)
    assert (first.texels[: len(second.texels)] != second.texels[: len(first.texels)]).mean() > 0.5
    with pytest.raises(DistilvoError, match="variant"):
        texture_set(TEXTURE_VARIANTS)


def test_pyramid_ends_in_the_mean_and_keeps_foliage_colour() -> None:
    leaf = image((40, 120, 40))
    leaf[:, ::2] = 0  # transparent black must not darken the leaves that remain
    packed = pack({"tree0": leaf, "roof": image((10, 20, 30))})
    last = packed.texels[packed.offsets[0, packed.sizes[0, 2]]]
    assert abs(int(last) & 0xFFFF - 40) <= 1 and abs((int(last) >> 48) - 128) <= 1
    assert packed.sizes.tolist() == [[4, 4, 4], [4, 4, 4]]


@given(st.integers(0, 2**32))
def test_sampled_light_is_sound(seed: int) -> None:
    light = sample_light(np.random.default_rng(seed))
    assert light == sample_light(np.random.default_rng(seed))
    response = light.response().astype(int)
    assert (np.diff(response) >= 0).all() and 0 <= response[0] < 40 and 200 < response[-1] <= 255
    assert min(light.ambient) > (0.01 if light.lamps else 0.08) and 0 <= light.cloud_cover <= 1


def test_impossible_light_is_refused() -> None:
    with pytest.raises(DistilvoError, match="sun"):
        replace(LIGHT, sun=(1.0, 0.0, 0.0))
    with pytest.raises(DistilvoError, match="saturation"):
        replace(LIGHT, saturation=1.5)
