"""Streets as folders of files: written, read back, cut short."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from distilvo.errors import DistilvoError
from distilvo.world.street import make_street
from distilvo.world.street_writer import write_street
from test_world_street import SMALL, drive


def test_a_written_street_reads_back(tmp_path: Path) -> None:
    street = make_street(4, 6, SMALL)
    ticks: list[int] = []
    folder = write_street(street, tmp_path, "07", lambda: ticks.append(1))
    assert folder == tmp_path / "sequences" / "07" and len(ticks) == 6
    assert sorted(p.name for p in (folder / "image_2").iterdir()) == [f"{i:06d}.png" for i in range(6)]
    image = cv2.cvtColor(cv2.imread(str(folder / "image_2" / "000003.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(image, street.render(3))
    rows = np.loadtxt(tmp_path / "poses" / "07.txt").reshape(6, 3, 4)
    np.testing.assert_allclose(rows, street.poses[:, :3], atol=1e-9)
    np.testing.assert_allclose(np.loadtxt(folder / "times.txt"), street.times)
    lines = dict(line.split(": ") for line in (folder / "calib.txt").read_text().splitlines())
    assert list(lines) == ["P0", "P1", "P2", "P3"]
    np.testing.assert_allclose(np.array(lines["P2"].split(), float).reshape(3, 4)[:, :3], street.intrinsics)
    with pytest.raises(DistilvoError, match="already there"):
        write_street(street, tmp_path, "07")


def test_a_run_cut_short_leaves_no_sequence_and_can_be_repeated(tmp_path: Path) -> None:
    street = make_street(4, 6, SMALL)
    left = iter(range(3))

    def stop_at_the_third() -> None:
        if next(left) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_street(street, tmp_path, "07", stop_at_the_third)
    assert not (tmp_path / "sequences" / "07").exists() and not (tmp_path / "poses" / "07.txt").exists()
    write_street(street, tmp_path, "07")
    assert len(list((tmp_path / "sequences" / "07" / "image_2").iterdir())) == 6
    assert [p.name for p in (tmp_path / "sequences").iterdir()] == ["07"]


@pytest.mark.parametrize("name", ["", "../07", ".hidden", "a/b"])
def test_a_sequence_name_must_be_a_plain_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DistilvoError, match="expected a plain name"):
        write_street(drive(0), tmp_path, name)
