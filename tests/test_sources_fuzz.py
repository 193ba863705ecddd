"""Damaged text files of every data set: one clear error or sound numbers, never a traceback."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilvo.errors import DistilvoError
from distilvo.sequences import open_sequence
from test_sources_kitti_raw import make_drive
from test_sources_malaga import gps_row, make_extract, stamps
from test_sources_tum_euroc import make_euroc, make_tum

EXAMPLES = int(os.environ.get("DISTILVO_FUZZ", "60"))  # for each file; more on demand
SNIPPETS = st.one_of(
    st.binary(max_size=4),
    st.sampled_from(
        [b"nan", b"-", b"1e999", b"\n", b"\r", b" ", b",", b"0", b"9" * 30, b"{", b"[", b"#", b"\x00", b"1_0", b":"]
    ),
)
FILES = {
    "tum": ("rgb.txt", "groundtruth.txt"),
    "euroc": ("mav0/cam0/data.csv", "mav0/cam0/sensor.yaml", "mav0/state_groundtruth_estimate0/data.csv"),
    "kitti-raw": (
        "../calib_cam_to_cam.txt", "../calib_velo_to_cam.txt", "image_02/timestamps.txt", "oxts/data/0000000001.txt"
    ),
    "malaga": ("gps",),
}  # fmt: skip


def make(kind: str, root: Path) -> Path:
    if kind == "malaga":
        gps = "".join(gps_row(float(stamps(1)[0]) + k - 0.5, k, 2 * k) for k in range(3))
        return make_extract(root, stamps(3), gps=gps)
    return {"tum": make_tum, "euroc": make_euroc, "kitti-raw": make_drive}[kind](root)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in FILES.items() for name in names])
def test_damaged_file(kind: str, name: str, tmp_path: Path) -> None:
    folder = make(kind, tmp_path)
    file = next(folder.glob("*_GPS.txt")) if name == "gps" else folder / name
    sound = file.read_bytes()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(sound)), st.integers(0, 12), SNIPPETS)
    def damage(at: int, removed: int, inserted: bytes) -> None:
        file.write_bytes(sound[:at] + inserted + sound[at + removed :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                sequence = open_sequence(folder)
            except DistilvoError as error:
                assert str(error).strip() and "\n" not in str(error)
                return
        count = len(sequence)
        assert count > 0 and sequence.times.shape == (count,)
        assert np.isfinite(sequence.times).all() and (np.diff(sequence.times) >= 0).all()
        if sequence.camera is not None:
            assert np.isfinite(list(vars(sequence.camera).values())).all() and sequence.camera.fx > 0
        if sequence.poses is not None:
            rotations = sequence.poses[:, :3, :3]
            assert sequence.poses.shape == (count, 4, 4) and np.isfinite(sequence.poses).all()
            np.testing.assert_allclose(
                rotations @ np.swapaxes(rotations, 1, 2), np.tile(np.eye(3), (count, 1, 1)), atol=0.02
            )
        assert sequence.reference is None or np.isfinite(sequence.reference).all()

    damage()
