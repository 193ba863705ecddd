"""The engines by name, for this process and for the processes of ``bench.child``."""

from __future__ import annotations

from pathlib import Path

from distilvo.bench.engines import Engine, OnnxEngine, TorchEngine


def open_engine(kind: str, path: Path) -> Engine:
    """An engine by its kind: ``onnx`` (file), ``torch`` (folder); ``klt``, ``road-plane``, ``deepvo`` (no path)."""
    if kind == "onnx":
        return OnnxEngine(path)
    if kind == "torch":
        return TorchEngine(path)
    if kind == "klt":
        from distilvo.bench.classical_engine import ClassicalEngine
        from distilvo.bench.klt import KltTracker

        return ClassicalEngine(KltTracker)
    if kind == "road-plane":
        from distilvo.bench.classical_engine import ClassicalEngine
        from distilvo.bench.road_plane import RoadPlaneTracker

        return ClassicalEngine(RoadPlaneTracker)
    if kind == "deepvo":
        from distilvo.bench.deepvo import DeepVOEngine

        return DeepVOEngine()
    raise ValueError(f"engine '{kind}' is unknown; expected onnx, torch, klt, road-plane or deepvo")
