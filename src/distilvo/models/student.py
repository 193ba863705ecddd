"""Students: a teacher with layers taken away, by distillation rate (paper, Section 4.1).

The last convolutions and all LSTM layers go; one fully connected (FC) layer is added in their place where the rate is
below 75 %, two where it is larger. The paper leaves the widths open. Here as many convolutions stay as leave the added
layers half as wide as the teacher's hint or wider, and they take what the budget leaves. Of the paper's teacher that
gives the paper's 7, 6 and 5 convolutions at 65.8, 72.88 and 79.69 %.
Students have no dropout: a network so small does not overfit its training set.
"""

from __future__ import annotations

from dataclasses import replace

from distilvo.errors import DistilvoError
from distilvo.models.fast_student import fast_architecture
from distilvo.models.flow_family import flow_student
from distilvo.models.flow_network import FlowArchitecture
from distilvo.models.kinds import AnyArchitecture, count_parameters, distillation_rate
from distilvo.models.network import Architecture
from distilvo.settings import Shape

LARGEST_WITH_ONE_ADDED = 75.0
NARROWEST = 16  # an added layer of fewer units passes too little on


def check_rate(rate: float, name: str = "distillation rate") -> float:
    """Return a distillation rate in per cent as it is; ``name`` says in the message which rate it is.

    Raises:
        DistilvoError: the rate is below 1, as a share such as 0.9295 is, or not below 100.
    """
    if not 1 <= rate < 100:
        advice = f"; did you mean {100 * rate:g}?" if 0.01 <= rate < 1 else ""
        raise DistilvoError(f"{name}: is {rate:g}, expected at least 1 and less than 100: rates are per cent{advice}")
    return rate


def shaped_architecture(shape: Shape | None, rate: float, teacher: AnyArchitecture) -> AnyArchitecture:
    """The student of a shape; students made for speed have one size each, whatever ``rate`` is.

    The students of a teacher that sees flow first see flow first, too, and all of them are made for speed: ``nano``
    where no shape is given. Those of other teachers are ``cut`` then.

    Raises:
        DistilvoError: the rate is no percentage, no student of this teacher is that small, space-to-depth does not fit
            the size of its frames, or there is no student of this shape of a teacher that sees flow first.
    """
    if isinstance(teacher, FlowArchitecture):
        return flow_student(shape or "nano", teacher.size)
    if shape in (None, "cut"):
        return student_architecture(rate, teacher)
    if shape == "slim":
        return slim_architecture(rate, teacher)
    return fast_architecture(shape, teacher.size, teacher.channels)


def student_architecture(rate: float, teacher: Architecture) -> Architecture:
    """Keep as many convolutions as fit, then widen the added FC layers to fill the budget.

    Raises:
        DistilvoError: the rate is no percentage, or no student of this teacher is that small.
    """
    budget = _budget(rate, teacher)
    fewest = max(1, teacher.shared)
    for least in (teacher.fc[-1] // 2, NARROWEST):
        for kept in range(len(teacher.convolutions) - 1, fewest - 1, -1):
            if count_parameters(_shrink(teacher, kept, least, rate)) <= budget:
                return _widest(teacher, kept, least, rate, budget)
    smallest = distillation_rate(_shrink(teacher, fewest, NARROWEST, rate), teacher)
    raise DistilvoError(
        f"distillation rate {rate} is out of reach for {teacher.name}: its smallest student has {smallest:.2f}"
    )


def slim_architecture(rate: float, teacher: Architecture) -> Architecture:
    """A student that keeps all of its teacher's layers, its LSTMs too, and makes them narrow (not in the paper).

    Layers that see single frames (``shared``) and the last FC layer, which is the hint, keep their width: they hold few
    weights, and can be handed over as they are.

    Raises:
        DistilvoError: the rate is no percentage, or no such student of this teacher is that small.
    """
    budget = _budget(rate, teacher)
    for percent in range(99, 1, -1):
        architecture = _slim(teacher, percent / 100, rate)
        if count_parameters(architecture) <= budget:
            return architecture
    smallest = distillation_rate(_slim(teacher, 0.02, rate), teacher)
    raise DistilvoError(f"rate {rate} is out of reach for {teacher.name}: its slimmest student has {smallest:.2f}")


def _budget(rate: float, teacher: Architecture) -> int:
    """How many parameters a student of this rate may have."""
    return int(count_parameters(teacher) * (1 - check_rate(rate) / 100))


def _slim(teacher: Architecture, share: float, rate: float) -> Architecture:
    def narrow(width: int) -> int:
        return max(8, round(width * share))

    convolutions = tuple(
        (width if index < teacher.shared else narrow(width), kernel, stride)
        for index, (width, kernel, stride) in enumerate(teacher.convolutions)
    )
    return replace(
        teacher,
        name=f"slim-{rate:g}",
        convolutions=convolutions,
        lstm=tuple(narrow(width) for width in teacher.lstm),
        dropout=0.0,
    )


def _shrink(teacher: Architecture, kept: int, width: int, rate: float) -> Architecture:
    added = 1 if rate < LARGEST_WITH_ONE_ADDED else 2
    return replace(
        teacher,
        name=f"student-{rate:g}",
        convolutions=teacher.convolutions[:kept],
        grid=teacher.student_grid or teacher.grid,
        student_grid=None,
        lstm=(),
        dropout=0.0,
        fc=(width,) * added + teacher.fc,
    )


def _widest(teacher: Architecture, kept: int, least: int, rate: float, budget: int) -> Architecture:
    """Bisect the added layers' width from ``least`` on: parameters grow with it."""
    low, high = least, 8192
    while high - low > 1:
        middle = (low + high) // 2
        fits = count_parameters(_shrink(teacher, kept, middle, rate)) <= budget
        low, high = (middle, high) if fits else (low, middle)
    return _shrink(teacher, kept, low, rate)
