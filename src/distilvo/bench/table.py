"""The result of a benchmark for a terminal: two tables, the machine, and what the figures hold."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NOTHING = "–"
_SHORT = {"onnxruntime": "ORT", "torch eager": "torch", "OpenCV": "OpenCV"}
_SPEED_HEADERS = ("median\nms", "p99\nms", "frames/s", "frames/s\nPNG", "faster,\nsame\nruntime")
_SIZE_HEADERS = ("parameters", "million\nMACs", "file\nMB", "memory\nMB", "start\ns")
_HOLDS = (
    "ORT: ONNX Runtime. Latency: one step from a frame decoded and scaled in memory to the motion, batch 1; the models "
    "take turns, the second of two steps is timed. Frames/s: from a picture in memory ({picture}) to the pose, scaling "
    "included; PNG: decoding too. Memory: peak of a fresh process, imports included. Start: of that process to its "
    "first pose."
)


def print_result(result: dict[str, Any], console: Console) -> None:
    """Print what ``bench`` found."""
    rows = result["models"]
    first = next(r for r in rows if r["name"] == result["against"])
    console.print(_speed(rows, result["against"], first["speedup_over_eager"] is not None))
    console.print()
    console.print(_size(rows))
    notes = dict.fromkeys(f"{row['name']}: {row['note']}." for row in rows if row["note"])
    for line in (*notes, _HOLDS.format(picture=result["picture"]), *_machine(result["machine"])):
        console.print(line, markup=False, highlight=False)


def _speed(rows: list[dict[str, Any]], against: str, eager: bool) -> Table:
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


def _size(rows: list[dict[str, Any]]) -> Table:
    table = _table(("model", "runtime", "weights", *_SIZE_HEADERS), "At one thread")
    for row in rows:
        if row["threads"] > 1:
            continue
        cells = (
            row["name"],
            _SHORT[row["runtime"]],
            row["precision"] or _NOTHING,
            f"{row['parameters']:,}",
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
