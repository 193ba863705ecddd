"""The sensor model by hand-worked numbers: blur, rolling shutter, noise, exposure and processing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world.sensor import SensorModel, sample_sensor, shutter_flow
from distilvo.world.street import make_street

PLAIN = SensorModel(
    seed=1, gain=(), tint=(1.0, 1.0, 1.0), vignetting=0.0, defocus=0.0, shutter=0.0, read_noise=0.0, shot_noise=0.0
)
GREY = np.full((96, 320, 3), 100, np.uint8)


def test_perfect_sensor_changes_nothing() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    np.testing.assert_array_equal(PLAIN.apply(frame, 3), frame)
    with pytest.raises(DistilvoError, match="sensor"):
        PLAIN.apply(frame[..., 0], 3)


def test_noise_has_the_stated_strength_and_repeats_per_index() -> None:
    sensor = replace(PLAIN, read_noise=3.0, shot_noise=0.16)  # sqrt(9 + 16) = 5 at brightness 100
    first = sensor.apply(GREY, 0)
    assert first.astype(float).std() == pytest.approx(5.0, rel=0.03)
    assert first.astype(float).mean() == pytest.approx(100.0, abs=0.1)
    np.testing.assert_array_equal(sensor.apply(GREY, 0), first)
    assert (sensor.apply(GREY, 1) != first).mean() > 0.8
    assert (replace(sensor, seed=2).apply(GREY, 0) != first).mean() > 0.8


def test_vignetting_and_exposure() -> None:
    dark = replace(PLAIN, vignetting=0.3).apply(GREY, 0)
    assert dark[0, 0, 0] == 70 and dark[48, 160, 0] == 100
    breathing = replace(PLAIN, gain=((0.1, 40.0, 0.0),))
    assert breathing.apply(GREY, 10)[5, 5, 0] == 111 and breathing.apply(GREY, 30)[5, 5, 0] == 90  # exp(+-0.1)


def test_smear_is_centred_and_follows_the_flow() -> None:
    frame = np.zeros((8, 133, 3), np.uint8)
    frame[:, 16] = 240
    flow = np.zeros((8, 133, 2), np.float32)
    flow[..., 0] = 12.0
    row = replace(PLAIN, shutter=0.5).apply(frame, 0, flow)[4, :, 0]
    assert {int(u): int(row[u]) for u in np.flatnonzero(row)} == {14: 80, 16: 80, 18: 80}


def test_shutter_flow_of_known_motions() -> None:
    depth = np.full((96, 320), 10.0, np.float32)
    camera = np.array([[200.0, 0, 160], [0, 200, 48], [0, 0, 1]])
    ahead = np.eye(4)
    ahead[2, 3] = 1.0
    flow = shutter_flow(depth, camera, ahead, 0.5)  # 1 m towards a wall 10 m away: (u - cx) * (10 / 9 - 1) / 2
    u, v = np.meshgrid(np.arange(320), np.arange(96))
    inside = np.s_[:92, :316]  # the last cells are held constant
    np.testing.assert_allclose(flow[inside][..., 0], ((u - 160) / 18)[inside], atol=0.02)
    np.testing.assert_allclose(flow[inside][..., 1], ((v - 48) / 18)[inside], atol=0.02)
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(0.02), 0, np.sin(0.02)], [0, 1, 0], [-np.sin(0.02), 0, np.cos(0.02)]]  # to the right
    flow = shutter_flow(0 * depth, camera, turn, 1.0)  # the infinitely far sky turns too
    assert flow[48, 160, 0] == pytest.approx(-200 * np.tan(0.02), abs=0.01)


@given(st.integers(0, 2**32))
def test_sampled_sensor_is_sound(seed: int) -> None:
    sensor = sample_sensor(np.random.default_rng(seed))
    assert sensor == sample_sensor(np.random.default_rng(seed))
    assert all(0.65 < sensor.brightness(k) < 1.5 for k in range(0, 200, 7))
    assert 50 < sensor.apply(GREY, 0).mean() < 150


def line_at(column: int, size: tuple[int, int] = (9, 64)) -> NDArray[np.uint8]:
    """A white vertical line on black."""
    frame = np.zeros((*size, 3), np.uint8)
    frame[:, column] = 200
    return frame


def test_rolling_shutter_moves_each_row_by_its_share_of_the_flow() -> None:
    """9 rows, 90 pixels a frame interval, a tenth of it for the readout: neighbours are one pixel apart."""
    flow = np.zeros((9, 64, 2), np.float32)
    flow[..., 0] = 90.0
    seen = replace(PLAIN, readout=0.1).apply(line_at(30), 0, flow)
    assert seen[..., 0].argmax(axis=1).tolist() == [26, 27, 28, 29, 30, 31, 32, 33, 34]
    assert (seen.max(axis=(1, 2)) == 200).all()
    np.testing.assert_array_equal(seen[4], line_at(30)[4])  # the middle row is exposed in the middle
    np.testing.assert_array_equal(PLAIN.apply(line_at(30), 0, flow), line_at(30))  # a global shutter


def test_rolling_shutter_stretches_what_moves_down() -> None:
    """20 pixels down between the first and the last of 40 rows: row 5.5 falls 20 * (6 / 40 - 1 / 2) = -7 pixels."""
    frame = np.zeros((40, 8, 3), np.uint8)
    frame[16:24] = 240
    flow = np.zeros((40, 8, 2), np.float32)
    flow[..., 1] = 50.0
    rows = np.flatnonzero(replace(PLAIN, readout=0.4).apply(frame, 0, flow)[:, 4, 0] > 120)
    # Row r shows row r - 20 ((r + 0.5) / 40 - 0.5) = (r + 19.5) / 2, which lies in 15.5 .. 23.5 for r in 11.5 .. 27.5.
    assert rows.tolist() == list(range(12, 28))


def test_a_sudden_change_of_exposure() -> None:
    stepping = replace(PLAIN, steps=((np.log(1.2), 10.0, 0.0),))
    assert [stepping.apply(GREY, k)[0, 0, 0] for k in (0, 4, 5, 9, 10)] == [120, 120, 100, 100, 120]


def test_sharpening_leaves_halos_and_keeps_the_mean() -> None:
    edge = np.full((40, 320, 3), 80, np.uint8)
    edge[:, 160:] = 160
    row = replace(PLAIN, sharpening=1.0).apply(edge, 0)[20, :, 0].astype(int)
    assert row[159] < 70 and row[160] > 170 and row[100] == 80 and row[220] == 160
    assert row.mean() == pytest.approx(120, abs=0.5)


def test_local_contrast_raises_what_differs_from_its_surroundings() -> None:
    frame = np.full((96, 320, 3), 100, np.uint8)
    frame[40:56, 150:170] = 120
    seen = replace(PLAIN, local_contrast=0.5).apply(frame, 0)[..., 0].astype(int)
    assert 125 < seen[48, 160] <= 130 and seen[5, 5] == 100
    assert 90 < seen[48, 145] < 100


def test_compression_makes_blocks_and_loses_detail() -> None:
    noise = np.random.default_rng(0).integers(60, 190, (96, 320, 1), dtype=np.uint8).repeat(3, 2)
    fine, coarse = (np.abs(replace(PLAIN, quality=q).apply(noise, 0) - noise.astype(float)).mean() for q in (95, 10))
    assert fine < 4 < 15 < coarse
    ramp = np.linspace(90, 130, 320).astype(np.uint8)[None, :, None].repeat(96, 0).repeat(3, 2)
    steps = np.abs(np.diff(replace(PLAIN, quality=5).apply(ramp, 0)[48, :, 0].astype(int)))
    assert steps[7::8].sum() > 0.8 * steps.sum()  # they lie at the borders of the blocks of 8 pixels


@given(st.integers(0, 2**32))
def test_processing_keeps_8_bits_and_repeats(seed: int) -> None:
    sensor = sample_sensor(np.random.default_rng(seed), night=bool(seed % 2))
    frame = np.random.default_rng(seed).integers(0, 256, (24, 80, 3), dtype=np.uint8)
    flow = np.random.default_rng(seed).normal(0, 20, (24, 80, 2)).astype(np.float32)
    one = sensor.apply(frame, 7, flow)
    assert one.dtype == np.uint8 and one.shape == frame.shape
    sensor.apply(frame, 3, flow)
    np.testing.assert_array_equal(sensor.apply(frame, 7, flow), one)
    assert sensor.readout == 0 or 0.05 <= sensor.readout <= 0.3


def test_shares_of_the_sampled_sensors() -> None:
    sensors = [sample_sensor(np.random.default_rng(seed)) for seed in range(1500)]
    for name, share in (("readout", 0.5), ("quality", 0.25), ("sharpening", 0.35), ("local_contrast", 0.25)):
        assert np.mean([bool(getattr(s, name)) for s in sensors]) == pytest.approx(share, abs=0.04), name
    loud = [sample_sensor(np.random.default_rng(seed), night=True).read_noise for seed in range(200)]
    assert np.mean(loud) > np.mean([s.read_noise for s in sensors]) + 2


def test_while_the_car_stands_a_rolling_shutter_changes_nothing() -> None:
    """Consecutive images of a standing car differ by noise, exposure and what drives by only."""
    for seed in range(200):
        street = make_street(seed, 40, (48, 160))
        step = np.linalg.norm(np.diff(street.poses[:, :3, 3], axis=0), axis=1)
        still = np.flatnonzero((step[1:-1] < 1e-6) & (step[2:] < 1e-6)) + 1
        if street._sensor.readout > 0.1 and not street._sensor.quality and len(still):
            break
    first = int(still[0])
    street._sensor = replace(street._sensor, gain=(), steps=())
    one, two = (street.render(i).astype(float) for i in (first, first + 1))
    grain = street._sensor.read_noise + np.sqrt(street._sensor.shot_noise * 128)
    assert np.median(np.abs(one - two)) < 4 * (1 + street._sensor.sharpening) * grain + 2
    street._sensor = replace(street._sensor, read_noise=0.0, shot_noise=0.0)
    rolled = street.render(first)
    street._sensor = replace(street._sensor, readout=0.0, shutter=0.0)
    np.testing.assert_array_equal(street.render(first), rolled)
