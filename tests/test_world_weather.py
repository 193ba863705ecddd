"""Light, water, night and what lies in front of the sensor, by their properties."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.world import weather
from distilvo.world.lighting import LOWEST_SUN, Light, sample_light
from distilvo.world.mesh import TEXTURES
from distilvo.world.optics import Bonnet, glare, sample_bonnet
from distilvo.world.shading import WEATHER
from distilvo.world.street import make_street
from distilvo.world.textures import TextureSet, pack
from test_world_renderer import CAMERA, LIGHT, NORTH, SIZE, ground, image, joined, renderer, wall

NIGHT = replace(
    LIGHT, sun=(0.0, 0.0, 1.0), ambient=(0.02, 0.02, 0.02), zenith=(0.0, 0.0, 0.0), horizon=(0.0, 0.0, 0.0),
    cloud_colour=(0.0, 0.0, 0.0), headlights=100.0, lamps=1e-6,
)  # fmt: skip


@pytest.fixture(scope="module")
def textures() -> TextureSet:
    """Grey, all of it; a shop is dark red."""
    return pack({name: image((120, 120, 120)) for name in TEXTURES} | {"shop": image((200, 30, 30))})


@given(st.integers(0, 2**32), st.floats(-4, 4))
def test_sampled_light_is_one_of_many_cameras(seed: int, ahead: float) -> None:
    light = sample_light(np.random.default_rng(seed), ahead)
    assert light == sample_light(np.random.default_rng(seed), ahead)
    response = light.response().astype(int)
    assert (np.diff(response) >= 0).all() and 0 <= response[0] < 40 < response[700] <= response[-1] <= 255
    assert light.sun[2] >= LOWEST_SUN


def test_shares_of_weather_and_night() -> None:
    lights = [sample_light(np.random.default_rng(seed)) for seed in range(3000)]
    night, low = ([light for light in lights if test(light)] for test in (lambda w: w.lamps, lambda w: w.glow >= 1.5))
    assert len(night) / 3000 == pytest.approx(0.06, abs=0.015)
    assert len(low) / 3000 == pytest.approx(0.12, abs=0.02)
    assert np.mean([light.wet > 0 for light in lights]) == pytest.approx(0.13, abs=0.02)
    heights = np.degrees([np.arcsin(light.sun[2]) for light in low])
    assert heights.min() > 4.99 and heights.max() < 15.01
    ahead = np.mean([light.sun[0] > np.cos(np.radians(35)) * np.hypot(*light.sun[:2]) for light in low])
    assert ahead > 0.5, "most low suns stand in front of the car"


def test_the_ends_of_the_response_by_hand() -> None:
    plain = replace(LIGHT, gamma=2.0, contrast=0.0, exposure=2.0)
    clipped = replace(plain, shoulder=0.0).response()
    assert clipped[512] == 180  # 255 sqrt(2 / 4)
    assert clipped[723] == 255 and clipped[725] == 255 and clipped[700] == 247  # white from radiance 0.5 on
    assert plain.response()[512] == 160  # 255 sqrt(1 - exp(-1 / 2))
    assert replace(plain, lift=0.1).response()[0] == 26
    for name in ("contrast", "shoulder", "lift", "wet"):
        with pytest.raises(DistilvoError, match=rf"light: {name} is 1\.5, expected 0 to 1"):
            replace(plain, **{name: 1.5})


def test_headlights_fall_with_distance_and_to_the_sides(textures: TextureSet) -> None:
    drawn = renderer(ground(-1.5), textures, NIGHT)
    lit = drawn.render(NORTH)[..., 0].astype(int)
    dark = renderer(ground(-1.5), textures, replace(NIGHT, headlights=0.0)).render(NORTH)[..., 0].astype(int)
    column = lit[26:, 31]  # from 50 m to 6.3 m
    assert (np.diff(column) >= 0).all() and column[-1] > column[0] + 60
    assert column[-1] > dark[-1, 31] + 60 and abs(column[0] - dark[26, 31]) < 40
    assert lit[47, 31] > lit[47, 2] + 5 and lit[47, 31] > lit[47, 61] + 5
    house = renderer(joined(ground(-1.5), wall(12, -9, 9, -1.5, 9)), textures, NIGHT).render(NORTH)[..., 0].astype(int)
    assert house[30, 31] > house[10, 31] + 15, "a low beam is cut off above"


def test_a_wet_road_mirrors_what_stands_behind_it(textures: TextureSet) -> None:
    """A red wall from 20 m on: its mirror image is as far below its foot as it is high."""
    mesh = joined(ground(-1.5), wall(20, -50, 50, -1.5, 0.5, "shop"))
    dry, wet = (renderer(mesh, textures, replace(LIGHT, wet=w)).render(NORTH).astype(int) for w in (0.0, 1.0))
    np.testing.assert_array_equal(wet[:30], dry[:30])  # the sky and the wall are what they were

    def red(frame: np.ndarray, row: int) -> float:
        return float((frame[row, :, 0] - frame[row, :, 2]).mean())

    foot = 23 + 100 * 1.5 / 20  # row 30.5; the wall is 10 rows high
    assert red(dry, 33) == pytest.approx(0, abs=3)
    assert red(wet, int(foot) + 3) > 12
    assert red(wet, int(foot) + 14) < 3, "behind the wall's top the sky is mirrored"
    assert wet[47].mean() < dry[47].mean(), "water makes the near road dark"


@pytest.mark.parametrize(("texture", "rows"), [("car_back", (17, 44)), ("truck_back", (87, 96))])
def test_two_red_lamps_of_a_vehicle_shine_at_night(textures: TextureSet, texture: str, rows: tuple[int, int]) -> None:
    """A wall of 2 x 1 m seen from 3.2 m: 62.5 columns from 0 on, 31.25 rows. A lorry has its lamps in its bumper."""
    frame = renderer(wall(3.2, -1, 1, -0.5, 0.5, texture), textures, replace(NIGHT, lamps=1.0, headlights=0.0))
    drawn = frame.render(NORTH).astype(int)
    lit = np.argwhere(drawn[..., 0] > 150)
    assert lit[:, 0].min() == pytest.approx(7.4 + 0.3125 * rows[0], abs=1)
    assert lit[:, 0].max() == pytest.approx(7.4 + 0.3125 * rows[1], abs=1)
    columns = np.unique(lit[:, 1])
    gap = int(np.diff(columns).argmax())
    np.testing.assert_allclose(columns[[0, gap, gap + 1, -1]], 62.5 * np.array((0.025, 0.225, 0.775, 0.975)), atol=1.1)
    assert (drawn[..., 0] > 2 * drawn[..., 1])[tuple(lit.T)].all()


def test_grass_mirrors_nothing(textures: TextureSet) -> None:
    meadow = replace(ground(-1.5), texture=np.full(2, TEXTURES.index("grass"), np.int32))
    dry, wet = (renderer(meadow, textures, replace(LIGHT, wet=w)).render(NORTH) for w in (0.0, 1.0))
    np.testing.assert_array_equal(dry, wet)


def test_a_change_of_the_weather_reaches_the_cached_kernel() -> None:
    """Numba's cache on disk asks for the text of ``shading.py`` alone, so that must change with ``weather.py``."""
    source = Path(weather.__file__).read_text(encoding="utf-8")
    assert zlib.crc32(source.encode()) == WEATHER, f"write WEATHER = 0x{zlib.crc32(source.encode()):08X} in shading.py"


