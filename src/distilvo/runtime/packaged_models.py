"""The models that come with the package, for those who give none."""

from __future__ import annotations

from pathlib import Path

from distilvo.errors import DistilvoError

FOLDER = Path(__file__).parent / "models"
DEFAULT = "student"


def model_path(model: str | Path | None = None) -> Path:
    """The path of a model.

    Args:
        model: a path, which is given back as it is; or, where nothing lies there, the name of an ONNX file of the
            package, such as ``student``, which is taken where none is given.

    Raises:
        DistilvoError: none is given, and this installation lacks the student.
    """
    name = DEFAULT if model is None else str(model)
    path = FOLDER / f"{Path(name).name}.onnx"
    if model is not None and (Path(model).exists() or Path(name).name != name or not path.is_file()):
        return Path(model)
    if not path.is_file():
        raise DistilvoError(
            f"{path}: no such file; this installation comes without the model '{name}'; give one: an ONNX file or, to "
            "'distilvo track --model', a model folder"
        )
    return path
