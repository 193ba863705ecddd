"""Which models take part, and what is known of each without running a clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from distilvo.bench.engines import Engine
from distilvo.bench.kinds import open_engine
from distilvo.bench.macs import onnx_macs, torch_macs
from distilvo.bench.onnx_file import read_weights
from distilvo.errors import DistilvoError

TEACHERS = {"teacher": "paper", "paper": "paper", "demo": "demo"}


@dataclass(frozen=True)
class Contestant:
    """A model in a runtime.

    Attributes:
        name: of the model, for people.
        runtime: onnxruntime, torch eager or OpenCV.
        kind: of engine, with ``path`` what ``open_engine`` takes.
        path: the file or folder that is loaded.
        parameters: trained values.
        macs: of one step; None where there is no such count.
        file_bytes: of the weights' file.
        precision: fp32, fp16 or int8; empty where there are no weights.
        note: what else a reader must know.
    """

    name: str
    runtime: str
    kind: str
    path: Path
    parameters: int
    macs: int | None
    file_bytes: int
    precision: str = "fp32"
    note: str = ""

    @property
    def engine(self) -> Engine:
        """What is timed."""
        return open_engine(self.kind, self.path)


def gather(models: tuple[Path, ...], against: str | None, rivals: bool, scratch: Path) -> list[list[Contestant]]:
    """Each model's contestants, the reference's first; ``scratch`` takes what has to be exported.

    Raises:
        DistilvoError: nothing is given, or something is no model.
    """
    if not models:
        raise DistilvoError("bench: nothing to measure; give one or more model folders or ONNX files")
    groups: list[list[Contestant]] = []
    if against is not None and Path(against).resolve() not in {model.resolve() for model in models}:
        groups.append(_reference(against, scratch))
    elif against is not None:
        models = tuple(sorted(models, key=lambda model: model.resolve() != Path(against).resolve()))
    groups += [_open(model, scratch) for model in models]
    keys = ([] if len(groups) == len(models) else [str(against)]) + [str(model) for model in models]
    groups = _apart(groups, keys)
    return groups + ([[_klt()], [_deepvo()]] if rivals else [])


def _open(model: Path, scratch: Path) -> list[Contestant]:
    return [_onnx(model, _file_name(model))] if model.suffix == ".onnx" else _folder(model, scratch)


def _reference(against: str, scratch: Path) -> list[Contestant]:
    """A model, or a teacher by name: the shipped one for demo, else one with random weights."""
    if Path(against).exists() or against not in TEACHERS:
        if not Path(against).exists():
            raise DistilvoError(f"--against {against}: no such model; expected a folder, an ONNX file, paper or demo")
        return _open(Path(against), scratch)
    _need_torch(f"--against {against}")
    import torch

    from distilvo.models.files import save_model
    from distilvo.models.teacher import SHIPPED_TEACHER, teacher

    if TEACHERS[against] == "demo":
        return [replace(row, name="teacher-demo") for row in _folder(SHIPPED_TEACHER, scratch)]
    torch.manual_seed(0)
    network = teacher(TEACHERS[against])
    folder = save_model(network, scratch / network.architecture.name, {})
    return [replace(row, note="random weights") for row in _folder(folder, scratch)]


def _onnx(path: Path, name: str) -> Contestant:
    from distilvo.runtime import StepModel

    if not path.is_file():
        raise DistilvoError(f"{path}: no such file; expected an ONNX file that 'distilvo export' wrote")
    StepModel(path)  # a clear line where it is none
    weights = read_weights(path)
    size = path.stat().st_size
    return Contestant(name, "onnxruntime", "onnx", path, weights.parameters, onnx_macs(path), size, weights.precision)


def _folder(model: Path, scratch: Path) -> list[Contestant]:
    """In ONNX Runtime, exported anew since the model may have been trained on, and in eager PyTorch."""
    _need_torch(str(model))
    import torch

    from distilvo.export import export_onnx
    from distilvo.models.files import load_model

    network, config = load_model(model)
    form = network.architecture.frame_format
    frames = torch.randint(0, 256, (3, form.channels, *form.size), dtype=torch.uint8)
    path = scratch / f"{len(list(scratch.iterdir()))}.onnx"
    export_onnx(network, config, path, frames)
    name, parameters = model.resolve().name, sum(p.numel() for p in network.parameters())
    size = (model / "model.safetensors").stat().st_size
    eager = Contestant(name, "torch eager", "torch", model, parameters, torch_macs(network), size)
    return [replace(_onnx(path, name), parameters=parameters), eager]


def _klt() -> Contestant:
    note = "from the decoded picture, unscaled; step lengths are not known to it"
    return Contestant("KLT + essential matrix (OpenCV)", "OpenCV", "klt", Path(), 0, None, 0, "", note)


def _deepvo() -> Contestant:
    _need_torch("--rivals")
    from distilvo.bench.rivals import full_deepvo

    network = full_deepvo()
    parameters = sum(p.numel() for p in network.parameters())
    note = "random weights, drawn rather than read; file size is that of float32"
    return Contestant(
        "DeepVO", "torch eager", "deepvo", Path(), parameters, torch_macs(network), 4 * parameters, note=note
    )


def _need_torch(what: str) -> None:
    if find_spec("torch") is None:
        raise DistilvoError(f"{what}: needs torch: pip install 'distilvo[train]'; ONNX files do without")


def _file_name(path: Path) -> str:
    whole = path.resolve()
    return f"{whole.parent.name}/{whole.name}"


def _apart(groups: list[list[Contestant]], keys: list[str]) -> list[list[Contestant]]:
    """Names that occur twice give way to what was typed, numbered where that too is the same."""
    names = Counter(rows[0].name for rows in groups)
    typed = [key if names[rows[0].name] > 1 else rows[0].name for rows, key in zip(groups, keys, strict=True)]
    seen: Counter[str] = Counter()
    result = []
    for rows, name in zip(groups, typed, strict=True):
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        result.append([replace(row, name=unique) for row in rows])
    return result
