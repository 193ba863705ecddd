"""Start-up time and memory of one model, in a process of its own.

    python -m distilvo.bench.child KIND PATH THREADS

imports what the model needs, loads it, computes the first pose and prints a line; then it runs on a few more images and
prints its peak of resident memory, bytes. Interpreter and imports count in both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distilvo.children import end_with_pipe
from distilvo.errors import DistilvoError

MORE_STEPS = 5
IMAGE = (376, 1241)


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
    from distilvo.bench.latency import noise

    end_with_pipe()
    kind, path, threads = sys.argv[1:]
    track = open_engine(kind, Path(path)).tracker(int(threads), None)
    image = noise(IMAGE)
    track(image)
    print("first pose", flush=True)
    for _ in range(MORE_STEPS):
        track(image)
    print(_peak_bytes() or "")


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
