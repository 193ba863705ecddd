"""Streets in adverse conditions: the same drives with the stated effects, while plain streets stay as they were."""

from __future__ import annotations

from itertools import count, islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.commands.main import Render
from distilvo.errors import DistilvoError
from distilvo.world.adverse import AdverseConditions, is_adverse, sample_adverse
from distilvo.world.dataset import render_streets
from distilvo.world.sensor import SensorModel
from distilvo.world.street import Street, make_street

SMALL = (48, 160)
ALWAYS = (-100.0, 1000.0)
SENSOR = SensorModel(
    seed=1, gain=(), tint=(1.0, 1.0, 1.0), vignetting=0.0, defocus=0.0, shutter=0.05, read_noise=1.0, shot_noise=0.0
)


def kinds(adverse: AdverseConditions) -> set[str]:
    return {name for name in ("darkness", "noise", "shutter", "defocus", "fog", "crowded") if getattr(adverse, name)}


def street_with(frames: int, *wanted: str) -> Street:
    """The first street that has these adverse conditions and no others."""
    seed = next(seed for seed in count() if kinds(sample_adverse(seed, frames)) == set(wanted))
    return make_street(seed, frames, SMALL, adverse=True)


@pytest.mark.parametrize(
    ("seed", "first", "last"),
    [
        (0, (104.07, 107.97, 108.71), (105.5, 110.15, 111.97)),
        (7, (124.01, 124.76, 111.5), (104.94, 108.34, 95.41)),
    ],
)
def test_plain_streets_are_as_they_were(seed: int, first: tuple[float, ...], last: tuple[float, ...]) -> None:
    """Means of R, G, B of the first and the last image, noted with the present draws: any other moves them by more."""
    street = make_street(seed, 40, SMALL)
    np.testing.assert_allclose(street.render(0).mean(axis=(0, 1)), first, atol=0.05)
    np.testing.assert_allclose(street.render(39).mean(axis=(0, 1)), last, atol=0.05)


@pytest.mark.parametrize("seed", [0, 2])  # crowded and blurred; dim and foggy
def test_an_adverse_street_is_the_same_drive_and_the_same_bytes_in_any_order(seed: int) -> None:
    plain, one, two = (make_street(seed, 12, SMALL, adverse=adverse) for adverse in (False, True, True))
    np.testing.assert_array_equal(one.poses, plain.poses)
    np.testing.assert_array_equal(one.intrinsics, plain.intrinsics)
    forwards = [one.render(i) for i in range(12)]
    np.testing.assert_array_equal(forwards, [two.render(i) for i in reversed(range(12))][::-1])
    assert not np.array_equal(forwards[6], plain.render(6))


@given(st.integers(0, 2**31))
def test_a_drive_has_good_and_bad_segments(seed: int) -> None:
    adverse = sample_adverse(seed, 100)
    assert adverse == sample_adverse(seed, 100)
    assert 1 <= len(kinds(adverse)) <= 4
    strength = np.array([adverse.strength(i) for i in range(100)])
    assert strength.max() == 1.0 and strength.min() == 0.0
    assert 0.25 < strength.mean() < 0.9
    assert np.abs(np.diff(strength)).max() < 0.2, "it comes and goes gradually"


def test_the_good_segment_is_untouched() -> None:
    dark = street_with(60, "darkness", "noise")
    adverse, plain = sample_adverse(dark.seed, 60), make_street(dark.seed, 60, SMALL)
    good = [i for i in range(60) if adverse.strength(i) == 0.0]
    bad = [i for i in range(60) if adverse.strength(i) == 1.0]
    assert good and bad
    for index in good[::5]:
        np.testing.assert_array_equal(dark.render(index), plain.render(index))
    for index in bad[::5]:
        image = dark.render(index)
        assert (image < 40).mean() > 0.8 and image.mean() > 3


def test_darkness_and_noise_have_the_stated_strength() -> None:
    sensor = AdverseConditions(0, ALWAYS, darkness=np.log(4), noise=3.0).on_sensor(SENSOR, 5)
    image = sensor.apply(np.full((*SMALL, 3), 160, np.uint8), 5).astype(float)
    assert image.mean() == pytest.approx(40, abs=0.5)  # a quarter of the light
    assert image.std() == pytest.approx(np.sqrt(9 + 0.3 * 40), rel=0.05)  # read noise, and shot noise at 40


