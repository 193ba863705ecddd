"""Which models take part in a benchmark, and the properties of each that need no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from distilvo.bench.engine_kinds import open_engine
from distilvo.bench.engines import Engine
from distilvo.bench.macs import onnx_macs, torch_macs
from distilvo.errors import DistilvoError
from distilvo.runtime.packaged_models import model_path

TEACHERS = ("paper", "demo")


@dataclass(frozen=True)
class Contestant:
    """A model in a runtime.

    Attributes:
        name: of the model, for people.
        runtime: onnxruntime, torch eager or OpenCV.
        kind: of engine; ``open_engine`` takes it together with ``path``.
        path: the file or folder that is loaded.
        parameters: number of trained parameters; None where the ONNX file does not say it.
        macs: of one step; None where there is no such count.
        file_bytes: size of the file that holds the weights.
        precision: fp32 or int8; None where the ONNX file does not say it, empty where there are no weights.
        note: what else a reader must know.
    """

    name: str
    runtime: str
    kind: str
    path: Path
    parameters: int | None
    macs: int | None
    file_bytes: int
    precision: str | None = "fp32"
    note: str = ""

    @property
    def engine(self) -> Engine:
        """What is timed."""
        return open_engine(self.kind, self.path)


def gather(models: tuple[Path, ...], against: str | None, baselines: bool, scratch: Path) -> list[list[Contestant]]:
    """The contestants of each model, those of the reference first.

    Args:
        models: model folders, ONNX files, and names of the ONNX files of the package.
        against: the reference: such a model, or ``paper`` or ``demo``; the first model where not given.
        baselines: add two classical trackers and DeepVO.
        scratch: folder for exported files.

    Raises:
        DistilvoError: there are no models, or one cannot be loaded.
    """
    if not models:
        raise DistilvoError("bench: nothing to measure; give one or more model folders or ONNX files")
    models = tuple(model_path(model) for model in models)
    if against is not None and against not in TEACHERS:
        against = str(model_path(against))
    groups: list[list[Contestant]] = []
    if against is not None and Path(against).resolve() not in {model.resolve() for model in models}:
        groups.append(_reference(against, scratch))
    elif against is not None:
        models = tuple(sorted(models, key=lambda model: model.resolve() != Path(against).resolve()))
    groups += [_open(model, scratch) for model in models]
    keys = ([] if len(groups) == len(models) else [str(against)]) + [str(model) for model in models]
    groups = _apart(groups, keys)
    return groups + ([[_klt()], [_road_plane()], [_deepvo()]] if baselines else [])


def _open(model: Path, scratch: Path) -> list[Contestant]:
    return [_onnx(model, _file_name(model))] if model.suffix == ".onnx" else _folder(model, scratch)


def _reference(against: str, scratch: Path) -> list[Contestant]:
    """A model, or one of the paper's kind, with random weights: times do not depend on them."""
    if Path(against).exists() or against not in TEACHERS:
        if not Path(against).exists():
            raise DistilvoError(
                f"--against {against}: no such model; expected a folder, an ONNX file, paper, demo, teacher or student"
            )
        return _open(Path(against), scratch)
    _need_torch(f"--against {against}")
    import torch

    from distilvo.models.model_folder import save_model
    from distilvo.models.network import PoseNetwork
    from distilvo.models.teacher import teacher_architecture

    torch.manual_seed(0)
    network = PoseNetwork(teacher_architecture(against))
    folder = save_model(network, scratch / network.architecture.name, {})
    return [replace(row, note="random weights") for row in _folder(folder, scratch)]


def _onnx(path: Path, name: str) -> Contestant:
    from distilvo.models.step_model import StepModel

    if not path.is_file():
        raise DistilvoError(f"{path}: no such file; expected an ONNX file that 'distilvo export' wrote")
    model = StepModel(path)
    return Contestant(
        name=name,
        runtime="onnxruntime",
        kind="onnx",
        path=path,
        parameters=model.parameters,
        macs=onnx_macs(path),
        file_bytes=path.stat().st_size,
        precision=model.precision,
    )


def _folder(model: Path, scratch: Path) -> list[Contestant]:
    """A model folder in ONNX Runtime and in eager PyTorch.

    It is exported again: the ONNX file in the folder may be older than the weights.
    """
    _need_torch(str(model))
    from distilvo.models.model_folder import load_model
    from distilvo.models.onnx_export import export_onnx, moving_blobs

    network, config = load_model(model)
    path = scratch / f"{len(list(scratch.iterdir()))}.onnx"
    export_onnx(network, config, path, moving_blobs(network.architecture))
    name = model.resolve().name
    eager = Contestant(
        name=name,
        runtime="torch eager",
        kind="torch",
        path=model,
        parameters=sum(p.numel() for p in network.parameters()),
        macs=torch_macs(network),
        file_bytes=(model / "model.safetensors").stat().st_size,
    )
    return [_onnx(path, name), eager]


def _klt() -> Contestant:
    return _classical(
        "KLT + essential matrix (OpenCV)",
        "klt",
        "from the decoded image, unscaled; it does not measure the length of a step",
    )


def _road_plane() -> Contestant:
    return _classical(
        "KLT + road plane (OpenCV)",
        "road-plane",
        "from the decoded image, unscaled; the length of a step from the height of the camera above the road",
    )


def _classical(name: str, kind: str, note: str) -> Contestant:
    return Contestant(
        name=name,
        runtime="OpenCV",
        kind=kind,
        path=Path(),
        parameters=0,
        macs=None,
        file_bytes=0,
        precision="",
        note=note,
    )


def _deepvo() -> Contestant:
    _need_torch("--baselines")
    from distilvo.bench.deepvo import full_deepvo

    network = full_deepvo()
    parameters = sum(p.numel() for p in network.parameters())
    return Contestant(
        name="DeepVO",
        runtime="torch eager",
        kind="deepvo",
        path=Path(),
        parameters=parameters,
        macs=torch_macs(network),
        file_bytes=4 * parameters,
        note="random weights, made in memory rather than read; the file size is that of float32",
    )


def _need_torch(what: str) -> None:
    if find_spec("torch") is None:
        raise DistilvoError(f"{what}: needs torch: pip install 'distilvo[train]'; ONNX files do without")


def _file_name(path: Path) -> str:
    whole = path.resolve()
    return f"{whole.parent.name}/{whole.name}"


def _apart(groups: list[list[Contestant]], keys: list[str]) -> list[list[Contestant]]:
    """Make names unique: a name that occurs twice becomes what the user typed, numbered where that occurs twice too."""
    names = Counter(rows[0].name for rows in groups)
    typed = [key if names[rows[0].name] > 1 else rows[0].name for rows, key in zip(groups, keys, strict=True)]
    uses: Counter[str] = Counter()
    result = []
    for rows, name in zip(groups, typed, strict=True):
        uses[name] += 1
        unique = name if uses[name] == 1 else f"{name} ({uses[name]})"
        result.append([replace(row, name=unique) for row in rows])
    return result
