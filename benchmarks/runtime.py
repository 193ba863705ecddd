"""The runtime alone: frames per second from a grey image in memory to the pose, time to the first pose, memory.

    python benchmarks/runtime.py [nano|small|base] [--frames 2000]

Random weights at 192 x 640, since times do not depend on weights; one thread. Memory is printed ten times, so that many
frames show whether it grows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST_POSE = """
import sys
import numpy as np
from distilvo.runtime import Tracker
tracker = Tracker(sys.argv[1])
tracker.step(np.zeros((376, 1241), np.uint8), 0.0)
rss = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(rss) / 1024)
"""


def main() -> None:
    """Print the time to the first pose, memory, and frames/s."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", default="nano")
    parser.add_argument("--frames", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        export(arguments.name, model)
        starts = [first_pose(model) for _ in range(5)]
        seconds, memory = sorted(starts)[2]
        print(
            f"{arguments.name}: first pose after {seconds:.2f} s, peak memory {memory:.0f} MB (median of 5 processes)"
        )
        follow(model, arguments.frames)


def export(name: str, path: Path) -> None:
    """Export a student with random weights, in another process: torch would count in the memory of this one."""
    code = (
        "import torch; from pathlib import Path; from distilvo.models.onnx_export import export_onnx;"
        f"from distilvo.models.fast_student import fast_architecture as shape;"
        "from distilvo.models.network import PoseNetwork;"
        f"a = shape({name!r}); torch.manual_seed(0);"
        f"export_onnx(PoseNetwork(a).eval(), {{'architecture': a.to_dict()}}, Path({str(path)!r}),"
        "torch.randint(0, 256, (4, 1, *a.size), dtype=torch.uint8))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def first_pose(model: Path) -> tuple[float, float]:
    """Seconds from the start of a process to its first pose, and its peak of memory in MB."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", FIRST_POSE, str(model)], capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, float(done.stdout)


def follow(model: Path, count: int) -> None:
    """Track ``count`` frames of a camera that pans over a wall, there and back, and print time and memory."""
    import numpy as np

    from distilvo.runtime import Tracker

    rng = np.random.default_rng(0)
    wall = np.kron(rng.integers(0, 256, (47, 200)), np.ones((8, 9))).astype(np.uint8)
    there = [np.ascontiguousarray(wall[:, 4 * k : 4 * k + 1241]) for k in range(64)]
    frames = there + there[-2:0:-1]
    times = np.empty(count)
    with Tracker(model) as tracker:
        for k in range(count):
            begin = time.perf_counter()
            pose = tracker.step(frames[k % len(frames)], float(k))
            times[k] = time.perf_counter() - begin
            if (k + 1) % max(1, count // 10) == 0:
                rotation = pose.matrix[:3, :3]
                off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
                lines = Path("/proc/self/status").read_text().splitlines()
                rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
                finite = bool(np.isfinite(pose.matrix).all())
                print(f"{k + 1} frames, {rss:.1f} MB, finite {finite}, rotation off {off:.0e}")
    print(
        f"1241x376 grey in memory to the pose, one thread: median {1e3 * np.median(times):.2f} ms, "
        f"99 % {1e3 * np.quantile(times, 0.99):.2f} ms, {count / times.sum():.0f} frames/s"
    )


if __name__ == "__main__":
    main()
