"""Files damaged at random, and what a reader may make of one: sound content, or one clear line."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import Sequence

MANY = os.environ.get("DISTILVO_FUZZ")
"""How many times each file is damaged, at random; without it a few times, the same in each run of CI."""
TEXT = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [
            *(b"", b"nan", b"-inf", b"-", b"1e999", b"1e300", b"9" * 30, b"1_0", b"0", b"null", b"true", b"=", b":"),
            *(b"\n", b"\r", b" ", b",", b"{", b"[", b"#", b"\x00", b"\x1b[2J", b'"'),
        ]
    ),
)
BYTES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b"\x00" * 4, b"\xff" * 4, b"\xff" * 8, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80", b"\xff\xd9"]
    ),
)
FORM = Preprocessing((24, 80), 1)


def damage(file: Path, read: Callable[[], None], snippets: st.SearchStrategy[bytes], few: int = 40) -> None:
    """Damage a file in one or two places, or cut it off, and call ``read``; ``few`` times without DISTILVO_FUZZ.

    Args:
        file: a sound one; it is left damaged.
        read: opens it and all that belongs to it, and fails where what it gives is not sound.
        snippets: what is put in place of up to twelve bytes.
        few: how often in CI.
    """
    sound = file.read_bytes()
    read()
    anywhere, somewhat = st.integers(0, len(sound)), st.integers(0, 12)
    if snippets is TEXT:  # whole fields and lines, too: few places chosen at random begin and end with one
        pieces = [match.span() for match in re.finditer(rb"[^\s,:=\[\]]+", sound)]
        lines = [match.span() for match in re.finditer(rb"[^\n]*\n", sound)]
        places = st.one_of(st.sampled_from(pieces), st.sampled_from(lines or pieces))
    else:  # without moving what comes after
        places = anywhere.map(lambda at: (at, -1))
    places = st.one_of(places, st.tuples(anywhere, somewhat).map(lambda place: (place[0], sum(place))))
    edit = st.tuples(places, snippets)

    @settings(
        max_examples=int(MANY or few),
        derandomize=not MANY,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(edit, min_size=1, max_size=2), st.sampled_from((False, False, False, True)))
    def attempt(edits: list[tuple[tuple[int, int], bytes]], cut: bool) -> None:
        data = sound
        for (begin, end), inserted in edits:
            after = begin + len(inserted) if end < 0 else end
            data = data[:begin] + (b"" if cut else inserted + data[after:])
        file.write_bytes(data)
        refused(read)

    attempt()


def refused(read: Callable[[], None]) -> bool:
    """Whether ``read`` refuses, in one line that a terminal can show; it may do nothing else that is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)
        try:
            read()
        except DistilvoError as error:
            assert 10 < len(str(error)) < 1000 and str(error).isprintable(), repr(str(error))
            return True
    return False


def assert_sound(sequence: Sequence) -> None:
    """Frames of one size, one time for each, and numbers that can be what they say."""
    shapes = set()
    count = 0
    for frame in sequence.frames():
        shapes.add(frame.shape)
        count += 1
        assert frame.dtype == np.uint8
        FORM.apply(frame, sequence.camera)
    assert count == len(sequence) > 0 and len(shapes) == 1
    assert sequence.times.shape == (count,)
    assert np.isfinite(sequence.times).all() and (np.diff(sequence.times) >= 0).all()
    if sequence.camera is not None:
        camera = sequence.camera
        assert np.isfinite(list(vars(camera).values())).all() and camera.fx > 0 and camera.fy > 0
        assert (camera.height, camera.width) == next(iter(shapes))[:2]
    if sequence.poses is not None:
        assert len(sequence.poses) == count
        assert_poses(sequence.poses)
    assert sequence.reference is None or np.isfinite(sequence.reference).all()


def assert_poses(poses: np.ndarray) -> None:
    """Finite and rigid (N, 4, 4), at places that 32-bit floats can hold."""
    assert poses.shape == (len(poses), 4, 4) and np.isfinite(poses).all()
    rotations = poses[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.tile(np.eye(3), (len(poses), 1, 1)), atol=0.02
    )
    assert (np.linalg.det(rotations) > 0).all()
    assert np.isfinite(poses.astype(np.float32)).all()
