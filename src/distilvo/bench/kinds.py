"""Every way in which something is run, by name: in this process and in the children of ``bench.child``."""

from __future__ import annotations

from pathlib import Path

from distilvo.bench.engines import Engine, OnnxEngine, TorchEngine


def open_engine(kind: str, path: Path) -> Engine:
    """An engine by its kind: ``onnx`` (file), ``torch`` (model folder), ``klt`` or ``deepvo`` (no path)."""
    if kind == "onnx":
        return OnnxEngine(path)
    if kind == "torch":
        return TorchEngine(path)
    from distilvo.bench.rivals import DeepVOEngine, KltEngine

    return KltEngine() if kind == "klt" else DeepVOEngine()
