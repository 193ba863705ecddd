"""What the verbs of the command line do, for those that are more than one call."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distilvo import evaluation, parallel
from distilvo.bench import TIMER, latencies_ms
from distilvo.clips import FrameStore, motion_scale, open_store
from distilvo.errors import DistilvoError
from distilvo.evaluation import constant_motion, model_row, network_motions
from distilvo.export import export_onnx
from distilvo.files import claim_folder, write_json, write_text
from distilvo.models.files import load_model, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import shaped_architecture, student_architecture
from distilvo.models.teacher import SHIPPED_TEACHER, teacher_architecture
from distilvo.progress import console, silence
from distilvo.recipes import FoldTeacher, about, distil, train_supervised
from distilvo.report import (
    Curves,
    ModelRow,
    RunResults,
    TrustResult,
    markdown_table,
    model_table,
    results_table,
    write_report,
)
from distilvo.report.publish import publish, report
from distilvo.scoring import Request, Score, score, score_files
from distilvo.sequences import choose
from distilvo.settings import Method, Recipe, Scoring, Shape
from distilvo.trajectories import Trajectory, read_kitti

Model = tuple[PoseNetwork, dict[str, Any]]
"""A network and its configuration."""

_MEAN_MOTION = "The mean motion is that of these sequences."


def render(out: Path, seeds: range, frames: int, size: tuple[int, int], poses: Path | None, hard: float) -> None:
    """Render streets, or one street along a pose file."""
    from distilvo.world.dataset import render_along, render_streets

    if not seeds:
        raise DistilvoError(f"render: --streets {seeds.stop - seeds.start}; expected at least 1")
    if not 0.0 <= hard <= 1.0 or (hard and poses is not None):
        raise DistilvoError(f"render: --hard {hard}; expected 0 to 1, and none with --poses")
    settings = {"frames": frames, "size": list(size), "poses": None if poses is None else str(poses), "hard": hard}
    claim_folder(out, "render", settings)
    if poses is None:
        folders = render_streets(out, seeds, frames, size, hard=hard)
    else:
        folders = [render_along(read_kitti(poses), seeds[0], size, out, poses.stem)]
    console.print(f"{len(folders)} sequences in {out / 'sequences'}")


def train(
    data: Path,
    out: Path,
    teacher: str,
    rate: float | None,
    init: Path | None,
    init_flownet: Path | None,
    sequences: tuple[str, ...],
    recipe: Recipe,
) -> None:
    """Train a network on ground truth alone."""
    if init is not None and init_flownet is not None:
        raise DistilvoError("train: --init and --init-flownet exclude each other; give one of them")
    parallel.share(recipe.batch_size)  # before any work, rather than when the training begins
    start = None if init is None else load_model(init)[0]
    architecture = teacher_architecture(teacher) if start is None else start.architecture
    if rate is not None and start is None:
        architecture = student_architecture(rate, architecture)
    filled = None
    if init_flownet is not None:
        start, filled = _begin_with_flownet(architecture, init_flownet, recipe.seed)
    settings = {"data": str(data), "architecture": architecture.to_dict(), "recipe": asdict(recipe), "init": str(init)}
    claim_folder(out, "train", settings | {"init_flownet": str(init_flownet)})
    store = _store(data, sequences, architecture, out / "cache")
    if start is not None and filled is not None:
        start.set_motion_scale(*motion_scale(store))  # its output is in that unit: nothing to rescale
    network, curve = train_supervised(architecture, store, recipe, out / "checkpoints", architecture.name, start)
    flownet = None if filled is None else {"file": str(init_flownet), "convolutions": filled}
    kept = about(store, recipe, method="ground truth only", init=str(init), init_flownet=flownet)
    parallel.on_main(lambda: save_model(network, out, kept))
    headline = f"{architecture.name}, last training loss {curve[-1][1]:.4f}"
    _report_training(out, "train", headline, {"supervised" if rate is not None else "teacher": curve}, settings)


def distill(
    data: Path,
    out: Path,
    teacher: Path | None,
    rate: float,
    shape: Shape,
    sequences: tuple[str, ...],
    recipe: Recipe,
    method: Method,
    fold_teacher: Recipe,
    fold_init: Path | None,
) -> None:
    """Distil a student, and show the trust that it was taught with."""
    from distilvo.report.trust import trust_result

    for size in (recipe.batch_size, fold_teacher.batch_size if method.folds else recipe.batch_size):
        parallel.share(size)  # before any work, rather than when the training begins
    network, _ = load_model(teacher or SHIPPED_TEACHER)
    architecture = shaped_architecture(shape, rate, network.architecture)
    settings = {"data": str(data), "teacher": str(teacher), "rate": rate, "shape": shape, "recipe": asdict(recipe)}
    claim_folder(out, "distill", settings | {"method": asdict(method)})
    store = _store(data, sequences, architecture, out / "cache")
    folds = FoldTeacher(fold_teacher, None if fold_init is None else load_model(fold_init)[0])
    checkpoints, cache = out / "checkpoints", out / "cache"
    made = distil(network, architecture, store, recipe, checkpoints, cache, architecture.name, method, folds)
    kept = about(store, recipe, method=asdict(method), eta=made.trust.etas)
    parallel.on_main(lambda: save_model(made.student, out, kept))
    trust = trust_result(store, made.lessons.teacher, made.trust)
    phi = made.trust.of_sample
    headline = f"{architecture.name}; trust Φ mean {phi.mean():.3f}, lowest {phi.min():.3f}"
    _report_training(out, "distill", headline, made.curves, settings | {"method": asdict(method)}, trust)


def _report_training(
    out: Path, verb: str, headline: str, curves: Curves, settings: dict[str, Any], trust: TrustResult | None = None
) -> None:
    """Write and name the page of a training; how good the model is, evaluate tells."""
    if not parallel.is_main():
        return
    shown = {key: value for key, value in settings.items() if key != "architecture"}
    notes = ["How good the model is on drives that it has not seen: distilvo evaluate."]
    results = RunResults(
        f"distilvo {verb} {out.name}", headline, curves=curves, trust=trust, settings=shown, notes=notes
    )
    write_report(out, results)
    console.print(f"{out}: {headline}; report.html")


def evaluate(request: Request) -> None:
    """Print one table of all models, and trajectory files, on all sequences.

    Models alone, by the paper's measures, stand there with their size and latency.
    """
    models, out = request.models, request.out
    if not models:
        raise DistilvoError("evaluate: nothing to score; expected one or more model folders or trajectory files")
    if request.data is None:
        raise DistilvoError(f"evaluate: {models[0]} is a model and needs --data, the data set that it is run on")
    if request.truth and not request.files:
        raise DistilvoError("evaluate: --truth is for trajectory files; models are compared with the truth of --data")
    if request.as_json:
        silence()
    names = [str(folder) for folder in models]
    if len({folder.name for folder in models}) == len(models):
        names = [folder.name for folder in models]
    networks = dict(zip(names, (load_model(folder) for folder in models), strict=True))
    read = score_files(request, taken=("mean_motion", *names))
    request.claim()
    with_size = not request.files and not request.as_json and request.how == Scoring()
    found, scores, latency = _run_models(networks, request.data, request, with_size)
    if out is not None:
        for name in networks:
            evaluation.write_trajectories(found[name], out / "trajectories" / name.strip("/").replace("/", "_"))
    publish(request, scores + read, table=not with_size)
    if not with_size:
        report(request, scores + read)
        return
    rows = _publish_models(networks, found, latency, out)
    report(request, scores, [model_table(rows)], [TIMER, _MEAN_MOTION])


def export(model: Path, out: Path | None, int8: bool, data: Path | None, sequences: tuple[str, ...]) -> None:
    """Export a model folder; with ``int8`` its convolutions are quantised too, and what that costs is measured."""
    path = out or model / "model.onnx"
    if data is not None and not int8:
        raise DistilvoError("export: --data is what --int8 is calibrated on; give --int8 too, or leave it out")
    if sequences and data is None:
        raise DistilvoError("export: --sequences are those of a data set; give --data too")
    quantised, table = path.with_suffix(".int8.onnx"), path.with_name("quantisation.json")
    written = (path, quantised, table) if int8 else (path,)
    if out is not None and (there := [file for file in written if file.exists()]):
        raise DistilvoError(f"{there[0]}: exists already; choose another --out or remove it")
    with tempfile.TemporaryDirectory() as scratch:
        if int8:  # what is wrong with the data shows before the work begins
            from distilvo.quantise import compare, open_drives, publish, quantise

            drives = open_drives(load_model(model)[1], data, sequences, Path(scratch))
        difference = export_model(model, path)
        console.print(
            f"{path}: {path.stat().st_size / 1e6:.2f} MB, motions within {difference:.1e} (m, rad) of the network's"
        )
        if int8:
            quantise(path, quantised, drives.calibration)
            publish(compare(model, path, quantised, drives), table)


def _run_models(
    networks: dict[str, Model], data: Path, request: Request, timed: bool
) -> tuple[dict[str, evaluation.Evaluation], list[Score], dict[str, float]]:
    """Trajectories, scores and, where they are to be timed, latencies in ms; the data's mean motion comes first."""
    found: dict[str, evaluation.Evaluation] = {}
    scores: list[Score] = []
    with tempfile.TemporaryDirectory() as scratch:
        exported: list[Path] = []
        for name, (network, config) in networks.items():
            store = _store(data, request.sequences, network.architecture, Path(scratch) / "cache")
            if not found:
                mean = constant_motion(motion_scale(store)[0].numpy())
                found["mean_motion"] = evaluation.evaluate(mean, store, "mean motion")
                scores += _scores("mean_motion", found["mean_motion"], store, request.how)
            found[name] = evaluation.evaluate(network_motions(network), store, name)
            scores += _scores(name, found[name], store, request.how)
            if timed:
                exported.append(Path(scratch) / f"{len(exported)}.onnx")
                export_onnx(network, config, exported[-1], store.drive_frames(0)[:10])
        latency = dict(zip(networks, latencies_ms(exported), strict=True)) if timed else {}
    return found, scores, latency


