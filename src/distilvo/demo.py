"""The whole corridor in one command: streets, teacher, trust, student, comparison, ONNX, report."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilvo.bench import TIMER, latencies_ms
from distilvo.clips import FrameStore, motion_scale, open_store
from distilvo.distill.trust import Trust
from distilvo.evaluation import (
    Evaluation,
    constant_motion,
    evaluate,
    model_row,
    network_motions,
    truth,
    write_trajectories,
)
from distilvo.export import export_onnx
from distilvo.files import claim_folder, read_json, write_json, write_text
from distilvo.models.files import load_model, save_model
from distilvo.models.student import student_architecture
from distilvo.models.teacher import SHIPPED_TEACHER, teacher_architecture
from distilvo.progress import console
from distilvo.recipes import about, ask, distil, train_supervised
from distilvo.report import (
    DriveResult,
    Estimate,
    ModelRow,
    RunResults,
    frames_to_show,
    markdown_table,
    model_table,
    results_table,
    verdict,
    write_report,
)
from distilvo.report.trust import trust_result
from distilvo.sequences import open_dataset
from distilvo.settings import DemoSettings, Method
from distilvo.world.dataset import render_streets

# Seeds of the streets: what trains, what tests and what the shipped teacher saw never meet.
TRAIN_SEEDS, TEST_SEEDS, TEACHER_SEEDS = 10_000, 20_000, 1_000_000
EXPORT_CHECK_FRAMES = 60


def run_demo(settings: DemoSettings, out: Path) -> dict[str, Any]:
    """Run the demo in ``out``, or go on where it was interrupted.

    Returns:
        What ``summary.json`` holds.

    Raises:
        DistilvoError: ``out`` holds something else, or a step failed.
    """
    claim_folder(out, "demo", asdict(settings))
    write_json(out / "config.json", asdict(settings))
    return _Demo(settings, out).run()


class _Demo:
    def __init__(self, settings: DemoSettings, out: Path) -> None:
        self.settings, self.out = settings, out
        self.models = out / "models"
        self.cache = out / "cache"
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """The steps, in order; each leaves a file behind that is written last, and is not done twice."""
        self._step("1 render", self._render)
        self._step("2 teacher", self._teacher)
        self._step("3 trust", self._trust)
        self._step("4 distil", self._distil)
        self._step("5 supervise", self._supervise)
        export = self._step("6 export", self._export)
        latency = self._step("7 latency", self._latency)
        begin = time.monotonic()
        rows, results = self._evaluate(latency)
        write_report(self.out, results)
        write_text(self.out / "table.md", markdown_table(rows))
        self.seconds["8 report"] = time.monotonic() - begin
        summary = self._summary(rows, export["onnx_max_abs_difference"])
        write_json(self.out / "summary.json", summary)
        console.print(results_table(rows))
        console.print(verdict(rows))
        console.print(f"Report: {self.out / 'report.html'}   pictures: {self.out / 'plots'}   models: {self.models}")
        return summary

    def _step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do a step, or read back what it gave; its seconds are those of the attempt that finished it."""
        done = self.out / "steps" / f"{name.replace(' ', '-')}.json"
        if not done.exists():
            console.rule(f"[bold]{name}", align="left")
            begin = time.monotonic()
            result = work()
            write_json(done, {"seconds": time.monotonic() - begin, "result": result})
        kept = read_json(done)
        self.seconds[name] = kept["seconds"]
        return dict(kept["result"])

    def _render(self) -> dict[str, Any]:
        s, size = self.settings, teacher_architecture("demo").size
        render_streets(
            self.out / "data/train",
            _seeds(TRAIN_SEEDS, s.train_streets),
            s.train_frames,
            size,
            label="training streets",
        )
        render_streets(
            self.out / "data/test", _seeds(TEST_SEEDS, s.test_streets), s.test_frames, size, label="held-out streets"
        )
        self._store("train"), self._store("test")
        return {}

    def _teacher(self) -> dict[str, Any]:
        if not self.settings.from_scratch:
            shutil.copytree(SHIPPED_TEACHER, self.models / "teacher", dirs_exist_ok=True)
            return {}
        s, architecture = self.settings, teacher_architecture("demo")
        data = self.out / "data/teacher"
        render_streets(
            data, _seeds(TEACHER_SEEDS, s.teacher_streets), s.train_frames, architecture.size, label="teacher's streets"
        )
        store = open_store(open_dataset(data), architecture.frame_format, self.cache, "teacher's frames")
        network, curve = train_supervised(architecture, store, s.teacher, self.out / "training/teacher", "teacher")
        save_model(network, self.models / "teacher", about(store, s.teacher))
        return {"curves": {"teacher": curve}}

    def _trust(self) -> dict[str, Any]:
        _, trust = self._ask_teacher()
        phi = trust.of_sample
        return {"eta": trust.eta, "mean_phi": float(phi.mean()), "least_phi": float(phi.min())}

    def _distil(self) -> dict[str, Any]:
        teacher, _ = load_model(self.models / "teacher")
        s, store = self.settings, self._store("train")
        architecture = student_architecture(s.rate, teacher.architecture)
        folder, label = self.out / "training/distilled", "distilled student"
        made = distil(teacher, architecture, store, s.student, folder, self.cache, label, s.method)
        more = {"method": asdict(s.method), "eta": made.trust.eta}
        save_model(made.student, self.models / "student_distilled", about(store, s.student, **more))
        return {"curves": made.curves}

    def _supervise(self) -> dict[str, Any]:
        s, store = self.settings, self._store("train")
        architecture = student_architecture(s.rate, teacher_architecture("demo"))
        network, curve = train_supervised(
            architecture, store, s.student, self.out / "training/supervised", "student without teacher"
        )
        save_model(network, self.models / "student_supervised", about(store, s.student, method="ground truth only"))
        return {"curves": {"supervised": curve}}

    def _export(self) -> dict[str, Any]:
        frames = self._store("test").drive_frames(0)[:EXPORT_CHECK_FRAMES]
        differences = {}
        for folder in sorted(self.models.iterdir()):
            network, config = load_model(folder)
            differences[folder.name] = export_onnx(network, config, folder / "model.onnx", frames)
        return {"onnx_max_abs_difference": differences["student_distilled"], "by_model": differences}

    def _latency(self) -> dict[str, Any]:
        names = [folder.name for folder in sorted(self.models.iterdir())]
        return dict(zip(names, latencies_ms([self.models / name / "model.onnx" for name in names]), strict=True))

    def _evaluate(self, latency: dict[str, float]) -> tuple[list[ModelRow], RunResults]:
        """Quick, so done anew each time, as the report is that needs all of it."""
        train, test = self._store("train"), self._store("test")
        networks = {
            name: load_model(self.models / name)[0] for name in ("teacher", "student_supervised", "student_distilled")
        }
        mean = constant_motion(motion_scale(train)[0].numpy())
        found = {"mean_motion": evaluate(mean, test, "mean motion")}
        found |= {name: evaluate(network_motions(network), test, name) for name, network in networks.items()}
        shapes = {name: network.architecture for name, network in networks.items()}
        rows = [model_row(n, found[n], shapes.get(n), shapes["teacher"], latency.get(n, 0.0)) for n in found]
        for name, evaluation in found.items():
            write_trajectories(evaluation, self.out / "trajectories" / name)
        write_json(
            self.out / "metrics.json", {n: {d: e.to_dict() for d, e in f.errors.items()} for n, f in found.items()}
        )
        drives = [_drive(test, index, found) for index in range(len(test.drives))]
        notes = [
            TIMER,
            "RMS-RPE: root mean square of the relative pose error over consecutive frames (10 Hz), not aligned.",
            "ATE: root mean square over all frames, each street aligned to the truth by a similarity, Sim(3).",
            f"All rows are errors on {len(test.drives)} rendered streets that neither teacher nor students have seen.",
            "Both students have the same shape, training set, number of optimiser steps and seed.",
            f"The distilled student: {_words(self.settings.method)}. The supervised one begins with random weights.",
        ]
        results = RunResults(
            "distilvo demo",
            verdict(rows),
            [model_table(rows)],
            rows,
            drives,
            self._curves(),
            trust_result(train, *self._ask_teacher()),
            asdict(self.settings),
            notes,
        )
        return rows, results

    def _curves(self) -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for path in sorted((self.out / "steps").glob("*.json")):
            curves |= read_json(path)["result"].get("curves", {})
        return curves

    def _ask_teacher(self) -> tuple[torch.Tensor, Trust]:
        teacher, _ = load_model(self.models / "teacher")
        s = self.settings
        lessons, trust = ask(teacher, self._store("train"), s.method, self.cache, s.student.mirror)
        return lessons.teacher, trust

    def _store(self, part: str) -> FrameStore:
        return open_store(
            open_dataset(self.out / "data" / part),
            teacher_architecture("demo").frame_format,
            self.cache,
            f"{part} frames",
        )

    def _summary(self, rows: list[ModelRow], difference: float) -> dict[str, Any]:
        here, workers = (
            resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return {
            "wall_s": sum(self.seconds.values()),
            "step_s": self.seconds,
            "peak_rss_mb": max(here, workers),
            "onnx_max_abs_difference": difference,
            "models": [row.to_dict() for row in rows],
        }


def _words(method: Method) -> str:
    """A method in words, for a note."""
    hints = {"none": "", "plain": "plain hints (HT) and ", "attentive": "attentive hints (AHT) and "}[method.hint]
    order = (
        "" if method.hint == "none" else (", one after the other" if method.schedule == "two-stage" else ", at once")
    )
    begin = "begins with those of the teacher's layers that it shares; " if method.inherit else ""
    return f"{begin}{hints}imitation of the output ({method.blend}){order}"


def _seeds(first: int, count: int) -> range:
    return range(first, first + count)


def _drive(store: FrameStore, index: int, found: dict[str, Evaluation]) -> DriveResult:
    drive = store.drives[index]
    shown = frames_to_show(drive.frames, len(store.drives)).tolist()
    pictures = {frame: np.array(store.frames[drive.first + frame, 0]) for frame in shown}
    estimates = {name: Estimate(evaluation.estimates[drive.name]) for name, evaluation in found.items()}
    return DriveResult(drive.name, truth(store, index), estimates, pictures, store.drive_times(index))
