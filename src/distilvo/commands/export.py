"""``distilvo export``: a model folder as one ONNX file, and with int8 convolutions."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from distilvo.errors import DistilvoError
from distilvo.files import write_json
from distilvo.progress import console

if TYPE_CHECKING:
    from distilvo.bench.int8_comparison import Drives

STREETS = range(9_000_000, 9_000_012)
"""Seeds of the streets that are rendered where there is no data set; nothing of the package trains on them."""
STREET_FRAMES = 100


@dataclass(frozen=True)
class Export:
    """Write a model as one ONNX file and check that it gives the same poses."""

    model: Positional[Path]
    """Model folder; or teacher or student, which are bundled."""
    out: Path | None = None
    """ONNX file; MODEL/model.onnx where not given."""
    int8: bool = False
    """Write it with int8 convolutions too, as model.int8.onnx, and compare size, latency and errors of both."""
    data: Path | None = None
    """Data set with poses that --int8 is calibrated and measured on, best one that the model was not trained on;
    streets of the built-in world where not given."""
    sequences: tuple[str, ...] = ()
    """Names of its sequences; all where not given. The first quarter of them calibrates, the rest is measured on."""

    def run(self) -> None:
        """Export; with ``int8`` the convolutions are quantised too, and what that costs is measured."""
        from distilvo.models.teacher import named_model

        model = named_model(self.model)
        if self.out is None and model != self.model:
            raise DistilvoError(f"export: {self.model} comes with the package; give --out, the ONNX file to write")
        path = self.out or model / "model.onnx"
        if self.data is not None and not self.int8:
            raise DistilvoError("export: --data is what --int8 is calibrated on; give --int8 too, or leave it out")
        if self.sequences and self.data is None:
            raise DistilvoError("export: --sequences are those of a data set; give --data too")
        quantised, table = path.with_suffix(".int8.onnx"), path.with_name("quantisation.json")
        written = (path, quantised, table) if self.int8 else (path,)
        if self.out is not None and (there := [file for file in written if file.exists()]):
            raise DistilvoError(f"{there[0]}: exists already; choose another --out or remove it")
        with tempfile.TemporaryDirectory() as scratch:
            drives = self._drives(model, Path(scratch)) if self.int8 else None  # what is wrong with data shows first
            difference = export_model(model, path)
            size = path.stat().st_size / 1e6
            console.print(f"{path}: {size:.2f} MB, motions within {difference:.1e} (m, rad) of the network's")
            if drives is not None:
                _quantise(model, path, quantised, drives, table)

    def _drives(self, model: Path, scratch: Path) -> Drives:
        """The drives that int8 is calibrated and measured on; rendered ones without ``data``."""
        from distilvo.bench.int8_comparison import open_drives
        from distilvo.models.model_folder import read_config

        preprocessing = read_config(model)[1].preprocessing
        data = self.data
        if data is None:
            from distilvo.world.dataset import render_streets

            data = scratch / "streets"
            render_streets(data, STREETS, STREET_FRAMES, preprocessing.size)
        return open_drives(preprocessing, data, self.sequences, scratch)


def export_model(model: Path, path: Path) -> float:
    """Export a model folder, checked on images of random blobs that move."""
    from distilvo.models.model_folder import load_model
    from distilvo.models.onnx_export import export_onnx, moving_blobs

    network, config = load_model(model)
    return export_onnx(network, config, path, moving_blobs(network.architecture))


def _quantise(model: Path, exported: Path, quantised: Path, drives: Drives, table: Path) -> None:
    """Write the int8 file, print the table of what it costs and whether it is worth it here, and write all as JSON."""
    from distilvo.bench.int8_comparison import compare, comparison_table, verdict
    from distilvo.bench.latency import TIMER
    from distilvo.models.quantisation import quantise

    quantise(exported, quantised, drives.calibration)
    result: dict[str, Any] = compare(model, exported, quantised, drives)
    write_json(table, result)
    console.print(comparison_table(result))
    console.print(
        f"Errors on {len(result['check'])} sequences; {len(result['calibration'])} others calibrated int8. {TIMER} "
        "That of torch is eager."
    )
    console.print(verdict(result))
