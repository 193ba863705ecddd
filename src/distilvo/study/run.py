"""Runs a study: prepares streets and teacher, makes the cells in parallel, writes the tables."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from distilvo import machine
from distilvo import progress as progress_bars
from distilvo.bench import latencies_ms
from distilvo.clips import FrameStore, motion_scale, open_store
from distilvo.distill.teacher_pass import teacher_pass
from distilvo.errors import DistilvoError
from distilvo.evaluation import constant_motion, evaluate, network_motions
from distilvo.export import export_onnx
from distilvo.files import claim_folder, read_json, write_json
from distilvo.models.files import load_model, save_model
from distilvo.models.network import Architecture, PoseNetwork
from distilvo.models.student import count_parameters
from distilvo.models.teacher import SHIPPED_TEACHER
from distilvo.progress import console, progress
from distilvo.recipes import about, ask, last_fc, train_supervised
from distilvo.report.results import TrustResult
from distilvo.report.trust import trust_result
from distilvo.sequences import choose, open_dataset
from distilvo.study.cell import Bench, measures
from distilvo.study.findings import study_findings
from distilvo.study.plan import Cell, Plan, Reference, Row, Streets
from distilvo.study.results import write_results
from distilvo.study.tables import console_table, findings_table, study_tables

# Streets that the demo, its tests and the shipped teacher have not seen.
TRAIN_SEEDS, TEST_SEEDS = 30_000, 40_000


def run_study(
    plan: Plan, out: Path, data: Path | None = None, teacher: Path | None = None, workers: int | None = None
) -> None:
    """Run a study, or go on where it was interrupted.

    Args:
        plan: what to compare; see ``distilvo.study.plan.read_plan``.
        out: folder of the study.
        data: data set in KITTI odometry layout, for a plan that names sequences.
        teacher: model folder; the shipped one where not given.
        workers: processes, one torch thread each; one for each core where not given.

    Raises:
        DistilvoError: the data are not there, the folder holds something else, or a process was killed.
    """
    if isinstance(plan.data, Streets) == (data is not None):
        raise DistilvoError(
            f"{plan.title}: "
            + ("renders its own streets; leave --data out" if data else "names sequences; expected --data DATASET")
        )
    claim_folder(out, "study", {"plan": _plain(plan), "data": str(data), "teacher": str(teacher)})
    bench = _prepare(plan, out, data, teacher or SHIPPED_TEACHER)
    _make_cells(bench, data, workers or machine.usable_cores())
    latency = _latencies(bench)
    cells = [
        _cell(bench, row, seed, times)
        for row in plan.rows.values()
        for seed, times in zip(plan.seeds, latency, strict=True)
    ]
    references = _references(bench, latency)
    write_json(out / "references.json", [asdict(reference) for reference in references])
    write_results(plan, cells, references, about_machine(), out, _trusts(bench))
    for table in (*study_tables(plan, cells, references), findings_table(study_findings(plan, cells, references))):
        console.print(console_table(table))
    console.print(f"Tables: {out / 'tables.md'}   report: {out / 'report.html'}   cells: {out / 'study.json'}")


def _plain(plan: Plan) -> dict[str, Any]:
    """The plan as a folder is claimed with: rows may be added later, so they are not part of it."""
    return {key: value for key, value in asdict(plan).items() if key not in ("rows", "tables", "title", "seeds")}


def _stores(plan: Plan, out: Path, data: Path | None, architecture: Architecture) -> tuple[FrameStore, FrameStore]:
    if isinstance(plan.data, Streets):
        parts = [open_dataset(out / "data" / part) for part in ("train", "test")]
    else:
        assert data is not None
        parts = [choose(data, names) for names in (plan.data.train, plan.data.test)]
    train, test = (open_store(part, architecture.frame_format, out / "cache") for part in parts)
    return train, test


def _prepare(plan: Plan, out: Path, data: Path | None, teacher: Path) -> Bench:
    """Everything that cells share is made once, before them."""
    network, _ = load_model(teacher)
    if isinstance(plan.data, Streets):
        from distilvo.world.dataset import render_streets

        s = plan.data
        for part, first, count in (("train", TRAIN_SEEDS, s.train), ("test", TEST_SEEDS, s.test)):
            seeds = range(first, first + count)
            size = network.architecture.size
            render_streets(out / "data" / part, seeds, s.frames, size, label=f"{part} streets", hard=s.hard)
    train, test = _stores(plan, out, data, network.architecture)
    if not (out / "teacher" / "config.json").exists():
        _make_teacher(plan, out, train, teacher, network)
    bench = Bench(plan, out, train, test)
    for row in plan.rows.values():
        bench.architecture(row)  # one that is out of reach is better known now
    for method in {row.method for row in plan.rows.values()}:
        ask(bench.teacher, train, method, bench.answers, plan.recipe.mirror, bench.fold_teacher)
        hint = method.hint_layer or last_fc(network.architecture)
        teacher_pass(bench.teacher, hint, test, bench.answers)
    return bench


def _make_teacher(plan: Plan, out: Path, train: FrameStore, folder: Path, network: PoseNetwork) -> None:
    if plan.teacher is None:
        shutil.copytree(folder, out / "teacher", dirs_exist_ok=True)
        return
    shutil.copytree(folder, out / "teacher_begin", dirs_exist_ok=True)
    trained, _ = train_supervised(
        network.architecture, train, plan.teacher, out / "training/teacher", "teacher", network
    )
    save_model(trained, out / "teacher", about(train, plan.teacher, begun_with=str(folder)))


def _make_cells(bench: Bench, data: Path | None, workers: int) -> None:
    # Seed by seed, so that an unfinished study has all rows alike.
    cells = [(row.name, seed) for seed in bench.plan.seeds for row in bench.plan.rows.values()]
    missing = [(name, seed) for name, seed in cells if not bench.is_done(bench.plan.rows[name], seed)]
    spawn = multiprocessing.get_context("spawn")  # fork would copy the locks of torch's threads
    workers = max(1, min(workers, len(missing)))
    with (
        progress("cells", len(cells), len(cells) - len(missing)) as bar,
        ProcessPoolExecutor(workers, spawn, _begin_worker, (bench.plan, bench.out, data)) as pool,
    ):
        try:
            for future in as_completed([pool.submit(_work, name, seed) for name, seed in missing]):
                bar.advance(note=future.result())
        except BrokenProcessPool:
            raise DistilvoError(
                f"{bench.out}: a process was killed (out of memory?); run again, it goes on (with fewer --workers)"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_bench: Bench | None = None


def _begin_worker(plan: Plan, out: Path, data: Path | None) -> None:
    global _bench
    torch.set_num_threads(1)
    progress_bars.silence()
    network, _ = load_model(out / "teacher")
    _bench = Bench(plan, out, *_stores(plan, out, data, network.architecture))


def _work(name: str, seed: int) -> str:
    assert _bench is not None
    _bench.make(_bench.plan.rows[name], seed)
    return f"{name} {seed}"


def _latencies(bench: Bench) -> list[dict[Architecture, float]]:
    """Of the teacher's and each student's shape, a run for each seed; with random weights, on which no time depends."""
    shapes = {bench.teacher.architecture} | {bench.architecture(row) for row in bench.plan.rows.values()}
    files = []
    frames = bench.test.drive_frames(0)[:10]
    for index, shape in enumerate(sorted(shapes, key=lambda shape: shape.name)):
        path = bench.out / "shapes" / f"{index}-{shape.name}.onnx"
        if not path.exists():
            export_onnx(PoseNetwork(shape).eval(), {"architecture": shape.to_dict()}, path, frames)
        files.append((shape, path))
    models = [path for _, path in files]
    runs = [latencies_ms(models) for _ in bench.plan.seeds]
    return [{shape: time for (shape, _), time in zip(files, times, strict=True)} for times in runs]


def _cell(bench: Bench, row: Row, seed: int, latency: dict[Architecture, float]) -> Cell:
    found = read_json(bench.path(row, seed)) | {"latency_ms": latency[bench.architecture(row)]}
    known = {field.name for field in fields(Cell)}
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in found.items() if name in known
    }
    return Cell(**values)


def _references(bench: Bench, latency: list[dict[Architecture, float]]) -> list[Reference]:
    shape = bench.teacher.architecture
    mean = evaluate(constant_motion(motion_scale(bench.train)[0].numpy()), bench.test, "mean motion")
    own = evaluate(network_motions(bench.teacher), bench.test, "teacher")
    time = median(run[shape] for run in latency)
    return [
        Reference("mean_motion", 0, 0.0, **measures(mean, bench.test)),
        Reference("teacher", count_parameters(shape), time, **measures(own, bench.test)),
    ]


def _trusts(bench: Bench) -> dict[str, TrustResult]:
    """Each trust that a row was taught with, by what makes it differ from the others."""
    found = {}
    for method in dict.fromkeys(row.method for row in bench.plan.rows.values()):
        name = f"Φ {method.trust}" + ", by parts" * method.separate + f", {method.folds} folds" * bool(method.folds)
        if name not in found and "attentive" in (method.blend, method.hint):
            how = bench.fold_teacher
            lessons, trust = ask(bench.teacher, bench.train, method, bench.answers, bench.plan.recipe.mirror, how)
            found[name] = trust_result(bench.train, lessons.teacher, trust)
    return found


def about_machine() -> dict[str, str]:
    """The command, the date, and what it ran on."""
    return {
        "command": " ".join(["distilvo", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": ", ".join(
            [f"Python {sys.version.split()[0]}", *(f"{n} {v}" for n, v in machine.versions().items())]
        ),
        "machine": f"{machine.usable_cores()} cores, {machine.cpu()}",
    }
