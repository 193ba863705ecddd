"""A study of two rows on four sequences, as a file."""

from __future__ import annotations

from pathlib import Path

from distilvo.study.plan import Plan
from distilvo.study.plan_file import read_plan

SMALL = """
title = "small"
rate = 60
seeds = [0, 1]
[sequences]
train = ["00", "01", "02"]
test = ["03"]
[recipe]
epochs = 1
clip_length = 3
batch_size = 4
[rows.gt]
blend = "ground-truth"
hint = "none"
[rows.ours]
inherit = true
shape = "slim"
[tables]
blends = ["gt"]
"""


def plan(tmp_path: Path, text: str = SMALL) -> Plan:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    return read_plan(str(path))
