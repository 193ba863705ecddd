"""Turns a big visual-odometry network into a small, fast one by attentive knowledge distillation.

The names below load their module when they are first used, so that ``import distilvo`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilvo.clips import open_store as open_store
    from distilvo.errors import DistilvoError as DistilvoError
    from distilvo.evaluation import evaluate as evaluate
    from distilvo.evaluation import network_motions as network_motions
    from distilvo.export import export_onnx as export_onnx
    from distilvo.models.files import load_model as load_model
    from distilvo.models.files import save_model as save_model
    from distilvo.models.student import student_architecture as student_architecture
    from distilvo.models.teacher import SHIPPED_TEACHER as SHIPPED_TEACHER
    from distilvo.models.teacher import teacher_architecture as teacher_architecture
    from distilvo.recipes import distil as distil
    from distilvo.recipes import train_supervised as train_supervised
    from distilvo.runtime import Tracker as Tracker
    from distilvo.sequences import open_dataset as open_dataset
    from distilvo.sequences import open_sequence as open_sequence
    from distilvo.sequences.frame_format import FrameFormat as FrameFormat
    from distilvo.settings import Recipe as Recipe

__version__ = "0.2.0.dev0"

_HOME = {
    "DistilvoError": "errors",
    "FrameFormat": "sequences.frame_format",
    "Recipe": "settings",
    "SHIPPED_TEACHER": "models.teacher",
    "Tracker": "runtime",
    "distil": "recipes",
    "evaluate": "evaluation",
    "export_onnx": "export",
    "load_model": "models.files",
    "network_motions": "evaluation",
    "open_dataset": "sequences",
    "open_sequence": "sequences",
    "open_store": "clips",
    "save_model": "models.files",
    "student_architecture": "models.student",
    "teacher_architecture": "models.teacher",
    "train_supervised": "recipes",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'distilvo' has no attribute {name!r}")
    return getattr(import_module(f"distilvo.{_HOME[name]}"), name)
