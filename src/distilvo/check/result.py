"""What a check comes to: figures, and findings of one line each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from distilvo.check.poses import PoseCheck
from distilvo.settings import SourceKind

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line: how grave, about what, what was found, and what to try where there is something to try."""

    level: Level
    about: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:8}{self.about}: {self.found}" + (f"; {self.advice}" if self.advice else "")


@dataclass
class CheckResult:
    """What a source holds. None stands for what is not known.

    frames             as many as the source has; ``unreadable`` of them cannot be decoded, or are of another size
    unreadable_frames  why, of the first five
    sizes              frames of each size, ``"1241x376 grey"``
    rate_hz            from the median time between frames
    gaps               steps of more than 1.5 times that; ``longest_gap_s`` None without any
    path_m             length of the way, by the poses or the reference
    poses              whether the poses are those of the pictures; None without poses
    field_of_view_deg  horizontal and vertical
    unseen             share of the models' view that the camera does not see
    """

    name: str
    kind: SourceKind | None = None
    frames: int = 0
    unreadable: int = 0
    unreadable_frames: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    seconds: float | None = None
    rate_hz: float | None = None
    gaps: int = 0
    longest_gap_s: float | None = None
    duplicate_times: int = 0
    out_of_order_times: int = 0
    has_poses: bool = False
    has_reference: bool = False
    path_m: float | None = None
    poses: PoseCheck | None = None
    field_of_view_deg: tuple[float, float] | None = None
    unseen: float | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """How many findings stand in the way."""
        return sum(finding.level == "problem" for finding in self.findings)

    @property
    def usable(self) -> bool:
        """Whether none does."""
        return self.problems == 0

    def to_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {"usable": self.usable, **asdict(self)}

    def add(self, level: Level, about: str, found: str, advice: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(level, about, found, advice))
