"""Runs a study: prepares streets and teacher, makes the cells in parallel, writes the tables."""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from distilvo import environment, parallel
from distilvo import progress as progress_bars
from distilvo.bench.latency import latencies_ms
from distilvo.children import in_processes
from distilvo.data import FrameCache, motion_scale
from distilvo.distill.teacher_pass import outputs_key
from distilvo.distill.trainer import BF16_IS_SLOW, has_bf16
from distilvo.errors import DistilvoError
from distilvo.files import check_claim, claimed_folders, read_json, share_claims, write_json
from distilvo.models.kinds import AnyArchitecture, count_parameters, network_of
from distilvo.models.model_folder import copy_model, load_model, save_model
from distilvo.models.motion_network import MotionNetwork
from distilvo.models.onnx_export import export_onnx
from distilvo.pipeline.evaluation import constant_motion, evaluate, network_motions
from distilvo.pipeline.frame_teacher import run_teacher
from distilvo.pipeline.recipes import about, begin_in_unit, train_supervised
from distilvo.progress import progress
from distilvo.report.results import TrustResult
from distilvo.report.trust_report import trust_result
from distilvo.study.cell import Workshop, check_rows, measures
from distilvo.study.findings import study_findings
from distilvo.study.plan import Cell, Plan, Reference, Row
from distilvo.study.study_drives import check_same, open_drives, render_drives
from distilvo.study.study_files import write_results
from distilvo.study.study_table import StudyTable
from distilvo.study.study_tables import findings_table, study_tables


def run_study(plan: Plan, out: Path, data: Path | None, teacher: Path, *, workers: int) -> list[StudyTable]:
    """Run a study, or go on where it was interrupted; writes its files into ``out``.

    Tables and report are written when a seed is done, too, and first of all where cells are there already: a long study
    can be read while it runs.

    Args:
        plan: what to compare; see ``distilvo.study.plan_file.read_plan``.
        out: folder of the study.
        data: data set in KITTI odometry layout, for a plan that names sequences; its poses alone for one with routes.
        teacher: model folder.
        workers: processes, one torch thread each.

    Returns:
        The tables; the seven findings last, where the study has the paper's tables.

    Raises:
        DistilvoError: the data are not there, or a process was killed.
    """
    if plan.recipe.precision == "bf16" and not has_bf16(parallel.device()):
        warnings.warn(BF16_IS_SLOW, stacklevel=2)
    workshop = _prepare(plan, out, data, teacher)
    _choose_rates(workshop, data, workers)
    latency = _latencies(workshop)  # before the students, which would take the cores
    references = _references(workshop, latency)
    _make_cells(workshop, data, workers, lambda: _write(workshop, latency, references))
    cells = _write(workshop, latency, references)
    findings = study_findings(plan, cells, references)
    return study_tables(plan, cells, references) + [findings_table(plan, findings)] * bool(findings)


def _write(workshop: Workshop, latency: list[dict[AnyArchitecture, float]], references: list[Reference]) -> list[Cell]:
    """Write tables and report of the cells that are done, and give these."""
    plan = workshop.plan
    cells = [
        _cell(workshop, row, seed, times)
        for row in plan.rows.values()
        for seed, times in zip(plan.seeds, latency, strict=True)
        if workshop.is_done(row, seed)
    ]
    write_results(plan, cells, references, about_machine(), workshop.out, trusts=_trusts(workshop))
    return cells


def _prepare(plan: Plan, out: Path, data: Path | None, teacher: Path) -> Workshop:
    """Make everything that the cells share, before them."""
    network, config = load_model(teacher, to_train=plan.teacher is not None)
    _check_teacher(plan, out, teacher, network)
    render_drives(plan, out, data, network.architecture.size)
    drives = open_drives(plan, out, data, network.preprocessing)
    check_same(drives, out)
    if not (out / "teacher" / "config.json").exists():
        begin_in_unit(network, config, drives.train)
        _make_teacher(plan, out, drives.train, teacher, network)
    workshop = Workshop(plan, out, drives)
    check_rows(plan, workshop.teacher.architecture)
    for row in plan.rows.values():
        workshop.teacher_outputs(row)
        hint = row.method.hint_layer or network.architecture.last_layer
        run_teacher(workshop.teacher, hint, drives.test, workshop.outputs)
    return workshop


