"""Flow and depth of rendered streets as files, and as caches read them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from distilvo.errors import DistilvoError
from distilvo.world import street_writer
from distilvo.world.dataset import render_streets
from distilvo.world.routes import render_routes
from distilvo.world.street import Street, make_street
from distilvo.world.street_writer import is_whole, write_street

SMALL = (48, 160)


def png(path: Path) -> NDArray[np.uint16]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint16
    return image


def test_files_hold_flow_and_depth_as_kitti_has_them(tmp_path: Path) -> None:
    street, again = make_street(4, 4, SMALL), make_street(4, 4, SMALL)
    folder = write_street(street, tmp_path, "07", flow=True)
    assert [len(list((folder / kind).iterdir())) for kind in ("image_2", "flow", "depth")] == [4, 3, 4]
    assert float((folder / "camera_height.txt").read_text()) == pytest.approx(street.camera_height, abs=1e-6)
    for index in range(4):
        again.render(index)
        depth = png(folder / "depth" / f"{index:06d}.png") / 256
        known = (again.depth > 0) & (again.depth < 255.9)
        np.testing.assert_allclose(depth[known], again.depth[known], atol=1 / 512 + 1e-6)
        assert not depth[again.depth == 0].any() and not depth[again.depth > 256].any()
    for index in range(3):
        flow, valid = again.flow(index)
        stored = png(folder / "flow" / f"{index:06d}.png")  # OpenCV: blue, green, red
        np.testing.assert_array_equal(stored[..., 0], valid)
        assert not stored[~valid].any() and valid.any()
        assert np.abs((stored[..., 2].astype(float) - 32768) / 64 - flow[..., 0])[valid].max() <= 1 / 128
        assert np.abs((stored[..., 1].astype(float) - 32768) / 64 - flow[..., 1])[valid].max() <= 1 / 128


def test_what_the_formats_cannot_hold_is_unknown() -> None:
    depth = np.array([[0, 0.1, 1, 255.99, 255.999, 256, 400, 2]], np.float32)
    own_car = np.arange(8)[None] == 7
    assert street_writer._depth_png(depth, own_car).tolist() == [[0, 26, 256, 65533, 0, 0, 0, 65535]]
    flow = np.array([[[-512, 0.5], [511.98, 0], [512, 0], [0, -512.1], [1, 1]]], np.float32)
    stored = street_writer._flow_png(flow, np.array([[True, True, True, True, False]]))
    unknown = [0, 0, 0]
    assert stored.tolist() == [[[1, 32800, 0], [1, 32768, 65535], unknown, unknown, unknown]]


def test_each_image_is_rendered_once_and_the_same_with_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_street(make_street(4, 4, SMALL), tmp_path / "plain", "00")
    rendered: list[int] = []
    real = Street.render
    monkeypatch.setattr(Street, "render", lambda self, index: (rendered.append(index), real(self, index))[1])
    write_street(make_street(4, 4, SMALL), tmp_path / "flow", "00", flow=True)
    assert rendered == [0, 1, 2, 3]
    for path in sorted((tmp_path / "plain").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "flow" / path.relative_to(tmp_path / "plain")).read_bytes()


def test_whole_streets_stay_and_what_lacks_flow_is_made_anew_with_a_note(tmp_path: Path) -> None:
    street = tmp_path / "sequences" / "03"

    def render(flow: bool) -> dict[Path, int]:
        render_streets(tmp_path, [3], 4, SMALL, workers=1, flow=flow)
        return {path: path.stat().st_mtime_ns for path in street.rglob("*.png")}

    plain = render(False)
    assert render(False) == plain and len(plain) == 4
    with pytest.warns(
        UserWarning, match=r"03: holds 4 images, .*expected 4 of each; flow: 0 of 3, depth: 0 of 4; it is"
    ):
        whole = render(True)
    assert len(whole) == 11 and render(True) == whole == render(False)
    (street / "flow" / "000001.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"of each; flow: 2 of 3; it is made anew"):
        assert len(render(True)) == 11
    (street / "depth" / "000001.png").unlink()
    with pytest.warns(UserWarning, match=r"of each; depth: 3 of 4; it is made anew"):
        assert len(render(False)) == 4
    (street / "camera_height.txt").unlink()
    with pytest.warns(UserWarning, match=r"of each; camera_height.txt: 0 of 1; it is made anew"):
        render(False)
    assert is_whole(tmp_path, "03", 4) and (street / "camera_height.txt").exists()
    (street / "notes.txt").write_text("mine")
    with pytest.raises(
        DistilvoError, match=r"flow: 0 of 3, depth: 0 of 4, as distilvo wrote them; move the folder away"
    ):
        render(True)
    with pytest.raises(DistilvoError, match=r"holds 4 images, .*expected 6 of each"):
        render_streets(tmp_path, [3], 6, SMALL, workers=1, flow=True)


def test_flow_along_given_poses(tmp_path: Path) -> None:
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 2, 3] = [0, 1, 2]
    folder = render_routes(tmp_path, {"05": poses}, [1], SMALL, flow=True)[0]
    assert (folder / "camera_height.txt").read_text() == "1.650000\n"
    stored = png(folder / "flow" / "000000.png")
    down = stored[-8:, :, 1][stored[-8:, :, 0] == 1].astype(float) - 32768
    assert len(down) > 100 and (down > 0).all()  # the road ahead comes nearer
