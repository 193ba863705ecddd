"""Turns a big visual-odometry network into a small, fast one by attentive knowledge distillation.

The names below load their module when they are first used, so that ``import distilvo`` costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: until ``__main__`` is ready for it, Ctrl-C ends with a traceback
if TYPE_CHECKING:
    from typing import Any

    from distilvo.data import open_cache as open_cache
    from distilvo.distill.regressor import distill_regressor as distill_regressor
    from distilvo.distill.trainer import TrainingSettings as TrainingSettings
    from distilvo.errors import DistilvoError as DistilvoError
    from distilvo.geometry.camera import Camera as Camera
    from distilvo.geometry.preprocessing import Preprocessing as Preprocessing
    from distilvo.models.model_folder import load_model as load_model
    from distilvo.models.model_folder import save_model as save_model
    from distilvo.models.onnx_export import export_onnx as export_onnx
    from distilvo.models.student import shaped_architecture as shaped_architecture
    from distilvo.models.student import student_architecture as student_architecture
    from distilvo.models.teacher import SHIPPED_STUDENT as SHIPPED_STUDENT
    from distilvo.models.teacher import SHIPPED_TEACHER as SHIPPED_TEACHER
    from distilvo.models.teacher import teacher_architecture as teacher_architecture
    from distilvo.pipeline.evaluation import evaluate as evaluate
    from distilvo.pipeline.evaluation import network_motions as network_motions
    from distilvo.pipeline.recipes import distill_student as distill_student
    from distilvo.pipeline.recipes import train_supervised as train_supervised
    from distilvo.runtime import Tracker as Tracker
    from distilvo.sequences import open_dataset as open_dataset
    from distilvo.sequences import open_sequence as open_sequence
    from distilvo.settings import PAPER as PAPER
    from distilvo.settings import Method as Method
    from distilvo.settings import Recipe as Recipe

__version__ = "0.2.0.dev0"

_HOME = {
    "Camera": "geometry.camera",
    "DistilvoError": "errors",
    "Method": "settings",
    "PAPER": "settings",
    "Preprocessing": "geometry.preprocessing",
    "Recipe": "settings",
    "SHIPPED_STUDENT": "models.teacher",
    "SHIPPED_TEACHER": "models.teacher",
    "Tracker": "runtime",
    "TrainingSettings": "distill.trainer",
    "distill_regressor": "distill.regressor",
    "distill_student": "pipeline.recipes",
    "evaluate": "pipeline.evaluation",
    "export_onnx": "models.onnx_export",
    "load_model": "models.model_folder",
    "network_motions": "pipeline.evaluation",
    "open_cache": "data",
    "open_dataset": "sequences",
    "open_sequence": "sequences",
    "save_model": "models.model_folder",
    "shaped_architecture": "models.student",
    "student_architecture": "models.student",
    "teacher_architecture": "models.teacher",
    "train_supervised": "pipeline.recipes",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'distilvo' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"distilvo.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
