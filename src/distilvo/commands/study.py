"""``distilvo study``: methods over seeds and rates: the paper's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from distilvo.errors import DistilvoError
from distilvo.output_folders import claim_folder
from distilvo.progress import console


@dataclass(frozen=True)
class Study:
    """Compare methods over seeds and rates, and print the paper's tables; goes on where it was interrupted."""

    plan: Positional[str]
    """Name of a preset (paper, scarce, kitti) or a TOML file; docs/study.md describes the file."""
    out: Path
    """Folder of the study."""
    data: Path | None = None
    """Data set in KITTI odometry layout, where the plan names sequences; the folder of its poses for routes."""
    teacher: Path | None = None
    """The teacher's model folder; where not given teacher, or encoder for a plan that trains it further."""
    workers: int | None = None
    """Students trained at once, one thread each; one for each core where not given."""

    def run(self) -> None:
        """Run the study and print its tables."""
        from distilvo.environment import usable_cores
        from distilvo.models.model_folder import read_config
        from distilvo.models.teacher import SHIPPED_ENCODER, SHIPPED_TEACHER, named_model
        from distilvo.study.cell import check_rows
        from distilvo.study.plan import check_data, plan_key
        from distilvo.study.plan_file import read_plan
        from distilvo.study.runner import run_study
        from distilvo.study.study_drives import check_named
        from distilvo.study.study_table import console_tables

        if self.workers is not None and self.workers < 1:
            raise DistilvoError(f"study: --workers {self.workers}; expected at least 1")
        plan = read_plan(self.plan)
        check_data(plan, self.data)
        default = SHIPPED_TEACHER if plan.teacher is None else SHIPPED_ENCODER
        teacher = named_model(self.teacher) if self.teacher else default
        check_rows(plan, read_config(teacher)[1])
        check_named(plan, self.data)
        claim_folder(self.out, "study", {"plan": plan_key(plan), "data": str(self.data), "teacher": str(self.teacher)})
        workers = self.workers or usable_cores()
        for table in run_study(plan, self.out, self.data, teacher, workers=workers):
            for piece in console_tables(table, console.width):
                console.print(piece)
                console.print()
        files = {"Tables": "tables.md", "report": "report.html", "cells": "study.json"}
        console.print("   ".join(f"{name}: {self.out / file}" for name, file in files.items()))
