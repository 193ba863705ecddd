"""The order of images by their names: every way in which people name 51 frames gives one order, a note or a refusal."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.sequences import open_sequence
from distilvo.sequences.frame_order import FrameOrder, order_frames

N = 51
START_NS = 1403715273262142976

RIGHT = {
    "padded": [f"{k:06d}.png" for k in range(N)],
    "suffixes of two cases": [f"{'IMG' if k % 2 else 'img'}_{k:04d}.{'JPG' if k % 3 else 'jpg'}" for k in range(N)],
    "segments": [f"a/{k:06d}.png" for k in range(30)] + [f"b/{k:06d}.png" for k in range(21)],
    "segments, unpadded": [f"seg{9 if k < 20 else 10}/{k}.png" for k in range(N)],
    "a folder each": [f"{k:04d}/image.png" for k in range(N)],
    "a folder each, unpadded": [f"{k}/{k}.png" for k in range(N)],
    "unpadded": [f"frame{k}.jpg" for k in range(N)],
    "mixed digits": [f"{k:0{1 + k % 3}d}.png" for k in range(N)],
    "camera app": ["X.jpg", *(f"X ({k}).jpg" for k in range(1, N))],
    "burst": ["IMG_20201231_235959.jpg", *(f"IMG_20201231_235959_{k}.jpg" for k in range(1, N))],
    "copies": ["a.jpg", "a - Copy.jpg", *(f"a - Copy ({k}).jpg" for k in range(2, N))],
    "decimal": [f"{k * 0.05:.3g}.png" for k in range(N)],
    "decimal, as printed": [f"t_{k * 0.05!r}.png" for k in range(N)],
    "exponents": [f"{k * 1e-5!r}.png" for k in range(1, N)],
    "chapters": [f"1.{k}.png" for k in range(1, N)],
    "signed": [f"{k}.png" for k in range(-25, 26)],
    "hexadecimal": [f"{k:02x}.png" for k in range(N)],
    "seconds": [f"{1311868164.36 + k * 0.05!r}.png" for k in range(N)],
    "nanoseconds": [f"{START_NS + k * 10**8}.png" for k in range(N)],
    "nanoseconds from 0": [f"{k * 10**8}.png" for k in range(N)],
    "full width digits": [f"{chr(0xFF10 + k // 10)}{chr(0xFF10 + k % 10)}.png" for k in range(N)],
    "two counters": [f"run{run}_f{k:03d}.png" for run in (1, 2, 10) for k in range(17)],
    "dates": [f"2023-12-31 23.{k:02d}.07.png" for k in range(N)],
}
SILENT = {"padded", "a folder each", "full width digits", "dates"}
REFUSED = {
    "seconds and nanoseconds": [
        f"{START_NS + k}.png" if k % 2 else f"{(START_NS + k) // 10**9}.5.png" for k in range(N)
    ],
    "microseconds and nanoseconds": [f"{(START_NS + k * 10**8) // (1000 if k > 20 else 1)}.png" for k in range(N)],
    "both eyes": [f"{k:06d}_{side}.png" for k in range(25) for side in ("left", "right")],
    "both eyes in folders": [f"{k:06d}/{side}0.png" for k in range(25) for side in ("left", "right")],
    "two suffixes": [f"{k:06d}.{suffix}" for k in range(25) for suffix in ("jpg", "png")],
    "equal numbers": ["1.png", "01.png", "2.png"],
    "hashes": [f"{random.Random(k).getrandbits(128):032x}.png" for k in range(N)],
    "day first": [f"{31 - k % 2:02d}-12-2023_{k:02d}.png" for k in range(20)],
    "am and pm": [f"at {1 + k % 12}.00.00 {'AM' if k < 12 else 'PM'}.png" for k in range(20)],
    "a counter that overflows": [f"DSC_{(9990 + k) % 10000:04d}.jpg" for k in range(20)],
}


def shuffled(names: list[str]) -> FrameOrder:
    files = [Path("drive") / name for name in names]
    return order_frames(random.Random(1).sample(files, len(files)), "drive")


@pytest.mark.parametrize("case", RIGHT)
def test_right_order(case: str) -> None:
    order = shuffled(RIGHT[case])
    assert [str(file.relative_to("drive")) for file in order.files] == RIGHT[case]
    assert order.numbering.missing == ()
    assert (order.notes == []) == (case in SILENT)  # names that could be taken in another way have a note


@pytest.mark.parametrize("case", REFUSED)
def test_no_order(case: str) -> None:
    with pytest.raises(DistilvoError) as error:
        shuffled(REFUSED[case])
    assert sum(name.rpartition("/")[2] in str(error.value) for name in REFUSED[case]) >= 2 or case == "equal numbers"


@given(st.lists(st.integers(0, 10**9), min_size=2, unique=True), st.data())
def test_numbers_decide_however_they_are_padded(numbers: list[int], data: st.DataObject) -> None:
    names = {f"f{number:0{data.draw(st.integers(1, 8))}d}.png": number for number in numbers}
    ordered = order_frames([Path(name) for name in names], "drive").files
    assert [names[str(file)] for file in ordered] == sorted(numbers)


def test_missing_numbers_are_named_and_keep_their_place() -> None:
    order = shuffled([f"{k:06d}.png" for k in range(N) if k not in (20, 21, 33)])
    assert order.numbering.missing == ("000020.png", "000021.png", "000033.png")
    assert order.numbering.places[19:22].tolist() == [19, 22, 23] and order.numbering.places[-1] == N - 1
    assert "000000.png to 000050.png" in order.describe() and "3 missing: 000020.png, " in order.describe()
    tenth = shuffled([f"{k * 10:06d}.png" for k in range(N) if k != 7])
    assert (tenth.numbering.missing, tenth.numbering.places[7]) == (("000070.png",), 8)
    folders = shuffled([f"{k:04d}/image.png" for k in range(N) if k != 20])
    assert folders.numbering.missing == ("drive/0020/image.png",)
    second = shuffled([f"{part}/{k:03d}.png" for part in "ab" for k in range(9) if (part, k) != ("b", 4)])
    assert second.numbering.places.tolist() == [*range(13), *range(14, 18)]


@pytest.mark.parametrize(
    "names",
    [
        [f"{k * k:06d}.png" for k in range(N)],
        [f"IMG_20231231_{120030 + k + (40 if k >= 30 else 0)}.png" for k in range(N)],
        ["a.png", "b.png", "c.png"],
    ],
    ids=["key frames", "times of day", "letters"],
)
def test_what_is_no_counter_has_no_gaps(names: list[str]) -> None:
    order = shuffled(names)
    assert order.numbering.missing == () and (order.numbering.places == np.arange(len(names))).all()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("1311868164.363181", 1311868164.363181), (f"cam_{START_NS}", START_NS / 1e9), ("1403715273262", 1403715273.262)],
)
def test_unix_times_in_names_are_times(name: str, seconds: float) -> None:
    stamps = order_frames([Path(f"{name}.png")], "drive").numbering.stamps
    assert stamps is not None and stamps[0] == pytest.approx(seconds, abs=1e-6)


def write(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((8, 12), value, np.uint8))


def test_the_frames_are_the_same_however_they_are_stored(tmp_path: Path) -> None:
    for case in ("segments", "a folder each, unpadded", "camera app", "decimal", "nanoseconds"):
        folder = tmp_path / case
        for value, name in enumerate(RIGHT[case]):
            write((folder / name).with_suffix(".png"), value)
        inside = f"{folder}/*/*.png" if "/" in RIGHT[case][0] else folder
        with pytest.warns(UserWarning, match="folders|ordered by|times are read"):
            sequence = open_sequence(inside)
        assert [frame[0, 0] for frame in sequence.frames()] == list(range(N))
        assert sequence.assumed_times == (case != "nanoseconds")


def test_a_pattern_with_brackets_is_a_folder_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path / "drive [ab]" / "0.png", 3)
    assert len(open_sequence(f"{tmp_path}/drive [ab]/*.png")) == 1
    write(tmp_path / "drive a" / "0.png", 4)
    with pytest.raises(DistilvoError, match=r"drive \[ab\].*is called so, and .*drive a.0.png matches"):
        open_sequence(f"{tmp_path}/drive [ab]/*.png")
    assert len(open_sequence(f"{tmp_path}/drive [a]/*.png")) == 1


def test_a_folder_without_images_names_the_one_that_holds_them(tmp_path: Path) -> None:
    write(tmp_path / "drive" / "deep" / "left" / "0.png", 1)
    write(tmp_path / "drive" / "deep" / "left" / "1.png", 1)
    with pytest.raises(DistilvoError, match=r"drive: no image in the folder.*; try .*drive/deep/left$"):
        open_sequence(tmp_path / "drive")
    for k in range(3):
        write(tmp_path / "each" / f"{k}" / "image.png", k)
    with pytest.raises(DistilvoError, match=r"try '.*each/\*/image.png' in quotes"):
        open_sequence(tmp_path / "each")
