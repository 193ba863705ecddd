"""``distilvo bench``: models side by side: size, arithmetic, memory, latency, frames/s."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from distilvo.errors import DistilvoError
from distilvo.progress import console, silence


@dataclass(frozen=True)
class Bench:
    """Measure models side by side: size, arithmetic, memory, latency, frames/s; see docs/bench.md."""

    models: Positional[tuple[Path, ...]] = ()
    """Model folders and ONNX files; or teacher, student and student-int8, which are bundled."""
    against: str | None = None
    """What speed is compared with: such a model; or paper or demo (CNN, LSTM; random weights); else the first one."""
    baselines: bool = False
    """Measure two classical trackers and DeepVO beside them: the last one takes 5 GB of memory."""
    rounds: int = 100
    """Steps of each model, interleaved with those of the others."""
    json: bool = False
    """Print one JSON object instead of the tables."""

    def run(self) -> None:
        """Measure and print tables, or one JSON object."""
        from distilvo.bench.bench_table import bench_lines, size_table, speed_table
        from distilvo.bench.benchmark import bench
        from distilvo.bench.contestants import gather

        if self.rounds < 2:
            raise DistilvoError(
                f"bench: --rounds {self.rounds}; expected at least 2, and 100 for a p99 that means something"
            )
        if self.json:
            silence()
        with tempfile.TemporaryDirectory() as scratch:
            result = bench(gather(self.models, self.against, self.baselines, Path(scratch)), self.rounds)
        if self.json:
            print(json.dumps(result, indent=2, allow_nan=False))
            return
        console.print(speed_table(result))
        console.print()
        console.print(size_table(result))
        for line in bench_lines(result):
            console.print(line)
