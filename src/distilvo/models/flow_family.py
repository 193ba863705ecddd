"""Networks that see flow first: a teacher, and students for one core."""

from __future__ import annotations

from dataclasses import replace

from distilvo.errors import DistilvoError
from distilvo.models.flow_network import FlowArchitecture

FLOW_TEACHER = FlowArchitecture(
    name="flow-teacher",
    size=(96, 320),
    encoder=((16, 5, 2), (32, 3, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1)),
    fine=3,
    comparison=(112, 80),
    context=(144, 144, 128),
    refinement=(120, 96, 80),
)

FLOW_STUDENTS = {
    "nano": FlowArchitecture(
        name="flow-nano",
        size=(96, 320),
        encoder=((16, 3, 1), (24, 3, 2)),
        patch=4,
        squeeze=24,
        comparison=(32,),
        context=(32, 24),
        refinement=(24, 24),
        block=8,
    ),
}

FLOW_FAMILY = {architecture.name: architecture for architecture in (FLOW_TEACHER, *FLOW_STUDENTS.values())}


def flow_student(shape: str, size: tuple[int, int]) -> FlowArchitecture:
    """The student of a shape, for frames of ``size`` (H, W).

    Raises:
        DistilvoError: there is none of this shape.
    """
    if shape not in FLOW_STUDENTS:
        raise DistilvoError(
            f"shape '{shape}': a teacher that sees flow first has no such student; expected shape "
            f"{' or '.join(FLOW_STUDENTS)}"
        )
    return replace(FLOW_STUDENTS[shape], size=size)
