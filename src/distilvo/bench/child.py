"""Start-up time and memory of one model, in a process of its own.

    python -m distilvo.bench.child KIND PATH THREADS

imports what the model needs, loads it, computes the first pose and prints a line; then it runs on a few more images,
each the last one moved to the side, and prints its peak of resident memory, bytes. Interpreter and imports count in
both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from distilvo.children import end_with_pipe
from distilvo.errors import DistilvoError

if TYPE_CHECKING:
    from distilvo.geometry.camera import Frame

MORE_STEPS = 5
IMAGE, SPECK = (376, 1241), 16


def start(kind: str, path: Path, threads: int) -> tuple[float, float | None]:
    """Seconds from a process's start to its first pose, and its peak of resident memory in bytes.

    The memory is None where the system does not measure it.

    Raises:
        DistilvoError: the process failed.
    """
    command = [sys.executable, "-m", "distilvo.bench.child", kind, str(path), str(threads)]
    begin = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        first = process.stdout.readline()
        seconds = time.perf_counter() - begin
        output = process.stdout.read()
        status = process.wait()
        errors.seek(0)
        lines = errors.read().strip().splitlines()
    if status or not first:
        reason = lines[-1] if lines else "out of memory?"
        raise DistilvoError(f"{path}: a process that loads it ended with status {status} ({reason})")
    return seconds, float(output) if output.strip() else None


def main() -> None:
    """What the process does that ``start`` starts."""
    from distilvo.bench.engine_kinds import open_engine

    end_with_pipe()
    kind, path, threads = sys.argv[1:]
    track = open_engine(kind, Path(path)).tracker(int(threads), None)
    first, *others = _images(1 + MORE_STEPS)
    track(first)
    print("first pose", flush=True)
    for image in others:
        track(image)
    print(_peak_bytes() or "")


def _images(count: int) -> list[Frame]:
    """Large specks that move to the side, (376, 1241) uint8: texture that a tracker follows, made in no time."""
    import numpy as np

    from distilvo.bench.latency import noise

    rows, columns = (-(-side // SPECK) for side in IMAGE)
    pattern = noise((rows, columns)).repeat(SPECK, 0).repeat(SPECK, 1)[: IMAGE[0], : IMAGE[1]]
    return [np.roll(pattern, 2 * number, axis=1) for number in range(count)]


def _peak_bytes() -> int | None:
    status = Path("/proc/self/status")
    if status.exists():  # Linux; there ru_maxrss would count the parent's memory too
        peaks = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return 1024 * int(peaks[0].split()[1]) if peaks else None
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes, on macOS


if __name__ == "__main__":
    main()
