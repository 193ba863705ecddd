"""``distilvo check``: what a source of frames holds, and whether it can be used."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from distilvo.errors import DistilvoError
from distilvo.progress import console, silence
from distilvo.settings import SourceOptions

if TYPE_CHECKING:
    from distilvo.geometry.preprocessing import Preprocessing


@dataclass(frozen=True)
class Check:
    """Say what a source of frames holds, and whether its poses are those of its images; status 2 if not usable."""

    source: Positional[str]
    """Sequence of a data set, folder or 'pattern' of images, video, bag, camera:0 or rtsp://...: docs/sources.md."""
    options: Annotated[SourceOptions, arg(name="")] = field(default_factory=SourceOptions)
    model: Path | None = None
    """Model folder or ONNX file, or student, the bundled one: its view, resolution and frame rate are compared with."""
    json: bool = False
    """Print one JSON object instead of the lines."""

    def run(self) -> None:
        """Print the findings, as lines or as one JSON object; DistilvoError where the source cannot be used."""
        from distilvo.check import check_source
        from distilvo.sequences.address import shown

        if self.json:
            silence()
        preprocessing, rate_hz = (None, None) if self.model is None else _of_model(self.model)
        result = check_source(self.source, preprocessing=preprocessing, rate_hz=rate_hz, **vars(self.options))
        if self.json:
            print(json.dumps(result.to_dict(), indent=2, allow_nan=False))
        else:
            for finding in result.findings:
                console.print(str(finding))
        if not result.usable:
            count = f"{result.problems} problem{'s' if result.problems > 1 else ''}"
            raise DistilvoError(f"{shown(self.source)}: {count}; mend what stands above, then check again")


def _of_model(model: Path) -> tuple[Preprocessing, float | None]:
    """How frames become the images of a model folder's, or an ONNX file's, network, and its frames per second."""
    from distilvo.runtime.packaged_models import model_path

    if (model := model_path(model)).suffix == ".onnx":
        from distilvo.runtime import Tracker

        with Tracker(model) as tracker:
            return tracker.preprocessing, tracker.rate_hz
    from distilvo.models.kinds import rate_of
    from distilvo.models.model_folder import read_config

    config, architecture = read_config(model)
    return architecture.preprocessing, rate_of(architecture, config)
