"""Images of more than 8 bits, and images that use a small part of their range."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.check import check_source
from distilvo.errors import DistilvoError
from distilvo.sequences import open_sequence
from distilvo.sequences.brightness import GreyLevels

EIGHT = np.random.default_rng(0).integers(0, 256, (3, 24, 40), np.uint8)
EIGHT[0, 0, 0] = 255


def folder(root: Path, images: list[np.ndarray], suffix: str = ".png") -> Path:
    root.mkdir()
    for k, image in enumerate(images):
        assert cv2.imwrite(str(root / f"{k}{suffix}"), image)
    return root


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_same_images_with_more_bits_are_the_same_frames(bits: int, suffix: str, tmp_path: Path) -> None:
    shifted = [image.astype(np.uint16) << (bits - 8) for image in EIGHT]
    sequence = open_sequence(folder(tmp_path / "d", shifted, suffix))
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        frames = np.stack(list(sequence.frames()))
    assert frames.dtype == np.uint8 and (frames == EIGHT).all()
    assert [f"taken for images of {bits} bits" in str(note.message) for note in notes] == ([] if bits == 16 else [True])


def test_full_range_of_16_bits(tmp_path: Path) -> None:
    frames = open_sequence(folder(tmp_path / "d", [image.astype(np.uint16) * 257 for image in EIGHT])).frames()
    assert (np.stack(list(frames)) == EIGHT).all()


def test_the_brightest_image_decides_for_the_drive(tmp_path: Path) -> None:
    dark = [np.full((8, 8), 100, np.uint16)] * 40
    drive = folder(tmp_path / "d", [*dark, np.full((8, 8), 4000, np.uint16)])
    with pytest.warns(UserWarning, match=r"values up to 4000 are taken for images of 12 bits \(0 to 4095\); --bits"):
        first = next(open_sequence(drive).frames())
    assert first[0, 0] == 100 >> 4


def test_a_brighter_image_than_the_sampled_ones_is_refused_and_bits_mends_it(tmp_path: Path) -> None:
    images = [np.full((8, 8), 100, np.uint16)] * 60
    images[1] = np.full((8, 8), 3000, np.uint16)
    drive = folder(tmp_path / "d", images)
    with (
        pytest.warns(UserWarning),
        pytest.raises(DistilvoError, match=r"1.png: its brightest value is 3000.*--bits 12"),
    ):
        list(open_sequence(drive).frames())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", message=".*ordered by")
        frames = list(open_sequence(drive, bits=12).frames())
    assert frames[1][0, 0] == 3000 >> 4


def test_bits_are_for_images_alone_and_floats_are_refused(tmp_path: Path) -> None:
    drive = folder(tmp_path / "d", [np.ones((8, 8), np.float32)], ".tiff")
    with pytest.raises(DistilvoError, match=r"0.tiff: the image is of type float32, expected 8 or 16 bits"):
        open_sequence(drive)
    mixed = folder(tmp_path / "m", [np.ones((8, 8), np.uint8), np.ones((8, 8), np.uint16)])
    with pytest.raises(DistilvoError, match=r"8x8 grey of 16 bits, expected 8x8 grey"):
        list(open_sequence(mixed).frames())


def test_check_tells_of_a_small_range(tmp_path: Path) -> None:
    result = check_source(folder(tmp_path / "d", [image // 16 for image in EIGHT]))
    note = next(finding.message for finding in result.findings if finding.about == "brightness")
    assert note.startswith("the images use grey levels 0 to 15 of 0 to 255")
    levels = GreyLevels()
    assert levels.note() is None
    levels.add(EIGHT[0])
    assert levels.note() is None