def _check_teacher(plan: Plan, out: Path, folder: Path, network: MotionNetwork) -> None:
    """Raise DistilvoError where a study that goes on began with another model than is given now."""
    began = out / ("teacher" if plan.teacher is None else "teacher_begin")
    if not (began / "config.json").exists():
        return
    before, _ = load_model(began, to_train=True)
    if before.architecture != network.architecture or outputs_key(before) != outputs_key(network):
        raise DistilvoError(
            f"{folder}: not the model that this study began with, which is kept as {began}; give that one, or choose "
            "another --out"
        )


def _make_teacher(plan: Plan, out: Path, train: FrameCache, folder: Path, network: MotionNetwork) -> None:
    if plan.teacher is None:
        copy_model(folder, out / "teacher")
        return
    copy_model(folder, out / "teacher_begin")
    trained, _ = train_supervised(
        network.architecture, train, plan.teacher, out / "training/teacher", label="teacher", init=network
    )
    save_model(trained, out / "teacher", about(train, plan.teacher, begun_with=str(folder)))


def _choose_rates(workshop: Workshop, data: Path | None, workers: int) -> None:
    choice = workshop.plan.choice
    if choice is None:
        return
    names = dict.fromkeys(workshop.trial_row(row).name for row in workshop.plan.rows.values())
    trials = [(name, rate) for name in names for rate in choice.learning_rates]
    missing = [(name, rate) for name, rate in trials if not workshop.is_tried(workshop.plan.rows[name], rate)]
    _in_workers(_try, missing, len(trials), "learning rates", workshop, data, workers)


def _make_cells(workshop: Workshop, data: Path | None, workers: int, write: Callable[[], object]) -> None:
    # Seed by seed, so that all rows of an unfinished study have the same seeds; of each seed the longest first, so that
    # all processes end at about one time.
    rows = sorted(workshop.plan.rows.values(), key=lambda row: -row.budget)
    cells = [(row.name, seed) for seed in workshop.plan.seeds for row in rows]
    missing = [(name, seed) for name, seed in cells if not workshop.is_done(workshop.plan.rows[name], seed)]
    if 0 < len(missing) < len(cells):
        write()
    left = Counter(seed for _, seed in missing)

    def done(_: str, seed: int) -> None:
        left[seed] -= 1
        if left[seed] == 0 and any(left.values()):
            write()

    _in_workers(_work, missing, len(cells), "cells", workshop, data, workers, done)


def _in_workers(
    work: Callable[..., tuple[Any, ...]],
    missing: Sequence[tuple[Any, ...]],
    count: int,
    label: str,
    workshop: Workshop,
    data: Path | None,
    workers: int,
    after: Callable[..., None] | None = None,
) -> None:
    """Call ``work`` with the arguments of each missing one, in processes with a workshop each; then ``after`` here."""
    with progress(label, count, count - len(missing)) as bar:

        def done(arguments: tuple[Any, ...]) -> None:
            check_claim(workshop.out)
            bar.advance(note=" ".join(f"{argument}" for argument in arguments))
            if after is not None:
                after(*arguments)

        in_processes(
            work,
            missing,
            workers=max(1, min(workers, len(missing))),
            on_done=done,
            where=str(workshop.out),
            begin=_begin_worker,
            arguments=(workshop.plan, workshop.out, data, claimed_folders()),
        )


_workshop: Workshop | None = None


def _begin_worker(plan: Plan, out: Path, data: Path | None, claims: tuple[Path, ...]) -> None:
    global _workshop
    share_claims(claims)
    torch.set_num_threads(1)
    progress_bars.silence()
    warnings.filterwarnings("ignore", re.escape(BF16_IS_SLOW))  # the main process has said it
    network, _ = load_model(out / "teacher")
    _workshop = Workshop(plan, out, open_drives(plan, out, data, network.preprocessing))


