"""The paper's kind of teachers: ``paper`` at its size, smaller ones for a CPU; and what comes with the package."""

from __future__ import annotations

from pathlib import Path

from distilvo.errors import DistilvoError
from distilvo.models.network import Architecture

PAPER = Architecture(
    name="teacher-paper",
    size=(192, 640),
    channels=3,
    # The encoder of FlowNetS (Dosovitskiy et al., ICCV 2015), as in ESP-VO (Wang et al., IJRR 2018).
    convolutions=(
        (64, 7, 2), (128, 5, 2), (256, 5, 2), (256, 3, 1), (512, 3, 2), (512, 3, 1), (512, 3, 2), (512, 3, 1),
        (1024, 3, 2),
    ),
    # The paper leaves these widths open; these give its 33.6 M parameters.
    grid=(1, 5),
    lstm=(660, 660),
    fc=(256,),
    branch=128,
    # With the last feature map's own size and FC layers of 256 the paper's students keep 7, 6 and 5 convolutions.
    student_grid=(3, 10),
    centred=True,
)  # fmt: skip

QUARTER = Architecture(
    name="teacher-quarter",
    # A third of the paper's height: two cores can train it. Not less: the encoder divides by 64, so that 64 rows leave
    # one row for the LSTM layers.
    size=(64, 192),
    channels=1,  # luminance: colour says little of motion, and a CPU decodes and caches a third of the bytes
    # The paper's nine convolutions, each a quarter as wide; LSTM, FC and branches too. That is 1.8 M parameters, which
    # need no GPU. Two stacked frames, as in FlowNetS: the encoder itself must learn to match them.
    convolutions=tuple((width // 4, kernel, stride) for width, kernel, stride in PAPER.convolutions),
    grid=(1, 3),  # the whole last feature map: 1 x 3, of the paper's 3 x 10
    lstm=(165, 165),
    fc=(64,),
    branch=32,
    # As near to 3 x 10 as divides the maps that students have, 8 x 24 to 2 x 6.
    student_grid=(2, 6),
    centred=True,
    batch_norm=True,  # no FlowNet has these widths, so it learns from scratch: with it, in far fewer steps
)

DEMO = Architecture(
    name="teacher-demo",
    size=(48, 160),
    channels=1,
    # Siamese convolutions and a correlation layer, as in FlowNetC, learn motion from far fewer clips.
    convolutions=((16, 5, 2), (32, 3, 2), (64, 3, 2), (96, 3, 1), (128, 3, 2), (160, 3, 1)),
    shared=2,
    reach=(3, 4),
    grid=(1, 5),
    lstm=(192, 192),
    fc=(128,),
    branch=64,
    dropout=0.1,
    batch_norm=True,
    centred=True,
)

TEACHERS = {"paper": PAPER, "quarter": QUARTER, "demo": DEMO}

_WEIGHTS = Path(__file__).parent / "weights"

SHIPPED_TEACHER = _WEIGHTS / "teacher"
"""Model folder of the teacher that comes with the package; it sees flow first, its README.md says what it saw."""

SHIPPED_STUDENT = _WEIGHTS / "student"
"""Model folder of its student, the one that ``Tracker()`` runs as ONNX."""

SHIPPED_ENCODER = _WEIGHTS / "encoder"
"""Model folder of convolutions that know optical flow, for a teacher of the paper's kind to begin with: ``QUARTER``."""


def named_model(model: Path) -> Path:
    """The model folder of a path; where nothing lies there, that of the package with the name, such as ``student``."""
    named = {folder.name: folder for folder in (SHIPPED_TEACHER, SHIPPED_STUDENT, SHIPPED_ENCODER)}
    return model if model.exists() else named.get(str(model), model)


def teacher_architecture(name: str) -> Architecture:
    """The architecture of a teacher, by name.

    Raises:
        DistilvoError: no such teacher.
    """
    if name not in TEACHERS:
        raise DistilvoError(f"teacher '{name}' is unknown; expected one of {', '.join(TEACHERS)}")
    return TEACHERS[name]
