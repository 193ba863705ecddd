"""The first step of ``distilvo demo``: what the bundled model is worth on a street that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distilvo.pipeline.tracking import track, tracker_of, write_track
from distilvo.progress import console
from distilvo.report import write_report
from distilvo.report.drive_report import Album, drive_report
from distilvo.runtime.packaged_models import DEFAULT, model_path
from distilvo.sequences import open_sequence
from distilvo.world.dataset import render_streets


def first_drive(data: Path, seed: int, frames: int, size: tuple[int, int], out: Path) -> dict[str, Any]:
    """Render one street of a data set, follow it, and write the drive's report.

    Args:
        data: the data set's folder.
        seed: of the street.
        frames: of the street.
        size: (H, W) of the images, pixels.
        out: folder of trajectory and report.

    Returns:
        The errors, as ``metrics.json`` has them.
    """
    [folder] = render_streets(data, [seed], frames, size, label="a street")
    sequence = open_sequence(folder)
    album = Album()
    tracked = track(sequence, tracker_of(sequence, model_path()), watchers=(album.watch,))
    write_track(tracked, out)
    errors = tracked.errors
    assert errors is not None, "rendered streets have true poses"
    console.print(
        f"The bundled {DEFAULT}, on a street that it never saw: {errors.rms_rpe_t_m:.3f} m and "
        f"{errors.rms_rpe_r_deg:.3f} deg a frame, {tracked.frames_per_second:.0f} frames/s"
    )
    write_report(out, drive_report(sequence, DEFAULT, tracked, images=album.images, settings={}))
    console.print(f"Its report: {out / 'report.html'}")
    return errors.to_dict()
