"""The result of a check: numbers about the source, and findings of one line each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from distilvo.check.pose_check import PoseCheck
from distilvo.settings import SourceKind

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class CheckFinding:
    """One line about a source.

    level    ok, note or problem; a source with a problem is not usable
    about    the part of the source: frames, size, times, rate, gaps, poses, GPS, camera, height
    message  what was found
    advice   what to try; may be empty
    """

    level: Level
    about: str
    message: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.level:8}{self.about}: {self.message}" + (f"; {self.advice}" if self.advice else "")


@dataclass
class CheckResult:
    """What a source holds. A value of None is not known.

    frames             number of frames; ``unreadable`` of them cannot be decoded, or have another size
    unreadable_frames  the errors of the first five unreadable frames
    sizes              number of frames of each size, with keys such as ``"1241x376 grey"``
    rate_hz            from the median time between frames
    gaps               number of steps longer than 1.5 times the median; ``longest_gap_s`` is None without a gap
    path_m             length of the path, m, by the poses, else by the reference
    poses              comparison of the poses with the images; None without poses
    field_of_view_deg  horizontal and vertical
    unseen             share of the models' view that the camera does not see, 0 to 1
    camera_height_m    of the camera above the road
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
    camera_height_m: float | None = None
    findings: list[CheckFinding] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """Number of findings of level "problem"."""
        return sum(finding.level == "problem" for finding in self.findings)

    @property
    def usable(self) -> bool:
        """Whether there is no problem."""
        return self.problems == 0

    def to_dict(self) -> dict[str, Any]:
        """The result as ``distilvo check --json`` prints it."""
        return {"usable": self.usable, **asdict(self)}

    def add(self, level: Level, about: str, message: str, advice: str = "") -> None:
        """Add a finding."""
        self.findings.append(CheckFinding(level, about, message, advice))
