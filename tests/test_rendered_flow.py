"""Flow, inverse depth and motions of rendered streets, read as training does, agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distilvo.data import open_cache
from distilvo.geometry import se3
from distilvo.geometry.camera import canonical_intrinsics
from distilvo.geometry.preprocessing import Preprocessing
from distilvo.sequences import open_dataset


def test_flow_inverse_depth_and_motions_of_rendered_streets_agree(tmp_path: Path) -> None:
    """What stands still moves in the network's image as inverse depth, motion and its intrinsics say."""
    pytest.importorskip("numba", reason="the extra 'world' is not installed")
    from distilvo.world.dataset import render_streets

    render_streets(tmp_path, [1, 3, 12], 12, (96, 320), workers=1, flow=True)
    sequences, size = open_dataset(tmp_path), (64, 192)  # another shape than the images'
    store = open_cache(sequences, Preprocessing(size, 3), tmp_path / "cache", flow=True)
    assert store.flow is not None and store.inverse_depth is not None
    k = canonical_intrinsics(size)
    assert max(abs(one.camera.fx / k[0, 0] * size[1] / 320 - 1) for one in sequences if one.camera) > 0.05
    v, u = 8 * np.mgrid[: size[0] // 8, : size[1] // 8] + 3.5
    rays = np.linalg.inv(k) @ np.stack([u, v, np.ones_like(u)]).reshape(3, -1)
    for number, drive in enumerate(store.drives):
        errors = []
        assert store.camera_heights[number] == pytest.approx(sequences[number].camera_height)
        metres = store.in_metres(number, store.drive_motions(number)).astype(np.float64)
        for pair in range(drive.frames - 1):
            frame = drive.first + pair
            back = np.linalg.inv(se3.matrices_from_motions(metres[pair]))
            points = back[:3, :3] @ rays + back[:3, 3:] * store.inverse_depth[frame].astype(np.float64).ravel()
            rigid = (k @ points)[:2] / points[2] - [u.ravel(), v.ravel()]
            off = np.hypot(*(store.flow[frame].astype(np.float64).reshape(2, -1) - rigid))
            errors.append(off[np.isfinite(off)])
        off = np.concatenate(errors)
        assert len(off) > 0.2 * u.size * len(errors)  # one has a bonnet and a narrow view
        assert np.median(off) < 0.03 and np.quantile(off, 0.8) < 0.1 and np.nanmax(np.abs(store.flow)) > 5
