"""The paper's speed claim at the paper's size: teacher over its 92.95 % student, in turns, one thread, both runtimes.

    python benchmarks/paper_latency.py

Random weights; 192 x 640 RGB; one step, batch 1: frame in memory to motion. Decoding and scaling are not in the timer.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch

from distilvo.bench import latencies_ms
from distilvo.export import export_onnx
from distilvo.models import student, teacher

ROUNDS = 25


def main() -> None:
    """Print both runtimes' medians and ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks = {"teacher": teacher("paper").eval(), "student 92.95 %": student(92.95, "paper").eval()}
    frames = torch.randint(0, 256, (3, 3, 192, 640), dtype=torch.uint8)
    for name, network in networks.items():
        print(f"{name}: {sum(p.numel() for p in network.parameters()):,} parameters")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.onnx" for index in range(2)]
        for path, network in zip(paths, networks.values(), strict=True):
            export_onnx(network, {"architecture": network.architecture.to_dict()}, path, frames)
        onnx = latencies_ms(paths, rounds=ROUNDS, warmup=3)
    for runtime, times in (("ONNX Runtime", onnx), ("PyTorch eager", _eager(list(networks.values()), frames))):
        ratio = times[0] / times[1]
        print(f"{runtime}: teacher {times[0]:.1f} ms, student {times[1]:.1f} ms, ratio {ratio:.2f} (paper: 2.12)")


@torch.no_grad()
def _eager(networks: list[torch.nn.Module], frames: torch.Tensor) -> list[float]:
    states = [network.start(frames[:1]) for network in networks]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 3):
        for index, network in enumerate(networks):
            begin = time.perf_counter()
            network.step(frames[1:2], states[index])
            times[index].append(1000 * (time.perf_counter() - begin))
    return [statistics.median(values[3:]) for values in times]


if __name__ == "__main__":
    main()
