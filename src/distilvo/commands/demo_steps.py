"""The steps of ``distilvo demo``: a first drive, streets, trust, three students, comparison, ONNX, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from distilvo import environment
from distilvo.bench.latency import TIMER, latencies_ms
from distilvo.data import FrameCache, motion_scale, open_cache
from distilvo.distill.batches import TeacherOutputs
from distilvo.distill.checkpoint import Curve
from distilvo.distill.trust import Trust
from distilvo.files import read_json, write_json, write_text
from distilvo.models.flow_family import FLOW_STUDENTS, FLOW_TEACHER
from distilvo.models.model_folder import copy_model, load_model, save_model
from distilvo.models.onnx_export import export_onnx, moving_blobs
from distilvo.models.teacher import SHIPPED_STUDENT, SHIPPED_TEACHER
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
from distilvo.pipeline.unlabelled import open_unlabelled
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
from distilvo.runtime.packaged_models import model_path
from distilvo.sequences import open_dataset
from distilvo.settings import PAPER, DemoSettings, Method, Recipe, SourceOptions
from distilvo.world.dataset import render_streets

# Seeds of the streets: what trains, what tests and what the shipped models saw never meet.
TRAIN_SEEDS, TEST_SEEDS = 10_000, 20_010  # ten held-out streets from there are of eight kinds
FIRST_DRIVE = 20_013  # a fast country road
SIZE = 112, 368  # pixels of the images: a little more than the models see
STUDENT = FLOW_STUDENTS["nano"]
PAPERS_RECIPE = replace(PAPER, hint_form="maps", freeze=False)


def run_demo(settings: DemoSettings, out: Path) -> dict[str, Any]:
    """Run the demo in ``out``, or go on where it was interrupted.

    Returns:
        What ``summary.json`` holds.

    Raises:
        DistilvoError: ``out`` holds something else, or a step failed.
    """
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
        self._step("1 first drive", self._first_drive)
        self._step("2 render", self._render)
        write_json(self.out / "config.json", asdict(self.settings))
        self._step("3 trust", self._trust)
        self._step("4 distill", self._distill)
        self._step("5 supervise", self._supervise)
        self._step("6 paper", self._paper)
        export = self._step("7 export", self._export)
        latency = self._step("8 latency", self._latency)
        begin = time.monotonic()
        rows, results = self._evaluate(latency)
        write_report(self.out, results)
        write_text(self.out / "table.md", markdown_table(rows))
        self.seconds["9 report"] = time.monotonic() - begin
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

    def _first_drive(self) -> dict[str, Any]:
        from distilvo.commands.first_drive import first_drive  # behind torch: what lacks first is told first

        return first_drive(
            self.out / "data/first", FIRST_DRIVE, self.settings.test_frames, SIZE, self.out / "first_drive"
        )

    def _render(self) -> dict[str, Any]:
        s, data = self.settings, self.out / "data"
        labelled = _seeds(TRAIN_SEEDS, s.labelled_streets)
        film = _seeds(TRAIN_SEEDS + s.labelled_streets, s.unlabelled_streets)
        render_streets(data / "labelled", labelled, s.train_frames, SIZE, label="streets with labels")
        render_streets(data / "film", film, s.train_frames, SIZE, label="film without labels")
        tests = _seeds(TEST_SEEDS, s.test_streets)
        render_streets(data / "test", tests, s.test_frames, SIZE, label="held-out streets")
        copy_model(SHIPPED_TEACHER, self.models / "teacher")
        copy_model(SHIPPED_STUDENT, self.models / "shipped_student")
        self._all_streets(), self._frames("labelled"), self._frames("test")
        return {}

    def _trust(self) -> dict[str, Any]:
        _, trust = self._teacher_outputs()
        phi = trust.of_sample
        return {**trust.facts, "mean_phi": float(phi.mean()), "least_phi": float(phi.min())}

    def _distill(self) -> dict[str, Any]:
        """The student of all streets, with labels on some of them."""
        return {
            "curves": self._distilled("distilled", self._all_streets(), self.settings.student, self.settings.method)
        }

    def _paper(self) -> dict[str, Any]:
        """The student by the paper's recipe, which needs labels: on the labelled streets alone, as many steps."""
        curves = self._distilled("paper", self._frames("labelled"), self._as_many_steps(), PAPERS_RECIPE)
        return {"curves": {f"paper, {stage} stage": curve for stage, curve in curves.items()}}

    def _distilled(self, name: str, frames: FrameCache, recipe: Recipe, method: Method) -> dict[str, Curve]:
        teacher, _ = load_model(self.models / "teacher")
        folder = self.out / "training" / name
        made = distill_student(
            teacher, STUDENT, frames, recipe, folder, method=method, outputs=self.cache, label=f"student, {name}"
        )
        kept = about(frames, recipe, method=asdict(method), trust=made.trust.facts)
        save_model(made.student, self.models / f"student_{name}", kept)
        return made.curves

    def _supervise(self) -> dict[str, Any]:
        """The student of the labelled streets alone, without a teacher, as many steps."""
        frames, recipe = self._frames("labelled"), self._as_many_steps()
        folder = self.out / "training/supervised"
        network, curve = train_supervised(STUDENT, frames, recipe, folder, label="student without teacher")
        save_model(network, self.models / "student_supervised", about(frames, recipe, method="ground truth only"))
        return {"curves": {"supervised": curve}}

    def _as_many_steps(self) -> Recipe:
        """The recipe for the labelled streets alone: more epochs, and so as many steps as on all streets."""
        s = self.settings
        times = (s.labelled_streets + s.unlabelled_streets) / s.labelled_streets
        return replace(s.student, epochs=round(s.student.epochs * times))

    def _export(self) -> dict[str, Any]:
        """One student: all have one shape."""
        folder = self.models / "student_distilled"
        network, config = load_model(folder)
        difference = export_onnx(network, config, folder / "model.onnx", moving_blobs(network.architecture))
        return {"onnx_max_abs_difference": difference}

    def _latency(self) -> dict[str, Any]:
        files = [model_path("teacher"), self.models / "student_distilled" / "model.onnx"]
        return dict(zip(("teacher", "student"), latencies_ms(files), strict=True))

    def _evaluate(self, latency: dict[str, float]) -> tuple[list[ModelRow], RunResults]:
        """Quick, so done anew each time, as the report is that needs all of it."""
        train, test = self._all_streets(), self._frames("test")
        names = ("teacher", "shipped_student", "student_supervised", "student_paper", "student_distilled")
        networks = {name: load_model(self.models / name)[0] for name in names}
        mean = constant_motion(motion_scale(train)[0].numpy())
        evaluations = {"mean_motion": evaluate(mean, test, "mean motion")}
        evaluations |= {name: evaluate(network_motions(network), test, name) for name, network in networks.items()}
        shapes = {name: network.architecture for name, network in networks.items()}
        rows = [
            model_row(
                name,
                evaluation.total,
                shapes.get(name),
                shapes["teacher"],
                latency["teacher" if name == "teacher" else "student"],
            )
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
        s = self.settings
        return [
            TIMER,
            "RMS-RPE: root mean square of the relative pose error over consecutive frames (10 Hz), not aligned.",
            "ATE: root mean square over all frames, each street aligned to the truth by a similarity, Sim(3).",
            f"All rows are errors on {streets} rendered streets that neither teacher nor students have seen.",
            f"The three students of this run have one shape and seed, and about as many steps. {s.labelled_streets} "
            f"streets have labels (poses); {s.unlabelled_streets} more are film, which only distillation can use.",
            f"The distilled student: {_words(s.method)}. The paper's recipe: {_words(PAPERS_RECIPE)}, trust by the "
            "error where labels are; its hint is the maps, and what the hints trained goes on learning.",
            "The shipped student was trained on far more streets, and for longer: its model card says how.",
        ]

    def _curves(self) -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for path in sorted((self.out / "steps").glob("*.json")):
            curves |= read_json(path)["result"].get("curves", {})
        return curves

    def _teacher_outputs(self) -> tuple[TeacherOutputs, Trust]:
        teacher, _ = load_model(self.models / "teacher")
        s = self.settings
        return teacher_outputs(teacher, self._all_streets(), s.method, self.cache, mirror=s.student.mirror)

    def _all_streets(self) -> FrameCache:
        """Those with labels, then the film."""
        data = self.out / "data"
        sequences = open_dataset(data / "labelled")
        if self.settings.unlabelled_streets:
            names = [sequence.name for sequence in sequences]
            sequences += open_unlabelled([data / "film"], SourceOptions(), names)
        return open_cache(sequences, FLOW_TEACHER.preprocessing, self.cache, "training frames", need_poses=False)

    def _frames(self, part: str) -> FrameCache:
        return open_cache(
            open_dataset(self.out / "data" / part),
            FLOW_TEACHER.preprocessing,
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
    return f"{hints}imitation of the output ({method.blend}){order}"


def _seeds(first: int, count: int) -> range:
    return range(first, first + count)


def _drive(cache: FrameCache, index: int, evaluations: dict[str, Evaluation]) -> DriveResult:
    drive = cache.drives[index]
    shown = frames_to_show(drive.frames, len(cache.drives)).tolist()
    images = {frame: np.array(cache.frames[drive.first + frame, 0]) for frame in shown}
    estimates = {name: Estimate(evaluation.estimates[drive.name]) for name, evaluation in evaluations.items()}
    return DriveResult(drive.name, truth(cache, index), estimates, images, cache.drive_times(index))