def _work(name: str, seed: int) -> tuple[str, int]:
    assert _workshop is not None
    _workshop.make(_workshop.plan.rows[name], seed)
    return name, seed


def _try(name: str, learning_rate: float) -> tuple[str, float]:
    assert _workshop is not None
    _workshop.try_rate(_workshop.plan.rows[name], learning_rate)
    return name, learning_rate


def _latencies(workshop: Workshop) -> list[dict[AnyArchitecture, float]]:
    """Latency of the teacher's and each student's architecture, a run for each seed.

    The weights are random, since times do not depend on them.
    """
    shapes = {workshop.teacher.architecture} | {workshop.architecture(row) for row in workshop.plan.rows.values()}
    files = []
    frames = workshop.test.drive_frames(0)[:10]
    for index, shape in enumerate(sorted(shapes, key=lambda shape: shape.name)):
        path = workshop.out / "shapes" / f"{index}-{shape.name}.onnx"
        if not path.exists():
            export_onnx(network_of(shape).eval(), {"architecture": shape.to_dict()}, path, frames)
        files.append((shape, path))
    models = [path for _, path in files]
    runs = [latencies_ms(models) for _ in workshop.plan.seeds]
    return [{shape: time for (shape, _), time in zip(files, times, strict=True)} for times in runs]


def _cell(workshop: Workshop, row: Row, seed: int, latency: dict[AnyArchitecture, float]) -> Cell:
    content = read_json(workshop.path(row, seed)) | {"latency_ms": latency[workshop.architecture(row)]}
    return Cell(**_fields(Cell, content))


def _fields(kind: type[Cell] | type[Reference], content: dict[str, Any]) -> dict[str, Any]:
    values = {field.name: content[field.name] for field in fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _references(workshop: Workshop, latency: list[dict[AnyArchitecture, float]]) -> list[Reference]:
    """Mean motion and teacher: their errors of the run that began the study, with the latencies of this one."""
    path, shape = workshop.out / "references.json", workshop.teacher.architecture
    if path.exists():
        mean, teacher = (Reference(**_fields(Reference, content)) for content in read_json(path))
    else:
        motion = constant_motion(motion_scale(workshop.train)[0].numpy())
        errors = [
            measures(evaluate(motion, workshop.test, "mean motion")),
            measures(evaluate(network_motions(workshop.teacher), workshop.test, "teacher")),
        ]
        mean = Reference("mean_motion", parameters=0, latency_ms=0.0, **errors[0])
        teacher = Reference("teacher", parameters=count_parameters(shape), latency_ms=0.0, **errors[1])
    teacher = replace(teacher, latency_ms=median(run[shape] for run in latency))
    write_json(path, [asdict(mean), asdict(teacher)])
    return [mean, teacher]


def _trusts(workshop: Workshop) -> dict[str, TrustResult]:
    """Each kind of trust that rows were trained with, by a name for it."""
    trusts: dict[str, TrustResult] = {}
    for row in workshop.plan.rows.values():
        method = row.method
        kind = "by the true error" if row.oracle else method.trust
        name = f"Φ {kind}" + ", by parts" * method.separate + f", {row.folds} folds" * bool(row.folds)
        name += "" if row.labels == "all" else f", {row.labels}"
        if name not in trusts and "attentive" in (method.blend, method.hint):
            teacher, trust = workshop.teacher_outputs(row)
            trusts[name] = trust_result(workshop.data(row), teacher.outputs, trust)
    return trusts


def about_machine() -> dict[str, str]:
    """The command, the date, versions and machine."""
    return {
        "command": " ".join(["distilvo", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "versions": ", ".join(
            [f"Python {sys.version.split()[0]}", *(f"{n} {v}" for n, v in environment.versions().items())]
        ),
        "machine": f"{environment.usable_cores()} cores, {environment.cpu()}",
    }