def test_a_low_sun_ahead_veils_the_image_unless_it_is_covered() -> None:
    low = replace(LIGHT, sun=(0.0, float(np.cos(0.1)), float(np.sin(0.1))), glow=3.0)
    frame, sky = np.full((*SIZE, 3), 50, np.uint8), np.zeros(SIZE, np.float32)
    seen = glare(frame, sky, NORTH[:3, :3], CAMERA, low)[..., 0].astype(int)
    row, column = np.unravel_index(seen.argmax(), SIZE)
    assert abs(row - (23 - 100 * np.tan(0.1))) <= 1 and abs(column - 31) <= 1
    assert seen[12, 31] > seen[45, 2] > 50
    leaves = np.where(np.indices(SIZE).sum(0) % 2, 0, 9).astype(np.float32)
    assert glare(frame, leaves, NORTH[:3, :3], CAMERA, low)[row, column, 0] == pytest.approx(
        (seen.max() + 50) / 2, abs=6
    )
    np.testing.assert_array_equal(glare(frame, sky + 9, NORTH[:3, :3], CAMERA, low), frame)
    np.testing.assert_array_equal(glare(frame, sky, NORTH[:3, :3] @ np.diag([-1, 1, -1]), CAMERA, low), frame)
    np.testing.assert_array_equal(glare(frame, sky, NORTH[:3, :3], CAMERA, replace(low, glow=1.0)), frame)


def test_the_bonnet_hides_its_mask_and_nothing_else() -> None:
    assert np.mean([sample_bonnet(seed, (8, 16)) is not None for seed in range(3000)]) == pytest.approx(0.1, abs=0.02)
    frame = np.random.default_rng(0).integers(0, 256, (48, 160, 3), dtype=np.uint8)
    for seed in range(20):
        bonnet = Bonnet(np.random.default_rng(seed), (48, 160))
        seen = bonnet.over(frame)
        np.testing.assert_array_equal(seen[~bonnet.mask], frame[~bonnet.mask])
        assert bonnet.mask[-1, 80] and not bonnet.mask[:34].any() and 0.01 < bonnet.mask.mean() < 0.3
        assert (seen != frame).any(axis=2)[bonnet.mask].mean() > 0.9


def test_a_street_tells_where_its_own_car_is() -> None:
    seed = next(seed for seed in range(100) if sample_bonnet(seed, (48, 160)))
    street = make_street(seed, 30, (48, 160))
    assert street.own_car.shape == (48, 160) and street.own_car.any()
    index = int(np.linalg.norm(np.diff(street.poses[:, :3, 3], axis=0), axis=1).argmax())
    street.render(index)
    flow = street._blur(replace(street._sensor, readout=0.2), index)
    assert flow is not None and not flow[street.own_car].any()
    assert np.abs(flow[24:][~street.own_car[24:]]).mean() > 1.0, "the road beside it moves"
    assert not make_street(next(s for s in range(9) if sample_bonnet(s, (48, 160)) is None), 2, (48, 160)).own_car.any()


def special_light(seed: int) -> Light:
    return make_street(seed, 2, (24, 80))._light


def test_same_bytes_in_any_order_at_night_and_on_wet_roads() -> None:
    wanted = {"night": lambda w: w.lamps > 0, "wet": lambda w: w.wet > 0, "low": lambda w: w.glow >= 1.5}
    for name, test in wanted.items():
        seed = next(seed for seed in range(200) if test(special_light(seed)))
        one, two = make_street(seed, 12, (48, 160)), make_street(seed, 12, (48, 160))
        forwards = [one.render(i) for i in (0, 5, 11)]
        np.testing.assert_array_equal(forwards, [two.render(i) for i in (11, 5, 0)][::-1], err_msg=name)
