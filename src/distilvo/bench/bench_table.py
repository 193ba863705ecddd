"""The result of a benchmark for a terminal: two tables, what the numbers mean, and the machine."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

_NOTHING, _UNKNOWN = "–", "unknown"
_SHORT = {"onnxruntime": "ORT", "torch eager": "torch", "OpenCV": "OpenCV"}
_SPEED_HEADERS = ("median\nms", "p99\nms", "frames/s", "frames/s\nPNG", "faster,\nsame\nruntime")
_SIZE_HEADERS = ("parameters", "million\nMACs", "file\nMB", "memory\nMB", "start\ns")
_MEANING = (
    "ORT: ONNX Runtime. Latency: one step from a frame decoded and scaled in memory to the motion, batch 1; the models "
    "are interleaved, the second of two steps is timed. Frames/s: from an image in memory ({image}) to the pose, "
    "preprocessing included; PNG: decoding too. Memory: peak of a fresh process, imports included. Start: of that "
    "process to its first pose."
)


def bench_lines(result: dict[str, Any]) -> list[str]:
    """Lines below the tables: notes on models, what the numbers mean, the machine."""
    notes = dict.fromkeys(f"{row['name']}: {row['note']}." for row in result["models"] if row["note"])
    return [*notes, _MEANING.format(image=result["image"]), *_machine(result["machine"])]


def speed_table(result: dict[str, Any]) -> Table:
    """Latency and frames/s of each model, runtime and number of threads."""
    rows, against = result["models"], result["against"]
    eager = next(row for row in rows if row["name"] == against)["speedup_over_eager"] is not None
    headers = ("model", "runtime", "threads", *_SPEED_HEADERS, *(["faster,\nthan\neager"] if eager else []))
    table = _table(headers, f"Faster: than {against}, same threads")
    for row in rows:
        cells = [
            row["name"],
            _SHORT[row["runtime"]],
            str(row["threads"]),
            f"{row['latency_ms_median']:.2f}",
            f"{row['latency_ms_p99']:.2f}",
            f"{row['frames_per_second']:.0f}",
            f"{row['frames_per_second_with_decode']:.0f}",
            f"{row['speedup']:.2f} x",
        ]
        over = row["speedup_over_eager"]
        table.add_row(*(Text(cell) for cell in cells + ([f"{over:.2f} x"] if eager else [])))
    return table


def size_table(result: dict[str, Any]) -> Table:
    """Weights, arithmetic, memory and start of each model and runtime, at one thread."""
    table = _table(("model", "runtime", "weights", *_SIZE_HEADERS), "At one thread")
    for row in result["models"]:
        if row["threads"] > 1:
            continue
        cells = (
            row["name"],
            _SHORT[row["runtime"]],
            _UNKNOWN if row["precision"] is None else row["precision"] or _NOTHING,
            _UNKNOWN if row["parameters"] is None else f"{row['parameters']:,}",
            _NOTHING if row["macs"] is None else f"{row['macs'] / 1e6:,.1f}",
            f"{row['file_bytes'] / 1e6:.2f}",
            _NOTHING if row["peak_rss_mb"] is None else f"{row['peak_rss_mb']:.0f}",
            f"{row['cold_start_s']:.2f}",
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _table(headers: tuple[str, ...], caption: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, caption=caption)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number > 1 else "left", no_wrap=number > 0, overflow="fold")
    return table


def _machine(machine: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    lines = [
        f"Machine: {machine['cpu']}, {machine['cores_usable']} of {machine['cores']} cores, {machine['ram_gb']} GB; "
        f"{machine['os']}; Python {machine['python']}; {versions}; "
        f"load average {machine['load_start']} at the start, {machine['load_end']} at the end."
    ]
    if machine["busy"]:
        lines.append(
            f"Warning: the machine was busy: a thread got {machine['cpu_share']:.0%} of its core. Quote ratios, "
            "not times, and repeat when nothing else runs."
        )
    return lines
