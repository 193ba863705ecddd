"""``distilvo demo``: everything in one command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from distilvo.settings import DemoSettings


@dataclass(frozen=True)
class Demo:
    """Streets, teacher, trust, student, comparison, ONNX and report in one go; goes on where it was interrupted."""

    out: Path = Path("runs/demo")
    """Folder of the run."""
    settings: Annotated[DemoSettings, arg(name="")] = field(default_factory=DemoSettings)

    def run(self) -> None:
        """Run the demo, or go on where it was interrupted."""
        from distilvo.commands.demo_steps import run_demo

        run_demo(self.settings, self.out)