def _scores(name: str, found: evaluation.Evaluation, store: FrameStore, how: Scoring) -> list[Score]:
    """Of each drive of a store."""
    return [
        score(
            name,
            drive.name,
            Trajectory(found.estimates[drive.name]),
            Trajectory(evaluation.truth(store, index), times=found.times[drive.name]),
            how,
        )
        for index, drive in enumerate(store.drives)
    ]


def _publish_models(
    networks: dict[str, Model], found: dict[str, evaluation.Evaluation], latency: dict[str, float], out: Path | None
) -> list[ModelRow]:
    """Print the table of models with their size and latency, and write it; gives its rows."""
    first = next(iter(networks.values()))[0].architecture
    rows = [model_row("mean_motion", found["mean_motion"], None, first)]
    rows += [model_row(n, found[n], network.architecture, first, latency[n]) for n, (network, _) in networks.items()]
    console.print(results_table(rows))
    console.print(f"{TIMER} {_MEAN_MOTION}")
    if out is not None:
        write_text(out / "table.md", markdown_table(rows))
        write_json(out / "summary.json", {"models": [row.to_dict() for row in rows]})
    return rows


def _begin_with_flownet(architecture: Architecture, path: Path, seed: int) -> tuple[PoseNetwork, list[str]]:
    """A network with FlowNetS's convolutions, else as random as a fresh one of this seed, and what was filled."""
    import torch

    from distilvo.models.flownet import load_flownet

    torch.manual_seed(seed)
    network = PoseNetwork(architecture)
    filled = load_flownet(network, path)
    for line in filled:
        console.print(f"{path.name}: {line}", markup=False, soft_wrap=True)
    return network, filled


def export_model(model: Path, path: Path) -> float:
    """Export a model folder, checked on noise: without a data set at hand it is as good as any picture."""
    import torch

    network, config = load_model(model)
    a = network.architecture
    frames = torch.randint(
        0, 256, (8, a.channels, *a.size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    return export_onnx(network, config, path, frames)


def _store(data: Path, names: tuple[str, ...], architecture: Architecture, cache: Path) -> FrameStore:
    return open_store(choose(data, names), architecture.frame_format, cache)
