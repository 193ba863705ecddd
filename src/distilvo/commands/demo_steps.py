"""The steps of ``distilvo demo``: streets, teacher, trust, student, comparison, ONNX, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distilvo import environment
from distilvo.bench.latency import TIMER, latencies_ms
from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.distill.batches import TeacherOutputs
from distilvo.distill.trust import Trust
from distilvo.files import read_json, write_json, write_text
from distilvo.models.model_folder import copy_model, load_model, save_model
from distilvo.models.onnx_export import export_onnx
from distilvo.models.student import check_rate, student_architecture
from distilvo.models.teacher import SHIPPED_TEACHER, teacher_architecture
from distilvo.output_folders import claim_folder
from distilvo.pipeline.evaluation import (
    Evaluation,
    constant_motion,
    evaluate,
    network_motions,
    truth,
    write_trajectories,
)
from distilvo.pipeline.frame_trust import teacher_outputs
from distilvo.pipeline.recipes import about, distill_student, train_supervised
from distilvo.progress import console
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
from distilvo.report.model_report import model_row
from distilvo.report.trust_report import trust_result
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
    check_rate(settings.rate)  # before any work
    claim_folder(out, "demo", asdict(settings))
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
        write_json(self.out / "config.json", asdict(self.settings))
        self._step("2 teacher", self._teacher)
        self._step("3 trust", self._trust)
        self._step("4 distill", self._distill)
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
        console.print(f"Report: {self.out / 'report.html'}   plots: {self.out / 'plots'}   models: {self.models}")
        return summary

    def _step(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do a step, or read back what it gave; its seconds are those of the attempt that finished it."""
        done = self.out / "steps" / f"{name.replace(' ', '-')}.json"
        if not done.exists():
            console.rule(name, align="left")
            begin = time.monotonic()
            result = work()
            write_json(done, {"seconds": time.monotonic() - begin, "result": result})
        kept = read_json(done)
        self.seconds[name] = kept["seconds"]
        return dict(kept["result"])

    def _render(self) -> dict[str, Any]:
        s, data, size = self.settings, self.out / "data", teacher_architecture("demo").size
        train, test = _seeds(TRAIN_SEEDS, s.train_streets), _seeds(TEST_SEEDS, s.test_streets)
        render_streets(data / "train", train, s.train_frames, size, label="training streets")
        render_streets(data / "test", test, s.test_frames, size, label="held-out streets")
        self._frames("train"), self._frames("test")
        return {}

    def _teacher(self) -> dict[str, Any]:
        if not self.settings.from_scratch:
            copy_model(SHIPPED_TEACHER, self.models / "teacher")
            return {}
        s, architecture = self.settings, teacher_architecture("demo")
        data = self.out / "data/teacher"
        seeds = _seeds(TEACHER_SEEDS, s.teacher_streets)
        render_streets(data, seeds, s.train_frames, architecture.size, label="teacher's streets")
        frames = open_cache(open_dataset(data), architecture.preprocessing, self.cache, "teacher's frames")
        folder = self.out / "training/teacher"
        network, curve = train_supervised(architecture, frames, s.teacher, folder, label="teacher")
        save_model(network, self.models / "teacher", about(frames, s.teacher))
        return {"curves": {"teacher": curve}}

    def _trust(self) -> dict[str, Any]:
        _, trust = self._teacher_outputs()
        phi = trust.of_sample
        return {**trust.facts, "mean_phi": float(phi.mean()), "least_phi": float(phi.min())}

    def _distill(self) -> dict[str, Any]:
        teacher, _ = load_model(self.models / "teacher")
        s, frames = self.settings, self._frames("train")
        made = distill_student(
            teacher,
            student_architecture(s.rate, teacher.architecture),
            frames,
            s.student,
            self.out / "training/distilled",
            method=s.method,
            outputs=self.cache,
            label="distilled student",
        )
        kept = about(frames, s.student, method=asdict(s.method), trust=made.trust.facts)
        save_model(made.student, self.models / "student_distilled", kept)
        return {"curves": made.curves}

    def _supervise(self) -> dict[str, Any]:
        s, frames = self.settings, self._frames("train")
        architecture = student_architecture(s.rate, teacher_architecture("demo"))
        folder = self.out / "training/supervised"
        network, curve = train_supervised(architecture, frames, s.student, folder, label="student without teacher")
        kept = about(frames, s.student, method="ground truth only")
        save_model(network, self.models / "student_supervised", kept)
        return {"curves": {"supervised": curve}}

    def _export(self) -> dict[str, Any]:
        frames = self._frames("test").drive_frames(0)[:EXPORT_CHECK_FRAMES]
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
        train, test = self._frames("train"), self._frames("test")
        names = ("teacher", "student_supervised", "student_distilled")
        networks = {name: load_model(self.models / name)[0] for name in names}
        mean = constant_motion(motion_scale(train)[0].numpy())
        evaluations = {"mean_motion": evaluate(mean, test, "mean motion")}
        evaluations |= {name: evaluate(network_motions(network), test, name) for name, network in networks.items()}
        shapes = {name: network.architecture for name, network in networks.items()}
        rows = [
            model_row(name, evaluation.total, shapes.get(name), shapes["teacher"], latency.get(name, 0.0))
            for name, evaluation in evaluations.items()
        ]
        for name, evaluation in evaluations.items():
            write_trajectories(evaluation, self.out / "trajectories" / name)
        errors = {
            name: {drive: one.to_dict() for drive, one in evaluation.errors.items()}
            for name, evaluation in evaluations.items()
        }
        write_json(self.out / "metrics.json", errors)
        teacher, trust = self._teacher_outputs()
        results = RunResults(
            title="distilvo demo",
            headline=verdict(rows),
            tables=[model_table(rows)],
            rows=rows,
            drives=[_drive(test, index, evaluations) for index in range(len(test.drives))],
            curves=self._curves(),
            trust=trust_result(train, teacher.outputs, trust),
            settings=asdict(self.settings),
            notes=self._notes(len(test.drives)),
        )
        return rows, results

    def _notes(self, streets: int) -> list[str]:
        return [
            TIMER,
            "RMS-RPE: root mean square of the relative pose error over consecutive frames (10 Hz), not aligned.",
            "ATE: root mean square over all frames, each street aligned to the truth by a similarity, Sim(3).",
            f"All rows are errors on {streets} rendered streets that neither teacher nor students have seen.",
            "Both students have the same shape, training set, number of optimiser steps and seed.",
            f"The distilled student: {_words(self.settings.method)}. The supervised one begins with random weights.",
        ]

    def _curves(self) -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for path in sorted((self.out / "steps").glob("*.json")):
            curves |= read_json(path)["result"].get("curves", {})
        return curves

    def _teacher_outputs(self) -> tuple[TeacherOutputs, Trust]:
        teacher, _ = load_model(self.models / "teacher")
        s = self.settings
        return teacher_outputs(teacher, self._frames("train"), s.method, self.cache, mirror=s.student.mirror)

    def _frames(self, part: str) -> FrameCache:
        return open_cache(
            open_dataset(self.out / "data" / part),
            teacher_architecture("demo").preprocessing,
            self.cache,
            f"{part} frames",
        )

    def _summary(self, rows: list[ModelRow], difference: float) -> dict[str, Any]:
        return {
            "wall_s": sum(self.seconds.values()),
            "step_s": self.seconds,
            "peak_rss_mb": environment.peak_memory_mb(),
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


def _drive(cache: FrameCache, index: int, evaluations: dict[str, Evaluation]) -> DriveResult:
    drive = cache.drives[index]
    shown = frames_to_show(drive.frames, len(cache.drives)).tolist()
    images = {frame: np.array(cache.frames[drive.first + frame, 0]) for frame in shown}
    estimates = {name: Estimate(evaluation.estimates[drive.name]) for name, evaluation in evaluations.items()}
    return DriveResult(drive.name, truth(cache, index), estimates, images, cache.drive_times(index))