def test_fog_takes_contrast_with_distance() -> None:
    fog = AdverseConditions(0, ALWAYS, fog=0.05)
    depth = np.array([[0.001, np.log(2) / 0.05, 0.0]], np.float32)  # at the sensor; where half is left; the sky
    seen = fog.on_view(np.full((1, 3, 3), 65, np.uint8), depth, 0)
    assert seen[0, :, 0].tolist() == [65, 115, 165]


def test_blur_keeps_the_worse_values_of_the_sensor_model() -> None:
    blurred = AdverseConditions(0, ALWAYS, shutter=0.6, defocus=0.01)
    sensor = blurred.on_sensor(SENSOR, 0)
    assert (sensor.shutter, sensor.defocus, sensor.read_noise, sensor.brightness(0)) == (
        pytest.approx(0.6),
        0.01,
        1.0,
        1.0,
    )
    assert AdverseConditions(0, ALWAYS, darkness=1.0).on_sensor(SENSOR, 0).shutter == 0.05
    street = street_with(60, "shutter", "defocus")
    middle = int(np.clip(np.mean(sample_adverse(street.seed, 60).segment), 0, 59))
    sharp = cv2.Laplacian(make_street(street.seed, 60, SMALL).render(middle), cv2.CV_64F).std()
    assert cv2.Laplacian(street.render(middle), cv2.CV_64F).std() < 0.5 * sharp


def test_in_a_crowd_a_car_is_close_ahead_all_the_way() -> None:
    """In the middle of three drives; a car that swerves to the edge of its lane looks past the one ahead."""
    crowded = (seed for seed in count() if kinds(sample_adverse(seed, 60)) == {"crowded"})
    nearest: list[list[float]] = [[], []]
    for seed in islice(crowded, 3):
        drives = [make_street(seed, 60, SMALL, adverse=adverse) for adverse in (True, False)]
        for distances, drive in zip(nearest, drives, strict=True):
            for index in range(0, 60, 6):
                drive.render(index)
                ahead = drive.depth[16:32, 70:90]
                distances.append(float(np.median(np.where(ahead > 0, ahead, np.inf))))
    assert np.median(nearest[0]) < min(8.0, 0.7 * np.median(nearest[1]))
    assert min(nearest[0]) > 2.0


def test_the_share_of_adverse_streets() -> None:
    seeds = range(2000)
    for share in (0.0, 0.25, 0.5, 1.0):
        drawn = [is_adverse(seed, share) for seed in seeds]
        assert np.mean(drawn) == pytest.approx(share, abs=0.04)
        assert sum(drawn) == round(share) * 2000 or 0 < share < 1
        assert all(is_adverse(seed, min(1.0, share + 0.2)) for seed in seeds if drawn[seed])


def test_the_seed_alone_decides_which_streets_are_adverse(tmp_path: Path) -> None:
    assert [is_adverse(seed, 0.5) for seed in range(3, 7)].count(True) in (1, 2, 3)
    render_streets(tmp_path / "a", range(3, 7), 8, SMALL, workers=1, adverse=0.5)
    render_streets(tmp_path / "b", [6, 4], 8, SMALL, workers=1, adverse=0.5)
    for name in ("04", "06"):
        one, two = (tmp_path / root / "sequences" / name / "image_2" / "000004.png" for root in "ab")
        assert one.read_bytes() == two.read_bytes()
    for seed in range(3, 7):
        written = cv2.imread(str(tmp_path / "a" / "sequences" / f"{seed:02d}" / "image_2" / "000004.png"))
        expected = make_street(seed, 8, SMALL, adverse=is_adverse(seed, 0.5)).render(4)
        np.testing.assert_array_equal(written[..., ::-1], expected)


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(DistilvoError, match=r"expected 0 to 1"):
            render_streets(tmp_path / "x", [0], 4, SMALL, adverse=share)
        with pytest.raises(DistilvoError, match=r"--adverse .*expected 0 to 1"):
            Render(tmp_path / "x", adverse=share).run()
    for streets in (0, -2):
        with pytest.raises(DistilvoError, match=rf"--streets {streets}; expected at least 1"):
            Render(tmp_path / "x", streets=streets).run()
    assert not (tmp_path / "x").exists()


def test_a_folder_is_rendered_on_with_the_same_share_only(tmp_path: Path) -> None:
    Render(tmp_path / "x", frames=4, size=SMALL, adverse=1.0).run()
    Render(tmp_path / "x", frames=4, size=SMALL, adverse=1.0).run()
    with pytest.raises(DistilvoError, match=r"adverse: 1\.0 -> 0\.5"):
        Render(tmp_path / "x", frames=4, size=SMALL, adverse=0.5).run()
