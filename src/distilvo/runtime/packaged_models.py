"""The models that come with the package, for those who give none."""

from __future__ import annotations

from pathlib import Path

from distilvo.errors import DistilvoError

FOLDER = Path(__file__).parent / "models"
DEFAULT = "student"
NAMES = (DEFAULT, "student-int8", "teacher")


def model_path(model: str | Path | None = None) -> Path:
    """The path of a model.

    Args:
        model: a path, which is given back as it is; or, where nothing lies there, one of ``NAMES``: an ONNX file of the
            package. Without it that is the student.

    Raises:
        DistilvoError: this installation lacks the named file.
    """
    name = DEFAULT if model is None else str(model)
    if model is not None and (name not in NAMES or Path(model).exists()):
        return Path(model)
    path = FOLDER / f"{name}.onnx"
    if not path.is_file():
        raise DistilvoError(
            f"{path}: no such file; this installation comes without the model '{name}'; give one: an ONNX file or, to "
            "'distilvo track --model', a model folder"
        )
    return path
